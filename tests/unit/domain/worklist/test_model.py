"""Which scheduled steps a performed one means, and what several of them say together."""

import pytest

from isocenter.domain.scheduling.model import StepStatus
from isocenter.domain.worklist.model import NamedStep, Performed, status_of, steps_meant

STEPS = [
    NamedStep(
        step_key=key,
        study_instance_uid=study,
        accession_number="A1",
        requested_procedure_id=procedure,
        scheduled_procedure_step_id=step,
    )
    for key, study, procedure, step in (
        (1, "1.2.1", "RP1", "SPS1"),
        (2, "1.2.1", "RP1", "SPS2"),
        (3, "1.2.2", "RP2", "SPS1"),
    )
]


def performed(status="IN PROGRESS", *, reason=None, aside=False, **reference):
    said = {
        "study_instance_uid": "1.2.9",
        "accession_number": "",
        "requested_procedure_id": "",
        "scheduled_procedure_step_id": "",
        **reference,
    }
    return Performed(
        performed_key=1,
        status=status,
        discontinuation_reason_code=reason,
        discontinuation_reason_scheme="DCM" if reason else None,
        is_set_aside=aside,
        **said,
    )


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ({"study_instance_uid": "1.2.1", "scheduled_procedure_step_id": "SPS2"}, [2]),
        ({"study_instance_uid": "1.2.1"}, [1, 2]),
        ({"study_instance_uid": "1.2.1", "scheduled_procedure_step_id": "unknown"}, [1, 2]),
        ({"study_instance_uid": "1.2.2", "accession_number": "other"}, [3]),
        ({"accession_number": "A1"}, []),
        ({"accession_number": "A1", "scheduled_procedure_step_id": "SPS1"}, []),
        ({"accession_number": " a1", "requested_procedure_id": "RP2",
          "scheduled_procedure_step_id": "SPS1"}, [3]),
        ({"accession_number": "A2", "requested_procedure_id": "RP2",
          "scheduled_procedure_step_id": "SPS1"}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_a_reference_means_steps_by_what_nobody_types(reference, meant):
    assert [each.step_key for each in steps_meant(performed(**reference), STEPS)] == meant


WRONG = {"status": "DISCONTINUED", "reason": "110514"}
FAILED = {"status": "DISCONTINUED", "reason": "110501"}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ([], None),
        ([{}], StepStatus.STARTED),
        ([{"status": "COMPLETED"}], StepStatus.COMPLETED),
        ([{"status": "COMPLETED"}, {}], StepStatus.STARTED),
        ([{"status": "COMPLETED"}, FAILED], StepStatus.COMPLETED),
        ([FAILED], StepStatus.DISCONTINUED),
        ([{"status": "DISCONTINUED"}], StepStatus.DISCONTINUED),
        ([WRONG], None),
        ([WRONG, FAILED], StepStatus.DISCONTINUED),
        ([FAILED | {"aside": True}], StepStatus.SCHEDULED),
        ([FAILED | {"aside": True}, {}], StepStatus.STARTED),
        ([WRONG | {"aside": True}], None),
    ],
)
def test_what_several_performed_steps_say_of_one(said, status):
    assert status_of([performed(**each) for each in said]) is status
