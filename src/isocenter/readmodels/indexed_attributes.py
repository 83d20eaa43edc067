"""What an administrator had indexed, for searches: which attributes, how to match, which values.

A private attribute is asked for in any block; the Private Creator beside it says whose it is, and
need not where only one is indexed that it can be.

Standard: PS3.18 10.6, PS3.5 7.8.1
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, LiteralString

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.infra.db.where import Column, Columns, SideValues
from isocenter.standards.dicom.dictionary import is_private_creator
from isocenter.standards.dicom.matching import Condition, SingleValue, tags_of
from isocenter.standards.dicom.matching_keys import with_vr
from isocenter.standards.dicom.values_model import Element

Level = Literal["study", "series", "instance"]


@dataclass(frozen=True, slots=True)
class Indexed:
    """An attribute that searches know. ``tag`` of a private one has no block."""

    attribute_key: int
    tag: int
    private_creator: str
    vr: str
    level: Level


@dataclass(frozen=True, slots=True)
class Beyond:
    """What a search asks for beyond the archive's own attributes.

    Attributes:
        conditions: all of the search, with the VRs that private attributes are known to have, and
            without Private Creators.
        asked: what is indexed, by the tag that the client uses.
        creators: Private Creators by their tags, where one of these is private.
        columns: to match ``asked``.
    """

    conditions: tuple[Condition, ...]
    asked: Mapping[int, Indexed]
    creators: Mapping[int, str]
    columns: Columns


_READY: Final = """
select attribute_key, tag, private_creator, vr, level
  from archive.indexed_attribute where state = 'ready' order by attribute_key
"""
_OF_LEVEL: Final[Mapping[Level, frozenset[Level]]] = {
    "study": frozenset({"study"}),
    "series": frozenset({"study", "series"}),
    "instance": frozenset({"study", "series", "instance"}),
}
_SOURCES: Final[Mapping[Level, LiteralString]] = {
    "study": "archive.attribute_value as indexed"
    " where indexed.attribute_key = %s and indexed.entity_key = study.study_key",
    "series": "archive.attribute_value as indexed"
    " where indexed.attribute_key = %s and indexed.entity_key = series.series_key",
    "instance": "archive.attribute_value as indexed"
    " where indexed.attribute_key = %s and indexed.entity_key = instance.instance_key",
}
_FLOATS: Final = frozenset({"FL", "FD"})
_INTEGERS: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_NUMBERS: Final = frozenset({"IS", "DS"}) | _FLOATS | _INTEGERS
_COLUMNS: Final[Mapping[str, Column]] = {
    "PN": Column("indexed.matched", "person_name", "indexed.phonetic"),
    "DA": Column("indexed.day", "date"),
    "TM": Column("indexed.time_of_day", "time"),
    "DT": Column("indexed.moment", "datetime"),
    **dict.fromkeys(_NUMBERS, Column("indexed.number", "number")),
}
_TEXT: Final = Column("indexed.matched")


def beyond(
    tx: Tx,
    viewer: Viewer,
    level: Level,
    conditions: Iterable[Condition],
    *,
    returned: Iterable[int],
    own: frozenset[int],
) -> Beyond:
    """What the search asks for that is indexed beyond ``own``, the archive's attributes.

    Costs no statement where everything asked for is among these.
    """
    viewer.require(Action.STUDY_READ)
    given = tuple(conditions)
    wanted = (tags_of(given) | frozenset(returned)) - own
    if not wanted:
        return Beyond(given, {}, {}, {})
    known = [each for each in tx.all(Indexed, _READY) if each.level in _OF_LEVEL[level]]
    creators = {
        each.tag: each.value
        for each in given
        if isinstance(each, SingleValue) and is_private_creator(each.tag)
    }
    asked = {tag: each for tag in wanted if (each := _known(tag, creators, known)) is not None}
    rest = tuple(
        with_vr(each, asked[tag].vr) if (tag := _tag(each)) in asked else each
        for each in given
        if _tag(each) not in creators
    )
    columns = {
        tag: SideValues(_SOURCES[each.level], (each.attribute_key,), _COLUMNS.get(each.vr, _TEXT))
        for tag, each in asked.items()
    }
    used = {creator_tag(tag): each.private_creator for tag, each in asked.items() if tag >> 16 & 1}
    return Beyond(rest, asked, used, columns)


def _tag(condition: Condition) -> int:
    return min(tags_of([condition]))


def creator_tag(tag: int) -> int:
    """The tag of the Private Creator of a private attribute's block."""
    return tag & 0xFFFF_0000 | tag >> 8 & 0xFF


