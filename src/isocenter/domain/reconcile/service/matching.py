"""The decision about studies, made anew from all facts whenever one of them changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.archive.service import complete_study, correct, studies_with
from isocenter.domain.reconcile._store import (
    attention,
    decisions,
    evidence,
    links,
    patients,
    performed,
)
from isocenter.domain.reconcile._store.decisions import NewDecision
from isocenter.domain.reconcile._store.evidence import StudyFacts
from isocenter.domain.reconcile.events import (
    CaseOpened,
    CaseResolved,
    StudyCorrected,
    StudyLinked,
    StudyUnlinked,
)
from isocenter.domain.reconcile.model import (
    DISMISSIBLE,
    Finding,
    Link,
    Method,
    OrderData,
    StudyLink,
    accession_keys,
    corrections,
    decide,
    patient_of,
)
from isocenter.domain.reconcile.service.evidence import (
    chosen_patient,
    evidence_of,
    locked,
    registered,
    study_evidence,
)
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist import service as worklist
from isocenter.infra import outbox
from isocenter.infra.db import Tx

SYSTEM = "system"
_ACTOR = Actor.system("reconcile")


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
    uids = locked(tx, study_instance_uids, now=now)
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
            left = links.linked_studies(tx, number)
            studies |= {each.study_instance_uid: each.complete for each in left}
        for uid, complete in sorted(studies.items()):
            advance = scheduling.complete if complete else scheduling.start
            advance(tx, _ACTOR, number, study_instance_uid=uid, now=now)


def affected_by_orders(tx: Tx, names: Iterable[tuple[int, str, Sequence[str]]]) -> set[str]:
    """Studies that may belong to one of the orders: (order key, accession number, study UIDs)."""
    known = list(names)
    if not known:
        return set()
    linked = links.studies_of_orders(tx, [order_key for order_key, _, _ in known])
    named = studies_with(
        tx,
        study_instance_uids=[uid for _, _, uids in known for uid in uids],
        accession_numbers=[],
    )
    prefixes = evidence.prefixes(tx)
    keys = {key for _, number, _ in known for key in accession_keys(number, prefixes)}
    numbered = evidence.studies_with_numbers(tx, keys)
    ruled = decisions.open_to_rules(tx, [order_key for order_key, _, _ in known])
    performed_for = performed.studies_performed_for(tx, [number for _, number, _ in known])
    return named.union(linked, numbered, ruled, performed_for)


def affected_by_patients(tx: Tx, patient_keys: Sequence[int]) -> set[str]:
    """Studies whose match or corrections may depend on who these patients are."""
    names = patients.orders_of_patients(tx, patient_keys)
    of_orders = affected_by_orders(
        tx, [(each.order_key, each.accession_number, each.study_instance_uids) for each in names]
    )
    return of_orders.union(
        patients.studies_of_patients(tx, patient_keys),
        attention.studies_chosen_for(tx, list(patient_keys)),
    )


def affected_by_performed(tx: Tx, sop_instance_uid: str) -> set[str]:
    """Studies with series that a performed step says it made, whatever study it names."""
    return set(performed.studies_made_by(tx, sop_instance_uid))


def affected_by_steps(tx: Tx, accession_numbers: Sequence[str]) -> set[str]:
    """Studies that a rule may bring to one of these exams, whose steps are others now."""
    return set(decisions.open_to_rules(tx, [], accession_numbers))


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a decision came to: the study's exam, whether it is complete, the exam it left."""

    accession_number: str | None = None
    complete: bool = False
    released: str | None = None


def _settle(tx: Tx, uid: str, *, now: datetime) -> _Settled:
    """Make link and cases what the facts say."""
    facts = evidence.study_facts(tx, uid)
    if facts is None:
        return _Settled()
    complete = _compare_with_performed(tx, facts, now=now)
    before = links.link(tx, uid)
    decision = decide(evidence_of(tx, facts, before))
    link = decision.link
    released = None
    if link is None or link.method is not Method.PERSON:
        released = change_link(tx, uid, link, by=SYSTEM, now=now)
        _note_rule(tx, facts, link, before, now=now)
    # Of a study without images, all rejected, there is nothing to decide.
    findings = decision.findings if facts.number_of_instances else ()
    _settle_cases(tx, uid, findings, now=now)
    _settle_corrections(tx, facts, link, now=now)
    return _Settled(link.accession_number if link else None, complete, released)


