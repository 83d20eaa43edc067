"""A patient is merged or parted while a report is being written: nothing is lost or redirected."""

import pytest

from isocenter.domain.access.model import Action, Role, Viewer
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.events import PatientMerged, PatientUnmerged
from isocenter.domain.reporting import handlers, service
from isocenter.domain.reporting.model import (
    DraftChanged,
    PatientOfDraftChanged,
    PatientUnconfirmed,
    ReportIsSigned,
)
from tests.builders import PERSON
from tests.exam_story import SYSTEM, Department, a_patient, a_user, an_order
from tests.image_builders import NOW

RADIOLOGIST = a_user(Role.RADIOLOGIST)
VIEWER = Viewer.of(SYSTEM, Action.REPORT_READ)


@pytest.fixture
def tx(database):
    Department(database).order(a_patient(), an_order())
    with database.transaction() as transaction:
        yield transaction


def merged_into_another(tx) -> PatientMerged:
    """What is told when the exam's patient turns out to be somebody who is known already."""
    mine = identity.find(tx, "P-1").patient_key
    other = identity.register(tx, SYSTEM, a_patient("SURVIVOR"), now=NOW)
    identity.merge_records(tx, PERSON, other.patient_key, mine, now=NOW)
    assert identity.find(tx, "P-1").patient_key == other.patient_key
    return PatientMerged(other.patient_key, mine, [mine])


def test_a_draft_is_not_signed_for_somebody_else_unseen(tx):
    draft = service.draft(tx, RADIOLOGIST, "A1", "Normal.", now=NOW)
    event = merged_into_another(tx)
    with pytest.raises(PatientOfDraftChanged):
        service.sign(tx, RADIOLOGIST, draft.report_id, revision=draft.draft_revision, now=NOW)
    with pytest.raises(PatientOfDraftChanged):
        service.redraft(tx, RADIOLOGIST, draft.report_id, "Normal!", now=NOW)
    handlers.on_identity_changed(tx, event, now=NOW)
    handlers.on_identity_changed(tx, event, now=NOW)  # it comes twice and counts once
    with pytest.raises(DraftChanged):
        service.sign(tx, RADIOLOGIST, draft.report_id, revision=draft.draft_revision, now=NOW)
    seen = service.report(tx, VIEWER, draft.report_id)
    assert (seen.draft_text, seen.draft_revision) == ("Normal.", draft.draft_revision + 1)
    assert tx.values(
        "select name from outbox.event where name like 'reporting.%%' order by id"
    ) == [
        "reporting.report_drafted",
        "reporting.draft_patient_changed",
    ]
    for revision in (None, seen.draft_revision):
        with pytest.raises(PatientUnconfirmed):
            service.sign(tx, RADIOLOGIST, draft.report_id, revision=revision, now=NOW)
    saved = service.redraft(tx, RADIOLOGIST, draft.report_id, "Normal!", now=NOW)
    assert saved.patient_unconfirmed, "writing on confirms nothing"
    with pytest.raises(DraftChanged):
        service.confirm_patient(
            tx, RADIOLOGIST, draft.report_id, revision=seen.draft_revision, now=NOW
        )
    service.confirm_patient(
        tx, RADIOLOGIST, draft.report_id, revision=saved.draft_revision, now=NOW
    )
    signed = service.sign(tx, RADIOLOGIST, draft.report_id, revision=saved.draft_revision, now=NOW)
    assert signed.version == 1
    with pytest.raises(ReportIsSigned):
        service.confirm_patient(
            tx, RADIOLOGIST, draft.report_id, revision=signed.draft_revision, now=NOW
        )


def test_a_draft_follows_the_undoing_as_well(tx):
    event = merged_into_another(tx)
    draft = service.draft(tx, RADIOLOGIST, "A1", "Normal.", now=NOW)
    assert draft.patient_key == event.patient_key
    [merge] = identity.merges(tx, PERSON, event.patient_key)
    identity.unmerge(tx, PERSON, merge.merge_key, now=NOW)
    undone = PatientUnmerged(event.patient_key, event.prior_key, [event.prior_key])
    with pytest.raises(PatientOfDraftChanged):
        service.sign(tx, RADIOLOGIST, draft.report_id, now=NOW)
    handlers.on_identity_changed(tx, undone, now=NOW)
    seen = service.report(tx, VIEWER, draft.report_id)
    assert (seen.patient_key, seen.draft_text) == (event.prior_key, "Normal.")
