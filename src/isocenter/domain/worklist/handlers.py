"""The worklist follows the schedule."""

from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.scheduling.events import StepBooked, StepCancelled, StepStatusChanged
from isocenter.domain.scheduling.model import StepStatus
from isocenter.domain.worklist import service
from isocenter.infra.db import Tx

_ACTOR = Actor.system("worklist")


def on_step_booked(tx: Tx, event: StepBooked, *, now: datetime) -> None:
    """Put the new steps on the worklist."""
    service.publish(tx, _ACTOR, event.step_keys, event.accession_number, now=now)


def on_step_cancelled(tx: Tx, event: StepCancelled, *, now: datetime) -> None:
    """Take cancelled steps off the worklist."""
    service.withdraw(tx, _ACTOR, event.step_keys, event.accession_number, now=now)


def on_step_status_changed(tx: Tx, event: StepStatusChanged, *, now: datetime) -> None:
    """Take completed steps off the worklist."""
    if event.status == StepStatus.COMPLETED:
        service.withdraw(tx, _ACTOR, event.step_keys, event.accession_number, now=now)
