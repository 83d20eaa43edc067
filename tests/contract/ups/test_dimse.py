"""Unified Procedure Steps as pynetdicom uses them: pushed, pulled, watched, and told of."""

import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import UnifiedProcedureStepQuery, UnifiedProcedureStepWatch

from tests.contract.ups.subscribers import (
    FILTERED,
    GLOBAL,
    a_step,
    code,
    dataset,
    performed,
    performer,
)

pytestmark = pytest.mark.peer("pynetdicom")
REASON = code("110500", "Doctor canceled procedure", "DCM")


def test_a_step_is_pushed_found_claimed_set_and_completed(worklist):
    with performer(worklist.port) as scu:
        assert scu.create(a_step(), "1.2.99.1") == (0x0000, "1.2.99.1")
        found, status = scu.find(
            SOPClassUID="",
            SOPInstanceUID="",
            ProcedureStepState="SCHEDULED",
            PatientName="phantom*",
            ExpectedCompletionDateTime="",
            ScheduledWorkitemCodeSequence={"CodeValue": "NODULES"},
            ScheduledProcedureStepStartDateTime="20260302-20260303",
        )
        assert status == 0x0000
        (answer,) = found
        assert answer.SOPClassUID == "1.2.840.10008.5.1.4.34.6.1"
        assert answer.SOPInstanceUID == "1.2.99.1"
        assert answer.PatientName == "Phantom^Ada"
        assert answer.ScheduledWorkitemCodeSequence[0].CodeValue == "NODULES"
        assert "CodeMeaning" not in answer.ScheduledWorkitemCodeSequence[0]
        assert answer.ExpectedCompletionDateTime is None or answer.ExpectedCompletionDateTime == ""
        assert "TransactionUID" not in answer

        lock = generate_uid()
        assert scu.change("1.2.99.1", "IN PROGRESS", lock) == 0x0000
        assert scu.change("1.2.99.1", "COMPLETED", lock) == 0xC304  # nothing performed yet
        assert scu.set("1.2.99.1", TransactionUID=lock, **performed()) == 0x0000
        assert scu.change("1.2.99.1", "COMPLETED", lock) == 0x0000
        status, step = scu.get("1.2.99.1")
        assert status == 0x0000
        assert step.ProcedureStepState == "COMPLETED"
        assert "TransactionUID" not in step
        assert step.ScheduledProcedureStepModificationDateTime
        done = step.UnifiedProcedureStepPerformedProcedureSequence[0]
        assert done.PerformedWorkitemCodeSequence[0].CodeValue == "NODULES"
        status, part = scu.get("1.2.99.1", [(0x0074, 0x1000), (0x0008, 0x1195)])
        assert (status, list(part.keys())) == (0x0000, [0x00741000])


# PS3.4 Table CC.1.1-2: what is answered in SCHEDULED, IN PROGRESS, COMPLETED, CANCELED.
TRANSITIONS = [
    ("IN PROGRESS", True, (0x0000, 0xC302, 0xC300, 0xC300)),
    ("IN PROGRESS", False, (0xC301, 0xC301, 0xC301, 0xC301)),
    ("SCHEDULED", True, (0xC303, 0xC303, 0xC303, 0xC303)),
    ("COMPLETED", True, (0xC310, 0x0000, 0xB306, 0xC300)),
    ("COMPLETED", False, (0xC301, 0xC301, 0xC301, 0xC301)),
    ("CANCELED", True, (0xC310, 0x0000, 0xC300, 0xB304)),
    ("CANCELED", False, (0xC301, 0xC301, 0xC301, 0xC301)),
]


