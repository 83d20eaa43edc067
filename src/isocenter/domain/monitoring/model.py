"""What is expected of an exam: its hops in order, and how long each of them may take."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class Hop(StrEnum):
    """The hops of an exam's way, in their order."""

    ORDERED = "ordered"
    SCHEDULED = "scheduled"
    ON_WORKLIST = "on_worklist"
    QUERIED = "queried"
    STARTED = "started"
    IMAGES_RECEIVED = "images_received"
    COMPLETE = "complete"
    RECONCILED = "reconciled"
    ON_READING_LIST = "on_reading_list"
    READ = "read"
    SIGNED = "signed"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A hop is late when it has not happened ``within`` this time of what it waits for.

    Attributes:
        within: for routine exams.
        urgent_within: for STAT and HIGH priority; None means the same as ``within``.
    """

    within: timedelta
    urgent_within: timedelta | None = None

    def for_priority(self, priority: str) -> timedelta:
        """The time that an exam of ``priority`` (``STAT``, ``HIGH``, ``ROUTINE``…) may take."""
        if priority in {"STAT", "HIGH"} and self.urgent_within is not None:
            return self.urgent_within
        return self.within


Expectations = Mapping[Hop, Expectation]

# Each counts from what the hop waits for: SCHEDULED and ON_WORKLIST from the order, QUERIED and
# IMAGES_RECEIVED from the scheduled start, COMPLETE from the last image, RECONCILED from the
# first image, ON_READING_LIST from completion and match, READ and SIGNED from the reading list,
# SENT from the signature, ACKNOWLEDGED from the first sending.
EXPECTATIONS: Final[Expectations] = {
    Hop.SCHEDULED: Expectation(timedelta(hours=24), timedelta(minutes=15)),
    Hop.ON_WORKLIST: Expectation(timedelta(minutes=2)),
    Hop.QUERIED: Expectation(timedelta(hours=1), timedelta(minutes=30)),
    Hop.IMAGES_RECEIVED: Expectation(timedelta(hours=2), timedelta(hours=1)),
    Hop.COMPLETE: Expectation(timedelta(minutes=30)),
    Hop.RECONCILED: Expectation(timedelta(minutes=2)),
    Hop.ON_READING_LIST: Expectation(timedelta(minutes=2)),
    Hop.SIGNED: Expectation(timedelta(hours=24), timedelta(hours=1)),
    Hop.SENT: Expectation(timedelta(minutes=2)),
    Hop.ACKNOWLEDGED: Expectation(timedelta(minutes=2)),
}


def expectations_from(seconds: Mapping[str, float]) -> Expectations:
    """The usual expectations, with those named in ``seconds`` (hop to seconds) replaced.

    Raises ``ValueError`` for a name that is no hop.
    """
    changed = {Hop(name): Expectation(timedelta(seconds=value)) for name, value in seconds.items()}
    return {**EXPECTATIONS, **changed}


@dataclass(frozen=True, slots=True)
class LateHop:
    """An exam is late at a hop.

    Attributes:
        accession_number: '' for a study that says none.
        study_instance_uid: '' for an order; else the study that no order claims.
        late_since: when the expected time ran out.
        reason: one sentence for the person who looks after the exam.
    """

    accession_number: str
    study_instance_uid: str
    hop: Hop
    late_since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that is raised, or was."""

    alarm_key: int
    accession_number: str
    study_instance_uid: str
    hop: Hop
    reason: str
    late_since: datetime
    raised_at: datetime
    cleared_at: datetime | None


class ConditionKind(StrEnum):
    """What is wrong with something else than an exam."""

    STATION_SILENT = "station_silent"  # sends images, and asks for its worklist no more
    STATION_BY_HAND = "station_by_hand"  # its patients are typed instead of taken from the worklist
    STATION_CLOCK = "station_clock"  # the times in its images cannot be right
    CASE_OVERDUE = "case_overdue"  # images wait for a person too long
    DESTINATION_AWAY = "destination_away"  # images wait for a DICOM peer too long
    INTERFACE_SILENT = "interface_silent"  # says nothing although it usually would
    INTERFACE_AWAY = "interface_away"  # messages wait for an HL7 peer too long


@dataclass(frozen=True, slots=True)
class Condition:
    """Something is wrong, and has a name.

    Attributes:
        subject: AE title of a station, name of a peer, or the UID of a study.
        reason: one sentence for the person who looks after it.
    """

    kind: ConditionKind
    subject: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class RaisedCondition:
    """An alarm about something else than an exam."""

    condition_key: int
    kind: ConditionKind
    subject: str
    reason: str
    since: datetime
    raised_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ConditionKind(self.kind))
