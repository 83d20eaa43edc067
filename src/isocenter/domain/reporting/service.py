"""Use cases of reporting: draft, sign, addend, read.

An exam has one report, however many people open the editor. Whoever saves or signs may say which
revision they saw; when somebody else saved meanwhile, they are told instead of overwriting it.
"""

from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.domain.identity import service as identity
from isocenter.domain.orders.model import Order
from isocenter.domain.orders.service import exam
from isocenter.domain.reporting import _store
from isocenter.domain.reporting.events import ReportDrafted, ReportSigned
from isocenter.domain.reporting.model import (
    DraftChanged,
    ExamCancelled,
    NoSuchExam,
    PatientOfDraftChanged,
    PatientUnconfirmed,
    Report,
    ReportIsDraft,
    ReportIsEmpty,
    ReportIsSigned,
    ReportState,
    ReportTooLong,
    ReportVersion,
    UnknownReport,
    VersionKind,
    version_digest,
)
from isocenter.infra import ids, outbox
from isocenter.infra.db import Tx

TEXT_LENGTH_MAX: Final = 200_000


def draft(
    tx: Tx,
    actor: Actor,
    accession_number: str,
    text: str,
    *,
    revision: int | None = None,
    now: datetime,
) -> Report:
    """The exam's report with ``text`` as its draft: begun, or saved over the draft of ``revision``.

    ``revision`` None saves whatever was there. Raises ``NoSuchExam``, ``ExamCancelled``,
    ``ReportIsSigned``, ``DraftChanged``, ``PatientOfDraftChanged``.
    """
    authorize(actor, Action.REPORT_WRITE)
    _check_length(text)
    found = exam(tx, accession_number)
    if found is None:
        raise NoSuchExam("no order has this accession number")
    order = found.order
    known = _store.lock_of_order(tx, order.order_key)
    if known is None:
        if order.state == "cancelled":
            raise ExamCancelled("the order was cancelled: match its images with another order")
        begun = _begin(tx, actor, order, text, now)
        if begun is not None:
            return begun
        known = _store.lock_of_order(tx, order.order_key)  # somebody began it at the same moment
        if known is None:
            raise DraftChanged("the report changed meanwhile: open it again")
    return _save(tx, actor, known, text, revision, now)


def redraft(
    tx: Tx, actor: Actor, report_id: str, text: str, *, revision: int | None = None, now: datetime
) -> Report:
    """The report with ``text`` saved over the draft of ``revision``; None: whatever was there.

    Raises ``UnknownReport``, ``ReportIsSigned``, ``DraftChanged``.
    """
    authorize(actor, Action.REPORT_WRITE)
    _check_length(text)
    return _save(tx, actor, _locked(tx, report_id), text, revision, now)


def _begin(tx: Tx, actor: Actor, order: Order, text: str, now: datetime) -> Report | None:
    accession_number, order_key = order.accession_number, order.order_key
    begun = Report(
        report_id=ids.new_id(),
        accession_number=accession_number,
        order_key=order_key,
        state=ReportState.DRAFT,
        version=0,
        draft_text=text,
        draft_revision=1,
        created_by=actor.name,
        created_at=now,
        updated_by=actor.name,
        updated_at=now,
        signed_at=None,
        patient_key=identity.current_key(tx, order.patient_key),
    )
    if not _store.begin(tx, begun):
        return None
    outbox.append(tx, ReportDrafted(begun.report_id, accession_number, order_key), now=now)
    _audit(tx, actor, "report.draft", begun.report_id, accession_number, now)
    return begun


def _save(
    tx: Tx, actor: Actor, known: Report, text: str, revision: int | None, now: datetime
) -> Report:
    if known.state is not ReportState.DRAFT:
        raise ReportIsSigned("the report is signed: write an addendum")
    _check_revision(known, revision)
    _check_patient(tx, known)
    if known.draft_text != text:
        _store.save(tx, known.report_id, text, author=actor.name, now=now)
        _audit(tx, actor, "report.draft", known.report_id, known.accession_number, now)
    return _reread(tx, known.report_id)


def sign(
    tx: Tx, actor: Actor, report_id: str, *, revision: int | None = None, now: datetime
) -> Report:
    """The report, its draft signed as the next version. A report that is signed already stays so.

    Raises ``UnknownReport``, ``ReportIsEmpty``, ``DraftChanged``, ``PatientOfDraftChanged``,
    ``PatientUnconfirmed``.
    """
    authorize(actor, Action.REPORT_SIGN)
    known = _locked(tx, report_id)
    if known.state is ReportState.SIGNED:
        return known
    _check_revision(known, revision)
    _check_patient(tx, known)
    if known.patient_unconfirmed:
        raise PatientUnconfirmed(
            "the patient of this exam was merged or parted meanwhile: confirm who it is"
        )
    return _sign_version(tx, actor, known, known.draft_text or "", VersionKind.FINAL, now)


