"""Query/Retrieve identifiers: what is asked at which level, and whether it may be asked so.

Matching itself is the business of ``matching``; what is found, of whoever has a database.

Standard: PS3.4 Annex C
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.matching import Condition, Query
from isocenter.standards.dicom.matching_keys import NOT_KEYS, parse_identifier
from isocenter.standards.dicom.values_model import DataSet

QUERY_RETRIEVE_LEVEL: Final = 0x00080052
PATIENT_ID: Final = 0x00100020
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
SOP_INSTANCE_UID: Final = 0x00080018
_UIDS_MAX: Final = 10_000


class Level(StrEnum):
    """A level of a hierarchy, as Query/Retrieve Level says it.

    Standard: PS3.4 C.6.1.1, C.6.2.1
    """

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


UNIQUE_KEYS: Final[Mapping[Level, int]] = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: STUDY_INSTANCE_UID,
    Level.SERIES: SERIES_INSTANCE_UID,
    Level.IMAGE: SOP_INSTANCE_UID,
}
_PATIENT_ROOT: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
_STUDY_ROOT: Final = (Level.STUDY, Level.SERIES, Level.IMAGE)
_LEVELS: Final[Mapping[str, tuple[Level, ...]]] = {
    uids.PATIENT_ROOT_FIND: _PATIENT_ROOT,
    uids.PATIENT_ROOT_MOVE: _PATIENT_ROOT,
    uids.PATIENT_ROOT_GET: _PATIENT_ROOT,
    uids.STUDY_ROOT_FIND: _STUDY_ROOT,
    uids.STUDY_ROOT_MOVE: _STUDY_ROOT,
    uids.STUDY_ROOT_GET: _STUDY_ROOT,
}


class IdentifierMismatchError(RemoteProtocolError):
    """The identifier is not one of its SOP class: no such level, or a unique key is missing."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What is negotiated beyond the baseline, in the order of the bytes that say so.

    Of these, combined date-time matching, fuzzy matching and time zones change what matches;
    relational ones allow identifiers that are refused otherwise; empty and multiple values are
    understood always.

    Standard: PS3.4 C.5.1.1.1, Table C.5-1; C.5.2.1.1 and C.5.3.1.1 for retrieval (first byte only)
    """

    relational: bool = False
    date_time: bool = False
    fuzzy: bool = False
    timezone: bool = False
    enhanced_conversion: bool = False
    empty_value: bool = False
    multiple_value: bool = False


BASELINE: Final = Extensions()
FIND_EXTENSIONS: Final = Extensions(
    relational=True,
    date_time=True,
    fuzzy=True,
    timezone=True,
    empty_value=True,
    multiple_value=True,
)
RETRIEVE_EXTENSIONS: Final = Extensions(relational=True)


_OFFERED: Final[Mapping[str, Extensions]] = {
    uids.PATIENT_ROOT_FIND: FIND_EXTENSIONS,
    uids.STUDY_ROOT_FIND: FIND_EXTENSIONS,
    uids.PATIENT_ROOT_MOVE: RETRIEVE_EXTENSIONS,
    uids.STUDY_ROOT_MOVE: RETRIEVE_EXTENSIONS,
    uids.PATIENT_ROOT_GET: RETRIEVE_EXTENSIONS,
    uids.STUDY_ROOT_GET: RETRIEVE_EXTENSIONS,
}


def answer_information(sop_class_uid: str, asked: bytes) -> bytes | None:
    """The answer to service class application information; None: the SOP class is none of these.

    Standard: PS3.4 C.5.1.1.2
    """
    offered = _OFFERED.get(sop_class_uid)
    return None if offered is None else agree(asked, offered)[0]


def agreed_extensions(sop_class_uid: str, answered: bytes) -> Extensions:
    """What our answer to service class application information means."""
    return agree(answered, _OFFERED.get(sop_class_uid, BASELINE))[1]


def agree(asked: bytes, offered: Extensions) -> tuple[bytes, Extensions]:
    """The answer to service class application information, and what it means.

    Each byte is 1 where both sides can; as many bytes as were asked, as far as they are known.

    Standard: PS3.4 C.5.1.1.2
    """
    names = [each.name for each in fields(Extensions)]
    agreed = {
        name: byte == 1 and bool(getattr(offered, name))
        for name, byte in zip(names, asked, strict=False)
    }
    return bytes(agreed[name] for name in names[: len(asked)]), Extensions(**agreed)


@dataclass(frozen=True, slots=True)
class LevelQuery:
    """A C-FIND: what is searched at which level.

    Attributes:
        conditions: all must hold.
        returned: the attributes asked for, in no order; the unique keys of the level and of those
            above it are always among them.
    """

    level: Level
    conditions: tuple[Condition, ...]
    returned: frozenset[int]


def parse_query(
    identifier: DataSet, sop_class_uid: str, extensions: Extensions = BASELINE
) -> LevelQuery:
    """The query that a C-FIND identifier asks for.

    More keys of the levels above than the standard allows are taken as keys; it harms nobody.

    Raises:
        IdentifierMismatchError: the level is not one of the SOP class, or, in a query that is not
            relational, the unique key of a level above has not one value.
        UnmatchableKeyError: a key has no such form.

    Standard: PS3.4 C.4.1.2, C.4.1.3
    """
    level, above = _levels(identifier, sop_class_uid)
    if not extensions.relational:
        for each in above:
            _single(identifier, each)
    query: Query = parse_identifier(
        identifier, fuzzy=extensions.fuzzy, combined_date_time=extensions.date_time
    )
    unique = {UNIQUE_KEYS[each] for each in (*above, level)}
    return LevelQuery(level, query.conditions, (query.returned | unique) - NOT_KEYS)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """A C-MOVE or C-GET: the entities, by the unique keys of their levels; () does not restrict."""

    level: Level
    patient_ids: tuple[str, ...] = ()
    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()


def parse_retrieval(
    identifier: DataSet, sop_class_uid: str, extensions: Extensions = BASELINE
) -> Retrieval:
    """What a C-MOVE or C-GET identifier asks for. Keys other than the unique ones say nothing.

    Raises:
        IdentifierMismatchError: no such level, no value for its unique key, too many values, or,
            without relational retrieval, not one value for the unique key of a level above.

    Standard: PS3.4 C.4.2.2.1, C.4.3.2.1
    """
    level, above = _levels(identifier, sop_class_uid)
    values = {each: _values(identifier, each) for each in (*above, level)}
    if not values[level]:
        raise IdentifierMismatchError(f"a retrieval at level {level} names what it wants")
    if level is Level.PATIENT:
        _single(identifier, level)
    if not extensions.relational:
        for each in above:
            _single(identifier, each)
    return Retrieval(
        level,
        patient_ids=values.get(Level.PATIENT, ()),
        study_instance_uids=values.get(Level.STUDY, ()),
        series_instance_uids=values.get(Level.SERIES, ()),
        sop_instance_uids=values.get(Level.IMAGE, ()),
    )


def _levels(identifier: DataSet, sop_class_uid: str) -> tuple[Level, tuple[Level, ...]]:
    """The level that is asked at, and those above it in the model."""
    levels = _LEVELS[sop_class_uid]
    asked = identifier.text(QUERY_RETRIEVE_LEVEL).strip()
    found = next((each for each in levels if each == asked), None)
    if found is None:
        raise IdentifierMismatchError(f"Query/Retrieve Level {asked[:16]!r} is none of this model")
    return found, levels[: levels.index(found)]


def _values(identifier: DataSet, level: Level) -> tuple[str, ...]:
    values = tuple(
        value for text in identifier.texts(UNIQUE_KEYS[level]) if (value := text.strip(" \0"))
    )
    if len(values) > _UIDS_MAX:
        raise IdentifierMismatchError(f"more than {_UIDS_MAX} values for the key of {level}")
    if any("*" in value or "?" in value for value in values):
        raise IdentifierMismatchError(f"the key of {level} is one value, and no pattern")
    return values


def _single(identifier: DataSet, level: Level) -> None:
    if len(_values(identifier, level)) != 1:
        raise IdentifierMismatchError(f"the key of level {level} must have one value here")
