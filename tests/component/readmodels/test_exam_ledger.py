"""The ledger of exams that real services made, hop by hop."""

from datetime import timedelta

import pytest

from isocenter.domain.access.model import Action, Role, Viewer
from isocenter.domain.distribution import service as distribution
from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.monitoring.model import expectations_from
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reporting import service as reporting
from isocenter.domain.worklist import service as worklist
from isocenter.readmodels import exam_ledger, reading_list, reconciliation, report_content
from isocenter.readmodels.exam_ledger import ExamQuery
from tests.exam_story import MODALITY, SYSTEM, Department, a_patient, a_user, an_order
from tests.image_builders import NOW, an_instance

RADIOLOGIST = a_user(Role.RADIOLOGIST)
TECHNOLOGIST = a_user(Role.TECHNOLOGIST)
STUDIES = Viewer.of(SYSTEM, Action.STUDY_READ)
REPORTS = Viewer.of(SYSTEM, Action.REPORT_READ)


@pytest.fixture
def department(database) -> Department:
    made = Department(database)
    with database.transaction() as tx:
        peer = Hl7Peer(name="EHR", host="10.0.0.9", port=2575, send=frozenset({"oru"}))
        peers.add_hl7_peer(tx, SYSTEM, peer, now=NOW)
    return made


def ledger(department: Department, accession_number: str = "A1", **expectations: float):
    with department.database.read() as tx:
        found = exam_ledger.exam(
            tx,
            department.viewer,
            accession_number,
            now=department.now,
            expectations=expectations_from(expectations),
        )
    assert found is not None
    return found


def hop(found, name: str):
    return next(each for each in found.hops if each.name == name)


def stuck(department: Department, **expectations: float) -> list[tuple[str, str, str]]:
    with department.database.read() as tx:
        found = exam_ledger.stuck(
            tx,
            department.viewer,
            now=department.now,
            expectations=expectations_from(expectations),
        )
    return [
        (each.accession_number, each.stuck_at.name.value, each.stuck_at.reason)
        for each in found
        if each.stuck_at
    ]


def query_worklist(department: Department, accession_number: str) -> None:
    with department.database.transaction() as tx:
        keys = tx.values(
            "select step_key from scheduling.scheduled_procedure_step where accession_number = %s",
            (accession_number,),
        )
        given = dict.fromkeys(keys, accession_number)
        worklist.record_query(tx, MODALITY, given, calling_ae_title="CT1", now=department.now)


def sign(department: Department, text: str = "No abnormality.") -> str:
    with department.database.transaction() as tx:
        report = reporting.draft(tx, RADIOLOGIST, "A1", text, now=department.now)
        reporting.sign(tx, RADIOLOGIST, report.report_id, now=department.now)
    department.drain()
    return report.report_id


def claim(department: Department):
    with department.database.transaction() as tx:
        claimed = distribution.claim(tx, "EHR", lease_s=30, now=department.now)
        assert claimed is not None
        return distribution.set_message(tx, claimed, control_id="M1", message=b"MSH|")


def to_the_reading_list(department: Department) -> None:
    department.order(a_patient(), an_order())
    department.drain()
    department.advance(minutes=1)
    query_worklist(department, "A1")
    department.advance(minutes=1)
    department.receive(an_instance(), an_instance())
    department.drain()
    department.advance(minutes=2)
    department.complete_studies()
    department.drain()


def test_a_whole_exam(department):
    department.order(a_patient(), an_order(priority="STAT"))
    assert ledger(department).state == "scheduled"
    department.drain()
    department.advance(minutes=1)
    query_worklist(department, "A1")
    query_worklist(department, "A1")
    department.advance(minutes=1)
    department.receive(an_instance(), an_instance())
    department.drain()
    assert ledger(department).state == "in_progress"
    department.advance(minutes=2)
    department.complete_studies()
    department.drain()
    assert ledger(department).state == "to_read"
    with department.database.read() as tx:
        items = reading_list.reading_list(tx, STUDIES)
        assert [(e.accession_number, e.number_of_instances) for e in items] == [("A1", 2)]
        assert reading_list.reading_list(tx, STUDIES, modality="MR") == []
    department.advance(minutes=5)
    report_id = sign(department)
    assert ledger(department).state == "signed"
    with department.database.read() as tx:
        assert reading_list.reading_list(tx, STUDIES) == []
    department.advance(seconds=5)
    claimed = claim(department)
    with department.database.transaction() as tx:
        distribution.mark_sent(tx, claimed, now=department.now)
    department.advance(seconds=5)
    with department.database.transaction() as tx:
        distribution.acknowledge(tx, claimed, acknowledgement=b"MSA|AA|M1", now=department.now)
    found = ledger(department)
    assert found.state == "delivered"
    assert [each.state for each in found.hops] == ["done"] * 13
    # Matching does not wait until the images are complete.
    times = [each.at for each in found.hops if each.name != "reconciled"]
    assert times == sorted(times)
    assert times[-1] - times[0] == timedelta(minutes=9, seconds=10)
    assert hop(found, "reconciled").at == hop(found, "images_received").at
    assert (hop(found, "queried").count, hop(found, "images_received").count) == (2, 2)
    assert [each.method for each in found.studies] == ["accession_number_and_patient"]
    assert [(each.recipient, each.state) for each in found.deliveries] == [("EHR", "acknowledged")]
    assert (found.late, found.needs_person, found.priority) == (False, False, "STAT")
    with department.database.read() as tx:
        content = report_content.for_delivery(tx, REPORTS, report_id, 1)
    assert content is not None
    assert content.signed.text == "No abnormality."
    assert content.placer_order_number == "PL-A1"
    assert [each.value for each in content.identifiers] == ["P-1"]
    assert content.study_instance_uids == ["1.2.3"]
    assert content.procedures[0].modality == "CT"
    assert stuck(department) == []


