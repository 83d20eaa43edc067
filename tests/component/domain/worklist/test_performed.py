"""What modalities say that they did, and what follows for schedule, order and worklist."""

from datetime import timedelta

import pytest

from isocenter.domain.access.model import Actor, NotAuthorized
from isocenter.domain.worklist import service
from isocenter.domain.worklist.model import (
    FinalAttributesMissing,
    FixedAttributesChanged,
    NothingDiscontinued,
    PerformedStatus,
    PerformedStepExists,
    PerformedStepFinal,
    PerformedStepUnknown,
    Reason,
    ScheduledReference,
    StepUpdate,
)
from tests.exam_story import (
    MODALITY,
    SYSTEM,
    WRONG_ENTRY,
    Department,
    a_patient,
    a_step_end,
    a_step_start,
    an_order,
)
from tests.image_builders import NOW, an_instance

DISCONTINUED = PerformedStatus.DISCONTINUED
STUDY = ScheduledReference("1.2.3", "A1", "RP1")


@pytest.fixture
def department(database) -> Department:
    found = Department(database)
    found.order(a_patient(), an_order(study_instance_uid="1.2.3"))
    found.drain()
    return found


def events(department, name):
    with department.database.transaction() as tx:
        return tx.values("select data from outbox.event where name = %s order by id", (name,))


def test_a_step_that_is_begun_and_completed_moves_the_exam_on(department):
    department.start(a_step_start("2.1", STUDY))
    assert department.statuses("A1") == ["in_progress", "STARTED"]
    department.update("2.1", a_step_end(series={"1.2.3.1": ["1.2.3.1.1"]}))
    department.drain()
    assert department.statuses("A1") == ["completed", "COMPLETED off"]
    told = events(department, "worklist.step_performed")
    assert [each["accession_numbers"] for each in told] == [["A1"], ["A1"]]
    assert len(events(department, "orders.order_completed")) == 1


def test_what_is_final_is_not_updated_and_what_is_unknown_neither(department):
    department.start(a_step_start("2.1", STUDY))
    with pytest.raises(PerformedStepExists):
        department.start(a_step_start("2.1", STUDY))
    with pytest.raises(PerformedStepUnknown):
        department.update("2.9", a_step_end())
    department.update("2.1", a_step_end(series={"1.2.3.1": ["1.2.3.1.1"]}))
    for said in (a_step_end(DISCONTINUED), StepUpdate(attributes={})):
        with pytest.raises(PerformedStepFinal):
            department.update("2.1", said)
    assert department.statuses("A1")[0] == "completed"


def test_an_end_without_series_or_time_is_refused(department):
    department.start(a_step_start("2.1", STUDY))
    with pytest.raises(FinalAttributesMissing) as refused:
        department.update("2.1", a_step_end())
    assert refused.value.tags == (0x00400340,)
    bare = StepUpdate(status=DISCONTINUED, attributes={})
    with pytest.raises(FinalAttributesMissing) as refused:
        department.update("2.1", bare)
    assert refused.value.tags == (0x00400250, 0x00400251)
    department.update("2.1", a_step_end(DISCONTINUED))


def test_what_is_fixed_at_creation_may_be_repeated_but_not_changed(department):
    department.start(a_step_start("2.1", STUDY))
    same = {"00400253": {"vr": "SH", "Value": ["PPS1"]}}
    department.update("2.1", StepUpdate(attributes=same))
    other = {"00400253": {"vr": "SH", "Value": ["PPS2"]}}
    with pytest.raises(FixedAttributesChanged) as refused:
        department.update("2.1", StepUpdate(attributes=other))
    assert refused.value.tags == (0x00400253,)


def test_a_discontinued_exam_leaves_the_worklist_and_waits_for_a_decision(department):
    department.start(a_step_start("2.1", STUDY))
    reason = Reason("110513", "DCM", "Discontinued for unspecified reason")
    department.update("2.1", a_step_end(DISCONTINUED, reason=reason))
    department.drain()
    assert department.statuses("A1") == ["in_progress", "DISCONTINUED off"]
    # Begun again (append case): the entry is there again until it is done.
    department.start(a_step_start("2.2", STUDY))
    department.drain()
    assert department.statuses("A1") == ["in_progress", "STARTED"]
    department.update("2.2", a_step_end(series={"1.2.3.1": ["1.2.3.1.1"]}))
    assert department.statuses("A1")[0] == "completed"


def test_what_was_discontinued_is_booked_again_by_a_person(department):
    with department.database.transaction() as tx, pytest.raises(NothingDiscontinued):
        service.book_again(tx, SYSTEM, "A1", now=NOW)
    department.start(a_step_start("2.1", STUDY))
    department.receive(an_instance(sop="1.2.3.1.1"))
    department.update("2.1", a_step_end(DISCONTINUED, series={"1.2.3.1": ["1.2.3.1.1"]}))
    department.drain()
    assert department.statuses("A1") == ["in_progress", "DISCONTINUED off"]
    with department.database.transaction() as tx:
        service.book_again(tx, SYSTEM, "A1", now=NOW)
    department.drain()
    # The images of the first attempt do not move it on.
    assert department.statuses("A1") == ["placed", "SCHEDULED"]
    department.start(a_step_start("2.2", STUDY))
    assert department.statuses("A1") == ["in_progress", "STARTED"]


