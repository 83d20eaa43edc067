"""Reactions of identity: new facts about a patient are compared with what is known of others."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service
from isocenter.domain.identity.events import PatientRegistered, PatientUnmerged, PatientUpdated
from isocenter.infra.db import Tx

Changed = PatientRegistered | PatientUpdated | PatientUnmerged
_ACTOR: Final = Actor.system("matching")
_COMPARED: Final = frozenset({
    "person_name",
    "birth_date",
    "sex",
    "address",
    "phone",
    "aliases",
    "unidentified",
    "vip",
    "birth_order",
    "mother_name",
    "identifiers",
})


def on_patient_changed(tx: Tx, event: Changed, *, now: datetime) -> None:
    """Compare the patient; whatever is found is a question for a person."""
    _compare(tx, [event], link_certain=False, now=now)


def on_patients_changed(tx: Tx, events: Sequence[Changed], *, now: datetime) -> None:
    """As ``on_patient_changed`` for several patients."""
    _compare(tx, events, link_certain=False, now=now)


def on_patient_changed_linking(tx: Tx, event: Changed, *, now: datetime) -> None:
    """Compare the patient, and link what surely is the same person."""
    _compare(tx, [event], link_certain=True, now=now)


def on_patients_changed_linking(tx: Tx, events: Sequence[Changed], *, now: datetime) -> None:
    """As ``on_patient_changed_linking`` for several patients."""
    _compare(tx, events, link_certain=True, now=now)


def _compare(tx: Tx, events: Sequence[Changed], *, link_certain: bool, now: datetime) -> None:
    keys: set[int] = set()
    for event in events:
        if isinstance(event, PatientUpdated) and _COMPARED.isdisjoint(event.changed):
            continue
        keys.add(event.patient_key)
        if isinstance(event, PatientUnmerged):
            keys |= {event.prior_key, *event.moved_keys}
    if keys:
        service.look_for_duplicates(tx, _ACTOR, sorted(keys), link_certain=link_certain, now=now)
