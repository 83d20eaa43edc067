"""Stations and the worklist, and every alarm that is about no exam."""

from datetime import datetime

from fastapi import APIRouter

from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.monitoring.model import ConditionKind
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.web import ExamViewer, InWeb, WorklistViewer
from isocenter.readmodels import worklist_guard

router = APIRouter(prefix="/api", tags=["stations"])


class StationAnswer(Shape):
    """What is known of a station."""

    ae_title: str
    peer: str | None
    last_queried_at: datetime | None
    last_result_count: int | None
    queries: int
    days_asking: int
    studies: int
    unasked: int
    by_hand: int
    last_received_at: datetime | None
    clock_s: float | None
    is_silent: bool
    types_by_hand: bool
    clock_is_off: bool


class ConditionAnswer(Shape):
    """Something that is wrong besides exams."""

    kind: ConditionKind
    subject: str
    reason: str
    since: datetime
    raised_at: datetime


@router.get("/stations", summary="What stations ask of the worklist")
async def stations(web: InWeb, viewer: WorklistViewer) -> list[StationAnswer]:
    """Every station of the last two weeks."""
    found = await web.pool.read(
        worklist_guard.stations,
        viewer,
        now=web.clock(),
        silence_s=web.options.worklist_silence_s,
        time_zone=str(web.options.time_zone),
    )
    return [StationAnswer.model_validate(each) for each in found]


@router.get("/conditions", summary="Alarms that are about no exam")
async def conditions(web: InWeb, viewer: ExamViewer) -> list[ConditionAnswer]:
    """Stations that stopped asking or type by hand, wrong clocks, images that wait too long."""
    found = await web.pool.read(monitoring.raised_conditions, viewer)
    return [ConditionAnswer.model_validate(each) for each in found]
