"""The worklists follow the schedule, and the schedule what the modalities say that they did.

Workitems follow the scheduled steps for which they stand, and these whoever claims one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Actor
from isocenter.domain.identity.events import (
    IdentifierMoved,
    PatientMerged,
    PatientUnmerged,
    PatientUpdated,
)
from isocenter.domain.orders.events import OrderHeld, OrderReleased, OrderRevised
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.events import (
    StepBooked,
    StepCancelled,
    StepMoved,
    StepStatusChanged,
)
from isocenter.domain.scheduling.model import OPEN
from isocenter.domain.worklist import service
from isocenter.domain.worklist.events import StepPerformed, WorkitemPerformed
from isocenter.infra.db import Tx
from isocenter.infra.outbox import BatchHandler, Handler

PatientChanged = PatientUpdated | PatientMerged | PatientUnmerged | IdentifierMoved
"""What may change how a patient is named."""

_ACTOR = Actor.system("worklist")


def on_step_booked(tx: Tx, event: StepBooked, *, now: datetime) -> None:
    """Put the new steps on the worklist; their modality may have begun before they were ordered."""
    on_steps_booked(tx, [event], now=now)


def on_steps_booked(tx: Tx, events: Sequence[StepBooked], *, now: datetime) -> None:
    """As ``on_step_booked`` for several exams."""
    accession_number_of = {key: each.accession_number for each in events for key in each.step_keys}
    service.publish(tx, _ACTOR, accession_number_of, now=now)
    service.settle_exams(tx, _ACTOR, sorted(set(accession_number_of.values())), now=now)


def on_exam_renamed(tx: Tx, event: StepMoved | OrderRevised, *, now: datetime) -> None:
    """Find anew which performed steps mean those of the exam, whose names may be others now."""
    service.settle_exams(tx, _ACTOR, [event.accession_number], now=now)


def on_step_cancelled(tx: Tx, event: StepCancelled, *, now: datetime) -> None:
    """Take cancelled steps off the worklist."""
    service.withdraw(tx, _ACTOR, event.step_keys, event.accession_number, now=now)


def on_order_held(tx: Tx, event: OrderHeld, *, now: datetime) -> None:
    """Note that the steps of an order on hold are off the worklist."""
    keys = [each.step_key for each in scheduling.steps_of(tx, event.accession_number)]
    service.withdraw(tx, _ACTOR, keys, event.accession_number, now=now)


def on_order_released(tx: Tx, event: OrderReleased, *, now: datetime) -> None:
    """Note that the steps of a released order are on the worklist again."""
    keys = [each.step_key for each in scheduling.steps_of(tx, event.accession_number)]
    service.offer_again(tx, _ACTOR, keys, event.accession_number, now=now)


def on_step_status_changed(tx: Tx, event: StepStatusChanged, *, now: datetime) -> None:
    """Take steps that have ended off the worklist, and put those back that are open again."""
    follow = service.offer_again if event.status in OPEN else service.withdraw
    follow(tx, _ACTOR, event.step_keys, event.accession_number, now=now)


def on_step_performed(tx: Tx, event: StepPerformed, *, now: datetime) -> None:
    """Find again what the performed step means: an order may have come in the same moment."""
    service.settle_performed(tx, _ACTOR, event.sop_instance_uid, now=now)


def on_step_to_be_told(tx: Tx, event: StepPerformed, *, now: datetime) -> None:
    """Queue what the modality said for the peers that are told it, or told of it."""
    service.route_step(tx, _ACTOR, event.sop_instance_uid, now=now)
    service.announce_step(tx, _ACTOR, event, now=now)


class WorkitemFollower:
    """Makes reactions to what happens to an exam that its workitems follow.

    Args:
        create: whether steps that wait get a workitem.
        ae_title: ours, in which workitems are asked to be canceled.
        archived: what the archive has of an exam, which a completed workitem names.
    """

    def __init__(self, *, create: bool, ae_title: str, archived: service.Archived) -> None:
        self._create = create
        self._ae_title = ae_title
        self._archived = archived

    def after(self, handler: Handler) -> Handler:
        """The reaction, after which the workitems of the event's exam follow."""

        def react(tx: Tx, event: Any, /, *, now: datetime) -> None:
            handler(tx, event, now=now)
            self._follow(tx, [event], now)

        return react

    def after_several(self, handler: BatchHandler) -> BatchHandler:
        """As ``after``, for several events."""

        def react(tx: Tx, events: Sequence[Any], /, *, now: datetime) -> None:
            handler(tx, events, now=now)
            self._follow(tx, events, now)

        return react

    def _follow(self, tx: Tx, events: Sequence[Any], now: datetime) -> None:
        for event in events:
            if isinstance(event, StepCancelled):
                service.request_step_cancellation(
                    tx, _ACTOR, event.step_keys, ae_title=self._ae_title, now=now
                )
        exams = sorted({each.accession_number for each in events})
        service.follow_exams(
            tx, _ACTOR, exams, create=self._create, now=now, archived=self._archived
        )


def on_workitem_performed(tx: Tx, event: WorkitemPerformed, *, now: datetime) -> None:
    """Have the scheduled step follow what whoever claimed its workitem says."""
    service.settle_workitem(tx, _ACTOR, event.sop_instance_uid, now=now)


def on_patient_changed(tx: Tx, event: PatientChanged, *, now: datetime) -> None:
    """Have workitems name their patients as these are named now."""
    on_patients_changed(tx, [event], now=now)


def on_patients_changed(tx: Tx, events: Sequence[PatientChanged], *, now: datetime) -> None:
    """As ``on_patient_changed`` for several patients."""
    keys: set[int] = set()
    for event in events:
        keys.add(event.patient_key)
        if isinstance(event, PatientMerged | PatientUnmerged):
            keys |= {event.prior_key, *event.moved_keys}
        elif isinstance(event, IdentifierMoved):
            keys.add(event.from_key)
    service.follow_patients(tx, _ACTOR, sorted(keys), now=now)
