"""Reads across stages that no service puts on record by itself: done and recorded together."""

from isocenter.domain.access.model import Viewer
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import ListedMessage, MessageFilter
from isocenter.gateways.web.onrecord import Look
from isocenter.infra.db import Tx
from isocenter.readmodels import exam_ledger
from isocenter.readmodels.exam_ledger import ExamLedger, ExamPage, ExamQuery


def searched_messages(
    tx: Tx,
    viewer: Viewer,
    wanted: MessageFilter,
    *,
    limit: int,
    look: Look,
) -> list[ListedMessage]:
    """HL7 messages that fit, newest first."""
    found = peers.search_messages(tx, viewer.actor, wanted, limit=limit)
    what = ("message.search", "message", wanted.sought)
    look.readings.note(tx, viewer.actor, what, patient_id=wanted.patient_id, now=look.now)
    return found


def searched_exams(tx: Tx, viewer: Viewer, query: ExamQuery, *, look: Look) -> ExamPage:
    """A page of exams, newest first."""
    page = exam_ledger.search(tx, viewer, query, now=look.now, expectations=look.expectations)
    what = ("exam.search", "exam", query.accession_number or "")
    detail = {"text": query.text, "state": query.state} if query.text or query.state else {}
    look.readings.note(
        tx, viewer.actor, what, patient_id=query.patient_id, detail=detail, now=look.now
    )
    return page


def opened_exam(tx: Tx, viewer: Viewer, accession_number: str, *, look: Look) -> ExamLedger | None:
    """One exam with its studies, reports and deliveries."""
    return _noted(
        tx,
        viewer,
        exam_ledger.exam(
            tx, viewer, accession_number, now=look.now, expectations=look.expectations
        ),
        look=look,
    )


def opened_exam_of_study(
    tx: Tx, viewer: Viewer, study_instance_uid: str, *, look: Look
) -> ExamLedger | None:
    """The exam that a study belongs to, which is its own when no order claims it."""
    return _noted(
        tx,
        viewer,
        exam_ledger.exam_of_study(
            tx, viewer, study_instance_uid, now=look.now, expectations=look.expectations
        ),
        look=look,
    )


def _noted(tx: Tx, viewer: Viewer, found: ExamLedger | None, *, look: Look) -> ExamLedger | None:
    if found is not None:
        identifier = found.accession_number or found.study_instance_uid
        what = ("exam.read", "exam", identifier)
        look.readings.note(tx, viewer.actor, what, patient_id=found.patient_id, now=look.now)
    return found
