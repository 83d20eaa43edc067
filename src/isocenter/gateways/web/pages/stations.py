"""Stations: who asks for the worklist, who stopped, who types by hand, whose clock is wrong."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.monitoring.model import ConditionKind, RaisedCondition
from isocenter.gateways.web.web import InWeb, Web, WorklistViewer
from isocenter.infra.db import Tx
from isocenter.readmodels import worklist_guard
from isocenter.readmodels.worklist_guard import LOOKED_BACK, STUDIES_JUDGED, StationView

router = APIRouter(include_in_schema=False)

_OF_STATIONS = frozenset({
    ConditionKind.STATION_SILENT,
    ConditionKind.STATION_BY_HAND,
    ConditionKind.STATION_CLOCK,
})


@router.get("/stations")
async def show(request: Request, web: InWeb, viewer: WorklistViewer) -> Response:
    """Every station of the last weeks, and the alarms about them."""
    stations, alarms = await web.pool.read(stations_and_alarms, viewer, web=web)
    context: dict[str, Any] = {
        "section": "/stations",
        "stations": stations,
        "alarms": alarms,
        "days": LOOKED_BACK.days,
        "judged": STUDIES_JUDGED,
    }
    return web.page(request, "stations.html", context)


def stations_and_alarms(
    tx: Tx, viewer: Viewer, *, web: Web
) -> tuple[list[StationView], list[RaisedCondition]]:
    """The stations, and what alarms about them; of other alarms other pages tell."""
    stations = worklist_guard.stations(
        tx,
        viewer,
        now=web.clock(),
        silence_s=web.options.worklist_silence_s,
        time_zone=str(web.options.time_zone),
    )
    exams = Viewer.of(viewer.actor, Action.EXAM_READ)
    alarms = monitoring.raised_conditions(tx, exams)
    return stations, [each for each in alarms if each.kind in _OF_STATIONS]
