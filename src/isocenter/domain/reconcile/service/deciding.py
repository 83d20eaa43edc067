"""What people decide about a study: which order, whose images, nothing wrong; and its undoing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.orders.model import (
    AccessionFormat,
    OrderFacts,
    OrderReference,
    ProcedureFacts,
    StepFacts,
)
from isocenter.domain.reconcile._store import attention, decisions, links, patients
from isocenter.domain.reconcile._store.decisions import NewDecision
from isocenter.domain.reconcile._store.evidence import StudyFacts
from isocenter.domain.reconcile.events import CaseResolved
from isocenter.domain.reconcile.model import (
    DISMISSIBLE,
    RULE_TERMS,
    Link,
    Method,
    NotDismissible,
    NotLinked,
    Proposal,
    RegisteredPatient,
    StudyLink,
    UnknownCase,
    patient_of,
)
from isocenter.domain.reconcile.service.attention import release
from isocenter.domain.reconcile.service.evidence import (
    audit_study,
    chosen_patient,
    facts_of,
    locked,
    registered,
    study_evidence,
)
from isocenter.domain.reconcile.service.matching import change_link, match, station_of
from isocenter.domain.reconcile.service.proposing import proposals, the_order
from isocenter.domain.scheduling import service as scheduling
from isocenter.errors import IsocenterError, Kind
from isocenter.infra import ids, outbox
from isocenter.infra.db import Tx

_KEPT_TERMS: Final = frozenset(each.value for each in RULE_TERMS)
_FILLER_NAMESPACE: Final = "ISOCENTER"
_SHORT_STRING_LENGTH_MAX: Final = 16
_ACTOR = Actor.system("reconcile")


class PatientUnclear(IsocenterError):
    """Nobody knows whose images these are: say it first, then make the order."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class UnknownDecision(IsocenterError):
    """There is no such decision, or it was taken back, or it cannot be."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


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
    locked(tx, [study_instance_uid], now=now)
    facts = facts_of(tx, study_instance_uid)
    order = the_order(tx, study_instance_uid, accession_number)
    viewer = Viewer.of(_ACTOR, Action.STUDY_READ)
    choices = proposals(tx, viewer, study_instance_uid, also=[order.accession_number])
    decision = NewDecision(
        study_instance_uid=study_instance_uid,
        kind="link",
        order_key=order.order_key,
        accession_number=order.accession_number,
        patient_key=order.patient_key,
        station_ae_title=station_of(facts),
        candidates=_kept(choices),
        reason=reason,
        by=actor.name,
    )
    link = Link(order.order_key, order.accession_number, Method.PERSON, reason)
    return _link(tx, actor, facts, (link, decision), now=now)


def order_from_study(
    tx: Tx,
    actor: Actor,
    study_instance_uid: str,
    *,
    reason: str,
    accession_format: AccessionFormat,
    now: datetime,
) -> StudyLink:
    """The study's link to a new order that is made from what the images say.

    The patient is the one whom a person named, else the registered one that the images mean, else
    one who is registered now by their patient ID. The images' accession number is kept when it is
    free and usable; else one is issued.

    Raises ``UnknownStudy``, ``PatientUnclear``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    authorize(actor, Action.ORDER_WRITE)
    locked(tx, [study_instance_uid], now=now)
    facts = facts_of(tx, study_instance_uid)
    placed = scheduling.place_order(
        tx,
        actor,
        _patient_facts(tx, facts, now=now),
        _order_facts(tx, facts, now=now),
        now=now,
        accession_format=accession_format,
    )
    decision = NewDecision(
        study_instance_uid=study_instance_uid,
        kind="new_order",
        order_key=placed.order_key,
        accession_number=placed.accession_number,
        reason=reason,
        by=actor.name,
    )
    link = Link(placed.order_key, placed.accession_number, Method.PERSON, reason)
    return _link(tx, actor, facts, (link, decision), now=now)


