"""Readers of single setting values: text or TOML value in, typed value out.

Each reader raises ``ValueError`` whose text completes the sentence "<setting> from <origin> …".
They know nothing about where a value came from; ``settings`` adds that.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Reader = Callable[[object], object]

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_SHORT_STRING_MAX = 16  # PS3.5 6.2: SH and AE hold at most 16 characters
_SECRET_LENGTH_MIN = 32


def text(value: object) -> str:
    """The value as text without surrounding blanks."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {value!r}")  # noqa: TRY004 one error class for all readers
    return value.strip()


def names_in(listed: str) -> list[str]:
    """The names that a setting lists, parted by commas."""
    return [name for each in listed.split(",") if (name := each.strip())]


def optional_text(value: object) -> str | None:
    """The value as text, ``None`` when blank."""
    return text(value) or None


def optional_path(value: object) -> Path | None:
    """The value as an absolute or relative path, ``None`` when blank."""
    written = text(value)
    return Path(written).expanduser() if written else None


def path(value: object) -> Path:
    """The value as a path; blank is refused."""
    found = optional_path(value)
    if found is None:
        raise ValueError("must name a folder")
    return found


def flag(value: object) -> bool:
    """The value as yes or no."""
    if isinstance(value, bool):
        return value
    written = str(value).strip().lower()
    if written not in _TRUE | _FALSE:
        raise ValueError(f"must be true or false, not {value!r}")
    return written in _TRUE


def whole_number(minimum: int, maximum: int) -> Reader:
    """A reader of whole numbers from ``minimum`` to ``maximum``."""

    def read(value: object) -> int:
        try:
            number = int(str(value).strip()) if not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not minimum <= number <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}, not {value!r}")
        return number

    return read


def seconds(minimum: float, maximum: float) -> Reader:
    """A reader of durations in seconds from ``minimum`` to ``maximum``."""

    def read(value: object) -> float:
        try:
            number = float(str(value).strip()) if not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not minimum <= number <= maximum:
            raise ValueError(f"must be seconds from {minimum:g} to {maximum:g}, not {value!r}")
        return number

    return read


def time_zone(value: object) -> str:
    """The value as the name of a time zone that is known here."""
    written = text(value)
    try:
        return ZoneInfo(written).key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(
            f"must be an IANA time zone such as Europe/Vienna, not {value!r}"
        ) from None


def zone_of_this_machine() -> str:
    """The name of the time zone that the machine is set to; UTC when it says none."""
    target = str(Path("/etc/localtime").resolve())
    name = target.partition("/zoneinfo/")[2]
    try:
        return time_zone(name)
    except ValueError:
        return "UTC"


def choice(*options: str) -> Reader:
    """A reader of one word out of ``options``, in any case."""

    def read(value: object) -> str:
        written = text(value).lower()
        if written not in options:
            raise ValueError(f"must be one of {', '.join(options)}, not {value!r}")
        return written

    return read


def origins(value: object) -> str:
    """Origins of web pages, parted by single blanks, from a text with commas or blanks."""
    found = text(value).replace(",", " ").split()
    for each in found:
        parts = urlsplit(each)
        if parts.scheme not in {"http", "https"} or each != f"{parts.scheme}://{parts.netloc}":
            raise ValueError("must name origins, as https://ehr.example or https://10.0.0.9:8443")
    return " ".join(found)


def secrets_by_name(value: object) -> Mapping[str, str]:
    """Secrets of 32 characters or more by name, from a TOML table or ``name=secret,…``."""
    if isinstance(value, dict):
        pairs = [(str(name), given) for name, given in cast("dict[object, object]", value).items()]
    else:
        parts = [part for part in text(value).split(",") if part.strip()]
        pairs = [
            (name.strip(), given.strip())
            for name, _, given in (part.partition("=") for part in parts)
        ]
    found = {name: text(given) for name, given in pairs}
    if not all(found) or any(len(each) < _SECRET_LENGTH_MIN for each in found.values()):
        raise ValueError("must give each name a secret of at least 32 characters")
    return found


def ae_title(value: object) -> str:
    """The value as an application entity title.

    Standard: PS3.5 6.2 (VR AE)
    """
    written = text(value)
    legal = written.isascii() and written.isprintable() and "\\" not in written
    if not (0 < len(written) <= _SHORT_STRING_MAX and legal):
        raise ValueError(f"must be 1 to 16 printable ASCII characters without \\, not {value!r}")
    return written


def accession_number_format(value: object) -> str:
    """The value as a %-format with exactly one number field, at most 16 characters when filled.

    Standard: PS3.5 6.2 (VR SH)
    """
    written = text(value)
    try:
        first, second = written % 1, written % 99_999_999
    except (TypeError, ValueError):
        raise ValueError(
            f"must hold exactly one number field such as %08d, not {value!r}"
        ) from None
    if first == second or len(second) > _SHORT_STRING_MAX or "\\" in written:
        raise ValueError(f"must give at most 16 characters that differ by number, not {value!r}")
    return written


def seconds_by_name(value: object) -> Mapping[str, float]:
    """Durations in seconds by name, from a TOML table or ``name=seconds,name=seconds``."""
    if isinstance(value, dict):
        pairs = [(str(name), given) for name, given in cast("dict[object, object]", value).items()]
    else:
        parts = [part for part in text(value).split(",") if part.strip()]
        pairs = [
            (name.strip(), given) for name, _, given in (part.partition("=") for part in parts)
        ]
    read = seconds(0.1, 365 * 86_400)
    found: dict[str, float] = {}
    for name, given in pairs:
        try:
            found[name] = cast("float", read(given))
        except ValueError as error:
            raise ValueError(f"{name!r} {error}") from None
    return found


def urls_by_name(value: object) -> Mapping[str, str]:
    """URLs by name, from a TOML table or ``name=URL,name=URL``."""
    if isinstance(value, dict):
        pairs = [(str(name), given) for name, given in cast("dict[object, object]", value).items()]
    else:
        parts = [part for part in text(value).split(",") if part.strip()]
        pairs = [
            (name.strip(), given) for name, _, given in (part.partition("=") for part in parts)
        ]
    found = {name: text(given) for name, given in pairs}
    if not all(found) or not all("://" in each for each in found.values()):
        raise ValueError("must give each name a URL, as archive=s3://bucket/prefix")
    return found
