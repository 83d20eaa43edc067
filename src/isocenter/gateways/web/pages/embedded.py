"""Pages of an exam without our navigation: for frames of other systems, and for paper.

The page for clinicians has the report first and its images below, with few tools. What is printed
is chosen in the reading workspace, which names the images by the query.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.domain.archive.service import location as archive
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.pages.exam_contents import ExamContents
from isocenter.gateways.web.pages.reading import is_built, opened_contents, workspace_page
from isocenter.gateways.web.printing import PRINTED_MAX, PrintedImage, printed_images
from isocenter.gateways.web.web import InWeb, StudyViewer, Web
from isocenter.infra.db import Tx

router = APIRouter(include_in_schema=False)


class Sheet(BaseModel):
    """What is printed: images by their names, and how many in a row and in a column."""

    image: list[str] = Field(default=[], max_length=PRINTED_MAX)
    rows: int = Field(2, ge=1, le=4)
    columns: int = Field(2, ge=1, le=5)


LAYOUTS: Final = ((1, 1), (1, 2), (2, 2), (2, 3), (3, 4), (4, 5))


@router.get("/exams/{accession_number:path}/embed")
async def embed(
    request: Request, web: InWeb, viewer: StudyViewer, accession_number: str
) -> Response:
    """The report of the exam, its images below."""
    contents = await _contents(web, viewer, accession_number, by_study=False)
    return _embedded(request, web, contents)


@router.get("/studies/{study_instance_uid}/embed")
async def embed_study(
    request: Request, web: InWeb, viewer: StudyViewer, study_instance_uid: str
) -> Response:
    """The images of a study that no order claims."""
    contents = await _contents(web, viewer, study_instance_uid, by_study=True)
    return _embedded(request, web, contents)


async def _contents(web: Web, viewer: Viewer, identifier: str, *, by_study: bool) -> ExamContents:
    return await web.pool.run(
        opened_contents, viewer, identifier, web=web, by_study=by_study, look=web.look()
    )


def _embedded(request: Request, web: Web, contents: ExamContents) -> Response:
    context: dict[str, Any] = {"contents": contents, "section": "/"}
    if not is_built():
        context["stack"] = [series for study in contents.studies for series in study.series]
        return web.page(request, "embed_plain.html", context)
    return workspace_page(request, web, "embed.html", context)


@router.get("/exams/{accession_number:path}/print")
async def print_exam(
    request: Request,
    web: InWeb,
    viewer: StudyViewer,
    accession_number: str,
    sheet: Annotated[Sheet, Query()],
) -> Response:
    """The chosen images and the signed report on paper."""
    contents = await _contents(web, viewer, accession_number, by_study=False)
    return await _printed(request, web, viewer, contents, sheet)


@router.get("/studies/{study_instance_uid}/print")
async def print_study(
    request: Request,
    web: InWeb,
    viewer: StudyViewer,
    study_instance_uid: str,
    sheet: Annotated[Sheet, Query()],
) -> Response:
    """The chosen images of a study that no order claims on paper."""
    contents = await _contents(web, viewer, study_instance_uid, by_study=True)
    return await _printed(request, web, viewer, contents, sheet)


async def _printed(
    request: Request,
    web: Web,
    viewer: Viewer,
    contents: ExamContents,
    sheet: Sheet,
) -> Response:
    images = printed_images(contents, sheet.image, dicomweb_path=web.options.dicomweb_path)
    await web.pool.run(_record, viewer, images, look=web.look())
    cells = sheet.rows * sheet.columns
    context = {
        "contents": contents,
        "sheets": [images[at : at + cells] for at in range(0, len(images), cells)],
        "rows": sheet.rows,
        "columns": sheet.columns,
        "layouts": LAYOUTS,
        "names": sheet.image,
        "section": "/",
    }
    return web.page(request, "print.html", context)


def _record(tx: Tx, viewer: Viewer, images: list[PrintedImage], *, look: Look) -> None:
    for uid in dict.fromkeys(each.study_instance_uid for each in images):
        archive.record_study_access(tx, viewer.actor, uid, action="study.print", now=look.now)
