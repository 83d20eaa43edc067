"""What scanners say is told to another system, which is pynetdicom's MPPS SCP."""

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepNotification,
)

from isocenter.app.subscriptions import router
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.domain.worklist import service as worklist
from isocenter.domain.worklist.model import ScheduledReference
from isocenter.gateways.dimse.mpps import step_start, step_update
from isocenter.gateways.dimse.mpps_forwarding import StepForwarder, StepNotifier
from isocenter.infra.outbox import Dispatcher
from isocenter.standards.dicom.json_model import from_json
from tests.builders import SYSTEM
from tests.contract.worklist.test_performed import as_dataset, created, ended
from tests.exam_story import MODALITY
from tests.fakes.clock import FixedClock

pytestmark = pytest.mark.peer("pynetdicom")


class Manager:
    """Another system's MPPS SCP: keeps what it is told, and refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Dataset]] = []
        self.status = 0x0000
        self.ae = AE("RIS2")
        self.ae.add_supported_context(ModalityPerformedProcedureStep)

    def start(self, port: int = 0) -> int:
        handlers = [(evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set)]
        self.server = self.ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        return int(self.server.server_address[1])

    def _create(self, event):
        uid = event.request.AffectedSOPInstanceUID
        self.told.append(("create", uid, event.attribute_list))
        return self.status, event.attribute_list

    def _set(self, event):
        uid = event.request.RequestedSOPInstanceUID
        self.told.append(("set", uid, event.modification_list))
        return self.status, event.modification_list


@pytest.fixture
def manager():
    made = Manager()
    yield made
    made.ae.shutdown()


def say(attributes: dict):
    return from_json(as_dataset(attributes).to_json_dict())


def test_another_system_is_told_in_order_and_once_it_is_back(make_database, manager):
    clock = FixedClock()
    table = router(forward_step=StepForwarder(ae_title="ISOCENTER"))
    database = make_database(router=table)
    dispatcher = Dispatcher(database, table, clock=clock, workers=1, external_workers=1)
    port = manager.start()
    with database.transaction() as tx:
        ris = DicomPeer("ris2", "RIS2", "127.0.0.1", port, steps_forwarded=True)
        itself = DicomPeer("ct1", "CT1", "127.0.0.1", port, steps_forwarded=True)
        for peer in (ris, itself):
            peers.add_dicom_peer(tx, SYSTEM, peer, now=clock())
        start = step_start("2.25.1", say(created(None)), clock().tzinfo, latest=clock())
        assert start.references == (ScheduledReference("1.2.99"),)
        worklist.start(tx, MODALITY, start, now=clock())
    dispatcher.run_once()
    ((what, uid, attributes),) = manager.told
    assert (what, uid) == ("create", "2.25.1")
    assert attributes.PerformedProcedureStepStatus == "IN PROGRESS"
    assert attributes.PatientName == "Phantom^Ada"
    assert attributes.ScheduledStepAttributesSequence[0].StudyInstanceUID == "1.2.99"

    manager.status = 0x0110  # it cannot now
    clock.advance(seconds=1)
    with database.transaction() as tx:
        said = step_update(say(ended("COMPLETED")), clock().tzinfo)
        worklist.update(tx, MODALITY, "2.25.1", said, now=clock())
    dispatcher.run_once()
    assert [each[0] for each in manager.told] == ["create", "set"]
    manager.status = 0x0000
    clock.advance(minutes=20)
    dispatcher.run_once()
    clock.advance(minutes=20)
    dispatcher.run_once()
    assert [each[0] for each in manager.told] == ["create", "set", "set"]
    attributes = manager.told[-1][2]
    assert attributes.PerformedProcedureStepStatus == "COMPLETED"
    assert attributes.PerformedSeriesSequence[0].SeriesInstanceUID == "1.2.31.1"
    assert "PatientID" not in attributes
    with database.transaction() as tx:
        assert tx.values(
            "select detail ->> 'status' from audit.record where action = 'performed_step.forward'"
            " order by record_key"
        ) == ["IN PROGRESS", "COMPLETED"]


class Listener:
    """Another system that hears of events, and asks for more as it likes."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []
        self.status = 0x0000
        self.ae = AE("PACS2")
        # It is the SCU of the class, although we open the association.
        self.ae.add_supported_context(
            ModalityPerformedProcedureStepNotification, scu_role=False, scp_role=True
        )
        handlers = [(evt.EVT_N_EVENT_REPORT, self._event)]
        self.server = self.ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(self.server.server_address[1])

    def _event(self, event):
        assert len(event.event_information) == 0
        self.heard.append((event.event_type, event.request.AffectedSOPInstanceUID))
        return self.status, None


def test_another_system_hears_that_something_was_said(make_database):
    clock = FixedClock()
    table = router(notify_step=StepNotifier(ae_title="ISOCENTER"))
    database = make_database(router=table)
    dispatcher = Dispatcher(database, table, clock=clock, workers=1, external_workers=1)
    listener = Listener()
    try:
        with database.transaction() as tx:
            for name in ("pacs2", "ct1"):
                peer = DicomPeer(
                    name, name.upper(), "127.0.0.1", listener.port, steps_notified=True
                )
                peers.add_dicom_peer(tx, SYSTEM, peer, now=clock())
            for uid in ("2.25.1", "2.25.2"):
                start = step_start(uid, say(created(None)), clock().tzinfo, latest=clock())
                worklist.start(tx, MODALITY, start, now=clock())
        dispatcher.run_once()
        assert listener.heard == [(1, "2.25.1"), (1, "2.25.2")]
        listener.status = 0x0110  # it cannot now
        for uid, status in (("2.25.1", ""), ("2.25.1", "COMPLETED"), ("2.25.2", "DISCONTINUED")):
            said = ended(status or "COMPLETED")
            if not status:
                said = {"PerformedProcedureStepDescription": "two more"}
            with database.transaction() as tx:
                update = step_update(say(said), clock().tzinfo)
                worklist.update(tx, MODALITY, uid, update, now=clock())
        dispatcher.run_once()
        listener.heard.clear()
        listener.status = 0x0000
        for _ in range(4):
            clock.advance(minutes=20)
            dispatcher.run_once()
    finally:
        listener.ae.shutdown()
    # Of each step in order; of different steps in any.
    assert [kind for kind, uid in listener.heard if uid == "2.25.1"] == [4, 2]
    assert [kind for kind, uid in listener.heard if uid == "2.25.2"] == [3]
    with database.read() as tx:
        told = tx.values("select detail from audit.record where action = 'performed_step.notify'")
    assert told == [{"recipient": "pacs2"}] * 5
