"""Telling other systems what modalities say that they did: who, and what is left to tell."""

from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.peers import service as peers
from isocenter.domain.worklist._store import performed as store
from isocenter.domain.worklist.events import StepForwardDue, StepNotificationDue, StepPerformed
from isocenter.domain.worklist.model import PerformedStep, PerformedStepUnknown
from isocenter.infra import outbox
from isocenter.infra.db import Tx

# PS3.4 Table F.9.2-1; a step in progress is 1 (In Progress) when it is new, else 4 (Updated).
_EVENT_TYPES = {"COMPLETED": 2, "DISCONTINUED": 3}


@dataclass(frozen=True, slots=True)
class Untold:
    """What a peer is to be told of a performed step.

    Attributes:
        is_new: it does not know of the step yet.
        is_changed: something was said after the step was created that it does not know.
    """

    step: PerformedStep
    is_new: bool
    is_changed: bool


def route_step(tx: Tx, actor: Actor, sop_instance_uid: str, *, now: datetime) -> None:
    """Queue what was said of a step for every peer that is told, but not for who said it.

    Raises ``PerformedStepUnknown``.
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    step = _required(tx, sop_instance_uid)
    for peer in peers.step_recipients(tx):
        if peer.name != step.peer:
            outbox.append(tx, StepForwardDue(peer.name, sop_instance_uid), now=now)


def announce_step(tx: Tx, actor: Actor, event: StepPerformed, *, now: datetime) -> None:
    """Queue word of what became of a step for every peer that wants it, but not for who said it.

    Raises ``PerformedStepUnknown``.

    Standard: PS3.4 F.9.2
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    step = _required(tx, event.sop_instance_uid)
    kind = _EVENT_TYPES.get(event.status, 1 if event.is_new else 4)
    for peer in peers.step_listeners(tx):
        if peer.name != step.peer:
            due = StepNotificationDue(peer.name, event.sop_instance_uid, kind)
            outbox.append(tx, due, now=now)


def announced(
    tx: Tx, actor: Actor, recipient: str, sop_instance_uid: str, *, now: datetime
) -> None:
    """Put on record that a peer was told of a step. Raises ``PerformedStepUnknown``."""
    authorize(actor, Action.SCHEDULE_WRITE)
    step = _required(tx, sop_instance_uid)
    entry = AuditEntry(
        action="performed_step.notify",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="performed_step",
        object_id=sop_instance_uid,
        patient_id=step.patient_id,
        detail={"recipient": recipient},
    )
    audit.record(tx, entry, now=now)


def untold(tx: Tx, actor: Actor, recipient: str, sop_instance_uid: str) -> Untold | None:
    """What a peer does not know of a step yet; None when it knows everything.

    Raises ``PerformedStepUnknown``.
    """
    authorize(actor, Action.SCHEDULE_WRITE)
    step = _required(tx, sop_instance_uid)
    told_at = store.told_at(tx, step.performed_key, recipient)
    if told_at is not None and told_at >= step.updated_at:
        return None
    return Untold(step, told_at is None, step.updated_at > (told_at or step.received_at))


def told(tx: Tx, actor: Actor, recipient: str, step: PerformedStep, *, now: datetime) -> None:
    """Keep that a peer knows what had been said of a step, as patient data that left the house."""
    authorize(actor, Action.SCHEDULE_WRITE)
    store.set_told(tx, step.performed_key, recipient, step.updated_at)
    entry = AuditEntry(
        action="performed_step.forward",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="performed_step",
        object_id=step.sop_instance_uid,
        patient_id=step.patient_id,
        detail={"recipient": recipient, "status": step.status},
    )
    audit.record(tx, entry, now=now)


def _required(tx: Tx, sop_instance_uid: str) -> PerformedStep:
    # Not locked: while a slow peer is told, the modality must be able to say more.
    step = store.read(tx, sop_instance_uid)
    if step is None:
        raise PerformedStepUnknown("there is no performed procedure step with this UID")
    return step