def test_each_cell_of_the_state_transition_table(worklist):
    lock = generate_uid()
    with performer(worklist.port) as scu:

        def a_step_that_is(state: str) -> str:
            _, uid = scu.create(a_step())
            if state != "SCHEDULED":
                assert scu.change(uid, "IN PROGRESS", lock) == 0
                progress = {"ProcedureStepDiscontinuationReasonCodeSequence": REASON}
                assert not scu.set(
                    uid,
                    TransactionUID=lock,
                    ProcedureStepProgressInformationSequence=progress,
                    **performed(),
                )
            if state not in {"SCHEDULED", "IN PROGRESS"}:
                assert scu.change(uid, state, lock) == 0
            return uid

        for number, known in enumerate(("SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")):
            uid = ""
            for wanted, correct, answers in TRANSITIONS:
                uid = uid or a_step_that_is(known)
                given = lock if correct else None if known == "SCHEDULED" else generate_uid()
                said = scu.change(uid, wanted, given)
                assert f"{said:04X}" == f"{answers[number]:04X}", (known, wanted, correct)
                last, uid = uid, uid if said else ""  # what has changed is of no more use
        for wanted, correct, _ in TRANSITIONS:
            assert scu.change("1.2.404", wanted, lock if correct else None) == 0xC307
        assert scu.create(a_step(), last)[0] == 0x0111  # whatever the state


def test_what_a_step_needs_is_checked_when_it_is_created(worklist):
    with performer(worklist.port) as scu:
        for changes, status in (
            ({"ProcedureStepState": "IN PROGRESS"}, 0xC309),
            ({"ScheduledProcedureStepPriority": None}, 0x0120),
            ({"ProcedureStepLabel": ""}, 0x0121),
            ({"ScheduledProcedureStepPriority": "WHENEVER"}, 0x0106),
            ({"InputReadinessState": "MAYBE"}, 0x0106),
            ({"ScheduledWorkitemCodeSequence": {"CodeValue": "X"}}, 0x0121),
            (performed(), 0x0106),
        ):
            assert scu.create(a_step(**changes))[0] == status, changes
        assert scu.create(a_step(), GLOBAL)[0] == 0x0117
        # What is of type 2 and absent is created empty, which the answer says.
        without = dict.fromkeys((
            "TransactionUID",
            "WorklistLabel",
            "AdmissionID",
            "ReferencedRequestSequence",
        ))
        status, uid = scu.create(a_step(**without))
        assert status == 0xB300
        _, step = scu.get(uid)
        assert step.WorklistLabel
        assert len(step.ReferencedRequestSequence) == 0
        found, _ = scu.find(SOPInstanceUID="")
        assert len(found) == 1


def test_who_does_not_have_the_lock_changes_nothing(worklist):
    lock = generate_uid()
    with performer(worklist.port) as first, performer(worklist.port, "WS2") as second:
        _, uid = first.create(a_step())
        assert second.set(uid, ProcedureStepLabel="Still free") == 0x0000
        assert second.set(uid, ProcedureStepLabel="With a lock", TransactionUID=lock) == 0xC310
        assert first.change(uid, "IN PROGRESS", lock) == 0x0000
        assert second.change(uid, "IN PROGRESS", generate_uid()) == 0xC301
        assert second.set(uid, ProcedureStepLabel="Mine", TransactionUID=generate_uid()) == 0xC301
        assert second.set(uid, ProcedureStepLabel="Mine") == 0xC301
        assert first.set(uid, PatientID="P1", TransactionUID=lock) == 0x0105
        assert first.set(uid, ProcedureStepState="COMPLETED", TransactionUID=lock) == 0x0105
        assert first.set(uid, PatientID="P0", TransactionUID=lock) == 0x0000  # as it was
        assert first.set(uid, InputReadinessState="", TransactionUID=lock) == 0x0121
        assert first.set("1.2.404", ProcedureStepLabel="Nobody") == 0xC307
        assert first.change(uid, "CANCELED", lock) == 0xC304  # without a reason
        _, step = second.get(uid, via=UnifiedProcedureStepWatch)
        assert (step.ProcedureStepLabel, step.PatientID) == ("Still free", "P0")
        progress = {"ProcedureStepDiscontinuationReasonCodeSequence": REASON}
        said = {"ProcedureStepProgressInformationSequence": progress, "TransactionUID": lock}
        assert first.set(uid, **said) == 0x0000
        assert first.change(uid, "CANCELED", lock) == 0x0000
        assert first.set(uid, **said) == 0xC300
        _, step = second.get(uid)
        assert step.ProcedureStepProgressInformationSequence[0].ProcedureStepCancellationDateTime


