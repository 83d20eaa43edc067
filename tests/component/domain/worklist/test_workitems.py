"""Workitems in the database: how long they stay, who is told, and that nothing falls between."""

import threading
from datetime import timedelta

import pytest

from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Actor, NotAuthorized
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model_workitems import (
    Channel,
    Subscriber,
    SubscriptionRequest,
    WorkitemExists,
    WorkitemGone,
)
from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom.json_model import from_json
from isocenter.standards.dicom.matching_keys import (
    filter_identifier,
    parse_identifier,
    parse_params,
)
from isocenter.standards.dicom.matching_reference import matches
from isocenter.standards.dicom.unified_procedure_step import State
from isocenter.standards.dicom.values import DataSet
from tests.builders import NOON, SYSTEM

PERFORMER = Actor.dicom_peer("ws1", "192.0.2.40", ["ups"])
WEB = Subscriber("VIEWER", Channel.WEB)
LATER = NOON + timedelta(days=2)


def a_step(**changes: str) -> DataSet:
    values = {
        "ScheduledProcedureStepPriority": "HIGH",
        "ProcedureStepLabel": "Find nodules",
        "ScheduledProcedureStepStartDateTime": "20260302140000",
        "InputReadinessState": "READY",
        "ProcedureStepState": "SCHEDULED",
        "PatientID": "P0",
        "PatientName": "Phantom^Ada",
        **changes,
    }
    step = DataSet()
    for keyword, value in values.items():
        step.put(keyword, value)
    return step


def create(tx, uid: str, **changes: str) -> None:
    worklist.create_workitem(tx, PERFORMER, uid, a_step(**changes), now=NOON)


def subscribe(tx, uid: str, *, lock: bool = False, who: Subscriber = WEB) -> None:
    worklist.subscribe(tx, PERFORMER, SubscriptionRequest(uid, who, lock), now=NOON)


def cancel(tx, uid: str) -> None:
    asked = DataSet()
    worklist.request_cancellation(tx, PERFORMER, uid, asked, requesting_ae_title="WS1", now=NOON)


def told(tx) -> list[tuple[str, str, int]]:
    """Recipient, UID and event type of what web subscribers are to hear, this transaction's too."""
    found = tx.values(
        "select data from outbox.event where name = 'worklist.workitem_announced' order by id"
    )
    return [(each["recipient"], each["sop_instance_uid"], each["event_type_id"]) for each in found]


def test_what_has_ended_stays_until_its_time_is_over_and_nobody_locks_it(database):
    def remove() -> list[str]:
        with database.transaction() as tx:
            return worklist.remove_ended_workitems(
                tx, SYSTEM, ended_before=NOON + timedelta(days=1), now=LATER
            )

    with database.transaction() as tx:
        for uid in ("1.2.1", "1.2.2", "1.2.3"):
            create(tx, uid)
        subscribe(tx, "1.2.2", lock=True)
        subscribe(tx, "1.2.1")
        cancel(tx, "1.2.1")
        cancel(tx, "1.2.2")
    with database.transaction() as tx:
        early = worklist.remove_ended_workitems(tx, SYSTEM, ended_before=NOON, now=LATER)
    assert early == []
    assert remove() == ["1.2.1"]  # 1.2.2 is locked, 1.2.3 is scheduled still
    with database.transaction() as tx:
        with pytest.raises(WorkitemGone):
            worklist.read_workitem(tx, PERFORMER, "1.2.1", now=LATER)
        # Nothing of the patient is left, but the UID is not given to another.
        assert tx.value(
            "select attributes::text || patient_name_normalised from worklist.workitem"
            " where sop_instance_uid = '1.2.1'"
        ) == "{}"  # fmt: skip
        with pytest.raises(WorkitemExists):
            create(tx, "1.2.1")
    with database.transaction() as tx:
        subscribe(tx, "1.2.2", lock=False)  # which lets go of it
    assert remove() == ["1.2.2"]


def test_locks_follow_the_table_of_subscription_states(database):
    def state(tx, uid: str) -> str:
        return tx.value(
            "select case when deletion_lock then 'locked' else 'unlocked' end"
            " from worklist.workitem_subscription join worklist.workitem using (workitem_key)"
            " where sop_instance_uid = %s",
            (uid,),
        )

    with database.transaction() as tx:
        create(tx, "1.2.1")
        create(tx, "1.2.2")
        subscribe(tx, "1.2.1")
        assert told(tx) == [("VIEWER", "1.2.1", 1)]
        # All with a lock: what is subscribed stays as it is, the others are told of.
        subscribe(tx, ups.GLOBAL_SUBSCRIPTION, lock=True)
        assert (state(tx, "1.2.1"), state(tx, "1.2.2")) == ("unlocked", "locked")
        assert told(tx)[1:] == [("VIEWER", "1.2.2", 1)]
        create(tx, "1.2.3")
        assert state(tx, "1.2.3") == "locked"
        # All without: only new ones are without, and nobody is told where the known ones are.
        subscribe(tx, ups.GLOBAL_SUBSCRIPTION)
        create(tx, "1.2.4")
        assert (state(tx, "1.2.3"), state(tx, "1.2.4")) == ("locked", "unlocked")
        assert len(told(tx)) == 4
        subscribe(tx, "1.2.3")
        assert state(tx, "1.2.3") == "unlocked"
        worklist.suspend_subscription(tx, PERFORMER, ups.GLOBAL_SUBSCRIPTION, "VIEWER", now=NOON)
        create(tx, "1.2.5")
        assert (state(tx, "1.2.4"), state(tx, "1.2.5")) == ("unlocked", None)
        ended = worklist.unsubscribe(tx, PERFORMER, ups.GLOBAL_SUBSCRIPTION, "VIEWER", now=NOON)
        assert ended == 4
        assert state(tx, "1.2.1") is None


