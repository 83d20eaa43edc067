"""What the ledger of an exam shows of what modalities say that they did."""

import pytest

from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model import PerformedStatus, Reason, ScheduledReference
from isocenter.readmodels import reading_list
from isocenter.readmodels.performed_steps import StepQuery, performed_steps
from tests.component.readmodels.test_exam_ledger import STUDIES, hop, ledger, stuck
from tests.exam_story import (
    SYSTEM,
    WRONG_ENTRY,
    Department,
    a_patient,
    a_step_end,
    a_step_start,
    an_order,
)
from tests.image_builders import NOW, an_instance

STUDY = ScheduledReference("1.2.3", "A1", "RP1")
MADE = {"1.2.3.1": ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]}
DISCONTINUED = PerformedStatus.DISCONTINUED


@pytest.fixture
def department(database) -> Department:
    made = Department(database)
    made.order(a_patient(), an_order(study_instance_uid="1.2.3"))
    made.drain()
    return made


def receive(department, *numbers):
    department.receive(*(an_instance(sop=f"1.2.3.1.{number}") for number in numbers))
    department.drain()


def test_started_and_complete_are_what_the_scanner_says(department):
    department.advance(minutes=10)
    department.start(a_step_start("2.1", STUDY, at=NOW))
    found = ledger(department)
    assert (found.state, hop(found, "started").at) == ("in_progress", NOW)
    receive(department, 1, 2, 3)
    assert hop(ledger(department), "complete").state == "waiting"
    department.update("2.1", a_step_end(at=department.now, series=MADE))
    department.drain()
    found = ledger(department)
    assert hop(found, "complete").at == department.now
    # No quiet time is waited for: all is here that was made.
    assert found.state == "to_read"
    with department.database.read() as tx:
        assert [each.accession_number for each in reading_list.reading_list(tx, STUDIES)] == ["A1"]
    (step,) = found.performed_steps
    assert (step.status, step.performed_station_ae_title) == ("COMPLETED", "CT1")
    assert (step.expected, step.received) == (3, 3)


def test_images_that_are_missing_are_late_and_counted(department):
    department.start(a_step_start("2.1", STUDY))
    receive(department, 1, 2)
    department.update("2.1", a_step_end(series=MADE))
    department.drain()
    received = hop(ledger(department), "images_received")
    assert (received.state, received.reason) == (
        "done",
        "2 of 3 images that CT1 made have arrived.",
    )
    department.advance(hours=1)
    department.complete_studies()
    department.drain()
    found = ledger(department)
    assert hop(found, "images_received").state == "late"
    assert hop(found, "complete").state == "waiting"
    assert stuck(department) == [
        ("A1", "images_received", "2 of 3 images that CT1 made have arrived.")
    ]
    receive(department, 3)
    assert stuck(department) == []
    assert hop(ledger(department), "complete").at == NOW


def test_a_scanner_that_falls_silent_is_late(department):
    department.start(a_step_start("2.1", STUDY))
    receive(department, 1)
    department.advance(hours=1)
    assert stuck(department) == [
        ("A1", "complete", "Nothing from CT1 for 1 h, not even that it has ended.")
    ]


def test_a_discontinued_exam_needs_a_person(department):
    department.start(a_step_start("2.1", STUDY))
    reason = Reason("110501", "DCM", "Equipment failure")
    department.update("2.1", a_step_end(DISCONTINUED, reason=reason))
    department.drain()
    text = "CT1 discontinued the exam: Equipment failure. Book it again or cancel the order."
    assert stuck(department) == [("A1", "complete", text)]
    assert ledger(department).needs_person_reason == text
    with department.database.transaction() as tx:
        worklist.book_again(tx, SYSTEM, "A1", now=NOW)
    assert stuck(department) == []
    found = ledger(department)
    assert (found.state, hop(found, "started").state) == ("scheduled", "waiting")


def test_a_wrong_entry_is_remarked_and_the_exam_goes_on(department):
    department.start(a_step_start("2.1", STUDY))
    department.update("2.1", a_step_end(DISCONTINUED, reason=WRONG_ENTRY))
    department.drain()
    found = ledger(department)
    assert found.state == "scheduled"
    assert (
        hop(found, "started").reason == "CT1 took this worklist entry by mistake and gave it back."
    )
    assert [each.discontinuation_reason for each in found.performed_steps] == [WRONG_ENTRY.meaning]


def test_exams_made_together_share_their_images(department):
    department.order(a_patient(), an_order("A2", study_instance_uid="1.2.4"))
    department.drain()
    department.start(a_step_start("2.1", STUDY, ScheduledReference("1.2.4", "A2", "RP1")))
    receive(department, 1, 2, 3)
    department.update("2.1", a_step_end(series=MADE))
    department.drain()
    received = hop(ledger(department, "A2"), "images_received")
    assert (received.state, received.reason) == (
        "not_applicable",
        "Made together with A1, whose images they are.",
    )
    assert hop(ledger(department, "A2"), "complete").at == NOW
    department.advance(hours=5)
    assert stuck(department, signed=10**7) == []


def test_an_unscheduled_study_shows_what_its_scanner_did(department):
    department.start(a_step_start("2.1", ScheduledReference("1.2.9")))
    department.receive(an_instance(study="1.2.9", accession_number="X9"))
    department.drain()
    found = ledger(department, "X9")
    assert hop(found, "started").at == NOW
    assert [each.status for each in found.performed_steps] == ["IN PROGRESS"]


def test_all_steps_are_listed_and_the_unscheduled_ones_found(department):
    department.start(a_step_start("2.1", STUDY))
    department.start(a_step_start("2.2", ScheduledReference("1.2.9", "TYPED")))
    listed = steps(department)
    assert [(each.sop_instance_uid, each.accession_numbers) for each in listed] == [
        ("2.2", []),
        ("2.1", ["A1"]),
    ]
    assert listed[0].asserted_accession_numbers == ["TYPED"]
    assert [each.sop_instance_uid for each in steps(department, unscheduled=True)] == ["2.2"]
    assert steps(department, status="COMPLETED") == []
    assert steps(department, before=listed[1].performed_key) == []


def steps(department, **wanted):
    with department.database.read() as tx:
        return performed_steps(tx, department.viewer, StepQuery(**wanted))
