"""Lanes of HL7 deliveries, and when a recipient gets nothing at all.

A lane holds what is about one patient, or one exam, and goes to one recipient in its order. A
delivery that is refused for good holds its lane and no other (see ``quarantine``); one that says
who a patient is holds what else says so, never a result. A recipient that cannot be reached is
left alone as a whole, and one that takes no message of a kind is paused.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.distribution._store import lanes as _store
from isocenter.domain.distribution._store import pausing
from isocenter.domain.distribution.events import DestinationPaused
from isocenter.domain.distribution.service.audited import audit
from isocenter.domain.identity import service as identity
from isocenter.domain.orders import service as orders
from isocenter.domain.peers import service as peers
from isocenter.infra import outbox
from isocenter.infra.db import Tx

_REASON_LENGTH_MAX = 500


def lanes_for(tx: Tx, recipients: Iterable[str], accession_number: str) -> dict[str, str]:
    """The lane of what is about an exam, for each recipient as it wants order kept."""
    return lanes_for_all(tx, recipients, [accession_number])[accession_number]


def lanes_for_all(
    tx: Tx, recipients: Iterable[str], accession_numbers: Iterable[str]
) -> dict[str, dict[str, str]]:
    """As ``lanes_for`` by accession number."""
    by_recipient = peers.hl7_orderings(tx)
    wanted = sorted(set(recipients))
    lanes: dict[str, dict[str, str]] = {}
    for number in dict.fromkeys(accession_numbers):
        of_exam = f"exam/{number}"
        exam = orders.exam(tx, number) if number else None
        of_patient = patient_lane(tx, exam.order.patient_key) if exam else of_exam
        lanes[number] = {
            each: of_exam if by_recipient.get(each) == "exam" else of_patient for each in wanted
        }
    return lanes


def patient_lane(tx: Tx, patient_key: int) -> str:
    """The lane of what is about a patient; after a merge that of who the patient is now."""
    return f"patient/{identity.current_key(tx, patient_key)}"


def note_away(tx: Tx, recipient: str, *, wait_s: Callable[[int], float], now: datetime) -> datetime:
    """When the recipient, which was not to be reached, is tried next.

    ``wait_s`` is told how many attempts failed in a row.
    """
    until = now + timedelta(seconds=wait_s(_store.count_failure(tx, recipient)))
    _store.leave_alone(tx, recipient, until=until)
    return until


def note_reached(tx: Tx, recipient: str, *, next_at: datetime | None = None) -> bool:
    """The recipient answered; gives whether it may get more: nobody paused it.

    ``next_at``: before which it wants to be left alone.
    """
    standing = _store.standing(tx, recipient)
    if standing.is_spared:
        _store.reached(tx, recipient)
    if next_at is not None:
        _store.leave_alone(tx, recipient, until=next_at)
    return not standing.is_paused


def pause_for_fault(tx: Tx, actor: Actor, recipient: str, *, reason: str, now: datetime) -> None:
    """Send nothing to a recipient that takes no message of this kind, until a person resumes it."""
    authorize(actor, Action.DELIVERY_REPLAY)
    reason = reason[:_REASON_LENGTH_MAX]
    if not pausing.pause(tx, "hl7", recipient, by=actor.name, reason=reason, now=now):
        return
    _store.note_fault(tx, recipient, now=now)
    outbox.append(tx, DestinationPaused(recipient, actor.name), now=now)
    audit(tx, actor, "destination.pause", "destination", recipient, now)
