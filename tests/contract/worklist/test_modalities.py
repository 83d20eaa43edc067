"""Worklist queries as DCMTK's findscu and pynetdicom send them."""

import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist import service as worklist_service
from isocenter.readmodels import worklist_guard
from tests.builders import (
    EHR,
    NOON,
    PERSON,
    a_patient,
    a_procedure,
    a_step,
    after_noon,
    an_order,
)

pytestmark = pytest.mark.peer("dcmtk")
KEYS = (
    "AccessionNumber=",
    "PatientName=",
    "PatientID=",
    "PatientBirthDate=",
    "PatientSex=",
    "StudyInstanceUID=",
    "RequestedProcedureID=",
    "RequestedProcedureDescription=",
    "ReferencedStudySequence[0].ReferencedSOPClassUID=",
    "RequestedProcedureCodeSequence[0].CodeValue=",
    "ScheduledProcedureStepSequence[0].Modality=",
    "ScheduledProcedureStepSequence[0].ScheduledStationAETitle=",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate=",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime=",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepID=",
    "ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence[0].CodeValue=",
)


@pytest.fixture
def patients(worklist):
    with worklist.database.transaction() as tx:
        for number, (name, modality) in enumerate([
            ("Phantom^Ada", "CT"),
            ("Müller^Jörg", "CT"),
            ("Doe^John", "MR"),
        ]):
            order = an_order(
                f"O{number}",
                accession_number=f"ACC{number}",
                procedures=(
                    a_procedure(steps=(a_step(modality=modality, start_at=after_noon(number)),)),
                ),
            )
            facts = a_patient(f"P{number}", person_name=name)
            scheduling.place_order(tx, EHR, facts, order, now=NOON)
    return worklist


def findscu(worklist, folder: Path, *overrides: str) -> list[Dataset]:
    """The answers to DCMTK's ``findscu -W`` with these keys, universal ones beside them."""
    program = shutil.which("findscu")
    if program is None:
        pytest.skip("findscu is not installed")
    given = {each.partition("=")[0]: each for each in (*KEYS, *overrides)}
    arguments = [part for each in given.values() for part in ("-k", each)]
    folder.mkdir(exist_ok=True)
    subprocess.run(
        [
            program,
            *("-W", "-X", "-od", str(folder), "-aet", "CT1", "-aec", "ISOCENTER"),
            *arguments,
            "127.0.0.1",
            str(worklist.port),
        ],
        check=True,
        timeout=60,
    )
    return [pydicom.dcmread(path) for path in sorted(folder.glob("rsp*.dcm"))]


STEP = "ScheduledProcedureStepSequence[0]."


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), ["ACC0", "ACC1", "ACC2"]),
        ((f"{STEP}Modality=CT",), ["ACC0", "ACC1"]),
        ((f"{STEP}ScheduledProcedureStepStartDate=20260302",), ["ACC0", "ACC1", "ACC2"]),
        (
            (
                f"{STEP}ScheduledProcedureStepStartDate=20260302-20260303",
                f"{STEP}ScheduledProcedureStepStartTime=120100-",
            ),
            ["ACC1", "ACC2"],
        ),
        ((f"{STEP}ScheduledStationAETitle=MR9",), []),
        (("PatientName=phantom*",), ["ACC0"]),
        (("PatientName=mul?er*",), ["ACC1"]),
        (("PatientID=P2",), ["ACC2"]),
        (("AccessionNumber=ACC1",), ["ACC1"]),
        (("AccessionNumber=*1",), ["ACC1"]),
        (("AccessionNumber=acc1",), []),
        (("PatientName=*",), ["ACC0", "ACC1", "ACC2"]),
    ],
)
def test_findscu_finds_what_it_asks_for(patients, tmp_path, overrides, expected):
    answers = findscu(patients, tmp_path / "answers", *overrides)
    assert [each.AccessionNumber for each in answers] == expected


