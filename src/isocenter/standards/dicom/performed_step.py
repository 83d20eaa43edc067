"""What a Modality Performed Procedure Step must say when it is created, and when it ends.

The table is PS3.4 Table F.7.2-1 as far as attributes are required of the modality. Attributes that
say nothing about whose step it is, which step or what was made may be absent although the table has
them as type 2: ``_TOLERATED``. Refusing a step for one of them would leave its exam without any.

Standard: PS3.4 F.7.2.1.1, F.7.2.2.1
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from isocenter.standards.dicom import uids
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.values_temporal import parse_date, parse_time

MODALITY_PERFORMED_PROCEDURE_STEP: Final = "1.2.840.10008.3.1.2.3.3"
MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE: Final = "1.2.840.10008.3.1.2.3.4"
MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION: Final = "1.2.840.10008.3.1.2.3.5"

SCHEDULED_STEP_ATTRIBUTES: Final = 0x00400270
STUDY_INSTANCE_UID: Final = 0x0020000D
ACCESSION_NUMBER: Final = 0x00080050
REQUESTED_PROCEDURE_ID: Final = 0x00401001
SCHEDULED_PROCEDURE_STEP_ID: Final = 0x00400009
PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
STEP_ID: Final = 0x00400253
STATION_AE_TITLE: Final = 0x00400241
START_DATE: Final = 0x00400244
START_TIME: Final = 0x00400245
END_DATE: Final = 0x00400250
END_TIME: Final = 0x00400251
STATUS: Final = 0x00400252
DISCONTINUATION_REASON: Final = 0x00400281
MODALITY: Final = 0x00080060
PERFORMED_SERIES: Final = 0x00400340
SERIES_INSTANCE_UID: Final = 0x0020000E
REFERENCED_IMAGES: Final = 0x00081140
REFERENCED_OTHERS: Final = 0x00400220
REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155

IN_PROGRESS: Final = "IN PROGRESS"
COMPLETED: Final = "COMPLETED"
DISCONTINUED: Final = "DISCONTINUED"


class Type(IntEnum):
    """Whether an attribute must be there: with a value, at all, or not.

    Standard: PS3.5 7.4
    """

    VALUE = 1
    PRESENCE = 2


@dataclass(frozen=True, slots=True)
class _Rule:
    """What creation requires of an attribute; ``fixed``: it is not allowed to be set later."""

    tag: int
    type: Type
    fixed: bool = True
    items: "tuple[_Rule, ...]" = ()


_TABLE: Final = (
    _Rule(
        SCHEDULED_STEP_ATTRIBUTES,
        Type.VALUE,
        items=(
            _Rule(STUDY_INSTANCE_UID, Type.VALUE),
            _Rule(0x00081110, Type.PRESENCE),  # Referenced Study Sequence
            _Rule(ACCESSION_NUMBER, Type.PRESENCE),
            _Rule(REQUESTED_PROCEDURE_ID, Type.PRESENCE),
            _Rule(0x00321060, Type.PRESENCE),  # Requested Procedure Description
            _Rule(SCHEDULED_PROCEDURE_STEP_ID, Type.PRESENCE),
            _Rule(0x00400007, Type.PRESENCE),  # Scheduled Procedure Step Description
            _Rule(0x00400008, Type.PRESENCE),  # Scheduled Protocol Code Sequence
        ),
    ),
    _Rule(PATIENT_NAME, Type.PRESENCE),
    _Rule(PATIENT_ID, Type.PRESENCE),
    _Rule(0x00100030, Type.PRESENCE),  # Patient's Birth Date
    _Rule(0x00100040, Type.PRESENCE),  # Patient's Sex
    _Rule(0x00081120, Type.PRESENCE),  # Referenced Patient Sequence
    _Rule(STEP_ID, Type.VALUE),
    _Rule(STATION_AE_TITLE, Type.VALUE),
    _Rule(0x00400242, Type.PRESENCE),  # Performed Station Name
    _Rule(0x00400243, Type.PRESENCE),  # Performed Location
    _Rule(START_DATE, Type.VALUE),
    _Rule(START_TIME, Type.VALUE),
    _Rule(STATUS, Type.VALUE, fixed=False),
    _Rule(0x00400254, Type.PRESENCE, fixed=False),  # Performed Procedure Step Description
    _Rule(0x00400255, Type.PRESENCE, fixed=False),  # Performed Procedure Type Description
    _Rule(0x00081032, Type.PRESENCE, fixed=False),  # Procedure Code Sequence
    _Rule(END_DATE, Type.PRESENCE, fixed=False),
    _Rule(END_TIME, Type.PRESENCE, fixed=False),
    _Rule(MODALITY, Type.VALUE),
    _Rule(0x00200010, Type.PRESENCE),  # Study ID
    _Rule(0x00400260, Type.PRESENCE, fixed=False),  # Performed Protocol Code Sequence
    _Rule(PERFORMED_SERIES, Type.PRESENCE, fixed=False),
)
_TOLERATED: Final = frozenset({
    0x00081110, 0x00321060, 0x00400007, 0x00400008, 0x00100030, 0x00100040, 0x00081120, 0x00400242,
    0x00400243, 0x00400254, 0x00400255, 0x00081032, END_DATE, END_TIME, 0x00200010, 0x00400260,
    PERFORMED_SERIES,
})  # fmt: skip
_NOTHING: Final = ((), ("",))
FIXED: Final = tuple(rule.tag for rule in _TABLE if rule.fixed)
"""Attributes that keep the value of their creation."""


def required_at_end(status: str) -> tuple[int, ...]:
    """Attributes that need a value before ``status``; none for a status that is not final.

    A step that was discontinued before anything was made may have no series: the table asks for
    one, and whoever cannot say that it stopped stays in progress for ever.

    Standard: PS3.4 Table F.7.2-1, Requirement Type Final State
    """
    if status == COMPLETED:
        return (END_DATE, END_TIME, PERFORMED_SERIES)
    return (END_DATE, END_TIME) if status == DISCONTINUED else ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an attribute list cannot be accepted: the status that says so, and the attributes."""

    status: Status
    tags: tuple[int, ...]
    comment: str