def test_no_images_after_the_scheduled_start(department):
    department.order(a_patient(), an_order(start_at=NOW + timedelta(hours=1)))
    department.drain()
    query_worklist(department, "A1")
    department.advance(hours=2, minutes=59)
    assert hop(ledger(department), "images_received").state == "waiting"
    assert stuck(department) == []
    department.advance(minutes=11)
    reason = "No images 2 h 10 min after the scheduled start."
    found = hop(ledger(department), "images_received")
    assert (found.state, found.late, found.reason) == ("late", True, reason)
    assert found.since == NOW + timedelta(hours=3)
    assert stuck(department) == [("A1", "images_received", reason)]


def test_expectations_can_be_set_and_urgent_exams_have_less_time(department):
    department.order(a_patient(), an_order("A1"))
    department.order(a_patient(), an_order("A2", priority="STAT"))
    department.drain()
    department.advance(minutes=65)
    assert [each[:2] for each in stuck(department)] == [("A2", "queried"), ("A1", "queried")]
    assert stuck(department, queried=7200, images_received=7200) == []
    assert hop(ledger(department, images_received=60), "images_received").late


def test_an_exam_that_never_came_onto_the_worklist(department):
    department.order(a_patient(), an_order(start_at=NOW + timedelta(days=2)))
    department.advance(minutes=3)  # the reaction did not run
    text = "Not on the scanners' worklist 3 min after it was scheduled."
    assert stuck(department) == [("A1", "on_worklist", text)]


def test_no_report(department):
    to_the_reading_list(department)
    department.advance(hours=25)
    text = "No signed report 1 d 1 h after the exam came onto the reading list."
    assert stuck(department) == [("A1", "signed", text)]


def test_images_that_do_not_end(department):
    department.order(a_patient(), an_order())
    department.receive(an_instance())
    department.drain()
    department.advance(minutes=31)
    assert [each[1] for each in stuck(department)] == ["complete"]


def test_a_recipient_that_is_away_then_refuses(department):
    to_the_reading_list(department)
    sign(department)
    claimed = claim(department)
    with department.database.transaction() as tx:
        due_at = department.now + timedelta(seconds=30)
        distribution.retry_later(
            tx, claimed, reason="connection refused", due_at=due_at, now=department.now
        )
    department.advance(minutes=12)
    text = "The report could not be sent to EHR for 12 min: connection refused"
    assert stuck(department) == [("A1", "sent", text)]
    claimed = claim(department)
    with department.database.transaction() as tx:
        distribution.mark_sent(tx, claimed, now=department.now)
    department.advance(minutes=3)
    assert stuck(department)[0][1:] == (
        "acknowledged",
        "The report is not acknowledged by EHR for 3 min: connection refused",
    )
    with department.database.transaction() as tx:
        distribution.refuse(
            tx, claimed, reason="AR: unknown patient", acknowledgement=b"MSA|AR", now=department.now
        )
    found = ledger(department)
    assert (found.state, found.needs_person) == ("signed", True)
    assert hop(found, "acknowledged").state == "failed"
    assert stuck(department)[0][2] == "EHR refused the report: AR: unknown patient"


def test_a_paused_destination_says_who_paused_it(department):
    to_the_reading_list(department)
    sign(department)
    with department.database.transaction() as tx:
        distribution.pause(tx, SYSTEM, "EHR", reason="maintenance", now=department.now)
    department.advance(minutes=12)
    assert stuck(department) == [("A1", "sent", "Sending to EHR is paused by test.")]


def test_without_recipients_nothing_is_awaited(database):
    department = Department(database)
    to_the_reading_list(department)
    sign(department)
    department.advance(days=2)
    found = ledger(department)
    assert [each.state for each in found.hops[-2:]] == ["not_applicable"] * 2
    assert (found.state, stuck(department)) == ("signed", [])


def test_a_cancelled_exam_is_over(department):
    department.order(a_patient(), an_order())
    department.cancel("A1")
    department.drain()
    department.advance(days=1)
    found = ledger(department)
    assert found.state == "cancelled"
    assert hop(found, "images_received").reason == "The order was cancelled."
    assert stuck(department) == []


