"""Reactions of reconciliation: every new fact that a match may depend on is a new decision."""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.archive import service as archive
from isocenter.domain.archive.events import (
    ConflictingInstanceKept,
    InstancesAdmitted,
    InstancesRejected,
    InstancesRestored,
    StudyCompleted,
)
from isocenter.domain.identity.events import (
    IdentifierMoved,
    PatientMerged,
    PatientRegistered,
    PatientUnmerged,
    PatientUpdated,
)
from isocenter.domain.orders.events import (
    OrderCancelled,
    OrderDiscontinued,
    OrderPlaced,
    OrderRevised,
)
from isocenter.domain.reconcile import service
from isocenter.domain.scheduling.events import StepMoved
from isocenter.domain.worklist.events import StepPerformed
from isocenter.infra.db import Tx

ImagesChanged = (
    InstancesAdmitted
    | ConflictingInstanceKept
    | StudyCompleted
    | InstancesRejected
    | InstancesRestored
)
OrderChanged = OrderPlaced | OrderRevised | OrderCancelled | OrderDiscontinued
PatientChanged = (
    PatientRegistered | PatientUpdated | PatientMerged | PatientUnmerged | IdentifierMoved
)
_MATTERS = frozenset({"identifiers", "person_name", "birth_date", "sex", "merges"})


def on_images_changed(tx: Tx, event: ImagesChanged, *, now: datetime) -> None:
    """Match the study; images of it that a person said are of another follow the others of them."""
    service.match(tx, [event.study_instance_uid], now=now)
    archive.tell_late_images(tx, event.study_instance_uid, now=now)


def on_step_performed(tx: Tx, event: StepPerformed, *, now: datetime) -> None:
    """Match the studies that the modality says it made."""
    made = service.affected_by_performed(tx, event.sop_instance_uid)
    service.match(tx, made.union(event.study_instance_uids), now=now)


def on_order_changed(tx: Tx, event: OrderChanged, *, now: datetime) -> None:
    """Match the studies that name the order, and those that are linked to it."""
    on_orders_changed(tx, [event], now=now)


def on_orders_changed(tx: Tx, events: Sequence[OrderChanged], *, now: datetime) -> None:
    """As ``on_order_changed`` for several orders."""
    names = [(e.order_key, e.accession_number, e.study_instance_uids) for e in events]
    affected = service.affected_by_orders(tx, names)
    if affected:
        service.match(tx, affected, now=now)


def on_patient_changed(tx: Tx, event: PatientChanged, *, now: datetime) -> None:
    """Match the studies whose orders are the patient's, when it matters who the patient is."""
    on_patients_changed(tx, [event], now=now)


def on_patients_changed(tx: Tx, events: Sequence[PatientChanged], *, now: datetime) -> None:
    """As ``on_patient_changed`` for several patients."""
    keys: list[int] = []
    for event in events:
        if isinstance(event, PatientUpdated) and _MATTERS.isdisjoint(event.changed):
            continue
        keys.append(event.patient_key)
        if isinstance(event, PatientMerged | PatientUnmerged):
            keys += [event.prior_key, *event.moved_keys]
        elif isinstance(event, IdentifierMoved):
            keys.append(event.from_key)
    affected = service.affected_by_patients(tx, keys) if keys else set[str]()
    if affected:
        service.match(tx, affected, now=now)


def on_step_moved(tx: Tx, event: StepMoved, *, now: datetime) -> None:
    """Match the studies that a rule may bring to the exam: its time or station is another now."""
    affected = service.affected_by_steps(tx, [event.accession_number])
    if affected:
        service.match(tx, affected, now=now)
