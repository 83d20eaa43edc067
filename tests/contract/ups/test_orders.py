"""A pull worklist of examinations, as pynetdicom performs one that was ordered."""

from dataclasses import replace

import pytest
from pydicom.uid import generate_uid

from isocenter.domain.archive import service as archive
from isocenter.domain.orders.model import OrderReference
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist import service as steps
from isocenter.domain.worklist.model import ScheduledReference
from tests.contract.ups.subscribers import GLOBAL, code, performed, performer
from tests.exam_story import (
    EHR,
    MODALITY,
    a_patient,
    a_step_end,
    a_step_start,
    an_order,
)
from tests.image_builders import an_instance

pytestmark = pytest.mark.peer("pynetdicom")


def place(worklist, accession_number: str, **facts) -> None:
    with worklist.database.transaction() as tx:
        said = an_order(accession_number, priority="STAT", **facts)
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


def perform(worklist, uid: str, said) -> None:
    """A modality that knows nothing of workitems does what was ordered."""
    with worklist.database.transaction() as tx:
        steps.start(
            tx,
            MODALITY,
            a_step_start(uid, ScheduledReference("1.2.3", "A1", "RP1")),
            now=worklist.clock(),
        )
    worklist.drain()
    with worklist.database.transaction() as tx:
        steps.update(tx, MODALITY, uid, said, now=worklist.clock())
    worklist.drain()


def outputs(worklist):
    """What the one workitem names as made, as pynetdicom reads it."""
    with performer(worklist.port) as scu:
        (found,), _ = scu.find(SOPInstanceUID="", WorklistLabel="Examinations")
        status, item = scu.get(found.SOPInstanceUID)
    assert (status, item.ProcedureStepState) == (0x0000, "COMPLETED")
    (done,) = item.UnifiedProcedureStepPerformedProcedureSequence
    return {each.SeriesInstanceUID: each for each in done.OutputInformationSequence}


def test_a_workitem_that_is_done_names_what_is_in_the_archive(ordered):
    place(ordered, "A1", study_instance_uid="1.2.3")
    images = [
        an_instance(series=series, sop=f"{series}.{number}", instance_number=str(number))
        for series, count in (("1.2.3.1", 3), ("1.2.3.2", 1))
        for number in range(1, count + 1)
    ]
    elsewhere = an_instance(study="1.2.4", series="1.2.4.1", accession_number="A2")
    with ordered.database.transaction() as tx:
        archive.admit(tx, MODALITY, [*images, elsewhere], now=ordered.clock())
    perform(ordered, "2.1", a_step_end(series={"1.2.3.1": ["1.2.3.1.1"]}))  # of unknown classes
    found = outputs(ordered)
    assert set(found) == {"1.2.3.1", "1.2.3.2"}
    first = found["1.2.3.1"]
    assert (first.TypeOfInstances, first.StudyInstanceUID) == ("DICOM", "1.2.3")
    assert [
        (each.ReferencedSOPClassUID.name, each.ReferencedSOPInstanceUID)
        for each in first.ReferencedSOPSequence
    ] == [("CT Image Storage", f"1.2.3.1.{number}") for number in (1, 2, 3)]
    assert first.DICOMRetrievalSequence[0].RetrieveAETitle == "ISOCENTER"
    (retrieval,) = first.WADORSRetrievalSequence
    assert retrieval.RetrieveURL == "https://pacs.example/dicomweb/studies/1.2.3/series/1.2.3.1"


def test_a_workitem_that_is_done_names_what_its_modality_made_and_has_not_sent_yet(ordered):
    place(ordered, "A1", study_instance_uid="1.2.3")
    here = an_instance(series="1.2.3.1", sop="1.2.3.1.1")
    others = an_instance(series="1.2.3.9", sop="1.2.3.9.1")  # of an earlier step of the study
    with ordered.database.transaction() as tx:
        archive.admit(tx, MODALITY, [here, others], now=ordered.clock())
    image = {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
        "00081155": {"vr": "UI", "Value": ["1.2.3.1.2"]},
    }
    series = {
        "0020000E": {"vr": "UI", "Value": ["1.2.3.1"]},
        "00080054": {"vr": "AE", "Value": ["CTSTORE"]},
        "00081140": {"vr": "SQ", "Value": [image]},
    }
    said = a_step_end(series={"1.2.3.1": ["1.2.3.1.1", "1.2.3.1.2"]})
    made = {**said.attributes, "00400340": {"vr": "SQ", "Value": [series]}}
    perform(ordered, "2.1", replace(said, attributes=made))
    found = outputs(ordered)
    assert set(found) == {"1.2.3.1"}
    named = [each.ReferencedSOPInstanceUID for each in found["1.2.3.1"].ReferencedSOPSequence]
    assert named == ["1.2.3.1.1", "1.2.3.1.2"]
    assert found["1.2.3.1"].DICOMRetrievalSequence[0].RetrieveAETitle == "ISOCENTER"