def test_cancellation_is_done_asked_for_or_too_late(worklist, subscriber):
    worklist.add_peer("VIEWER", subscriber.start())
    lock = generate_uid()
    with performer(worklist.port) as scu:

        def request(uid: str) -> int:
            said = {"ReasonForCancellation": "Wrong patient", "ContactDisplayName": "Ada Phantom"}
            return scu.act(2, uid, UnifiedProcedureStepWatch, **said)

        _, free = scu.create(a_step())
        assert scu.subscribe(free, "VIEWER") == 0x0000
        assert request(free) == 0x0000
        assert request(free) == 0xB304
        _, step = scu.get(free)
        progress = step.ProcedureStepProgressInformationSequence[0]
        assert progress.ReasonForCancellation == "Wrong patient"
        assert progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"
        worklist.drain()
        assert subscriber.states() == ["SCHEDULED", "IN PROGRESS", "CANCELED"]
        assert subscriber.told[-1][2].ReasonForCancellation == "Wrong patient"

        _, claimed = scu.create(a_step())
        assert scu.change(claimed, "IN PROGRESS", lock) == 0x0000
        assert request(claimed) == 0xC312  # nobody would hear of it
        assert scu.subscribe(claimed, "VIEWER") == 0x0000
        assert request(claimed) == 0x0000
        worklist.drain()
        kind, uid, information = subscriber.told[-1]
        assert (kind, uid) == (2, claimed)
        assert information.RequestingAE == "WS1"
        assert information.ContactDisplayName == "Ada Phantom"
        assert scu.get(claimed)[1].ProcedureStepState == "IN PROGRESS"
        assert scu.set(claimed, TransactionUID=lock, **performed()) == 0x0000
        assert scu.change(claimed, "COMPLETED", lock) == 0x0000
        assert request(claimed) == 0xC311
        assert request("1.2.404") == 0xC307


def test_subscribers_are_told_of_all_that_changes(worklist, subscriber):
    worklist.add_peer("VIEWER", subscriber.start())
    lock = generate_uid()
    with performer(worklist.port) as scu:
        assert scu.subscribe(GLOBAL, "STRANGER") == 0xC308
        assert scu.subscribe(GLOBAL, "VIEWER") == 0x0000
        _, uid = scu.create(a_step())
        scu.set(uid, InputReadinessState="INCOMPLETE")
        scu.set(uid, ScheduledHumanPerformersSequence={
            "HumanPerformerCodeSequence": code("ADA", "Ada"),
            "HumanPerformerName": "Phantom^Ada",
            "HumanPerformerOrganization": "Reading room",
        })  # fmt: skip
        scu.set(uid, CommentsOnTheScheduledProcedureStep="of no interest")
        scu.change(uid, "IN PROGRESS", lock)
        progress = {"ProcedureStepProgress": "50", "ProcedureStepProgressDescription": "half"}
        said = {"ProcedureStepProgressInformationSequence": progress, "TransactionUID": lock}
        scu.set(uid, **said)
        scu.set(uid, **said)  # the same again is nothing new
        worklist.drain()
        assert {each for _, each, _ in subscriber.told} == {uid}
        told = [(kind, information) for kind, _, information in subscriber.told]
        assert [kind for kind, _ in told] == [1, 5, 1, 5, 1, 3]
        assert told[0][1].InputReadinessState == "READY"
        assert told[1][1].ScheduledStationNameCodeSequence[0].CodeValue == "GPU1"
        assert told[2][1].InputReadinessState == "INCOMPLETE"
        assert told[3][1].HumanPerformerOrganization == "Reading room"
        assert told[4][1].ProcedureStepState == "IN PROGRESS"
        assert told[5][1].ProcedureStepProgressInformationSequence[0].ProcedureStepProgress == 50

        # Suspended: no new ones. Unsubscribed from all: not even the known ones.
        subscriber.told.clear()
        assert scu.act(5, GLOBAL, UnifiedProcedureStepWatch, ReceivingAE="VIEWER") == 0x0000
        assert scu.act(5, uid, UnifiedProcedureStepWatch, ReceivingAE="VIEWER") == 0xC314
        scu.create(a_step())
        scu.set(uid, InputReadinessState="READY", TransactionUID=lock)
        worklist.drain()
        assert [(kind, each) for kind, each, _ in subscriber.told] == [(1, uid)]
        assert scu.unsubscribe(GLOBAL, "VIEWER") == 0x0000
        scu.set(uid, InputReadinessState="INCOMPLETE", TransactionUID=lock)
        worklist.drain()
        assert len(subscriber.told) == 1


