"""Whose images these are, said by a person who types a patient ID or an accession number."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.reconcile import service as reconcile
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db import Tx


class NoSuchPatient(IsocenterError):
    """Nobody is registered with this patient ID."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


def moved_to_patient(
    tx: Tx,
    actor: Actor,
    study_instance_uid: str,
    patient: tuple[str, str | None],
    *,
    reason: str,
    now: datetime,
) -> None:
    """Have the study be of the patient with this ID and authority (None: any that is unambiguous).

    Raises ``NoSuchPatient``, and what ``identity.service.find`` and ``move_to_patient`` raise.
    """
    value, authority = patient
    key = _patient_key(tx, value, authority)
    reconcile.move_to_patient(tx, actor, study_instance_uid, key, reason=reason, now=now)


class Whose(NamedTuple):
    """Where images belong: an order, or a patient, or nobody knows."""

    accession_number: str = ""
    patient_id: str = ""
    assigning_authority: str = ""


def split_wish(
    tx: Tx, images: tuple[str, Sequence[str], Sequence[str]], whose: Whose
) -> reconcile.SplitWish:
    """The images of a study (its UID, whole series, single instances) and where they belong.

    Raises ``NoSuchPatient``, and what ``identity.service.find`` raises.
    """
    study, series, instances = images
    key = None
    if whose.patient_id and not whose.accession_number:
        key = _patient_key(tx, whose.patient_id, whose.assigning_authority)
    return reconcile.SplitWish(
        study_instance_uid=study,
        series_instance_uids=series,
        sop_instance_uids=instances,
        accession_number=whose.accession_number,
        patient_key=key,
    )


def _patient_key(tx: Tx, value: str, authority: str | None) -> int:
    found = identity.find(tx, value.strip(), assigning_authority=authority or None)
    if found is None:
        raise NoSuchPatient("nobody is registered with this patient ID")
    return found.patient_key
