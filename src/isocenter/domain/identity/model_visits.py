"""Visits as pure data: what was asserted about a stay of a patient."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from isocenter.domain.identity.model import microseconds


class VisitState(StrEnum):
    """Where the patient is in a visit."""

    EXPECTED = "expected"
    PRESENT = "present"
    ON_LEAVE = "on_leave"
    DISCHARGED = "discharged"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class VisitNumber:
    """What a visit is known by. Attributes: assigning_authority: ``""`` when it is not known.

    Standard: HL7 v2.5.1 3.4.3.19 (PV1-19)
    """

    value: str
    assigning_authority: str = ""


@dataclass(frozen=True, slots=True)
class VisitFacts:
    """What a message says about a visit; None: it says nothing, ``""``: it says there is none.

    Attributes:
        asserted_at: when the sender said so (not when it arrived).
        prior_location: where the patient was before.
        pending_location: where the patient is to be brought.

    Standard: HL7 v2.5.1 3.4.3 (PV1)
    """

    number: VisitNumber
    asserted_at: datetime
    state: VisitState | None = None
    patient_class: str | None = None
    location: str | None = None
    prior_location: str | None = None
    pending_location: str | None = None
    attending_doctor_name: str | None = None
    admitted_at: datetime | None = None
    discharged_at: datetime | Literal[""] | None = None

    def said(self) -> dict[str, Any]:
        """Column name -> value, of the columns that these facts say something about."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        return {name: value for name, value in columns.items() if value is not None}

    def said_at(self) -> dict[str, int]:
        """Column name -> microseconds since 1970 of the assertion."""
        return dict.fromkeys((*self.said(), "patient_key"), microseconds(self.asserted_at))


COLUMNS = (
    "state",
    "patient_class",
    "location",
    "prior_location",
    "pending_location",
    "attending_doctor_name",
    "admitted_at",
    "discharged_at",
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit as known now.

    Attributes:
        patient_key: the patient row that the visit was said to be of; merges are to be followed.
    """

    visit_key: int
    assigning_authority: str
    visit_number: str
    patient_key: int
    state: str
    patient_class: str | None
    location: str | None
    prior_location: str | None
    pending_location: str | None
    attending_doctor_name: str | None
    admitted_at: datetime | None
    discharged_at: datetime | None
    asserted_at: datetime