def test_a_filter_chooses_among_known_and_new_steps(worklist, subscriber):
    worklist.add_peer("VIEWER", subscriber.start())
    with performer(worklist.port) as scu:
        _, fits = scu.create(a_step())
        scu.create(a_step(ScheduledWorkitemCodeSequence=code("OTHER", "Something else")))
        assert scu.subscribe(FILTERED, "VIEWER") == 0x0115  # without keys
        unmatched = {"ScheduledProcessingParametersSequence": {"ValueType": "TEXT"}}
        assert scu.subscribe(FILTERED, "VIEWER", **unmatched) == 0x0115
        keys = {
            "ScheduledWorkitemCodeSequence": {"CodeValue": "NODULES"},
            "ScheduledProcedureStepStartDateTime": "20260302-",
        }
        assert scu.subscribe(FILTERED, "VIEWER", "TRUE", **keys) == 0x0000
        _, also = scu.create(a_step())
        scu.create(a_step(ScheduledProcedureStepStartDateTime="20260101"))
        worklist.drain()
        assert [each for kind, each, _ in subscriber.told if kind == 1] == [fits, also]


def test_a_subscriber_that_is_away_is_told_in_order_when_it_is_back(worklist, subscriber):
    port = subscriber.start()
    subscriber.server.shutdown()
    worklist.add_peer("VIEWER", port)
    with performer(worklist.port) as scu:
        _, uid = scu.create(a_step())
        assert scu.subscribe(uid, "VIEWER", "TRUE") == 0x0000
        lock = generate_uid()
        assert scu.change(uid, "IN PROGRESS", lock) == 0x0000
        worklist.drain()
        worklist.clock.advance(minutes=10)
        assert worklist.drain() == 1
        assert subscriber.told == []
        subscriber.start(port)
        worklist.clock.advance(minutes=10)
        worklist.drain()
        assert subscriber.states() == ["SCHEDULED", "IN PROGRESS"]

        # What it refuses is not said again; what it cannot take now is.
        subscriber.status = 0x0213
        scu.set(uid, InputReadinessState="UNAVAILABLE", TransactionUID=lock)
        worklist.drain()
        subscriber.status = 0x0000
        worklist.clock.advance(minutes=10)
        worklist.drain()
        assert [kind for kind, _, _ in subscriber.told] == [1, 1, 1, 1]
        subscriber.status = 0x0115
        scu.set(uid, InputReadinessState="READY", TransactionUID=lock)
        worklist.drain()
        worklist.clock.advance(minutes=10)
        assert worklist.drain() == 0
        # After a day nobody tries any more.
        subscriber.server.shutdown()
        scu.set(uid, InputReadinessState="UNAVAILABLE", TransactionUID=lock)
        worklist.drain()
        worklist.clock.advance(hours=25)
        worklist.drain()
        worklist.clock.advance(hours=1)
        assert worklist.drain() == 0
        with worklist.database.transaction() as tx:
            assert tx.value("select count(*) from outbox.delivery where state = 'dead'") == 2


def test_a_report_that_was_answered_is_not_repeated(worklist, subscriber):
    worklist.add_peer("VIEWER", subscriber.start())
    subscriber.hangs_up = True  # after its answer
    with performer(worklist.port) as scu:
        _, uid = scu.create(a_step())
        assert scu.subscribe(uid, "VIEWER") == 0x0000
    worklist.drain()
    worklist.clock.advance(minutes=10)
    assert worklist.drain() == 0
    assert subscriber.states() == ["SCHEDULED"]


