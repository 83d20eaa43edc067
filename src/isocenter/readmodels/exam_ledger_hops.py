"""What the facts of an exam mean: its hops, what is late and why, and its state. Pure.

A reason is one sentence for a person at the front desk. It gives durations and no times of day, so
that it reads the same in every time zone; the hop's ``since`` has the moment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from isocenter.domain.monitoring.model import Expectations
from isocenter.domain.monitoring.model import Hop as HopName
from isocenter.readmodels.exam_ledger_facts import ExamFacts


class HopState(StrEnum):
    """How a hop stands."""

    DONE = "done"
    WAITING = "waiting"  # not yet, and not yet expected
    LATE = "late"  # not yet, and overdue
    FAILED = "failed"  # not, until a person does something
    NOT_APPLICABLE = "not_applicable"


class ExamState(StrEnum):
    """How far an exam is."""

    ORDERED = "ordered"
    SCHEDULED = "scheduled"
    HELD = "held"
    IN_PROGRESS = "in_progress"
    IMAGES_COMPLETE = "images_complete"
    NEEDS_RECONCILIATION = "needs_reconciliation"
    TO_READ = "to_read"
    DRAFT = "draft"
    SIGNED = "signed"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of an exam.

    Attributes:
        at: when it happened.
        reason: why it is late, failed or not applicable.
        since: when it became late, or failed.
        count: of images received, or of queries.
    """

    name: HopName
    at: datetime | None
    state: HopState
    reason: str | None = None
    since: datetime | None = None
    count: int | None = None

    @property
    def late(self) -> bool:
        """Whether somebody must do something about it."""
        return self.state in {HopState.LATE, HopState.FAILED}


_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_CLOSED: Final[Mapping[str, str]] = {
    "cancelled": "The order was cancelled.",
    "discontinued": "The order was discontinued.",
}

_ON_HOLD: Final = "The order is on hold."


