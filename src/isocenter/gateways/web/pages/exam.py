"""The exam's page: its timeline, and everything that belongs to it."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from isocenter.domain.worklist import service as worklist
from isocenter.gateways.web.pages.exam_contents import (
    ExamContents,
    exam_contents,
    study_contents,
)
from isocenter.gateways.web.web import ExamViewer, InWeb, SignedIn, Web, seen_after

router = APIRouter(include_in_schema=False)


@router.get("/exams/{accession_number:path}")
async def show(request: Request, web: InWeb, viewer: ExamViewer, accession_number: str) -> Response:
    """The exam with this accession number."""
    return _page(
        request,
        web,
        await web.pool.run(
            exam_contents,
            viewer,
            accession_number,
            dicomweb_path=web.options.dicomweb_path,
            look=web.look(),
        ),
    )


@router.post("/exams/book-again")
async def book_again(
    web: InWeb, actor: SignedIn, accession_number: Annotated[str, Form()]
) -> Response:
    """The exam on the worklist again that a scanner discontinued."""
    await web.pool.run(worklist.book_again, actor, accession_number, now=web.clock())
    return seen_after(f"/exams/{quote(accession_number)}", "booked_again")


@router.get("/studies/{study_instance_uid}")
async def show_study(
    request: Request, web: InWeb, viewer: ExamViewer, study_instance_uid: str
) -> Response:
    """The exam that this study belongs to: the way to studies without an accession number."""
    return _page(
        request,
        web,
        await web.pool.run(
            study_contents,
            viewer,
            study_instance_uid,
            dicomweb_path=web.options.dicomweb_path,
            look=web.look(),
        ),
    )


def _page(request: Request, web: Web, contents: ExamContents) -> Response:
    return web.page(request, "exam.html", {"section": "/", "contents": contents})
