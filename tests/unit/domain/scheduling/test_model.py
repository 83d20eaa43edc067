"""A step's status follows from what people, images and modalities say of it."""

from datetime import UTC, datetime

import pytest

from isocenter.domain.orders.model import OrderState
from isocenter.domain.scheduling.model import Step, further, procedure_states, settled

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def a_step(key=1, procedure=1, **said) -> Step:
    usual = {
        "status": "SCHEDULED",
        "waiting_status": "SCHEDULED",
        "imaged_status": None,
        "performed_status": None,
        "closed": False,
    }
    return Step(
        step_key=key,
        procedure_key=procedure,
        accession_number="A1",
        scheduled_procedure_step_id=f"SPS{key}",
        modality="CT",
        station_ae_titles=[],
        station_name=None,
        location=None,
        start_at=NOON,
        performing_physician_name=None,
        description=None,
        pre_medication=None,
        requested_contrast_agent=None,
        protocol_codes=[],
        status_changed_at=NOON,
        said_at={},
        booked_at=NOON,
        updated_at=NOON,
        **(usual | said),
    )


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({}, "SCHEDULED"),
        ({"waiting_status": "ARRIVED"}, "ARRIVED"),
        ({"imaged_status": "COMPLETED"}, "COMPLETED"),
        ({"imaged_status": "COMPLETED", "performed_status": "STARTED"}, "STARTED"),
        ({"imaged_status": "STARTED", "performed_status": "COMPLETED"}, "COMPLETED"),
        (
            {
                "imaged_status": "STARTED",
                "performed_status": "SCHEDULED",
                "waiting_status": "ARRIVED",
            },
            "ARRIVED",
        ),
        ({"closed": True, "status": "CANCELLED", "performed_status": "COMPLETED"}, "CANCELLED"),
    ],
)
def test_what_a_modality_says_goes_before_what_images_let_suppose(said, status):
    assert [each.status for each in settled([a_step(**said)])] == [status]


def test_images_do_not_move_the_other_steps_of_a_procedure_that_a_modality_tells_of():
    steps = [
        a_step(1, performed_status="COMPLETED"),
        a_step(2, imaged_status="COMPLETED"),
        a_step(3, procedure=2, imaged_status="COMPLETED"),
    ]
    assert [each.status for each in settled(steps)] == ["COMPLETED", "SCHEDULED", "COMPLETED"]


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (["SCHEDULED", "ARRIVED"], OrderState.PLACED),
        (["SCHEDULED", "STARTED"], OrderState.IN_PROGRESS),
        (["COMPLETED", "SCHEDULED"], OrderState.IN_PROGRESS),
        (["COMPLETED", "DISCONTINUED"], OrderState.COMPLETED),
        (["DISCONTINUED"], OrderState.IN_PROGRESS),
    ],
)
def test_a_procedure_is_where_its_steps_are(statuses, state):
    steps = [a_step(key, status=status) for key, status in enumerate(statuses)]
    assert procedure_states(steps) == {1: state}


def test_closed_steps_say_nothing_of_their_procedure():
    assert procedure_states([a_step(closed=True, status="CANCELLED")]) == {}


@pytest.mark.parametrize(
    ("known", "said", "expected"),
    [
        (None, "STARTED", "STARTED"),
        ("COMPLETED", "STARTED", "COMPLETED"),
        ("SCHEDULED", "ARRIVED", "ARRIVED"),
        ("READY", "ARRIVED", "READY"),
    ],
)
def test_what_is_said_never_takes_a_step_back(known, said, expected):
    assert further(known, said) == expected
