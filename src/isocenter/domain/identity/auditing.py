"""How what happens to patients reads in the audit record."""

from collections.abc import Mapping
from typing import Any

from isocenter.domain.access.model import Actor
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.identity import _store as store
from isocenter.domain.identity.model import PatientIdentifier
from isocenter.infra.db import Tx


def entry(
    actor: Actor, verb: str, identifier: PatientIdentifier, detail: Mapping[str, Any]
) -> AuditEntry:
    """The audit entry for what ``actor`` did with the patient of ``identifier``."""
    return AuditEntry(
        action=verb,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="patient",
        object_id=identifier.value,
        patient_id=identifier.value,
        detail={"assigning_authority": identifier.assigning_authority, **detail},
    )


def shown_identifier(tx: Tx, patient_key: int) -> PatientIdentifier:
    """An identifier that a record is called by; its key when it has none."""
    shown = store.identifiers_by_patient(tx, [patient_key])
    return PatientIdentifier(shown[0] if shown else str(patient_key))
