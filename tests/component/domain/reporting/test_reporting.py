"""Reports through the service: drafts, signatures, versions, what the database refuses."""

import pytest

from isocenter.domain.access.model import Action, NotAuthorized, Role, Viewer
from isocenter.domain.reporting import service
from isocenter.domain.reporting.model import (
    DraftChanged,
    ExamCancelled,
    NoSuchExam,
    ReportIsDraft,
    ReportIsEmpty,
    ReportIsSigned,
    ReportTooLong,
    UnknownReport,
    version_digest,
)
from isocenter.infra.db import ConstraintViolation, StatementFailed
from tests.exam_story import SYSTEM, Department, a_patient, a_user, an_order
from tests.image_builders import NOW

RADIOLOGIST = a_user(Role.RADIOLOGIST)
VIEWER = Viewer.of(SYSTEM, Action.REPORT_READ)


@pytest.fixture
def tx(database):
    Department(database).order(a_patient(), an_order())
    with database.transaction() as transaction:
        yield transaction


def events(tx) -> list[str]:
    return tx.values("select name from outbox.event where name like 'reporting.%%' order by id")


def draft(tx, text: str = "No abnormality.", **options):
    return service.draft(tx, RADIOLOGIST, "A1", text, now=NOW, **options)


def test_draft_save_sign(tx):
    begun = draft(tx)
    assert (begun.state, begun.version, begun.draft_revision) == ("draft", 0, 1)
    saved = draft(tx, "Normal.", revision=1)
    assert (saved.report_id, saved.draft_revision) == (begun.report_id, 2)
    assert service.report_of(tx, VIEWER, "A1") == saved
    signed = service.sign(tx, RADIOLOGIST, begun.report_id, revision=2, now=NOW)
    assert (signed.state, signed.version, signed.draft_text) == ("signed", 1, None)
    version = service.versions(tx, VIEWER, begun.report_id)[0]
    assert (version.text, version.kind) == ("Normal.", "final")
    assert (version.signed_by, version.signer_name) == ("radiologist", "Radiologist")
    assert version.digest == version_digest(b"", version=1, signed_by="radiologist", text="Normal.")
    assert events(tx) == ["reporting.report_drafted", "reporting.report_signed"]


def test_signing_twice_signs_once(tx):
    report = draft(tx)
    first = service.sign(tx, RADIOLOGIST, report.report_id, now=NOW)
    assert service.sign(tx, RADIOLOGIST, report.report_id, now=NOW) == first
    assert len(service.versions(tx, VIEWER, report.report_id)) == 1
    assert events(tx).count("reporting.report_signed") == 1


def test_an_addendum_is_a_version_of_its_own(tx):
    report = draft(tx)
    with pytest.raises(ReportIsDraft):
        service.addend(tx, RADIOLOGIST, report.report_id, "More.", now=NOW)
    service.sign(tx, RADIOLOGIST, report.report_id, now=NOW)
    with pytest.raises(ReportIsSigned):
        draft(tx, "Something else.")
    added = service.addend(tx, RADIOLOGIST, report.report_id, "More.", now=NOW)
    assert service.addend(tx, RADIOLOGIST, report.report_id, "More.", now=NOW) == added
    first, second = service.versions(tx, VIEWER, report.report_id)
    assert (first.text, second.text, second.kind) == ("No abnormality.", "More.", "addendum")
    assert second.digest == version_digest(
        first.digest, version=2, signed_by="radiologist", text="More."
    )
    assert added.version == 2


def test_nobody_overwrites_what_they_have_not_seen(tx):
    report = draft(tx)
    service.redraft(tx, RADIOLOGIST, report.report_id, "Hers.", revision=1, now=NOW)
    with pytest.raises(DraftChanged):
        service.redraft(tx, RADIOLOGIST, report.report_id, "His.", revision=1, now=NOW)
    with pytest.raises(DraftChanged):
        draft(tx, "His.", revision=1)
    with pytest.raises(DraftChanged):
        service.sign(tx, RADIOLOGIST, report.report_id, revision=1, now=NOW)
    assert service.report(tx, VIEWER, report.report_id).draft_text == "Hers."


def test_what_cannot_be_reported(tx):
    with pytest.raises(NoSuchExam):
        service.draft(tx, RADIOLOGIST, "nothing", "", now=NOW)
    with pytest.raises(UnknownReport):
        service.sign(tx, RADIOLOGIST, "nothing", now=NOW)
    with pytest.raises(ReportTooLong):
        draft(tx, "x" * 200_001)
    empty = draft(tx, " \n")
    with pytest.raises(ReportIsEmpty):
        service.sign(tx, RADIOLOGIST, empty.report_id, now=NOW)


def test_a_cancelled_exam_cannot_be_reported(database):
    department = Department(database)
    department.order(a_patient(), an_order())
    department.cancel("A1")
    with database.transaction() as tx, pytest.raises(ExamCancelled):
        draft(tx)


@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.FRONT_DESK, Role.ADMINISTRATOR])
def test_only_radiologists_write_and_sign(tx, role):
    report = draft(tx)
    for act in (
        lambda: service.draft(tx, a_user(role), "A1", "x", now=NOW),
        lambda: service.redraft(tx, a_user(role), report.report_id, "x", now=NOW),
        lambda: service.sign(tx, a_user(role), report.report_id, now=NOW),
        lambda: service.addend(tx, a_user(role), report.report_id, "x", now=NOW),
    ):
        with pytest.raises(NotAuthorized):
            act()


@pytest.mark.parametrize(
    "statement",
    [
        "update reporting.report_version set text = 'forged'",
        "update reporting.report_version set signed_by = 'forged'",
        "delete from reporting.report_version",
        "truncate reporting.report_version",
    ],
)
def test_the_database_refuses_to_change_signed_text(tx, statement):
    report = draft(tx)
    service.sign(tx, RADIOLOGIST, report.report_id, now=NOW)
    with pytest.raises((ConstraintViolation, StatementFailed)), tx.savepoint():
        tx.run(statement)
    assert service.versions(tx, VIEWER, report.report_id)[0].text == "No abnormality."


def test_writing_is_audited(tx):
    report = draft(tx)
    service.sign(tx, RADIOLOGIST, report.report_id, now=NOW)
    recorded = tx.values("select action from audit.record where object_type = 'report' order by 1")
    assert recorded == ["report.draft", "report.sign"]