def test_images_for_a_cancelled_order_need_a_person_once(department):
    department.order(a_patient(), an_order())
    department.cancel("A1")
    department.receive(an_instance())
    department.drain()
    found = ledger(department)
    reason = "Images came for order A1, which was cancelled."
    assert (found.state, found.needs_person_reason) == ("needs_reconciliation", reason)
    with department.database.transaction() as tx:
        case = reconciliation.open_cases(tx, STUDIES)[0]
        assert (case.kind, case.linked_accession_number) == ("order_cancelled", "A1")
        reconcile.dismiss_case(tx, TECHNOLOGIST, case.case_key, reason="seen", now=department.now)
    department.receive(an_instance())
    department.drain()
    assert ledger(department).state == "cancelled"


def test_a_mistyped_accession_number_is_matched_by_a_person_and_can_be_undone(department):
    department.order(a_patient(), an_order("A1"))
    department.receive(an_instance(accession_number="A7"))
    department.drain()
    orphan = ledger(department, "A7")
    assert orphan.study_instance_uid == "1.2.3"
    assert orphan.state == "needs_reconciliation"
    reason = "No order has accession number A7, which the images carry."
    assert orphan.needs_person_reason == reason
    assert hop(orphan, "ordered").state == "not_applicable"
    assert stuck(department) == [("A7", "reconciled", reason)]
    with department.database.transaction() as tx:
        (case,) = reconciliation.open_cases(tx, STUDIES)
        (proposal,) = reconcile.proposals(tx, STUDIES, case.study_instance_uid)
        assert proposal.order.accession_number == "A1"
        assert proposal.score.agreeing >= {"patient_id", "modality"}
        link = reconcile.match_by_person(
            tx, TECHNOLOGIST, "1.2.3", "A1", reason="typing error", now=department.now
        )
        assert (link.method, link.reason) == ("person", "typing error")
    department.drain()
    assert ledger(department).state == "in_progress"
    assert stuck(department) == []
    with department.database.transaction() as tx:
        reconcile.undo_match(tx, TECHNOLOGIST, "1.2.3", reason="wrong", now=department.now)
    department.drain()
    assert ledger(department, "A7").needs_person
    assert not ledger(department).needs_person


def test_images_of_another_patient_are_not_linked(department):
    department.order(a_patient(), an_order())
    department.receive(an_instance(patient_id="P-9", patient_name="Phantom^Bob"))
    department.drain()
    found = ledger(department)
    assert found.state == "needs_reconciliation"
    assert found.needs_person_reason == (
        "Order A1 fits, but patient ID P-9 in the images is not known for the order's patient."
    )
    assert found.studies[0].method is None
    # Once the two are known to be the same person, nobody is needed any more.
    department.merge(a_patient(asserted_at=department.now), "P-9")
    department.drain()
    assert ledger(department).state == "in_progress"


def test_search(department):
    for number in range(1, 8):
        department.order(a_patient(f"P-{number}"), an_order(f"A{number}"))
        department.advance(seconds=1)
    department.cancel("A3")
    department.receive(an_instance(study="1.5", series="1.5.1", accession_number="X1"))
    department.drain()

    def numbers(**query) -> list[str]:
        with department.database.read() as tx:
            page = exam_ledger.search(tx, department.viewer, ExamQuery(**query), now=department.now)
        return [each.accession_number for each in page.exams]

    everything = ["X1", "A7", "A6", "A5", "A4", "A3", "A2", "A1"]
    assert numbers() == everything
    assert numbers(state="cancelled") == ["A3"]
    assert numbers(state="scheduled") == ["A7", "A6", "A5", "A4", "A2", "A1"]
    assert numbers(state="needs_reconciliation") == ["X1"]
    assert numbers(state="no such state") == []
    assert numbers(accession_number=" a5") == ["A5"]
    assert numbers(patient_id="P-2") == ["A2"]
    assert numbers(text="a4") == ["A4"]
    assert numbers(text="phantom") == everything
    assert numbers(text="%") == []
    paged: list[str] = []
    after = None
    while True:
        with department.database.read() as tx:
            query = ExamQuery(limit=3, after=after)
            page = exam_ledger.search(tx, department.viewer, query, now=department.now)
        paged += [each.accession_number for each in page.exams]
        after = page.after
        if after is None:
            break
    assert paged == everything


def test_alarms_begin_once_and_end_once(department):
    department.order(a_patient(), an_order())
    department.drain()

    def settle() -> tuple[int, int]:
        with department.database.transaction() as tx:
            late = exam_ledger.late_hops(tx, department.viewer, now=department.now)
            return monitoring.settle_alarms(tx, late, now=department.now)

    assert settle() == (0, 0)
    department.advance(hours=3)
    assert settle() == (2, 0)  # no query, no images
    department.advance(minutes=1)
    assert settle() == (0, 0)
    department.receive(an_instance())
    department.drain()
    assert settle() == (0, 2)
    with department.database.transaction() as tx:
        names = tx.values(
            "select name from outbox.event where name like 'monitoring.%%' order by id"
        )
    assert names == ["monitoring.alarm_raised"] * 2 + ["monitoring.alarm_cleared"] * 2