def _note_rule(
    tx: Tx, facts: StudyFacts, link: Link | None, before: StudyLink | None, *, now: datetime
) -> None:
    """Keep that a rule decided, once: each automatic decision names its rule."""
    if link is None or link.rule_key is None:
        return
    if before and (before.rule_key, before.order_key) == (link.rule_key, link.order_key):
        return
    decision = NewDecision(
        study_instance_uid=facts.study_instance_uid,
        kind="rule",
        order_key=link.order_key,
        accession_number=link.accession_number,
        rule_key=link.rule_key,
        station_ae_title=station_of(facts),
        candidates=[
            {
                "order_key": link.order_key,
                "accession_number": link.accession_number,
                "points": 0,
                "terms": sorted(rule.terms),
            }
            for rule in decisions.rules_for(tx, facts.calling_ae_titles, link.rule_key)
            if rule.rule_key == link.rule_key
        ],
        reason=link.reason,
        by=SYSTEM,
    )
    decisions.add(tx, decision, now=now)


def station_of(facts: StudyFacts) -> str:
    """The application that sent the images; the first by name where there are several."""
    return min(facts.calling_ae_titles, default="")


def _compare_with_performed(tx: Tx, facts: StudyFacts, *, now: datetime) -> bool:
    """Whether the study is complete: also when all that its modalities say they made is here."""
    uid = facts.study_instance_uid
    received = performed.received_series(tx, uid)
    if received:
        worklist.confirm_series(
            tx, [(each.performed_key, each.series_instance_uid) for each in received]
        )
    if not facts.complete and performed.all_received(tx, uid):
        return complete_study(tx, _ACTOR, uid, now=now)
    return facts.complete


def _settle_corrections(tx: Tx, facts: StudyFacts, link: Link | None, *, now: datetime) -> None:
    """Make what the images are to say what registry and order say; without a link, the registry."""
    study = study_evidence(facts)
    linked = patients.linked_order(tx, link.order_key) if link else None
    chosen = chosen_patient(tx, facts.study_instance_uid)
    if chosen is not None:
        order = linked and OrderData(linked.accession_number, linked.referring_physician_name)
        wanted = corrections(study, chosen, order)
    elif linked is None:
        rows = patients.patients_with(
            tx, (facts.patient_id or "").strip(), (facts.issuer_of_patient_id or "").strip()
        )
        wanted = corrections(study, patient_of(study, [registered(row) for row in rows]), None)
    else:
        row = patients.patient_of_record(tx, linked.patient_key)
        order = OrderData(linked.accession_number, linked.referring_physician_name)
        wanted = corrections(study, row and registered(row), order)
    if correct(tx, _ACTOR, facts.study_instance_uid, wanted, now=now):
        outbox.append(tx, StudyCorrected(facts.study_instance_uid), now=now)


def change_link(tx: Tx, uid: str, link: Link | None, *, by: str, now: datetime) -> str | None:
    """Keep the link; gives the accession number of the exam that the study left, if it did."""
    before = links.link(tx, uid)
    moved = before is not None and (link is None or link.order_key != before.order_key)
    if before is not None and moved:
        links.drop_link(tx, uid)
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
    links.set_link(tx, uid, link, by=by, now=now)
    if before is None or moved:
        linked = StudyLinked(uid, link.accession_number, link.order_key, link.method.value)
        outbox.append(tx, linked, now=now)
    return released


def _settle_cases(tx: Tx, uid: str, findings: Sequence[Finding], *, now: datetime) -> None:
    cases = links.cases(tx, uid)
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
            case_key = links.open_new(tx, uid, finding, now=now)
            outbox.append(tx, CaseOpened(uid, case_key, finding.kind.value), now=now)
        elif (known.fingerprint, known.reason) != (finding.fingerprint, finding.reason):
            links.restate(tx, known.case_key, finding)
    for known in still_open.values():
        resolution = "settled by new facts"
        links.resolve(tx, known.case_key, by=SYSTEM, resolution=resolution, now=now)
        resolved = CaseResolved(uid, known.case_key, known.kind.value, SYSTEM)
        outbox.append(tx, resolved, now=now)
