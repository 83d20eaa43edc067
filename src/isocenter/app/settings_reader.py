"""The effective settings and the origin of each: environment, else settings file, else default.

A small reader of our own: pydantic-settings costs 25 MB of memory in every process, more than the
rest of the DICOM listener. It only reads; it creates no folder and opens no connection.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import ClassVar, cast, get_type_hints

from isocenter.app.setting_values import names_in
from isocenter.app.settings import About, Settings
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.supervise import FD_VARIABLE

PREFIX = "ISOCENTER_"
FILE_NAME = "isocenter.toml"
_CONFIG = "ISOCENTER_CONFIG"
# Names with our prefix that steer something else than a setting.
_OTHER_NAMES = frozenset({_CONFIG, "ISOCENTER_TESTDATA", FD_VARIABLE})


class SettingsError(IsocenterError):
    """A setting has a value that cannot be used."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one effective value was written."""

    setting: str
    place: str  # "default", "environment ISOCENTER_X" or "/path/isocenter.toml"


@dataclass(frozen=True, slots=True)
class EffectiveSettings:
    """The settings in force, the origin of each, and what was written but means nothing."""

    settings: Settings
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...]


def lifeline_descriptor() -> int | None:
    """The number of our socket to the supervisor that started us, if one did."""
    written = os.environ.get(FD_VARIABLE)  # noqa: TID251 the one place that reads it
    return int(written) if written and written.isdigit() else None


def read(environment: Mapping[str, str] | None = None) -> EffectiveSettings:
    """The settings of this process, from its environment and settings file.

    Raises:
        SettingsError: a value is wrong; the message names the setting and its origin.
    """
    given = dict(os.environ) if environment is None else environment  # noqa: TID251 the one place that reads it
    named = given.get(_CONFIG)
    file = Path(named) if named else Path(FILE_NAME)
    if not file.is_file():
        if named:
            raise SettingsError(f"{_CONFIG} names {named}, which is not a file")
        return resolve(given, {}, None)
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    return resolve(given, document, file.resolve())


def resolve(
    environment: Mapping[str, str], document: Mapping[str, object], file: Path | None
) -> EffectiveSettings:
    """The settings that follow from an environment and a parsed settings file.

    Raises:
        SettingsError: a value is wrong, or two values contradict each other.
    """
    values: dict[str, object] = {}
    origins: dict[str, Origin] = {}
    for name, about in declared_settings().items():
        variable = PREFIX + name.upper()
        if variable in environment:
            written, place = cast("object", environment[variable]), f"environment {variable}"
        elif name in document:
            written, place = document[name], str(file)
        else:
            origins[name] = Origin(name, "default")
            continue
        value = _value(about, name, written, place)
        if isinstance(value, Path) and place == str(file) and file is not None:
            value = file.parent / value  # a path in a file is meant from that file's folder
        values[name], origins[name] = value, Origin(name, place)
    settings = Settings(**values)  # pyright: ignore[reportArgumentType] each value came from its field's reader
    _refuse_contradictions(settings)
    return EffectiveSettings(settings, origins, tuple(_unknown(environment, document, file)))


@cache
def declared_settings() -> Mapping[str, About]:
    """Each setting's name with its reader and meaning, in the order of their declaration."""
    hints = get_type_hints(Settings, include_extras=True)
    return {each.name: cast("About", hints[each.name].__metadata__[0]) for each in fields(Settings)}


def as_environment(settings: Settings) -> dict[str, str]:
    """Environment variables under which another process reads the same settings.

    Only values that differ from the default are named.
    """
    found: dict[str, str] = {}
    for declared in fields(Settings):
        value = cast("object", getattr(settings, declared.name))
        if value is None or value in (declared.default, {}):
            continue
        if isinstance(value, Mapping):
            pairs = cast("Mapping[str, object]", value).items()
            value = ",".join(f"{name}={given}" for name, given in pairs)
        elif isinstance(value, Path):
            value = value.absolute()
        found[PREFIX + declared.name.upper()] = str(value)
    return found


def child_environment(settings: Settings) -> dict[str, str]:
    """The whole environment of a child process that is to run with these settings."""
    return {**os.environ, **as_environment(settings)}  # noqa: TID251 the one place that reads it


def _value(about: About, name: str, written: object, place: str) -> object:
    try:
        return about.read(written)
    except ValueError as error:
        reason = str(error) if not about.secret else "has a value that cannot be used"
        raise SettingsError(f"{name} (from {place}) {reason}") from error


def _refuse_contradictions(settings: Settings) -> None:
    ports = {
        "http_port": settings.http_port,
        "dicom_port": settings.dicom_port,
        "hl7_port": settings.hl7_port,
    }
    if len(set(ports.values())) < len(ports):
        shown = ", ".join(f"{name} {port}" for name, port in ports.items())
        raise SettingsError(f"each listener needs a port of its own: {shown}")
    if settings.store_encryption != "off" and not (settings.store_key or settings.store_key_file):
        raise SettingsError("store_encryption needs store_key_file or store_key")
    known = {"main", *settings.stores}
    for setting, name in (
        ("store_current", settings.store_current),
        ("store_copy", settings.store_copy or "main"),
    ):
        if name not in known:
            raise SettingsError(f"{setting} names the store {name}, which stores does not have")
    for name in names_in(settings.pack_stores):
        if name not in known:
            raise SettingsError(f"pack_stores names the store {name}, which stores does not have")
    for protocol in ("http", "dicom", "hl7"):
        certificate, key = (
            cast("Path | None", getattr(settings, f"{protocol}_tls_{part}"))
            for part in ("certificate", "key")
        )
        if (certificate is None) != (key is None):
            raise SettingsError(
                f"{protocol}_tls_certificate and {protocol}_tls_key are needed together"
            )


def _unknown(
    environment: Mapping[str, str], document: Mapping[str, object], file: Path | None
) -> list[str]:
    known = list(declared_settings())
    warnings = [
        f"{file}: unknown setting {name}{_suggestion(name, known)}"
        for name in document
        if name not in known
    ]
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX).lower()
        ours = variable.startswith(PREFIX) and variable not in _OTHER_NAMES
        if ours and name not in known and not name.startswith("test"):
            variables = [PREFIX + each.upper() for each in known]
            warnings.append(
                f"environment: unknown setting {variable}{_suggestion(variable, variables)}"
            )
    return warnings


def _suggestion(written: str, known: list[str]) -> str:
    near = difflib.get_close_matches(written, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def aws_environment() -> dict[str, str]:
    """What the environment says to every program of AWS."""
    environment = os.environ  # noqa: TID251 the one place that reads it
    return {name: value for name, value in environment.items() if name.startswith("AWS_")}