def move_to_patient(
    tx: Tx, actor: Actor, study_instance_uid: str, patient_key: int, *, reason: str, now: datetime
) -> None:
    """Have the study be this patient's, whatever its images say; it leaves others' orders.

    Raises ``UnknownStudy``, ``PatientUnknown``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    locked(tx, [study_instance_uid], now=now)
    facts = facts_of(tx, study_instance_uid)
    patient = identity.patient(tx, patient_key)
    attention.choose_patient(
        tx, study_instance_uid, patient.patient_key, reason=reason, by=actor.name, now=now
    )
    decision = NewDecision(
        study_instance_uid=study_instance_uid,
        kind="move_patient",
        patient_key=patient.patient_key,
        reason=reason,
        by=actor.name,
    )
    decisions.mark_undone(tx, study_instance_uid, "move_patient", by=actor.name, now=now)
    decisions.add(tx, decision, now=now)
    audit_study(tx, actor, "study.move_to_patient", facts, {"reason": reason}, now)
    link = links.link(tx, study_instance_uid)
    owner = link and patients.linked_order(tx, link.order_key)
    of_another = owner is not None and (
        identity.patient(tx, owner.patient_key).patient_key != patient.patient_key
    )
    if link is not None and of_another:
        _unlink(tx, actor, link, now=now)
    released = [link.accession_number] if link is not None and of_another else []
    match(tx, [study_instance_uid], released=released, now=now)


def undo_move(tx: Tx, actor: Actor, study_instance_uid: str, *, reason: str, now: datetime) -> None:
    """Go by what the images say about the patient again. Raises ``UnknownDecision``."""
    authorize(actor, Action.STUDY_RECONCILE)
    locked(tx, [study_instance_uid], now=now)
    facts = facts_of(tx, study_instance_uid)
    if not attention.forget_patient(tx, study_instance_uid):
        raise UnknownDecision("nobody said whose images these are")
    decisions.mark_undone(tx, study_instance_uid, "move_patient", by=actor.name, now=now)
    audit_study(tx, actor, "study.undo_move", facts, {"reason": reason}, now)
    match(tx, [study_instance_uid], now=now)


def undo_match(
    tx: Tx, actor: Actor, study_instance_uid: str, *, reason: str, now: datetime
) -> None:
    """Take the study from its order, for good: the rules will not match the two again.

    An order that was made from the study is cancelled with it, as long as nothing else was done
    with it. Raises ``UnknownStudy``, ``NotLinked``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    locked(tx, [study_instance_uid], now=now)
    facts = facts_of(tx, study_instance_uid)
    link = links.link(tx, study_instance_uid)
    if link is None:
        raise NotLinked("the study belongs to no order")
    made_here = any(
        each.kind == "new_order" and each.order_key == link.order_key and each.undone_at is None
        for each in decisions.of_study(tx, study_instance_uid)
    )
    _unlink(tx, actor, link, now=now)
    detail = {"accession_number": link.accession_number, "reason": reason}
    audit_study(tx, actor, "study.undo_match", facts, detail, now)
    match(tx, [study_instance_uid], released=[link.accession_number], now=now)
    if made_here and not links.linked_studies(tx, link.accession_number):
        reference = OrderReference(accession_number=link.accession_number)
        scheduling.discontinue_order(tx, _ACTOR, reference, now=now, reason=reason)


def undo_decision(
    tx: Tx,
    actor: Actor,
    study_instance_uid: str,
    decision_key: int,
    *,
    reason: str,
    now: datetime,
) -> None:
    """Take one decision back. Raises ``UnknownDecision``, ``NotLinked``."""
    authorize(actor, Action.STUDY_RECONCILE)
    locked(tx, [study_instance_uid], now=now)
    decision = decisions.one(tx, decision_key)
    if (
        decision is None
        or decision.study_instance_uid != study_instance_uid
        or decision.undone_at is not None
    ):
        raise UnknownDecision("there is no such decision, or it was taken back already")
    if decision.kind == "move_patient":
        undo_move(tx, actor, study_instance_uid, reason=reason, now=now)
    elif decision.kind == "hold":
        release(tx, actor, study_instance_uid, now=now)
    elif decision.kind in {"link", "new_order", "rule"}:
        link = links.link(tx, study_instance_uid)
        if link is None or link.order_key != decision.order_key:
            raise NotLinked("the study does not belong to that order any more")
        undo_match(tx, actor, study_instance_uid, reason=reason, now=now)
    else:
        raise UnknownDecision("this decision is not taken back here")


