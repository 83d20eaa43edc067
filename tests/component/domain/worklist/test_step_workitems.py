"""Steps of orders as workitems: they follow the exam, and the exam whoever claims one."""

from datetime import timedelta

import pytest

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Actor
from isocenter.domain.orders.model import OrderReference
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model import PerformedStatus, ScheduledReference
from isocenter.domain.worklist.model_workitems import Channel, Subscriber, SubscriptionRequest
from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom.json_model import from_json
from isocenter.standards.dicom.unified_procedure_step import State
from isocenter.standards.dicom.values import DataSet
from tests.component.readmodels.test_exam_ledger import ledger, stuck
from tests.exam_story import (
    EHR,
    SYSTEM,
    WRONG_ENTRY,
    Department,
    a_patient,
    a_step_end,
    a_step_start,
    an_order,
)

PERFORMER = Actor.dicom_peer("ct7", "192.0.2.47", ["ups"])
STUDY = ScheduledReference("1.2.3", "A1", "RP1")
LOCK = "1.2.99.7"
REFERENCE = OrderReference(accession_number="A1")


class Hospital(Department):
    """Every reaction as the worker has it."""

    def __post_init__(self) -> None:
        self.router = router(order_workitems=True, ae_title="ISOCENTER")
        self.database.router = self.router

    def place(self, **said) -> None:
        self.order(a_patient(), an_order(study_instance_uid="1.2.3", **said))
        self.drain()

    def steps(self, accession_number: str = "A1") -> list[DataSet]:
        """The workitems of an exam, oldest first."""
        with self.database.transaction() as tx:
            return [
                from_json(each)
                for each in tx.values(
                    "select attributes from worklist.workitem"
                    "  join scheduling.scheduled_procedure_step using (step_key)"
                    " where accession_number = %s order by workitem_key",
                    (accession_number,),
                )
            ]

    def states(self) -> list[str]:
        return [each.text(ups.STATE) for each in self.steps()]

    def uid(self) -> str:
        return self.steps()[-1].text(ups.SOP_INSTANCE_UID)

    def change(self, state: State, uid: str = "") -> None:
        with self.database.transaction() as tx:
            worklist.change_workitem_state(
                tx, PERFORMER, uid or self.uid(), state, transaction_uid=LOCK, now=self.now
            )
        self.drain()

    def set(self, **said) -> None:
        changes = DataSet()
        for keyword, value in said.items():
            changes.put(keyword, value)
        changes.put(ups.TRANSACTION_UID, LOCK)
        with self.database.transaction() as tx:
            worklist.update_workitem(tx, PERFORMER, self.uid(), changes, now=self.now)

    def do(self, verb, *args) -> None:
        with self.database.transaction() as tx:
            verb(tx, EHR, *args, now=self.now)
        self.drain()

    def listen(self, ae_title: str = "VIEWER", keys: DataSet | None = None) -> None:
        wanted = SubscriptionRequest(
            ups.FILTERED_GLOBAL_SUBSCRIPTION if keys else ups.GLOBAL_SUBSCRIPTION,
            Subscriber(ae_title, Channel.WEB),
            deletion_lock=False,
            keys=keys,
        )
        with self.database.transaction() as tx:
            worklist.subscribe(tx, PERFORMER, wanted, now=self.now)

    def heard(self) -> list[tuple[int, str]]:
        """Event type and state of what the subscriber is told."""
        with self.database.transaction() as tx:
            found = tx.values(
                "select data from outbox.event where name = 'worklist.workitem_announced'"
                " order by id"
            )
        return [
            (each["event_type_id"], from_json(each["information"]).text(ups.STATE))
            for each in found
        ]


def a_code(value: str, scheme: str = "99TEST") -> DataSet:
    code = DataSet()
    code.put("CodeValue", value)
    code.put("CodingSchemeDesignator", scheme)
    code.put("CodeMeaning", value)
    return code


def performed() -> DataSet:
    """What completion needs."""
    item = DataSet()
    item.put("PerformedStationNameCodeSequence", a_code("CT7"))
    item.put("PerformedWorkitemCodeSequence", a_code("HEAD"))
    item.put("PerformedProcedureStepStartDateTime", "20260302120000+0000")
    item.put("PerformedProcedureStepEndDateTime", "20260302121000+0000")
    item.put("OutputInformationSequence")
    return item


def canceled_for(code: str) -> DataSet:
    item = DataSet()
    item.put("ProcedureStepDiscontinuationReasonCodeSequence", a_code(code, "DCM"))
    return item


@pytest.fixture
def hospital(database) -> Hospital:
    return Hospital(database)


