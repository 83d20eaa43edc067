"""How values are shown to people: times, names, ages, sizes.

Everything here is pure: a value and ``now`` in, text or safe markup out. Dates of persons are never
converted between time zones; moments always are.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from typing import Any

from markupsafe import Markup

_MINUTE_S = 60
_HOUR_S = 60 * _MINUTE_S
_DAY_S = 24 * _HOUR_S
_MONTH_S = 30 * _DAY_S


def relative(moment: datetime, now: datetime) -> str:
    """How long before or after ``now`` something is: ``3 min ago``, ``in 2 h``."""
    seconds = int((now - moment).total_seconds())
    size = abs(seconds)
    if size < 5:
        return "just now"
    text = duration(size)
    return f"{text} ago" if seconds > 0 else f"in {text}"


def duration(seconds: float) -> str:
    """A length of time in its largest sensible unit, ``45 s``, ``12 min``, ``3 h``, ``5 d``."""
    size = abs(int(seconds))
    if size < _MINUTE_S:
        return f"{size} s"
    if size < _HOUR_S:
        return f"{size // _MINUTE_S} min"
    if size < _DAY_S:
        hours, minutes = divmod(size // _MINUTE_S, 60)
        return f"{hours} h {minutes} min" if hours < 10 and minutes else f"{hours} h"
    return f"{size // _DAY_S} d"


def absolute(moment: datetime, now: datetime, zone: tzinfo) -> str:
    """The moment on the wall clock of ``zone``, without the parts that ``now`` makes obvious."""
    local = moment.astimezone(zone)
    today = now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    if local.year == today.year:
        return f"{local.day} {local:%b %H:%M}"
    return f"{local.day} {local:%b %Y %H:%M}"


def when(moment: datetime | None, now: datetime, zone: tzinfo) -> Markup:
    """A ``time`` element with the absolute and the relative time; a dash when there is none."""
    if moment is None:
        return Markup('<span class="quiet">&ndash;</span>')
    local = moment.astimezone(zone)
    full = f"{local:%Y-%m-%d %H:%M:%S %Z}"
    return Markup('<time datetime="{}" title="{}">{} <span class="rel">{}</span></time>').format(
        moment.isoformat(), full, absolute(moment, now, zone), relative(moment, now)
    )


def person_name(value: str | None) -> str:
    """A DICOM person name for reading: ``Phantom, Ada``, other scripts in parentheses.

    Standard: PS3.5 6.2.1
    """
    if not value:
        return ""
    groups = [_name_group(group) for group in value.split("=")]
    shown = [group for group in groups if group]
    if not shown:
        return ""
    return shown[0] + (f" ({' · '.join(shown[1:])})" if len(shown) > 1 else "")


def _name_group(group: str) -> str:
    parts = [part.strip() for part in group.split("^")]
    family, given, middle, prefix, suffix = (parts + [""] * 5)[:5]
    rest = " ".join(part for part in (prefix, given, middle) if part)
    name = ", ".join(part for part in (family, rest) if part)
    return f"{name} {suffix}".strip()


def age(birth_date: date | None, now: datetime) -> str:
    """Completed years, or months and days for the youngest; empty when the date is unknown."""
    if birth_date is None:
        return ""
    today = now.date()
    months = (today.year - birth_date.year) * 12 + today.month - birth_date.month
    months -= today.day < birth_date.day
    if months < 0:
        return ""
    if months >= 24:
        return f"{months // 12} y"
    return f"{months} mo" if months else f"{(today - birth_date).days} d"


def size(size_bytes: int | None) -> str:
    """An amount of storage in decimal units, ``37 MB``."""
    if size_bytes is None:
        return "unknown"
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.0f} TB"


def words(value: object) -> str:
    """An identifier such as ``images_received`` as words, ``images received``."""
    return str(value).replace("_", " ").replace(".", " ").strip()


def capital(value: object) -> str:
    """The same with a capital first letter, for the start of a line."""
    text = words(value)
    return text[:1].upper() + text[1:]


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``70 images``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}".replace(",", "\u202f")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "person_name": person_name,
    "words": words,
    "capital": capital,
    "plural": plural,
    "size": size,
    "duration": duration,
}