def creation_fault(attributes: DataSet) -> Fault | None:
    """What is wrong with the attributes of an N-CREATE; None: nothing.

    Standard: PS3.4 F.7.2.1.2, F.7.2.1.3; PS3.7 C.5.9, C.5.13, C.5.14
    """
    absent = tuple(_absent(attributes, _TABLE))
    if absent:
        return Fault(Status.MISSING_ATTRIBUTE, absent, "missing attribute")
    empty = tuple(_empty(attributes, _TABLE))
    if empty:
        return Fault(Status.MISSING_ATTRIBUTE_VALUE, empty, "missing attribute value")
    if attributes.text(STATUS) != IN_PROGRESS:
        comment = "a performed procedure step is created IN PROGRESS"
        return Fault(Status.INVALID_ATTRIBUTE_VALUE, (STATUS,), comment)
    return _value_fault(attributes)


def update_fault(attributes: DataSet) -> Fault | None:
    """What is wrong with the attributes of an N-SET by themselves; None: nothing.

    Standard: PS3.4 F.7.2.2.2
    """
    if STATUS in attributes and attributes.text(STATUS) not in {
        IN_PROGRESS,
        COMPLETED,
        DISCONTINUED,
    }:
        comment = "no status of a performed procedure step"
        return Fault(Status.INVALID_ATTRIBUTE_VALUE, (STATUS,), comment)
    return _value_fault(attributes)


def _absent(attributes: DataSet, rules: Sequence[_Rule]) -> Iterator[int]:
    for rule in rules:
        if rule.tag not in attributes:
            if rule.tag not in _TOLERATED:
                yield rule.tag
        else:
            for item in attributes.sequence(rule.tag) if rule.items else ():
                yield from _absent(item, rule.items)


def _empty(attributes: DataSet, rules: Sequence[_Rule]) -> Iterator[int]:
    for rule in rules:
        element = attributes.get(rule.tag)
        if rule.type is Type.VALUE and (element is None or element.values in _NOTHING):
            yield rule.tag
        else:
            for item in attributes.sequence(rule.tag) if rule.items else ():
                yield from _empty(item, rule.items)


def _value_fault(attributes: DataSet) -> Fault | None:
    wrong = [
        tag
        for tag, parse in (
            (START_DATE, parse_date),
            (END_DATE, parse_date),
            (START_TIME, parse_time),
            (END_TIME, parse_time),
        )
        if attributes.text(tag) and parse(attributes.text(tag)) is None
    ]
    studies = (
        item.text(STUDY_INSTANCE_UID) for item in attributes.sequence(SCHEDULED_STEP_ATTRIBUTES)
    )
    if not all(uids.is_valid(uid) for uid in studies):
        wrong.append(STUDY_INSTANCE_UID)
    for item in attributes.sequence(PERFORMED_SERIES):
        if not uids.is_valid(item.text(SERIES_INSTANCE_UID)):
            wrong.append(SERIES_INSTANCE_UID)
        if not all(uids.is_valid(uid) for uid in referenced_instances(item)):
            wrong.append(REFERENCED_SOP_INSTANCE_UID)
    if not wrong:
        return None
    return Fault(Status.INVALID_ATTRIBUTE_VALUE, tuple(dict.fromkeys(wrong)), "invalid value")


def referenced_instances(series: DataSet) -> tuple[str, ...]:
    """SOP Instance UIDs of all that an item of the Performed Series Sequence names, once each."""
    items = (*series.sequence(REFERENCED_IMAGES), *series.sequence(REFERENCED_OTHERS))
    return tuple(dict.fromkeys(item.text(REFERENCED_SOP_INSTANCE_UID) for item in items))