def test_a_step_that_is_ordered_is_a_workitem_that_says_what_the_order_says(hospital):
    hospital.place(priority="STAT", reason_for_study="fell", admission_id="V7", allergies="nuts")
    (step,) = hospital.steps()
    assert ups.creation_fault(step) is None
    assert {
        keyword: step.text(tag)
        for keyword, tag in (
            ("state", ups.STATE),
            ("priority", ups.PRIORITY),
            ("label", ups.LABEL),
            ("worklist", ups.WORKLIST_LABEL),
            ("patient", ups.PATIENT_ID),
            ("name", ups.PATIENT_NAME),
            ("study", ups.STUDY_INSTANCE_UID),
            ("admission", 0x00380010),
            ("allergies", 0x00102110),
        )
    } == {
        "state": "SCHEDULED",
        "priority": "HIGH",
        "label": "CT head",
        "worklist": "Examinations",
        "patient": "P-1",
        "name": "Phantom^Ada",
        "study": "1.2.3",
        "admission": "V7",
        "allergies": "nuts",
    }
    assert step.item(ups.STATION_NAMES).text(0x00080100) == "CT1"
    assert step.item(0x00404026).text(0x00080104) == "Computed Tomography"
    request = step.item(0x0040A370)
    assert (request.text(0x00080050), request.text(0x00401001)) == ("A1", "RP1")
    assert (request.text(0x00402016), request.text(0x00401002)) == ("PL-A1", "fell")

    # What is said of order and patient later is said of the workitem.
    hospital.now += timedelta(minutes=1)
    revised = an_order(
        study_instance_uid="1.2.3",
        asserted_at=hospital.now,
        priority="ROUTINE",
        start_at=hospital.now + timedelta(hours=2),
    )
    hospital.do(scheduling.revise_order, a_patient(), revised)
    renamed = a_patient(asserted_at=hospital.now, person_name="Phantom^Ada^Maria")
    hospital.register(renamed)
    hospital.drain()
    (again,) = hospital.steps()
    assert again.text(ups.SOP_INSTANCE_UID) == step.text(ups.SOP_INSTANCE_UID)
    assert (again.text(ups.PRIORITY), again.text(ups.PATIENT_NAME)) == (
        "MEDIUM",
        "Phantom^Ada^Maria",
    )
    assert again.text(ups.START) > step.text(ups.START)
    hospital.merge(a_patient("P-2", asserted_at=hospital.now), "P-1")
    hospital.drain()
    assert hospital.steps()[0].text(ups.PATIENT_ID) == "P-2"


def test_a_cancelled_order_cancels_it_and_subscribers_are_told(hospital):
    hospital.listen()
    hospital.place()
    hospital.cancel("A1")
    hospital.drain()
    assert hospital.states() == ["CANCELED"]
    assert hospital.heard() == [
        (1, "SCHEDULED"),
        (5, ""),  # assigned to its station
        (1, "IN PROGRESS"),
        (1, "CANCELED"),
    ]
    progress = hospital.steps()[0].item(ups.PROGRESS_INFORMATION)
    assert progress.item(ups.DISCONTINUATION_REASON).text(0x00080100) == "110513"


def test_an_order_on_hold_is_no_work_until_it_is_released(hospital):
    hospital.place()
    hospital.do(scheduling.hold_order, REFERENCE)
    assert hospital.states() == ["CANCELED"]
    hospital.do(scheduling.release_order, REFERENCE)
    assert hospital.states() == ["CANCELED", "SCHEDULED"]


def test_it_follows_what_the_modality_says_with_performed_steps(hospital):
    hospital.place()
    hospital.start(a_step_start("2.1", STUDY))
    hospital.drain()
    assert hospital.states() == ["IN PROGRESS"]
    hospital.now += timedelta(minutes=9)
    hospital.update("2.1", a_step_end(at=hospital.now, series={"1.2.3.1": ["1.2.3.1.1"]}))
    hospital.drain()
    (step,) = hospital.steps()
    assert step.text(ups.STATE) == "COMPLETED"
    done = step.item(ups.PERFORMED_PROCEDURE)
    assert done.item(0x00404028).text(0x00080100) == "CT1"
    assert done.text(0x00404050) < done.text(0x00404051)
    assert ups.missing_at_end(step, State.COMPLETED) == ()


