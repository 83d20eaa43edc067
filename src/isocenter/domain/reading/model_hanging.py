"""Hanging protocols: which images go where when a study opens, as users and departments make them.

The workspace applies them; here they are only checked for shape and size, so that a page never gets
one that it cannot show. Pure.

Standard: PS3.3 C.23 (the same idea; these rules are our own JSON)
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, cast

from isocenter.errors import IsocenterError, Kind

PREFERENCE: Final = "hanging-protocols"
PROTOCOLS_MAX: Final = 200
ROWS_MAX: Final = 4
COLUMNS_MAX: Final = 5
STAGES_MAX: Final = 12
_TEXT_LENGTH_MAX: Final = 200
_MODALITIES_MAX: Final = 20
_PROTOCOL_TEXTS: Final = frozenset({"name", "description", "bodyPart"})
_PROTOCOL_NUMBERS: Final = frozenset({"seriesAtLeast", "priorsAtLeast"})
_STAGE_KEYS: Final = frozenset({"name", "rows", "columns", "series", "link"})
_WISH_TEXTS: Final = frozenset({"label", "description", "laterality", "view"})


class BadProtocol(IsocenterError):
    """A hanging protocol is not of the shape that the workspace understands."""

    kind: ClassVar[Kind] = Kind.INCORRECT


def check_protocols(value: object) -> list[dict[str, Any]]:
    """The protocols as given. Raises ``BadProtocol``."""
    found = _list(value, "protocols", PROTOCOLS_MAX)
    return [_protocol(each) for each in found]


def _protocol(value: object) -> dict[str, Any]:
    given = _object(value, "a protocol")
    stage = {key: each for key, each in given.items() if key in _STAGE_KEYS and key != "name"}
    rest = {key: each for key, each in given.items() if key not in _STAGE_KEYS or key == "name"}
    _stage(stage)
    if not rest.get("name"):
        raise BadProtocol("a protocol has a name")
    for key, each in rest.items():
        if key in _PROTOCOL_TEXTS:
            _text(each, key)
        elif key in _PROTOCOL_NUMBERS:
            _number(each, key, 0, 100)
        elif key == "modality":
            _modalities(each)
        elif key == "stages":
            for one in _list(each, "stages", STAGES_MAX):
                _stage(_object(one, "a stage"))
        else:
            raise BadProtocol(f"a protocol has no {key}")
    if "modality" not in rest:
        raise BadProtocol("a protocol lists its modalities; an empty list means any")
    return dict(given)


def _stage(given: Mapping[str, Any]) -> None:
    if unknown := given.keys() - _STAGE_KEYS:
        raise BadProtocol(f"a stage has no {sorted(unknown)[0]}")
    _text(given.get("name", ""), "name")
    rows = _number(given.get("rows"), "rows", 1, ROWS_MAX)
    columns = _number(given.get("columns"), "columns", 1, COLUMNS_MAX)
    if not isinstance(given.get("link", False), bool):
        raise BadProtocol("link is true or false")
    for each in _list(given.get("series"), "series", rows * columns):
        _wish(_object(each, "a viewport"))


def _wish(given: Mapping[str, Any]) -> None:
    for key, each in given.items():
        if key in _WISH_TEXTS:
            _text(each, key)
        elif key == "modality":
            _modalities(each)
        elif key == "study":
            if each not in {"current", "prior"}:
                raise BadProtocol("study is current or prior")
        else:
            raise BadProtocol(f"a viewport has no {key}")


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadProtocol(f"{what} is an object")
    return cast("Mapping[str, Any]", value)


def _list(value: object, what: str, most: int) -> Sequence[object]:
    if not isinstance(value, list):
        raise BadProtocol(f"{what} is a list")
    found = cast("list[object]", value)
    if len(found) > most:
        raise BadProtocol(f"{what} has at most {most} entries")
    return found


def _text(value: object, what: str) -> None:
    if not isinstance(value, str) or len(value) > _TEXT_LENGTH_MAX:
        raise BadProtocol(f"{what} is a text of at most {_TEXT_LENGTH_MAX} characters")


def _modalities(value: object) -> None:
    for each in _list(value, "modality", _MODALITIES_MAX):
        _text(each, "modality")


def _number(value: object, what: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadProtocol(f"{what} is a number from {least} to {most}")
    return value