def test_a_wrong_worklist_entry_gives_the_exam_back(department):
    department.start(a_step_start("2.1", STUDY))
    department.receive(an_instance(sop="1.2.3.1.1"))
    department.drain()
    assert department.statuses("A1") == ["in_progress", "STARTED"]
    department.update(
        "2.1", a_step_end(DISCONTINUED, reason=WRONG_ENTRY, series={"1.2.3.1": ["1.2.3.1.1"]})
    )
    department.drain()
    assert department.statuses("A1") == ["placed", "SCHEDULED"]
    with department.database.transaction() as tx:
        assert tx.values("select kind from reconcile.reconciliation_case where state = 'open'") == [
            "wrong_worklist_entry"
        ]
        assert tx.values("select study_instance_uid from reconcile.link") == []
    assert len(events(department, "orders.order_reopened")) == 1


def test_one_performed_step_may_be_for_several_exams(department):
    department.order(a_patient(), an_order("A2", study_instance_uid="1.2.4"))
    department.drain()
    other = ScheduledReference("1.2.4", "A2", "RP1")
    department.start(a_step_start("2.1", STUDY, other))
    assert [department.statuses(n)[1] for n in ("A1", "A2")] == ["STARTED", "STARTED"]
    department.update("2.1", a_step_end(series={"1.2.3.1": ["1.2.3.1.1"]}))
    assert [department.statuses(n)[0] for n in ("A1", "A2")] == ["completed", "completed"]


def test_an_unscheduled_step_is_kept_and_found_by_its_order_later(department):
    department.start(a_step_start("2.1", ScheduledReference("1.2.9")))
    department.update("2.1", a_step_end(series={"1.2.9.1": ["1.2.9.1.1"]}))
    department.drain()
    assert events(department, "worklist.step_performed")[0]["accession_numbers"] == []
    assert department.statuses("A1") == ["placed", "SCHEDULED"]
    department.order(a_patient(), an_order("A9", study_instance_uid="1.2.9"))
    department.drain()
    assert department.statuses("A9") == ["completed", "COMPLETED off"]


def test_a_typed_accession_number_alone_moves_nobody_elses_exam(department):
    department.start(a_step_start("2.1", ScheduledReference("1.2.9", "a1 ", "RP1")))
    assert department.statuses("A1") == ["placed", "SCHEDULED"]


def test_quiet_images_do_not_end_what_the_scanner_says_is_going_on(department):
    department.start(a_step_start("2.1", STUDY))
    department.receive(an_instance(sop="1.2.3.1.1"))
    department.advance(hours=1)
    department.complete_studies()
    department.drain()
    assert department.statuses("A1") == ["in_progress", "STARTED"]
    with department.database.transaction() as tx:
        since = NOW - timedelta(hours=1)
        assert service.studies_in_progress(tx, since=since) == ["1.2.3"]
        assert service.studies_in_progress(tx, since=NOW) == []


def test_a_study_is_complete_once_all_is_here_that_the_scanner_made(department):
    department.start(a_step_start("2.1", STUDY))
    department.receive(an_instance(sop="1.2.3.1.1"))
    department.update("2.1", a_step_end(series={"1.2.3.1": ["1.2.3.1.1", "1.2.3.1.2"]}))
    department.drain()
    assert events(department, "archive.study_completed") == []
    department.receive(an_instance(sop="1.2.3.1.2"))
    department.drain()
    assert len(events(department, "archive.study_completed")) == 1


def test_a_step_for_a_cancelled_order_is_kept_and_moves_nothing(department):
    department.cancel("A1")
    department.start(a_step_start("2.1", STUDY))
    department.drain()
    assert department.statuses("A1") == ["cancelled", "CANCELLED off"]


def test_who_may_not_is_refused(department):
    stranger = Actor.dicom_peer("x", "10.0.0.2", ["store"])
    with department.database.transaction() as tx, pytest.raises(NotAuthorized):
        service.start(tx, stranger, a_step_start("2.1", STUDY), now=NOW)
    with department.database.transaction() as tx:
        assert (
            tx.values("select action from audit.record where object_type = 'performed_step'") == []
        )
    department.start(a_step_start("2.1", STUDY))
    with department.database.transaction() as tx:
        assert service.performed_step(tx, MODALITY, "2.1", now=NOW).modality == "CT"
        assert tx.values(
            "select action from audit.record where object_type = 'performed_step' order by 1"
        ) == ["performed_step.read", "performed_step.start"]
