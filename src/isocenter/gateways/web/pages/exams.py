"""The board: what is stuck, what needs a person, and all exams."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.gateways.web.audited import searched_exams
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.paging import next_url
from isocenter.gateways.web.web import ExamViewer, InWeb, Web
from isocenter.infra.db import Tx
from isocenter.readmodels import exam_ledger
from isocenter.readmodels.exam_ledger import ExamLedger, ExamPage, ExamQuery, ExamState

router = APIRouter(include_in_schema=False)

_STUCK_SHOWN = 5
_STUCK_MAX = 200


class Filters(BaseModel):
    """The search form."""

    text: str = ""
    state: str = ""
    accession_number: str = ""
    patient_id: str = ""
    after: str = ""
    only: str = ""

    @property
    def narrows(self) -> bool:
        """Whether anything is searched for."""
        return any((self.text, self.state, self.accession_number, self.patient_id))


@dataclass(frozen=True, slots=True)
class Board:
    """What the board shows. Exams that need a person are listed apart from those that are late."""

    stuck: list[ExamLedger]
    person: list[ExamLedger]
    page: ExamPage


@router.get("/")
async def show(
    request: Request, web: InWeb, viewer: ExamViewer, filters: Annotated[Filters, Query()]
) -> Response:
    """Exams, newest first, below those that somebody must look after."""
    board = await web.pool.run(_load, viewer, filters, web=web, look=web.look())
    shown = _STUCK_MAX if filters.only == "stuck" else _STUCK_SHOWN
    context = {
        "section": "/",
        "stuck": board.stuck[:shown],
        "stuck_count": len(board.stuck),
        "person": board.person[:shown],
        "person_count": len(board.person),
        "exams": board.page.exams,
        "next_url": next_url(request, after=board.page.after) if board.page.after else None,
        "filters": filters,
        "filtered": filters.narrows,
        "states": [each.value for each in ExamState],
    }
    return web.page(request, "exams.html", context)


def _load(tx: Tx, viewer: Viewer, filters: Filters, *, web: Web, look: Look) -> Board:
    query = ExamQuery(
        accession_number=filters.accession_number.strip() or None,
        patient_id=filters.patient_id.strip() or None,
        state=filters.state or None,
        text=filters.text.strip() or None,
        limit=web.options.page_rows,
        after=filters.after or None,
    )
    found = exam_ledger.stuck(tx, viewer, now=look.now, expectations=look.expectations)
    return Board(
        stuck=[each for each in found if not each.needs_person],
        person=[each for each in found if each.needs_person],
        page=searched_exams(tx, viewer, query, look=look),
    )
