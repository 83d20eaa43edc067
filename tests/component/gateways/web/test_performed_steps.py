"""What scanners did, as the API and the exam's page show it."""

from isocenter.domain.access.model import Actor
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model import PerformedStatus, Reason, ScheduledReference
from tests.exam_story import a_step_end, a_step_start

CT = Actor.dicom_peer("ct1", "10.0.0.1", ["mpps"])


def test_a_discontinued_exam_is_seen_and_booked_again(hospital):
    number = hospital.order(1)
    program, browser = hospital.program("tom"), hospital.browser("tom")
    with hospital.database.transaction() as tx:
        study = tx.value("select study_instance_uid from orders.requested_procedure")
        meant = ScheduledReference(study, number)
        now = hospital.clock()
        worklist.start(tx, CT, a_step_start("2.1", meant, at=now), now=now)
        worklist.start(tx, CT, a_step_start("2.2", ScheduledReference("1.2.9"), at=now), now=now)
        reason = Reason("110501", "DCM", "Equipment failure")
        said = a_step_end(PerformedStatus.DISCONTINUED, at=now, reason=reason)
        worklist.update(tx, CT, "2.1", said, now=now)
    hospital.dispatcher.run_once()
    answer = program.get(f"/api/exams/{number}").json()
    assert answer["needs_person"]
    (step,) = answer["performed_steps"]
    assert (step["status"], step["discontinuation_reason"]) == ("DISCONTINUED", "Equipment failure")
    page = browser.get(f"/exams/{number}").text
    assert "CT1 discontinued the exam: Equipment failure." in page
    assert "Book it again" in page
    listed = program.get("/api/performed-steps").json()["items"]
    assert [each["accession_numbers"] for each in listed] == [[], [number]]
    unscheduled = program.get("/api/performed-steps", params={"unscheduled": True}).json()["items"]
    assert [each["sop_instance_uid"] for each in unscheduled] == ["2.2"]

    answer = browser.post("/exams/book-again", data={"accession_number": number})
    assert answer.headers["location"] == f"/exams/{number}?done=booked_again"
    assert program.get(f"/api/exams/{number}").json()["state"] == "scheduled"
    assert program.post(f"/api/exams/{number}/book-again").status_code == 409
    assert hospital.program("ada").post(f"/api/exams/{number}/book-again").status_code == 403
    assert hospital.audited("schedule.book_again") == [("tom", number, None)]
