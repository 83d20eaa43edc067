"""Finding patients by identifier or key. For other stages: nothing here is audited."""

from collections.abc import Sequence

from isocenter.domain.identity import _store as store
from isocenter.domain.identity import _store_graph as graph
from isocenter.domain.identity.model import Patient, PatientIdentifier, PatientUnknown
from isocenter.infra.db import Tx


def find(tx: Tx, value: str, *, assigning_authority: str | None = None) -> Patient | None:
    """The patient that an identifier leads to, merges followed.

    With ``assigning_authority`` None any authority's identifier counts, and the answer is None
    unless all that have this value are the same person.
    """
    keys = store.current_keys_of(tx, value, assigning_authority)
    return patient(tx, keys[0]) if len(keys) == 1 else None


def patient(tx: Tx, patient_key: int) -> Patient:
    """The patient that stands for a row, merges followed. Raises ``PatientUnknown``."""
    found = patients(tx, [patient_key])
    if not found:
        raise PatientUnknown("there is no such patient")
    return found[patient_key]


def patients(tx: Tx, patient_keys: Sequence[int]) -> dict[int, Patient]:
    """By each of these rows, as far as there is one, the patient that stands for it."""
    return {row.named_key: _patient(row) for row in store.current_patients(tx, patient_keys)}


def _patient(row: store.CurrentRow) -> Patient:
    sorted_out: dict[bool, list[PatientIdentifier]] = {True: [], False: []}
    for each in row.identifiers:
        sorted_out[each["own"]].append(
            PatientIdentifier(each["value"], each["assigning_authority"], each["type_code"])
        )
    return Patient(
        patient_key=row.patient_key,
        identifiers=tuple(sorted_out[True]),
        alias_identifiers=tuple(sorted_out[False]),
        person_name=row.person_name,
        birth_date=row.birth_date,
        sex=row.sex,
        address=row.address,
        phone=row.phone,
        aliases=tuple(row.aliases or ()),
        unidentified=bool(row.unidentified),
        vip=bool(row.vip),
        birth_order=row.birth_order,
        mother_name=row.mother_name,
        mother_identifier=row.mother_identifier,
    )


def same_person(tx: Tx, patient_key: int, other_key: int) -> bool:
    """Whether two patient rows stand for one person."""
    if patient_key == other_key:
        return True
    return store.current_key(tx, patient_key) == store.current_key(tx, other_key)


def current_key(tx: Tx, patient_key: int) -> int:
    """The row that stands for this one; itself when it is not merged."""
    return store.current_key(tx, patient_key) or patient_key


def record_identifiers(tx: Tx, patient_key: int) -> list[PatientIdentifier]:
    """The identifiers of one record itself, merges not followed; the one to show comes first."""
    return graph.own_identifiers(tx, patient_key)
