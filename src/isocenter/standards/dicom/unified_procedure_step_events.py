"""What subscribers are told of Unified Procedure Steps, and which changes are told.

Standard: PS3.4 CC.2.4, Table CC.2.4-1
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom.values import DataSet

_HUMAN_PERFORMER_CODE: Final = 0x00404009
_HUMAN_PERFORMER_ORGANIZATION: Final = 0x00404036
_PROGRESS: Final = (0x00741004, 0x00741006, 0x00741008)
_SCP_STATUS: Final = 0x00741242
_SUBSCRIPTION_LIST_STATUS: Final = 0x00741244
_STEP_LIST_STATUS: Final = 0x00741246


class EventType(IntEnum):
    """What an N-EVENT-REPORT reports.

    Standard: PS3.4 Table CC.2.4-1
    """

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SCP_STATUS_CHANGE = 4
    ASSIGNED = 5


class Report(NamedTuple):
    """One event, with its Event Information."""

    event_type: EventType
    information: DataSet


def state_report(step: DataSet) -> Report:
    """Where a step is, and why it was canceled if it was."""
    told = _of(step, ups.STATE, ups.INPUT_READINESS)
    if step.text(ups.STATE) == ups.State.CANCELED:
        progress = step.item(ups.PROGRESS_INFORMATION)
        told.update(_valued(progress, ups.CANCELLATION_REASON, ups.DISCONTINUATION_REASON))
    return Report(EventType.STATE_REPORT, told.sorted())


def assigned(step: DataSet) -> Report | None:
    """Who is to perform a step; None while that is not said."""
    performer = step.item(ups.HUMAN_PERFORMERS)
    told = _valued(step, ups.STATION_NAMES)
    told.update(_valued(performer, _HUMAN_PERFORMER_CODE, _HUMAN_PERFORMER_ORGANIZATION))
    return Report(EventType.ASSIGNED, told.sorted()) if told else None


def cancel_requested(request: DataSet, requesting_ae_title: str) -> Report:
    """Somebody wants a step canceled that another performs."""
    told = _valued(
        request,
        ups.CANCELLATION_REASON,
        ups.DISCONTINUATION_REASON,
        ups.CONTACT_URI,
        ups.CONTACT_DISPLAY_NAME,
    )
    told.put(ups.REQUESTING_AE, requesting_ae_title)
    return Report(EventType.CANCEL_REQUESTED, told.sorted())


def restarted() -> Report:
    """We were away, and have forgotten neither steps nor subscribers.

    Standard: PS3.4 CC.2.4.3
    """
    told = DataSet()
    told.put(_SCP_STATUS, "RESTARTED")
    told.put(_SUBSCRIPTION_LIST_STATUS, "WARM START")
    told.put(_STEP_LIST_STATUS, "WARM START")
    return Report(EventType.SCP_STATUS_CHANGE, told)


def of_creation(step: DataSet) -> Iterator[Report]:
    """What is told of a step that is new."""
    yield state_report(step)
    performers = assigned(step)
    if performers is not None:
        yield performers


def of_change(before: DataSet, after: DataSet) -> Iterator[Report]:
    """What is told of a step whose attributes were set.

    Standard: PS3.4 CC.2.4.3
    """
    if _differ(before, after, ups.STATE, ups.INPUT_READINESS):
        yield state_report(after)
    if _differ(before, after, ups.STATION_NAMES, ups.HUMAN_PERFORMERS):
        performers = assigned(after)
        yield performers or Report(EventType.ASSIGNED, DataSet())
    progress = after.item(ups.PROGRESS_INFORMATION)
    if _differ(before.item(ups.PROGRESS_INFORMATION), progress, *_PROGRESS):
        told = DataSet()
        told.put(ups.PROGRESS_INFORMATION, progress)
        yield Report(EventType.PROGRESS_REPORT, told)


def _differ(before: DataSet, after: DataSet, *tags: int) -> bool:
    return any(_valued(before, tag) != _valued(after, tag) for tag in tags)


def _of(step: DataSet, *tags: int) -> DataSet:
    return DataSet({tag: step[tag] for tag in tags if tag in step})


def _valued(step: DataSet, *tags: int) -> DataSet:
    return DataSet({tag: step[tag] for tag in tags if ups.has_value(step, tag)})