def _known(tag: int, creators: Mapping[int, str], known: Sequence[Indexed]) -> Indexed | None:
    if not tag >> 16 & 1:
        found = [each for each in known if each.tag == tag and not each.private_creator]
    elif is_private_creator(tag):
        return None
    else:
        creator = creators.get(creator_tag(tag))
        found = [
            each
            for each in known
            if each.tag == tag & 0xFFFF_00FF and creator in {None, each.private_creator}
        ]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class _Value:
    uid: str
    attribute_key: int
    value: str


# Of several series that say it of one study the oldest counts.
_OF_STUDIES: Final = """
select study_instance_uid as uid, attribute_key, value
  from archive.study join archive.attribute_value on entity_key = study.study_key
 where study_instance_uid = any(%(uids)s) and attribute_key = any(%(keys)s)
   and attribute_value.series_key = (
       select min(oldest.series_key) from archive.attribute_value oldest
        where oldest.attribute_key = attribute_value.attribute_key
          and oldest.entity_key = attribute_value.entity_key)
 order by uid, attribute_key, position
"""
_OF_SERIES: Final = """
select study_instance_uid || '/' || series_instance_uid as uid, attribute_key, value
  from archive.study join archive.series using (study_key)
  join archive.attribute_value on entity_key = series.series_key
 where study_instance_uid = any(%(studies)s) and series_instance_uid = any(%(uids)s)
   and attribute_key = any(%(keys)s)
 order by uid, attribute_key, position
"""
_OF_INSTANCES: Final = """
select sop_instance_uid as uid, attribute_key, value
  from archive.instance join archive.attribute_value on entity_key = instance.instance_key
 where sop_instance_uid = any(%(uids)s) and attribute_key = any(%(keys)s)
 order by uid, attribute_key, position
"""


def values_of(
    tx: Tx, viewer: Viewer, asked: Mapping[int, Indexed], rows: Sequence[Any]
) -> list[dict[int, list[str]]]:
    """For each row of a search the values of what was asked for, by the client's tag."""
    viewer.require(Action.STUDY_READ)
    tags: dict[int, list[int]] = defaultdict(list)
    for tag, each in asked.items():
        tags[each.attribute_key].append(tag)
    found: list[dict[int, list[str]]] = [{} for _ in rows]
    levels: tuple[Level, ...] = ("study", "series", "instance")
    for level in levels:
        keys = [each.attribute_key for each in asked.values() if each.level == level]
        if not keys or not rows:
            continue
        by_uid: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            by_uid[_uid(row, level)].append(number)
        for value in _values(tx, level, keys, rows):
            for number in by_uid.get(value.uid, ()):
                for tag in tags[value.attribute_key]:
                    found[number].setdefault(tag, []).append(value.value)
    return found


def _uid(row: Any, level: Level) -> str:
    match level:
        case "study":
            return row.study_instance_uid
        case "series":
            return f"{row.study_instance_uid}/{row.series_instance_uid}"
        case "instance":
            return row.sop_instance_uid


def _values(tx: Tx, level: Level, keys: list[int], rows: Sequence[Any]) -> list[_Value]:
    params: dict[str, Any] = {"keys": keys}
    match level:
        case "study":
            params["uids"] = sorted({each.study_instance_uid for each in rows})
            return tx.all(_Value, _OF_STUDIES, params)
        case "series":
            params["studies"] = sorted({each.study_instance_uid for each in rows})
            params["uids"] = sorted({each.series_instance_uid for each in rows})
            return tx.all(_Value, _OF_SERIES, params)
        case "instance":
            params["uids"] = [each.sop_instance_uid for each in rows]
            return tx.all(_Value, _OF_INSTANCES, params)


def element_of(vr: str, texts: Sequence[str]) -> Element:
    """The attribute with these values of the index."""
    if vr in _FLOATS:
        return Element(vr, tuple(float(each) for each in texts))
    if vr in _INTEGERS:
        return Element(vr, tuple(int(each) for each in texts))
    return Element(vr, tuple(texts))
