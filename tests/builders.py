"""What messages say, in one line each: obviously synthetic patients, orders and actors."""

from datetime import UTC, datetime, timedelta
from typing import Any

from isocenter.domain.access.model import Action, Actor, ActorKind, Viewer
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.orders.model import Code, OrderFacts, ProcedureFacts, StepFacts

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EHR = Actor.hl7_peer("EHR", "192.0.2.10", ["adt", "orm"])
SCANNER = Actor.dicom_peer("CT1", "192.0.2.20", ["store", "worklist"])
PERSON = Actor(ActorKind.USER, "ada", frozenset(Action), "192.0.2.30", 1)
SYSTEM = Actor.system("test")


def after_noon(minutes: float) -> datetime:
    """So many minutes after noon of the day on which tests play."""
    return NOON + timedelta(minutes=minutes)


def viewer(action: Action) -> Viewer:
    """Somebody who may look."""
    return Viewer.of(PERSON, action)


def an_identifier(value: str, authority: str = "HOSP") -> PatientIdentifier:
    """A medical record number."""
    return PatientIdentifier(value, authority)


def a_patient(*values: str, at: float = -60, **said: Any) -> PatientFacts:
    """What an EHR says about a patient, ``at`` minutes after noon."""
    identifiers = tuple(an_identifier(value) for value in values or ("P1",))
    return PatientFacts(identifiers, after_noon(at), **said)


def a_step(**said: Any) -> StepFacts:
    """A CT tomorrow morning."""
    usual: dict[str, Any] = {
        "modality": "CT",
        "station_ae_titles": ("CT1",),
        "start_at": after_noon(20 * 60),
        "protocol_codes": (Code("P-CH", "99TEST", "Chest protocol"),),
    }
    return StepFacts(**(usual | said))


def a_procedure(**said: Any) -> ProcedureFacts:
    """A CT of the chest."""
    usual: dict[str, Any] = {
        "code": Code("CTCH", "99TEST", "CT chest"),
        "description": "CT chest",
        "steps": (a_step(),),
    }
    return ProcedureFacts(**(usual | said))


def an_order(placer: str | None = "A1", *, at: float = -30, **said: Any) -> OrderFacts:
    """What an EHR says about an order, ``at`` minutes after noon."""
    usual: dict[str, Any] = {
        "placer_order_number": placer,
        "placer_namespace": "EHR",
        "procedures": (a_procedure(),),
    }
    return OrderFacts(asserted_at=after_noon(at), **(usual | said))
