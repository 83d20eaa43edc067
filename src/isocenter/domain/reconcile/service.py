"""Use cases of reconciliation: match, by the rules or by a person, and undo.

Every new fact about a study, an order or a patient leads here, and the whole decision is made anew
from all facts. What was decided before counts only where a person decided it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive.model import UnknownStudy
from isocenter.domain.archive.service import complete_study, correct, studies_with
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.reconcile import _store
from isocenter.domain.reconcile.events import (
    CaseOpened,
    CaseResolved,
    StudyLinked,
    StudyUnlinked,
)
from isocenter.domain.reconcile.model import (
    DISMISSIBLE,
    Decision,
    Evidence,
    Finding,
    Link,
    Method,
    NoSuchOrder,
    NotDismissible,
    NotLinked,
    OrderData,
    OrderEvidence,
    RegisteredPatient,
    StudyEvidence,
    StudyLink,
    UnknownCase,
    WrongEntry,
    corrections,
    decide,
    normalised_accession_number,
    patient_of,
)
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist import service as worklist
from isocenter.infra import outbox
from isocenter.infra.db import Tx

SYSTEM = "system"
_ACTOR = Actor.system("reconcile")
_CLOSED = frozenset({"cancelled", "discontinued"})


def match(
    tx: Tx,
    study_instance_uids: Iterable[str],
    *,
    released: Iterable[str] = (),
    now: datetime,
) -> None:
    """Decide about these studies anew, and tell scheduling which exams were begun or finished.

    Studies of which there are no images are passed over. ``released`` names the exams that lost a
    study already.
    """
    uids = _locked(tx, study_instance_uids, now=now)
    exams: dict[str, dict[str, bool]] = {number: {} for number in released}
    lost = set(exams)
    for uid in uids:
        settled = _settle(tx, uid, now=now)
        if settled.released is not None:
            lost.add(settled.released)
            exams.setdefault(settled.released, {})
        if settled.accession_number is not None:
            exams.setdefault(settled.accession_number, {})[uid] = settled.complete
    # Orders are locked in one order everywhere: two matches that share orders do not block.
    for number, studies in sorted(exams.items()):
        if number in lost:
            scheduling.forget_images(tx, _ACTOR, number, now=now)
            left = _store.linked_studies(tx, number)
            studies |= {each.study_instance_uid: each.complete for each in left}
        for uid, complete in sorted(studies.items()):
            advance = scheduling.complete if complete else scheduling.start
            advance(tx, _ACTOR, number, study_instance_uid=uid, now=now)


def affected_by_orders(tx: Tx, names: Iterable[tuple[int, str, Sequence[str]]]) -> set[str]:
    """Studies that may belong to one of the orders: (order key, accession number, study UIDs)."""
    known = list(names)
    linked = _store.studies_of_orders(tx, [order_key for order_key, _, _ in known])
    named = studies_with(
        tx,
        study_instance_uids=[uid for _, _, uids in known for uid in uids],
        accession_numbers=[normalised_accession_number(number) for _, number, _ in known],
    )
    return named | set(linked)


def affected_by_patients(tx: Tx, patient_keys: Sequence[int]) -> set[str]:
    """Studies whose match or corrections may depend on who these patients are."""
    names = _store.orders_of_patients(tx, patient_keys)
    of_orders = affected_by_orders(
        tx, [(each.order_key, each.accession_number, each.study_instance_uids) for each in names]
    )
    return of_orders | set(_store.studies_of_patients(tx, patient_keys))


def match_by_person(
    tx: Tx,
    actor: Actor,
    study_instance_uid: str,
    accession_number: str,
    *,
    reason: str,
    now: datetime,
) -> StudyLink:
    """The study's link to the order that a person chose; it stays whatever is learned later.

    Raises ``UnknownStudy``, ``NoSuchOrder``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    _locked(tx, [study_instance_uid], now=now)
    facts = _facts(tx, study_instance_uid)
    wanted = normalised_accession_number(accession_number)
    orders = [
        each
        for each in _store.orders(tx, "", wanted, [])
        if normalised_accession_number(each.accession_number) == wanted
    ]
    if len(orders) > 1:  # numbers that differ only in case: the exact one is meant
        orders = [each for each in orders if each.accession_number == accession_number]
    if len(orders) != 1:
        raise NoSuchOrder("no order has this accession number")
    order = orders[0]
    _store.unreject(tx, study_instance_uid, order.order_key)
    link = Link(order.order_key, order.accession_number, Method.PERSON, reason)
    released = _change_link(tx, study_instance_uid, link, by=actor.name, now=now)
    detail = {"accession_number": order.accession_number, "reason": reason}
    _audit(tx, actor, "study.match", facts, detail, now)
    match(tx, [study_instance_uid], released=[released] if released else (), now=now)
    kept = _store.link(tx, study_instance_uid)
    if kept is None:
        raise NotLinked("the match did not last")
    return kept


