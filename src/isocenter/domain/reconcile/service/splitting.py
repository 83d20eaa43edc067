"""Images of a study that belong to another order or patient: taken from it, and put back.

The archive keeps what goes where. Here it is decided which study they become part of, and to which
order or patient that study belongs; what follows from it is what follows from any match.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_corrections import Corrections
from isocenter.domain.archive.model_splits import Chosen, NotSplittable, Split, UnknownSplit
from isocenter.domain.identity import service as identity
from isocenter.domain.reconcile._store import attention, decisions, links, patients
from isocenter.domain.reconcile._store.decisions import NewDecision
from isocenter.domain.reconcile._store.evidence import StudyFacts
from isocenter.domain.reconcile.model import OrderData, RegisteredPatient, corrections
from isocenter.domain.reconcile.service.deciding import match_by_person, move_to_patient
from isocenter.domain.reconcile.service.evidence import (
    audit_study,
    facts_of,
    locked,
    registered,
    study_evidence,
)
from isocenter.domain.reconcile.service.matching import change_link, match
from isocenter.domain.reconcile.service.proposing import Change, changes, the_order
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Tx
from isocenter.infra.ids import new_uid

_ACTOR = Actor.system("reconcile")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitWish:
    """Images of a study, and where they belong.

    With neither order nor patient the study that they become waits for a person.

    Attributes:
        series_instance_uids: whole series; images of them that come later follow.
        sop_instance_uids: single images of other series.
        accession_number: of their order; '' for none that is known.
        patient_key: of their patient, where no order is named.
    """

    study_instance_uid: str
    series_instance_uids: Sequence[str] = ()
    sop_instance_uids: Sequence[str] = ()
    accession_number: str = ""
    patient_key: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPreview:
    """All that a split would touch.

    Attributes:
        joins: Study Instance UID of the study that the images become part of; '' for a new one.
        order_state: of the order that they go to; '' without one.
        stays: accession number of the exam that the other images stay with; '' for none.
        changes: of what the images say where they go out; the objects stay as they are.
    """

    joins: str
    order_state: str
    stays: str
    changes: tuple[Change, ...]


def split(
    tx: Tx,
    actor: Actor,
    blobs: BlobStore,
    wish: SplitWish,
    *,
    reason: str,
    now: datetime,
) -> Split:
    """The images, shown in a study of the order or patient to which they belong.

    They join the one study of the order that is here; else they become a study of their own. Peers
    that hold them are told by a note, and sent them anew. Raises ``UnknownStudy``, ``NoSuchOrder``,
    ``PatientUnknown``, ``NothingToSplit``, ``NotSplittable``, ``ReasonMissing``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    study = wish.study_instance_uid
    joined = _joined(tx, study, wish.accession_number)
    to_study = joined or new_uid()
    locked(tx, sorted((study, to_study)), now=now)
    facts = facts_of(tx, study)
    left = links.link(tx, study)
    made = archive.split(
        tx,
        actor,
        blobs,
        Chosen(
            study_instance_uid=study,
            to_study_instance_uid=to_study,
            series_instance_uids=wish.series_instance_uids,
            sop_instance_uids=wish.sop_instance_uids,
        ),
        reason=reason,
        now=now,
    )
    if left is not None and not joined:  # that is what the person said, whatever the images say
        links.reject(tx, to_study, left.order_key, by=actor.name, now=now)
    _keep(tx, actor, made, wish, now=now)
    audit_study(tx, actor, "study.split_off", facts, {"to": to_study, "reason": reason}, now)
    if wish.accession_number and not joined:
        number = wish.accession_number
        match_by_person(tx, actor, to_study, number, reason=reason, now=now)
    elif wish.patient_key is not None:
        key = wish.patient_key
        move_to_patient(tx, actor, to_study, key, reason=reason, now=now)
    match(tx, [study, to_study], now=now)
    return made


