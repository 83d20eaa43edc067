"""Reactions of reconciliation: every new fact that a match may depend on is a new decision."""

from datetime import datetime

from isocenter.domain.archive.events import (
    ConflictingInstanceKept,
    InstancesAdmitted,
    StudyCompleted,
)
from isocenter.domain.identity.events import (
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
from isocenter.domain.worklist.events import StepPerformed
from isocenter.infra.db import Tx

_MATTERS = frozenset({"identifiers", "person_name", "birth_date", "sex", "merges"})


def on_images_changed(
    tx: Tx, event: InstancesAdmitted | ConflictingInstanceKept | StudyCompleted, *, now: datetime
) -> None:
    """Match the study."""
    service.match(tx, [event.study_instance_uid], now=now)


def on_step_performed(tx: Tx, event: StepPerformed, *, now: datetime) -> None:
    """Match the studies that the modality says it made."""
    service.match(tx, event.study_instance_uids, now=now)


def on_order_changed(
    tx: Tx,
    event: OrderPlaced | OrderRevised | OrderCancelled | OrderDiscontinued,
    *,
    now: datetime,
) -> None:
    """Match the studies that name the order, and those that are linked to it."""
    names = (event.order_key, event.accession_number, event.study_instance_uids)
    service.match(tx, service.affected_by_orders(tx, [names]), now=now)


def on_patient_changed(
    tx: Tx,
    event: PatientRegistered | PatientUpdated | PatientMerged | PatientUnmerged,
    *,
    now: datetime,
) -> None:
    """Match the studies whose orders are the patient's, when it matters who the patient is."""
    if isinstance(event, PatientUpdated) and _MATTERS.isdisjoint(event.changed):
        return
    keys = [event.patient_key]
    if isinstance(event, PatientMerged | PatientUnmerged):
        keys += [event.prior_key, *event.moved_keys]
    service.match(tx, service.affected_by_patients(tx, keys), now=now)