def test_queries_match_as_others_do_and_have_a_limit(worklist):
    with performer(worklist.port) as scu:
        uids = [scu.create(a_step(PatientID=f"P{n}"))[1] for n in range(6)]
        for keys, count in (
            ({"PatientID": "P3"}, 1),
            ({"PatientID": "P*", "SOPInstanceUID": "\\".join(uids[:2])}, 2),
            ({"PatientID": "NOBODY"}, 0),
            ({"ScheduledStationNameCodeSequence": {"CodeValue": "GPU1"}, "PatientID": "P1"}, 1),
            ({"ReferencedRequestSequence": {"AccessionNumber": "ACC1"}}, 0),
            ({"ScheduledProcedureStepStartDateTime": "20260302150000+0200", "PatientID": "P1"}, 1),
            ({"ScheduledProcedureStepStartDateTime": "20260302150000", "PatientID": "P1"}, 0),
            ({"PatientBirthDate": "19690101-19710101", "PatientID": "P2"}, 1),
        ):
            found, status = scu.find(UnifiedProcedureStepQuery, **keys)
            assert (len(found), status) == (count, 0x0000), keys
        found, status = scu.find(UnifiedProcedureStepWatch, SOPInstanceUID="")
        assert (len(found), status) == (5, 0xA700)
        answers = scu.association.send_c_find(
            dataset(ProcedureStepProgressInformationSequence={"ProcedureStepProgress": "1"}),
            UnifiedProcedureStepQuery,
        )
        assert next(answers)[0].Status == 0xFF01
        list(answers)


def test_names_survive_whatever_character_set_they_came_in(worklist):
    with performer(worklist.port) as scu:
        _, uid = scu.create(a_step(SpecificCharacterSet="ISO_IR 100", PatientName="Phantom^Zoë"))
        assert scu.set(uid, SpecificCharacterSet="ISO_IR 13", ProcedureStepLabel="ｱｲｳ") == 0
        _, step = scu.get(uid)
        assert (step.PatientName, step.ProcedureStepLabel) == ("Phantom^Zoë", "ｱｲｳ")
        (found,), _ = scu.find(SpecificCharacterSet="ISO_IR 100", PatientName="phantom^zoe")
        assert (found.SpecificCharacterSet, found.PatientName) == ("ISO_IR 100", "Phantom^Zoë")


def test_strangers_wrong_actions_and_large_data_sets_are_refused(worklist):
    ae = AE("NOBODY")
    ae.add_requested_context(UnifiedProcedureStepWatch)
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate("127.0.0.1", worklist.port, ae_title="ISOCENTER")
    assert [each.abstract_syntax for each in association.accepted_contexts] == ["1.2.840.10008.1.1"]
    association.release()
    with performer(worklist.port) as scu:
        _, uid = scu.create(a_step())
        # An action of another SOP class of the service.
        assert scu.act(1, uid, UnifiedProcedureStepWatch, ProcedureStepState="COMPLETED") == 0x0123
        assert scu.act(3, uid, ReceivingAE="WS1") == 0x0123
        assert scu.act(9, uid, UnifiedProcedureStepWatch) == 0x0123
        assert scu.act(1, uid, ProcedureStepState="FINISHED", TransactionUID="1.2") == 0x0115
        assert scu.act(3, uid, UnifiedProcedureStepWatch, DeletionLock="TRUE") == 0x0115
        assert scu.act(
            3, uid, UnifiedProcedureStepWatch, ReceivingAE="WS1", DeletionLock="MAYBE"
        ) == 0x0115  # fmt: skip
        assert scu.create(a_step(CommentsOnTheScheduledProcedureStep="x" * 70_000))[0] == 0x0213
        status, _ = scu.association.send_n_get(
            [], "1.2.840.10008.3.1.2.3.3", uid, meta_uid=UnifiedProcedureStepWatch
        )
        assert status.Status == 0x0118
        assert scu.get(uid)[1].ProcedureStepState == "SCHEDULED"