def undo_split(
    tx: Tx, actor: Actor, blobs: BlobStore, split_key: int, *, reason: str, now: datetime
) -> Split:
    """The split that held until now: its images are where they came again.

    Raises ``UnknownSplit``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    viewer = Viewer.of(_ACTOR, Action.STUDY_READ)
    decision = decisions.of_split(tx, split_key)
    known = archive.splits_of(tx, viewer, decision.study_instance_uid) if decision else []
    made = next((each for each in known if each.split_key == split_key), None)
    if made is None:
        raise UnknownSplit("there is no such split")
    study, to_study = made.study_instance_uid, made.to_study_instance_uid
    locked(tx, sorted((study, to_study)), now=now)
    archive.undo_split(tx, actor, blobs, split_key, reason=reason, now=now)
    decisions.mark_split_undone(tx, split_key, by=actor.name, now=now)
    released = None
    if not archive.series_of(tx, viewer, to_study):
        released = _let_go(tx, actor, to_study, now=now)
    match(tx, [study, to_study], released=[released] if released else [], now=now)
    return made


def preview_split(tx: Tx, viewer: Viewer, wish: SplitWish) -> SplitPreview:
    """All that a split would touch, but for who holds the images.

    Raises ``UnknownStudy``, ``NoSuchOrder``, ``PatientUnknown``, ``NotSplittable``.
    """
    viewer.require(Action.STUDY_READ)
    study = wish.study_instance_uid
    facts = facts_of(tx, study)
    joined = _joined(tx, study, wish.accession_number)
    left = links.link(tx, study)
    wanted, state = Corrections(), ""
    if wish.accession_number:
        order = the_order(tx, study, wish.accession_number)
        row = patients.linked_order(tx, order.order_key)
        patient = row and patients.patient_of_record(tx, row.patient_key)
        data = row and OrderData(row.accession_number, row.referring_physician_name)
        state = order.state
        wanted = _wanted(facts, patient and registered(patient), data)
    elif wish.patient_key is not None:
        key = identity.patient(tx, wish.patient_key).patient_key
        patient = patients.patient_of_record(tx, key)
        wanted = _wanted(facts, patient and registered(patient), None)
    return SplitPreview(
        joins=joined,
        order_state=state,
        stays=left.accession_number if left else "",
        changes=changes(facts, wanted),
    )


def _wanted(
    facts: StudyFacts, patient: RegisteredPatient | None, order: OrderData | None
) -> Corrections:
    # A study that already is corrected says so of all its images; these are asked as they came.
    return corrections(replace(study_evidence(facts), disagreements={}), patient, order)


def _joined(tx: Tx, study: str, accession_number: str) -> str:
    """The one study of the order that is here; '' where there is none, or several."""
    if not accession_number:
        return ""
    order = the_order(tx, study, accession_number)
    linked = [each.study_instance_uid for each in links.linked_studies(tx, order.accession_number)]
    if study in linked:
        raise NotSplittable("the study belongs to this order already")
    return linked[0] if len(linked) == 1 else ""


def _keep(tx: Tx, actor: Actor, made: Split, wish: SplitWish, *, now: datetime) -> None:
    decision = NewDecision(
        study_instance_uid=made.study_instance_uid,
        kind="split",
        accession_number=wish.accession_number or None,
        patient_key=wish.patient_key,
        split_key=made.split_key,
        reason=made.reason,
        by=actor.name,
    )
    decisions.add(tx, decision, now=now)


def _let_go(tx: Tx, actor: Actor, study: str, *, now: datetime) -> str | None:
    """Have a study of which nothing is left belong to nobody; the exam that loses it, if any."""
    attention.forget_patient(tx, study)
    decisions.mark_undone(tx, study, "link", by=actor.name, now=now)
    decisions.mark_undone(tx, study, "move_patient", by=actor.name, now=now)
    return change_link(tx, study, None, by=actor.name, now=now)
