"""Whose images these are, said by a person who types a patient ID."""

from datetime import datetime
from typing import ClassVar

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
    found = identity.find(tx, value.strip(), assigning_authority=authority or None)
    if found is None:
        raise NoSuchPatient("nobody is registered with this patient ID")
    reconcile.move_to_patient(
        tx, actor, study_instance_uid, found.patient_key, reason=reason, now=now
    )