def undo_match(
    tx: Tx, actor: Actor, study_instance_uid: str, *, reason: str, now: datetime
) -> None:
    """Take the study from its order, for good: the rules will not match the two again.

    Raises ``UnknownStudy``, ``NotLinked``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    _locked(tx, [study_instance_uid], now=now)
    facts = _facts(tx, study_instance_uid)
    link = _store.link(tx, study_instance_uid)
    if link is None:
        raise NotLinked("the study belongs to no order")
    _store.reject(tx, study_instance_uid, link.order_key, by=actor.name, now=now)
    _change_link(tx, study_instance_uid, None, by=actor.name, now=now)
    detail = {"accession_number": link.accession_number, "reason": reason}
    _audit(tx, actor, "study.undo_match", facts, detail, now)
    match(tx, [study_instance_uid], released=[link.accession_number], now=now)


def dismiss_case(tx: Tx, actor: Actor, case_key: int, *, reason: str, now: datetime) -> None:
    """End a case that a person has looked at; it comes back only when there is something new.

    Raises ``UnknownCase``, ``NotDismissible``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    case = _store.open_case(tx, case_key)
    if case is None:
        raise UnknownCase("there is no such open case")
    if case.kind not in DISMISSIBLE:
        raise NotDismissible("match the study with its order instead")
    _locked(tx, [case.study_instance_uid], now=now)
    if _store.open_case(tx, case_key) is None:  # settled while we waited for the lock
        raise UnknownCase("there is no such open case")
    _store.resolve(tx, case_key, by=actor.name, resolution=reason, now=now)
    event = CaseResolved(case.study_instance_uid, case_key, case.kind.value, actor.name)
    outbox.append(tx, event, now=now)
    facts = _facts(tx, case.study_instance_uid)
    _audit(tx, actor, "study.dismiss_case", facts, {"kind": case.kind, "reason": reason}, now)


def _locked(tx: Tx, study_instance_uids: Iterable[str], *, now: datetime) -> list[str]:
    uids = sorted(set(study_instance_uids))
    _store.ensure_studies(tx, uids, now=now)
    _store.lock_studies(tx, uids)
    return uids


def _facts(tx: Tx, study_instance_uid: str) -> _store.StudyFacts:
    facts = _store.study_facts(tx, study_instance_uid)
    if facts is None:
        raise UnknownStudy("there is no such study")
    return facts


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a decision came to: the study's exam, whether it is complete, the exam it left."""

    accession_number: str | None = None
    complete: bool = False
    released: str | None = None


def _settle(tx: Tx, uid: str, *, now: datetime) -> _Settled:
    """Make link and cases what the facts say."""
    facts = _store.study_facts(tx, uid)
    if facts is None:
        return _Settled()
    complete = _compare_with_performed(tx, facts, now=now)
    before = _store.link(tx, uid)
    decision = _decision(tx, facts, before)
    link = decision.link
    released = None
    if link is None or link.method is not Method.PERSON:
        released = _change_link(tx, uid, link, by=SYSTEM, now=now)
    _settle_cases(tx, uid, decision.findings, now=now)
    _settle_corrections(tx, facts, link, now=now)
    return _Settled(link.accession_number if link else None, complete, released)


def _compare_with_performed(tx: Tx, facts: _store.StudyFacts, *, now: datetime) -> bool:
    """Whether the study is complete: also when all that its modalities say they made is here."""
    uid = facts.study_instance_uid
    received = _store.received_series(tx, uid)
    if received:
        worklist.confirm_series(
            tx, [(each.performed_key, each.series_instance_uid) for each in received]
        )
    if not facts.complete and _store.all_received(tx, uid):
        return complete_study(tx, _ACTOR, uid, now=now)
    return facts.complete


def _decision(tx: Tx, facts: _store.StudyFacts, before: StudyLink | None) -> Decision:
    uid = facts.study_instance_uid
    chosen = before.order_key if before and before.method is Method.PERSON else None
    number = normalised_accession_number(facts.accession_number)
    rows = _store.orders(tx, uid, number, [] if chosen is None else [chosen])
    evidence = Evidence(
        study=replace(_study_evidence(facts), wrong_entry=_wrong_entry(tx, uid)),
        orders=[_order_evidence(each) for each in rows],
        chosen_by_person=chosen,
        rejected=_store.rejected(tx, uid),
    )
    return decide(evidence)


def _wrong_entry(tx: Tx, uid: str) -> WrongEntry | None:
    row = _store.wrong_entry(tx, uid)
    return row and WrongEntry(
        sop_instance_uid=row.sop_instance_uid,
        station_ae_title=row.station_ae_title,
        made_objects=row.made_objects,
        is_all=row.is_all,
    )