def test_findscu_gets_every_key_it_asked_for(patients, tmp_path):
    (answer,) = findscu(patients, tmp_path / "answers", "PatientID=P0")
    (step,) = answer.ScheduledProcedureStepSequence
    assert answer.PatientName == "Phantom^Ada"
    assert answer.RequestedProcedureCodeSequence[0].CodeValue == "CTCH"
    assert len(answer.ReferencedStudySequence) == 0
    assert (step.Modality, step.ScheduledStationAETitle) == ("CT", "CT1")
    assert step.ScheduledProcedureStepStartDate == "20260302"
    assert step.ScheduledProtocolCodeSequence[0].CodeValue == "P-CH"
    assert answer.StudyInstanceUID.startswith("2.25.")


@pytest.mark.parametrize(
    ("asked", "answered"), [("ISO_IR 100", "ISO_IR 100"), ("ISO_IR 192", "ISO_IR 192")]
)
def test_findscu_reads_names_in_the_character_set_it_asked_for(patients, tmp_path, asked, answered):
    (answer,) = findscu(
        patients, tmp_path / "answers", f"SpecificCharacterSet={asked}", "PatientID=P1"
    )
    assert answer.SpecificCharacterSet == answered
    assert str(answer.PatientName) == "Müller^Jörg"


def test_pynetdicom_queries_and_the_query_is_on_record(patients):
    identifier = Dataset()
    identifier.PatientName = "*"
    identifier.AccessionNumber = ""
    step = Dataset()
    step.Modality = "MR"
    identifier.ScheduledProcedureStepSequence = [step]
    scanner = AE("CT1")
    scanner.add_requested_context(ModalityWorklistInformationFind)
    association = scanner.associate("127.0.0.1", patients.port, ae_title="ISOCENTER")
    assert association.is_established
    answers = [
        (status.Status, found)
        for status, found in association.send_c_find(identifier, ModalityWorklistInformationFind)
    ]
    association.release()
    assert [status for status, _ in answers] == [0xFF00, 0x0000]
    assert answers[0][1].PatientName == "Doe^John"
    with patients.database.transaction() as tx:
        (entry,) = worklist_service.entries(tx, "ACC2")
        assert (entry.query_count, entry.queried_by) == (1, ["CT1"])
        assert worklist_service.entries(tx, "ACC0") == []
        assert tx.values(
            "select data ->> 'accession_number' from outbox.event where name = %s",
            ("worklist.first_queried",),
        ) == ["ACC2"]
        assert tx.values("select actor from audit.record where action = 'worklist.read'") == [
            "scanner-1"
        ]


def test_a_query_that_makes_no_sense_is_refused_and_not_answered_with_everybody(patients):
    identifier = Dataset()
    step = Dataset()
    step.add_new(0x00400002, "LO", "tomorrow")
    identifier.PatientName = ""
    identifier.ScheduledProcedureStepSequence = [step]
    step[0x00400002].VR = "DA"
    scanner = AE("CT1")
    scanner.add_requested_context(ModalityWorklistInformationFind)
    association = scanner.associate("127.0.0.1", patients.port, ae_title="ISOCENTER")
    statuses = [
        status.Status
        for status, _ in association.send_c_find(identifier, ModalityWorklistInformationFind)
    ]
    association.release()
    assert statuses == [0xA900]


def test_the_guard_knows_that_a_station_asked_also_when_it_was_given_nothing(patients, tmp_path):
    assert findscu(patients, tmp_path / "none", "PatientName=NOBODY") == []
    assert len(findscu(patients, tmp_path / "some")) == 3
    with patients.database.transaction() as tx:
        viewer = Viewer.of(PERSON, Action.WORKLIST_READ)
        (station,) = worklist_guard.stations(tx, viewer, now=NOON, silence_s=3600, time_zone="UTC")
    assert (station.ae_title, station.queries, station.last_result_count) == ("CT1", 2, 3)
    assert (station.is_silent, station.studies) == (False, 0)