def confirm_patient(
    tx: Tx, actor: Actor, report_id: str, *, revision: int, now: datetime
) -> Report:
    """The report, its draft about the exam's patient as it is now: said by who saw ``revision``.

    Raises ``UnknownReport``, ``ReportIsSigned``, ``DraftChanged``, ``PatientOfDraftChanged``.
    """
    authorize(actor, Action.REPORT_WRITE)
    known = _locked(tx, report_id)
    if known.state is not ReportState.DRAFT:
        raise ReportIsSigned("the report is signed: write an addendum")
    _check_revision(known, revision)
    _check_patient(tx, known)
    if known.patient_unconfirmed:
        _store.confirm_patient(tx, report_id)
        _audit(tx, actor, "report.confirm_patient", report_id, known.accession_number, now)
    return _reread(tx, report_id)


def addend(tx: Tx, actor: Actor, report_id: str, text: str, *, now: datetime) -> Report:
    """The report with ``text`` signed as an addendum: a new version beside the ones before.

    Repeating the newest addendum changes nothing. Raises ``UnknownReport``, ``ReportIsDraft``,
    ``ReportIsEmpty``.
    """
    authorize(actor, Action.REPORT_SIGN)
    _check_length(text)
    known = _locked(tx, report_id)
    if known.state is not ReportState.SIGNED:
        raise ReportIsDraft("the report is not signed yet: write into its draft")
    newest = _store.versions(tx, report_id)[-1]
    if newest.kind is VersionKind.ADDENDUM and (newest.text, newest.signed_by) == (
        text,
        actor.name,
    ):
        return known
    return _sign_version(tx, actor, known, text, VersionKind.ADDENDUM, now)


def _sign_version(
    tx: Tx, actor: Actor, known: Report, text: str, kind: VersionKind, now: datetime
) -> Report:
    if not text.strip():
        raise ReportIsEmpty("there is nothing to sign: the text is empty")
    before = _store.versions(tx, known.report_id)
    version = known.version + 1
    signed = ReportVersion(
        report_id=known.report_id,
        version=version,
        kind=kind,
        text=text,
        digest=version_digest(
            before[-1].digest if before else b"", version=version, signed_by=actor.name, text=text
        ),
        signed_by=actor.name,
        signer_name=actor.display_name or actor.name,
        signed_at=now,
    )
    _store.add_version(tx, signed)
    _store.sign(tx, known.report_id, version, signer=actor.name, now=now)
    event = ReportSigned(
        known.report_id, version, kind.value, known.accession_number, known.order_key
    )
    outbox.append(tx, event, now=now)
    _audit(tx, actor, "report.sign", known.report_id, known.accession_number, now)
    return _reread(tx, known.report_id)


def report(tx: Tx, viewer: Viewer, report_id: str) -> Report:
    """The report; raises ``UnknownReport``."""
    viewer.require(Action.REPORT_READ)
    return _reread(tx, report_id)


def report_of(tx: Tx, viewer: Viewer, accession_number: str) -> Report | None:
    """The exam's report, if it was begun."""
    viewer.require(Action.REPORT_READ)
    return _store.report_of(tx, accession_number)


def versions(tx: Tx, viewer: Viewer, report_id: str) -> list[ReportVersion]:
    """All signed texts of the report, oldest first."""
    viewer.require(Action.REPORT_READ)
    return _store.versions(tx, report_id)


def _locked(tx: Tx, report_id: str) -> Report:
    known = _store.lock(tx, report_id)
    if known is None:
        raise UnknownReport("there is no such report")
    return known


def _reread(tx: Tx, report_id: str) -> Report:
    known = _store.report(tx, report_id)
    if known is None:
        raise UnknownReport("there is no such report")
    return known


def _check_revision(known: Report, revision: int | None) -> None:
    if revision is None or revision == known.draft_revision:
        return
    if known.patient_unconfirmed:
        raise DraftChanged("the patient of this exam was merged or parted: open the report again")
    raise DraftChanged("somebody else saved this report meanwhile: read their text first")


def _check_patient(tx: Tx, known: Report) -> None:
    """Refuse until the change of patient was noted at the draft, which makes its writers look."""
    if known.patient_key is not None and known.patient_key != patient_of(tx, known):
        raise PatientOfDraftChanged(
            "the patient of this exam was merged or parted meanwhile: read who it is now"
        )


def patient_of(tx: Tx, known: Report) -> int | None:
    """Who the exam's patient is now, merges followed; None when there is no such exam any more.

    For this stage's handlers: it audits nothing.
    """
    found = exam(tx, known.accession_number)
    return identity.current_key(tx, found.order.patient_key) if found else None


def _check_length(text: str) -> None:
    if len(text) > TEXT_LENGTH_MAX:
        raise ReportTooLong(f"a report has at most {TEXT_LENGTH_MAX} characters")


def _audit(
    tx: Tx, actor: Actor, action: str, report_id: str, accession_number: str, now: datetime
) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="report",
        object_id=report_id,
        detail={"accession_number": accession_number},
    )
    record(tx, entry, now=now)
