"""A pull worklist of examinations, as pynetdicom performs one that was ordered."""

import pytest
from pydicom.uid import generate_uid

from isocenter.domain.orders.model import OrderReference
from isocenter.domain.scheduling import service as scheduling
from tests.contract.ups.subscribers import GLOBAL, code, performed, performer
from tests.exam_story import EHR, a_patient, an_order

pytestmark = pytest.mark.peer("pynetdicom")


def place(worklist, accession_number: str) -> None:
    with worklist.database.transaction() as tx:
        said = an_order(accession_number, priority="STAT")
        scheduling.place_order(tx, EHR, a_patient(), said, now=worklist.clock())
    worklist.drain()


def status(worklist, accession_number: str) -> str:
    with worklist.database.transaction() as tx:
        (step,) = scheduling.steps_of(tx, accession_number)
    return step.status


def waiting(scu, **keys):
    """What waits at CT1, as a modality asks for it."""
    found, answer = scu.find(
        SOPInstanceUID="",
        PatientName="",
        PatientID="",
        StudyInstanceUID="",
        ScheduledProcedureStepStartDateTime="",
        WorklistLabel="Examinations",
        ProcedureStepState="SCHEDULED",
        ScheduledStationNameCodeSequence={"CodeValue": "CT1", "CodeMeaning": ""},
        ScheduledStationClassCodeSequence={"CodeValue": "CT", "CodingSchemeDesignator": "DCM"},
        ReferencedRequestSequence={"AccessionNumber": "", "RequestedProcedureID": ""},
        **keys,
    )
    assert answer == 0x0000
    return found


def test_an_order_is_pulled_claimed_and_done(ordered):
    place(ordered, "A1")
    with performer(ordered.port) as scu:
        (item,) = waiting(scu, ScheduledProcedureStepPriority="HIGH")
        assert (item.PatientName, item.PatientID) == ("Phantom^Ada", "P-1")
        assert item.ReferencedRequestSequence[0].AccessionNumber == "A1"
        uid, lock = item.SOPInstanceUID, generate_uid()
        assert scu.change(uid, "IN PROGRESS", lock) == 0x0000
        ordered.drain()
        assert status(ordered, "A1") == "STARTED"
        assert waiting(scu) == []
        assert scu.set(uid, TransactionUID=lock, **performed()) == 0x0000
        assert scu.change(uid, "COMPLETED", lock) == 0x0000
        ordered.drain()
        assert status(ordered, "A1") == "COMPLETED"


def test_a_cancelled_order_is_told_to_who_subscribes(ordered, subscriber):
    ordered.add_peer("VIEWER", subscriber.start())
    with performer(ordered.port) as scu:
        assert scu.subscribe(GLOBAL, "VIEWER") == 0x0000
        place(ordered, "A1")
        (item,) = waiting(scu)
        with ordered.database.transaction() as tx:
            reference = OrderReference(accession_number="A1")
            scheduling.cancel_order(tx, EHR, reference, now=ordered.clock())
        ordered.drain()
        assert waiting(scu) == []
        _, step = scu.get(item.SOPInstanceUID)
        assert step.ProcedureStepState == "CANCELED"
        assert subscriber.states() == ["SCHEDULED", "IN PROGRESS", "CANCELED"]
        assert scu.change(item.SOPInstanceUID, "IN PROGRESS", generate_uid()) == 0xC301


def test_a_performer_that_gives_up_leaves_the_exam_to_people(ordered):
    place(ordered, "A1")
    with performer(ordered.port) as scu:
        (item,) = waiting(scu)
        uid, lock = item.SOPInstanceUID, generate_uid()
        assert scu.change(uid, "IN PROGRESS", lock) == 0x0000
        reason = code("110501", "Equipment failure", "DCM")
        progress = {"ProcedureStepDiscontinuationReasonCodeSequence": reason}
        said = {"ProcedureStepProgressInformationSequence": progress}
        assert scu.set(uid, TransactionUID=lock, **said) == 0x0000
        assert scu.change(uid, "CANCELED", lock) == 0x0000
        ordered.drain()
        assert status(ordered, "A1") == "DISCONTINUED"
        assert waiting(scu) == []
