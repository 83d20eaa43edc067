"""All that is known of a study and of the orders that it may belong to, read under its lock."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.archive.model import UnknownStudy
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.reconcile._store import attention, decisions, evidence, links, patients
from isocenter.domain.reconcile._store import performed as steps
from isocenter.domain.reconcile._store.evidence import Neighbourhood, OrderRow, StudyFacts
from isocenter.domain.reconcile._store.patients import PatientRow
from isocenter.domain.reconcile.model import (
    Evidence,
    Method,
    OrderEvidence,
    RegisteredPatient,
    StudyEvidence,
    StudyLink,
    WrongEntry,
    accession_keys,
)
from isocenter.infra.db import Tx
from isocenter.standards.dicom.matching import person_name_key

_CLOSED = frozenset({"cancelled", "discontinued"})


def locked(tx: Tx, study_instance_uids: Iterable[str], *, now: datetime) -> list[str]:
    """The UIDs in order, each with its row locked: nobody else decides about them."""
    uids = sorted(set(study_instance_uids))
    links.ensure_studies(tx, uids, now=now)
    links.lock_studies(tx, uids)
    return uids


def facts_of(tx: Tx, study_instance_uid: str) -> StudyFacts:
    """What the archive says of the study. Raises ``UnknownStudy``."""
    facts = evidence.study_facts(tx, study_instance_uid)
    if facts is None:
        raise UnknownStudy("there is no such study")
    return facts


def evidence_of(tx: Tx, facts: StudyFacts, before: StudyLink | None) -> Evidence:
    """All that a decision about the study may depend on."""
    uid = facts.study_instance_uid
    study = replace(said_or_chosen(tx, facts), wrong_entry=_wrong_entry(tx, uid))
    prefixes = evidence.prefixes(tx)
    keys = set(evidence.orders_named(tx, uid, accession_keys(facts.accession_number, prefixes)))
    chosen = before.order_key if before and before.method is Method.PERSON else None
    if chosen is not None:
        keys.add(chosen)
    rules = decisions.rules_for(tx, facts.calling_ae_titles, before and before.rule_key)
    if rules:
        keys |= _near(tx, study, facts, by_time=False)
    return Evidence(
        study=study,
        orders=[order_evidence(each) for each in evidence.orders(tx, uid, keys)],
        chosen_by_person=chosen,
        rejected=links.rejected(tx, uid),
        prefixes=prefixes,
        rules=rules,
    )


def candidates_of(tx: Tx, facts: StudyFacts, *, also: Iterable[int] = ()) -> Evidence:
    """As ``evidence_of`` with every order that a person may be shown for the study."""
    uid = facts.study_instance_uid
    study = said_or_chosen(tx, facts)
    prefixes = evidence.prefixes(tx)
    keys = set(evidence.orders_named(tx, uid, accession_keys(facts.accession_number, prefixes)))
    keys |= _near(tx, study, facts, by_time=True)
    keys |= set(also)
    return Evidence(
        study=study,
        orders=[order_evidence(each) for each in evidence.orders(tx, uid, keys)],
        rejected=links.rejected(tx, uid),
        prefixes=prefixes,
    )


def said_or_chosen(tx: Tx, facts: StudyFacts) -> StudyEvidence:
    """What the images say; of the patient what the registry says when a person chose one."""
    study = study_evidence(facts)
    patient = chosen_patient(tx, facts.study_instance_uid)
    if patient is None:
        return study
    return replace(
        study,
        patient_id=patient.patient_id or study.patient_id,
        issuer_of_patient_id=patient.issuer_of_patient_id or None,
        patient_name=patient.person_name or study.patient_name,
        patient_birth_date=patient.birth_date or study.patient_birth_date,
        patient_sex=patient.sex or study.patient_sex,
    )


def chosen_patient(tx: Tx, study_instance_uid: str) -> RegisteredPatient | None:
    """The patient whose images a person said that these are."""
    patient_key = attention.chosen_patient(tx, study_instance_uid)
    row = None if patient_key is None else patients.patient_of_record(tx, patient_key)
    return row and registered(row)


def registered(row: PatientRow) -> RegisteredPatient:
    """The row as the rules know it."""
    return RegisteredPatient(
        patient_key=row.patient_key,
        patient_id=row.patient_id,
        issuer_of_patient_id=row.issuer_of_patient_id or "",
        own_identifiers=frozenset(
            (authority, value) for authority, value in row.own_identifiers or ()
        ),
        person_name=row.person_name,
        birth_date=row.birth_date,
        sex=row.sex,
        prior_person_name=row.prior_person_name,
        prior_birth_date=row.prior_birth_date,
    )


def study_evidence(facts: StudyFacts) -> StudyEvidence:
    """What the images say."""
    return StudyEvidence(
        study_instance_uid=facts.study_instance_uid,
        patient_id=facts.patient_id,
        issuer_of_patient_id=facts.issuer_of_patient_id,
        patient_name=facts.patient_name,
        patient_birth_date=facts.patient_birth_date,
        patient_sex=facts.patient_sex,
        accession_number=facts.accession_number,
        issuer_of_accession_number=facts.issuer_of_accession_number,
        referring_physician_name=facts.referring_physician_name,
        modalities=frozenset(facts.modalities),
        station_ae_titles=frozenset(facts.calling_ae_titles),
        study_date=facts.study_date,
        received_at=facts.first_received_at,
        description=facts.description,
        body_parts=frozenset(facts.body_parts),
        disagreements=facts.disagreements,
        conflicting_sop_instance_uids=facts.conflicting,
    )


def order_evidence(row: OrderRow) -> OrderEvidence:
    """What the order says."""
    return OrderEvidence(
        order_key=row.order_key,
        accession_number=row.accession_number,
        accession_issuer=row.accession_issuer,
        study_instance_uids=frozenset(row.study_instance_uids),
        state=row.state,
        cancelled=row.state in _CLOSED,
        patient_key=row.patient_key,
        identifiers=frozenset((authority, value) for authority, value in row.identifiers),
        person_name=row.person_name,
        other_names=frozenset(row.other_names),
        birth_date=row.birth_date,
        modalities=frozenset(row.modalities),
        station_ae_titles=frozenset(row.station_ae_titles),
        scheduled_at=row.scheduled_at,
        procedure=row.procedure or "",
        given_to=frozenset(row.given_to),
        performed=row.performed,
        has_images=row.has_images,
    )


def audit_study(
    tx: Tx, by: Actor, action: str, facts: StudyFacts, detail: dict[str, str], now: datetime
) -> None:
    """Put on record what somebody did about the study."""
    entry = AuditEntry(
        action=action,
        actor=by.name,
        actor_kind=by.kind.value,
        source=by.source,
        object_type="study",
        object_id=facts.study_instance_uid,
        patient_id=facts.patient_id,
        detail=detail,
    )
    record(tx, entry, now=now)


def _near(tx: Tx, study: StudyEvidence, facts: StudyFacts, *, by_time: bool) -> frozenset[int]:
    where = Neighbourhood(
        patient_id=(study.patient_id or "").strip() or None,
        name=person_name_key(study.patient_name) if study.patient_name and by_time else None,
        modalities=facts.modalities,
        received_at=facts.first_received_at,
        by_time=by_time,
    )
    return evidence.orders_near(tx, where)


def _wrong_entry(tx: Tx, uid: str) -> WrongEntry | None:
    row = steps.wrong_entry(tx, uid)
    return row and WrongEntry(
        sop_instance_uid=row.sop_instance_uid,
        station_ae_title=row.station_ae_title,
        made_objects=row.made_objects,
        is_all=row.is_all,
    )