def test_what_was_taken_by_mistake_waits_again_as_another_workitem(hospital):
    hospital.place()
    hospital.start(a_step_start("2.1", STUDY))
    hospital.update(
        "2.1",
        a_step_end(PerformedStatus.DISCONTINUED, reason=WRONG_ENTRY, series={"1.2.3.1": ["1"]}),
    )
    hospital.drain()
    assert hospital.states()[-1] == "SCHEDULED"
    assert hospital.statuses("A1") == ["placed", "SCHEDULED"]
    # The same with a claim instead of a performed step.
    hospital.change(State.IN_PROGRESS)
    assert hospital.statuses("A1")[1].startswith("STARTED")
    hospital.set(ProcedureStepProgressInformationSequence=canceled_for("110514"))
    hospital.change(State.CANCELED)
    assert hospital.states()[-2:] == ["CANCELED", "SCHEDULED"]
    assert hospital.statuses("A1") == ["placed", "SCHEDULED"]


def test_whoever_claims_and_completes_it_moves_the_exam_on(hospital):
    hospital.place()
    uid = hospital.uid()
    hospital.change(State.IN_PROGRESS)
    assert hospital.statuses("A1") == ["in_progress", "STARTED"]
    # It is the performer's now: what is said of the order does not touch it.
    hospital.now += timedelta(minutes=1)
    hospital.do(
        scheduling.revise_order,
        a_patient(),
        an_order(study_instance_uid="1.2.3", asserted_at=hospital.now, reason_for_study="fell"),
    )
    hospital.set(UnifiedProcedureStepPerformedProcedureSequence=performed())
    hospital.change(State.COMPLETED)
    assert hospital.statuses("A1") == ["completed", "COMPLETED off"]
    assert (hospital.states(), hospital.uid()) == (["COMPLETED"], uid)


def test_what_its_performer_cancels_waits_for_a_decision(hospital):
    hospital.place()
    hospital.change(State.IN_PROGRESS)
    hospital.set(ProcedureStepProgressInformationSequence=canceled_for("110501"))
    hospital.change(State.CANCELED)
    assert hospital.statuses("A1") == ["in_progress", "DISCONTINUED off"]
    assert hospital.states() == ["CANCELED"]
    text = "ct7 canceled the claimed workitem: 110501. Book it again or cancel the order."
    assert stuck(hospital) == [("A1", "complete", text)]
    assert ledger(hospital).needs_person_reason == text
    with hospital.database.transaction() as tx:
        worklist.book_again(tx, SYSTEM, "A1", now=hospital.now)
    assert stuck(hospital) == []
    hospital.drain()
    assert hospital.states() == ["CANCELED", "SCHEDULED"]
    assert hospital.statuses("A1") == ["placed", "SCHEDULED"]


def test_the_performer_is_asked_to_stop_when_the_order_ends(hospital):
    hospital.listen()
    hospital.place()
    hospital.change(State.IN_PROGRESS)
    hospital.do(scheduling.discontinue_order, REFERENCE)
    assert hospital.heard()[-1][0] == 2
    assert hospital.states() == ["IN PROGRESS"]


def test_orders_that_come_together_become_workitems_and_each_is_told_to_whom_it_fits(hospital):
    keys = DataSet()
    keys.put(ups.PATIENT_ID, "P-2")
    hospital.place()
    hospital.listen()
    hospital.listen("DESK", keys)
    for patient, number in (("P-2", "A2"), ("P-3", "A3")):
        hospital.order(a_patient(patient), an_order(number))
    hospital.cancel("A1")
    hospital.drain()
    uids = {
        number: step.text(ups.SOP_INSTANCE_UID)
        for number in ("A1", "A2", "A3")
        for step in hospital.steps(number)
    }
    with hospital.database.transaction() as tx:
        told = tx.values(
            "select data from outbox.event where name = 'worklist.workitem_announced' order by id"
        )
        recorded = tx.values(
            "select patient_id from audit.record where action = 'workitem.create'"
            " order by record_key"
        )
    new = [each for each in told if from_json(each["information"]).text(ups.STATE) == "SCHEDULED"]
    assert len(uids) == 3
    assert sorted((each["recipient"], each["sop_instance_uid"]) for each in new) == sorted([
        ("VIEWER", uids["A2"]),
        ("VIEWER", uids["A3"]),
        ("DESK", uids["A2"]),
    ])
    assert hospital.states() == ["CANCELED"]
    assert recorded == ["P-1", "P-2", "P-3"]


def test_orders_of_before_become_workitems_and_none_does_where_that_is_off(hospital):
    hospital.router = router(order_workitems=False)
    hospital.database.router = hospital.router
    hospital.place()
    assert hospital.states() == []
    with hospital.database.transaction() as tx:
        assert worklist.publish_workitems(tx, SYSTEM, now=hospital.now) == 1
        assert worklist.publish_workitems(tx, SYSTEM, now=hospital.now) == 0
    assert hospital.states() == ["SCHEDULED"]
    hospital.cancel("A1")  # one that is there still follows
    hospital.drain()
    assert hospital.states() == ["CANCELED"]