def _study_evidence(facts: _store.StudyFacts) -> StudyEvidence:
    return StudyEvidence(
        study_instance_uid=facts.study_instance_uid,
        patient_id=facts.patient_id,
        issuer_of_patient_id=facts.issuer_of_patient_id,
        patient_name=facts.patient_name,
        patient_birth_date=facts.patient_birth_date,
        patient_sex=facts.patient_sex,
        accession_number=facts.accession_number,
        referring_physician_name=facts.referring_physician_name,
        disagreements=facts.disagreements,
        conflicting_sop_instance_uids=facts.conflicting,
    )


def _settle_corrections(
    tx: Tx, facts: _store.StudyFacts, link: Link | None, *, now: datetime
) -> None:
    """Make what the images are to say what registry and order say; without a link, the registry."""
    study = _study_evidence(facts)
    linked = _store.linked_order(tx, link.order_key) if link else None
    if linked is None:
        rows = _store.patients_with(
            tx, (facts.patient_id or "").strip(), (facts.issuer_of_patient_id or "").strip()
        )
        wanted = corrections(study, patient_of(study, [_registered(row) for row in rows]), None)
    else:
        row = _store.patient_of_record(tx, linked.patient_key)
        order = OrderData(linked.accession_number, linked.referring_physician_name)
        wanted = corrections(study, row and _registered(row), order)
    correct(tx, _ACTOR, facts.study_instance_uid, wanted, now=now)


def _registered(row: _store.PatientRow) -> RegisteredPatient:
    return RegisteredPatient(
        patient_key=row.patient_key,
        patient_id=row.patient_id,
        issuer_of_patient_id=row.issuer_of_patient_id or "",
        own_identifiers=frozenset((authority, value) for authority, value in row.own_identifiers),
        person_name=row.person_name,
        birth_date=row.birth_date,
        sex=row.sex,
        prior_person_name=row.prior_person_name,
        prior_birth_date=row.prior_birth_date,
    )


def _order_evidence(row: _store.OrderRow) -> OrderEvidence:
    return OrderEvidence(
        order_key=row.order_key,
        accession_number=row.accession_number,
        study_instance_uids=frozenset(row.study_instance_uids),
        cancelled=row.state in _CLOSED,
        identifiers=frozenset((authority, value) for authority, value in row.identifiers),
        person_name=row.person_name,
        birth_date=row.birth_date,
    )


def _change_link(tx: Tx, uid: str, link: Link | None, *, by: str, now: datetime) -> str | None:
    """Keep the link; gives the accession number of the exam that the study left, if it did."""
    before = _store.link(tx, uid)
    moved = before is not None and (link is None or link.order_key != before.order_key)
    if before is not None and moved:
        _store.drop_link(tx, uid)
        event = StudyUnlinked(uid, before.accession_number, before.order_key)
        outbox.append(tx, event, now=now)
    released = before.accession_number if before is not None and moved else None
    if link is None:
        return released
    stated = (link.order_key, link.accession_number, link.method, link.reason)
    if (
        before
        and (before.order_key, before.accession_number, before.method, before.reason) == stated
    ):
        return released
    _store.set_link(tx, uid, link, by=by, now=now)
    if before is None or moved:
        linked = StudyLinked(uid, link.accession_number, link.order_key, link.method.value)
        outbox.append(tx, linked, now=now)
    return released


def _settle_cases(tx: Tx, uid: str, findings: Sequence[Finding], *, now: datetime) -> None:
    cases = _store.cases(tx, uid)
    still_open = {each.kind: each for each in cases if each.state == "open"}
    dismissed = {
        (each.kind, each.fingerprint)
        for each in cases
        if each.state == "resolved" and each.resolved_by != SYSTEM
    }
    for finding in findings:
        known = still_open.pop(finding.kind, None)
        if finding.kind in DISMISSIBLE and (finding.kind, finding.fingerprint) in dismissed:
            continue
        if known is None:
            case_key = _store.open_new(tx, uid, finding, now=now)
            outbox.append(tx, CaseOpened(uid, case_key, finding.kind.value), now=now)
        elif (known.fingerprint, known.reason) != (finding.fingerprint, finding.reason):
            _store.restate(tx, known.case_key, finding)
    for known in still_open.values():
        resolution = "settled by new facts"
        _store.resolve(tx, known.case_key, by=SYSTEM, resolution=resolution, now=now)
        resolved = CaseResolved(uid, known.case_key, known.kind.value, SYSTEM)
        outbox.append(tx, resolved, now=now)


def _audit(
    tx: Tx,
    actor: Actor,
    action: str,
    facts: _store.StudyFacts,
    detail: dict[str, str],
    now: datetime,
) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=facts.study_instance_uid,
        patient_id=facts.patient_id,
        detail=detail,
    )
    record(tx, entry, now=now)