def test_nobody_misses_a_workitem_that_is_made_while_they_subscribe(make_database):
    database = make_database()
    begun, go_on = threading.Event(), threading.Event()

    def create_slowly() -> None:
        with database.transaction() as tx:
            create(tx, "1.2.1")
            begun.set()
            go_on.wait(10)

    creating = threading.Thread(target=create_slowly)
    creating.start()
    assert begun.wait(10)

    def subscribe_to_all() -> None:
        with database.transaction() as tx:
            subscribe(tx, ups.GLOBAL_SUBSCRIPTION, lock=True)

    subscribing = threading.Thread(target=subscribe_to_all)
    subscribing.start()
    subscribing.join(0.1)
    assert subscribing.is_alive()  # it waits
    go_on.set()
    creating.join(10)
    subscribing.join(10)
    with database.transaction() as tx:
        assert told(tx) == [("VIEWER", "1.2.1", 1)]


def test_subscribers_are_told_that_we_are_back(make_database):
    database = make_database(router=router())
    with database.transaction() as tx:
        peer = DicomPeer("ris", "RIS", "127.0.0.1", 104, frozenset({"ups"}))
        peers.add_dicom_peer(tx, SYSTEM, peer, now=NOON)
        create(tx, "1.2.1")
        subscribe(tx, "1.2.1")
        subscribe(tx, ups.GLOBAL_SUBSCRIPTION, who=Subscriber("RIS", Channel.DIMSE))
        assert worklist.report_restart(tx, now=NOON) == 2
        assert told(tx)[-1] == ("VIEWER", ups.GLOBAL_SUBSCRIPTION, 4)
        (said,) = tx.values(
            "select data -> 'information' from outbox.event"
            " where name = 'worklist.workitem_report_due' and data ->> 'event_type_id' = '4'"
        )
        assert said["00741242"]["Value"] == ["RESTARTED"]
        assert said["00741244"]["Value"] == ["WARM START"]


def test_the_search_finds_what_the_reference_says(database):
    steps = {
        "1.2.1": {"PatientName": "Phantom^Ada", "PatientBirthDate": "19700101"},
        "1.2.2": {"PatientName": "PHANTOM^BOB", "PatientID": "P_1", "StudyInstanceUID": "1.2.3"},
        "1.2.3": {"ScheduledProcedureStepStartDateTime": "20260303", "PatientName": ""},
        "1.2.4": {"ProcedureStepLabel": "Quality", "ExpectedCompletionDateTime": "2026030215"},
    }
    with database.transaction() as tx:
        for uid, changes in steps.items():
            create(tx, uid, **changes)
        kept = {uid: from_json(worklist.read_workitem(tx, SYSTEM, uid, now=NOON)) for uid in steps}
        for pairs in (
            [("PatientName", "phantom*")],
            [("PatientID", "P_1")],
            [("PatientID", "P?")],
            [("PatientName", '""')],
            [("ProcedureStepLabel", "Qua*"), ("ProcedureStepState", "SCHEDULED")],
            [("ScheduledProcedureStepStartDateTime", "20260302130000-20260302150000")],
            [("ScheduledProcedureStepStartDateTime", "-20260302235959")],
            [("ExpectedCompletionDateTime", "20260302-")],
            [("PatientBirthDate", "19691231-19700102")],
            [("SOPInstanceUID", "1.2.1\\1.2.4")],
            [("ScheduledWorkitemCodeSequence.CodeValue", "NONE")],
            [("StudyInstanceUID", "1.2.3")],
        ):
            found = worklist.search_workitems(
                tx, SYSTEM, parse_params(pairs), limit=10, now=NOON
            ).workitems
            conditions = parse_identifier(filter_identifier(pairs)).conditions
            wanted = {uid for uid, step in kept.items() if matches(conditions, step)}
            assert {each.sop_instance_uid for each in found} == wanted, pairs


def test_who_may_read_the_worklist_may_not_change_it(database):
    reader = Actor.dicom_peer("ct1", "192.0.2.41", ["worklist"])
    with database.transaction() as tx:
        create(tx, "1.2.1")
        assert worklist.read_workitem(tx, reader, "1.2.1", now=NOON)
        for refused in (
            lambda: worklist.create_workitem(tx, reader, "1.2.2", a_step(), now=NOON),
            lambda: worklist.update_workitem(tx, reader, "1.2.1", a_step(), now=NOON),
            lambda: worklist.change_workitem_state(
                tx, reader, "1.2.1", State.IN_PROGRESS, transaction_uid="1.2.9", now=NOON
            ),
        ):
            with pytest.raises(NotAuthorized):
                refused()
        entries = tx.values("select action from audit.record order by record_key")
        assert entries == ["workitem.create", "workitem.read"]