def dismiss_case(tx: Tx, actor: Actor, case_key: int, *, reason: str, now: datetime) -> None:
    """End a case that a person has looked at; it comes back only when there is something new.

    Raises ``UnknownCase``, ``NotDismissible``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    case = links.open_case(tx, case_key)
    if case is None:
        raise UnknownCase("there is no such open case")
    if case.kind not in DISMISSIBLE:
        raise NotDismissible("match the study with its order instead")
    uid = case.study_instance_uid
    locked(tx, [uid], now=now)
    if links.open_case(tx, case_key) is None:  # settled while we waited for the lock
        raise UnknownCase("there is no such open case")
    links.resolve(tx, case_key, by=actor.name, resolution=reason, now=now)
    outbox.append(tx, CaseResolved(uid, case_key, case.kind.value, actor.name), now=now)
    decision = NewDecision(
        study_instance_uid=uid, kind="dismiss", reason=f"{case.kind}: {reason}", by=actor.name
    )
    decisions.add(tx, decision, now=now)
    detail = {"kind": case.kind, "reason": reason}
    audit_study(tx, actor, "study.dismiss_case", facts_of(tx, uid), detail, now)


def _link(
    tx: Tx, actor: Actor, facts: StudyFacts, made: tuple[Link, NewDecision], *, now: datetime
) -> StudyLink:
    """Keep what a person decided, and have everything follow from it."""
    link, decision = made
    uid = facts.study_instance_uid
    links.unreject(tx, uid, link.order_key)
    before = links.link(tx, uid)
    if before is not None and before.order_key != link.order_key:
        decisions.mark_links_undone(tx, uid, before.order_key, by=actor.name, now=now)
    chosen = chosen_patient(tx, uid)
    order = patients.linked_order(tx, link.order_key)
    if (
        chosen is not None
        and order is not None
        and identity.patient(tx, order.patient_key).patient_key != chosen.patient_key
    ):  # the last word of a person counts
        attention.forget_patient(tx, uid)
        decisions.mark_undone(tx, uid, "move_patient", by=actor.name, now=now)
    released = change_link(tx, uid, link, by=actor.name, now=now)
    decisions.add(tx, decision, now=now)
    detail = {"accession_number": link.accession_number, "reason": link.reason}
    audit_study(tx, actor, "study.match", facts, detail, now)
    match(tx, [uid], released=[released] if released else (), now=now)
    kept = links.link(tx, uid)
    if kept is None:
        raise NotLinked("the match did not last")
    return kept


def _unlink(tx: Tx, actor: Actor, link: StudyLink, *, now: datetime) -> None:
    uid = link.study_instance_uid
    links.reject(tx, uid, link.order_key, by=actor.name, now=now)
    change_link(tx, uid, None, by=actor.name, now=now)
    decisions.mark_links_undone(tx, uid, link.order_key, by=actor.name, now=now)


def _kept(choices: Sequence[Proposal]) -> list[dict[str, Any]]:
    return [
        {
            "order_key": each.order.order_key,
            "accession_number": each.order.accession_number,
            "points": each.score.points,
            "terms": sorted(each.score.agreeing & _KEPT_TERMS),
        }
        for each in choices
    ]


def _patient_facts(tx: Tx, facts: StudyFacts, *, now: datetime) -> PatientFacts:
    """The patient of the new order; of one who is known nothing is said anew."""
    known = chosen_patient(tx, facts.study_instance_uid) or _registered_patient(tx, facts)
    if known is not None and known.own_identifiers:
        authority, value = min(known.own_identifiers)
        return PatientFacts((PatientIdentifier(value, authority),), now)
    value = (facts.patient_id or "").strip()
    if not value:
        raise PatientUnclear("the images carry no patient ID: move them to a patient first")
    issuer = (facts.issuer_of_patient_id or "").strip()
    if patients.patients_with(tx, value, issuer):
        raise PatientUnclear(
            "a patient with this ID is known, whose name and birth date are others:"
            " move the images to their patient first"
        )
    return PatientFacts(
        (PatientIdentifier(value, issuer),),
        now,
        person_name=facts.patient_name or None,
        birth_date=facts.patient_birth_date,
        sex=None,
    )


def _registered_patient(tx: Tx, facts: StudyFacts) -> RegisteredPatient | None:
    rows = patients.patients_with(
        tx, (facts.patient_id or "").strip(), (facts.issuer_of_patient_id or "").strip()
    )
    return patient_of(study_evidence(facts), [registered(row) for row in rows])


def _order_facts(tx: Tx, facts: StudyFacts, *, now: datetime) -> OrderFacts:
    number = (facts.accession_number or "").strip()
    usable = (
        0 < len(number) <= _SHORT_STRING_LENGTH_MAX
        and number.isprintable()
        and not set(number) & set("\\*?")
        and not patients.orders_with_numbers(tx, [number])
    )
    uid = facts.study_instance_uid
    modality = next((each for each in sorted(facts.modalities)), None)
    stations = tuple(
        each for each in facts.calling_ae_titles if len(each) <= _SHORT_STRING_LENGTH_MAX
    )
    step = StepFacts(
        modality=modality, station_ae_titles=stations, start_at=facts.first_received_at
    )
    return OrderFacts(
        asserted_at=now,
        filler_order_number=ids.new_id(),
        filler_namespace=_FILLER_NAMESPACE,
        accession_number=number if usable else None,
        ordered_at=facts.first_received_at,
        procedures=(
            ProcedureFacts(
                study_instance_uid=None if patients.procedure_has(tx, uid) else uid,
                description=facts.description[:64].strip() or None,
                steps=(step,),
            ),
        ),
    )