def spoken(duration: timedelta) -> str:
    """The duration as people say it: two units at most, as "2 h 10 min"."""
    days, rest = divmod(max(duration, timedelta()), _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{int(rest.total_seconds())} s"


def state_of(facts: ExamFacts) -> ExamState:
    """How far the exam is."""
    if facts.report_state == "signed":
        delivered = facts.deliveries > 0 and facts.unacknowledged == 0
        return ExamState.DELIVERED if delivered else ExamState.SIGNED
    if facts.report_state == "draft":
        return ExamState.DRAFT
    if facts.match_case or facts.other_case:
        return ExamState.NEEDS_RECONCILIATION
    if facts.order_state in _CLOSED:
        return ExamState.CANCELLED
    if facts.studies or facts.claims:
        if facts.incomplete:
            return ExamState.IN_PROGRESS
        return ExamState.IMAGES_COMPLETE if facts.claims else ExamState.TO_READ
    if facts.begun_at or facts.performed:
        return ExamState.IN_PROGRESS
    if facts.order_state == "held":
        return ExamState.HELD
    return ExamState.SCHEDULED if facts.steps else ExamState.ORDERED


def needs_person(facts: ExamFacts) -> str | None:
    """Why nobody but a person can bring the exam on; None when it goes on by itself."""
    if facts.match_case or facts.other_case:
        return facts.match_case or facts.other_case
    if facts.trouble_refused:
        return _refusal(facts)
    if _is_discontinued(facts) and facts.order_state not in _CLOSED:
        return _discontinued(facts)
    return None


def _is_discontinued(facts: ExamFacts) -> bool:
    """Whether the modalities began and gave up."""
    given_up = facts.performed > 0 or facts.canceled_at is not None
    return given_up and not facts.performing and not facts.ended


def _discontinued(facts: ExamFacts) -> str:
    what = f"{facts.performed_by} discontinued the exam: {facts.discontinued_for}."
    if not facts.performed:
        what = f"{facts.canceled_by} canceled the claimed workitem: {facts.canceled_for}."
    return f"{what} Book it again or cancel the order."


def _refusal(facts: ExamFacts) -> str:
    suffix = f": {facts.trouble}" if facts.trouble else ""
    return f"{facts.trouble_recipient} refused the report{suffix}"


@dataclass(frozen=True, slots=True)
class _Sight:
    """The facts of an exam, looked at from a moment."""

    facts: ExamFacts
    now: datetime
    expectations: Expectations

    def due(self, name: HopName, base: datetime | None) -> datetime | None:
        """When the hop becomes late, counted from ``base``; None when nothing is expected."""
        expectation = self.expectations.get(name)
        if expectation is None or base is None:
            return None
        return base + expectation.for_priority(self.facts.priority or "ROUTINE")

    def awaited(self, name: HopName, base: datetime | None, reason: Callable[[str], str]) -> Hop:
        """The hop that has not happened: late when its time, counted from ``base``, has run out.

        ``reason`` makes the sentence from the time since ``base``.
        """
        due = self.due(name, base)
        if base is None or due is None or due > self.now:
            return Hop(name, None, HopState.WAITING)
        return Hop(name, None, HopState.LATE, reason(spoken(self.now - base)), due)

    def hop(
        self,
        name: HopName,
        at: datetime | None,
        base: datetime | None,
        reason: Callable[[str], str],
    ) -> Hop:
        """The hop, done at ``at`` or awaited."""
        if at is not None:
            return Hop(name, at, HopState.DONE)
        return self.awaited(name, base, reason)


def hops_of(facts: ExamFacts, *, now: datetime, expectations: Expectations) -> tuple[Hop, ...]:
    """All hops of the exam, in order."""
    sight = _Sight(facts, now, expectations)
    hops = (*_before_images(sight), *_images(sight), *_after_images(sight))
    if facts.order_state == "held":
        # Nothing is expected of an exam that is not to be done yet.
        return tuple(
            Hop(each.name, None, HopState.WAITING, _ON_HOLD, count=each.count)
            if each.state is HopState.LATE
            else each
            for each in hops
        )
    if facts.order_state not in _CLOSED:
        return hops
    reason = _CLOSED[facts.order_state]
    return tuple(
        each
        if each.at is not None or each.state is HopState.FAILED
        else Hop(each.name, None, HopState.NOT_APPLICABLE, reason)
        for each in hops
    )


def _before_images(sight: _Sight) -> tuple[Hop, ...]:
    facts = sight.facts
    names = (HopName.ORDERED, HopName.SCHEDULED, HopName.ON_WORKLIST, HopName.QUERIED)
    if facts.order_state is None:
        reason = "No order is known for these images."
        return tuple(Hop(name, None, HopState.NOT_APPLICABLE, reason) for name in names)
    hops = (
        Hop(HopName.ORDERED, facts.ordered_at, HopState.DONE),
        sight.hop(
            HopName.SCHEDULED,
            facts.booked_at,
            facts.ordered_at,
            lambda age: f"Nothing is scheduled {age} after the order.",
        ),
        sight.hop(
            HopName.ON_WORKLIST,
            facts.published_at,
            facts.booked_at,
            lambda age: f"Not on the scanners' worklist {age} after it was scheduled.",
        ),
        sight.hop(
            HopName.QUERIED,
            facts.queried_at,
            _start(facts),
            lambda age: f"No scanner has asked for this exam {age} after the scheduled start.",
        ),
    )
    queried = hops[3]
    if queried.at is not None:
        hops = (*hops[:3], Hop(queried.name, queried.at, queried.state, count=facts.queries))
    if facts.first_received_at is None:
        return hops
    # Images are here: what should have come before them need not come any more.
    reason = "The images came without it."
    return tuple(
        each if each.at is not None else Hop(each.name, None, HopState.NOT_APPLICABLE, reason)
        for each in hops
    )


def _start(facts: ExamFacts) -> datetime | None:
    """From when on a scanner is expected: an exam booked after its start is not late at once."""
    if facts.start_at is None or facts.booked_at is None:
        return None
    return max(facts.start_at, facts.booked_at)


def _images(sight: _Sight) -> tuple[Hop, ...]:
    return (_started(sight.facts), _received(sight), _complete(sight), _reconciled(sight))


def _started(facts: ExamFacts) -> Hop:
    name = HopName.STARTED
    if facts.performed_at is not None:
        return Hop(name, facts.performed_at, HopState.DONE)
    begun = [each for each in (facts.begun_at, facts.first_received_at) if each]
    if begun:
        return Hop(name, min(begun), HopState.DONE)
    reason = None
    if facts.wrong_entries:
        reason = f"{facts.performed_by} took this worklist entry by mistake and gave it back."
    return Hop(name, None, HopState.WAITING, reason)


def _received(sight: _Sight) -> Hop:
    facts = sight.facts
    name = HopName.IMAGES_RECEIVED
    ended = facts.ended > 0 and not facts.performing
    if facts.first_received_at is None:
        if facts.grouped_with:
            reason = f"Made together with {facts.grouped_with}, whose images they are."
            return Hop(name, None, HopState.NOT_APPLICABLE, reason)
        if ended and not facts.expected:
            reason = f"{facts.performed_by} made no images."
            return Hop(name, None, HopState.NOT_APPLICABLE, reason)
    counts = f"{facts.expected - facts.missing} of {facts.expected}"
    if ended and facts.missing:
        # Late like a study that is not taken for complete, which it cannot be.
        last_at = max(each for each in (facts.ended_at, facts.last_received_at) if each)
        due = sight.due(HopName.COMPLETE, last_at)
        late = due is not None and due <= sight.now
        return Hop(
            name,
            facts.first_received_at,
            HopState.LATE
            if late
            else HopState.DONE
            if facts.first_received_at
            else HopState.WAITING,
            f"{counts} images that {facts.performed_by} made have arrived.",
            due if late else None,
            facts.instances,
        )
    if facts.first_received_at is not None:
        return Hop(name, facts.first_received_at, HopState.DONE, count=facts.instances)
    return sight.awaited(
        name, _start(facts), lambda age: f"No images {age} after the scheduled start."
    )


def _complete(sight: _Sight) -> Hop:
    facts = sight.facts
    name = HopName.COMPLETE
    if facts.damaged:
        what = "1 image is" if facts.damaged == 1 else f"{facts.damaged} images are"
        reason = f"{what} damaged or missing in the object store, and no copy is sound."
        return Hop(name, None, HopState.FAILED, reason, facts.damaged_at)
    if _is_discontinued(facts):
        return Hop(
            name, None, HopState.FAILED, _discontinued(facts), facts.ended_at or facts.canceled_at
        )
    if facts.performing:
        return sight.awaited(
            name,
            facts.last_received_at or facts.performed_at,
            lambda age: f"Nothing from {facts.performed_by} for {age}, not even that it has ended.",
        )
    if facts.performed:
        here = not facts.missing
        return Hop(
            name, facts.ended_at if here else None, HopState.DONE if here else HopState.WAITING
        )
    return sight.hop(
        name,
        None if facts.incomplete or not facts.instances else facts.completed_at,
        facts.last_received_at,
        lambda age: f"The last image came {age} ago and the study is not taken for complete.",
    )


def _reconciled(sight: _Sight) -> Hop:
    facts = sight.facts
    name = HopName.RECONCILED
    if facts.match_case:
        return Hop(name, None, HopState.FAILED, facts.match_case, facts.match_case_at)
    if facts.other_case:
        return Hop(name, None, HopState.FAILED, facts.other_case, facts.other_case_at)
    at = facts.linked_at if facts.studies and not facts.claims else None
    return sight.hop(
        name,
        at,
        facts.first_received_at,
        lambda age: f"Images and order are not matched {age} after the first image.",
    )


def _after_images(sight: _Sight) -> tuple[Hop, ...]:
    facts = sight.facts
    listed_at = None
    reconciled = facts.studies and not facts.claims and not facts.match_case
    if reconciled and not facts.incomplete and facts.linked_at and facts.completed_at:
        listed_at = max(facts.linked_at, facts.completed_at)
    hops = (
        Hop(HopName.ON_READING_LIST, listed_at, HopState.DONE if listed_at else HopState.WAITING),
        Hop(
            HopName.READ,
            facts.drafted_at,
            HopState.DONE if facts.drafted_at else HopState.WAITING,
        ),
        sight.hop(
            HopName.SIGNED,
            facts.signed_at,
            listed_at,
            lambda age: f"No signed report {age} after the exam came onto the reading list.",
        ),
    )
    return (*hops, *_delivery(sight))


def _delivery(sight: _Sight) -> tuple[Hop, Hop]:
    facts = sight.facts
    if facts.signed_at is None:
        return Hop(HopName.SENT, None, HopState.WAITING), Hop(
            HopName.ACKNOWLEDGED, None, HopState.WAITING
        )
    if not facts.deliveries:
        reason = "No recipient is set up to get reports."
        return Hop(HopName.SENT, None, HopState.NOT_APPLICABLE, reason), Hop(
            HopName.ACKNOWLEDGED, None, HopState.NOT_APPLICABLE, reason
        )
    sent_at = None if facts.unsent else facts.sent_at
    sent = sight.hop(
        HopName.SENT,
        sent_at,
        facts.queued_at,
        lambda age: _trouble(facts, "could not be sent to", age),
    )
    if facts.trouble_refused:
        failed = Hop(HopName.ACKNOWLEDGED, None, HopState.FAILED, _refusal(facts), facts.trouble_at)
        return sent, failed
    acknowledged = sight.hop(
        HopName.ACKNOWLEDGED,
        None if facts.unacknowledged else facts.acknowledged_at,
        sent_at,
        lambda age: _trouble(facts, "is not acknowledged by", age),
    )
    return sent, acknowledged


def _trouble(facts: ExamFacts, what: str, age: str) -> str:
    if facts.paused_by:
        return f"Sending to {facts.trouble_recipient} is paused by {facts.paused_by}."
    suffix = f": {facts.trouble}" if facts.trouble else ""
    return f"The report {what} {facts.trouble_recipient} for {age}{suffix}"
