"""The way from an exam to OHIF, where it was installed: its address for the exam's studies."""

from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from isocenter.domain.access.model import Viewer
from isocenter.gateways.web.pages.exam_contents import ExamContents
from isocenter.gateways.web.pages.reading import opened_contents
from isocenter.gateways.web.second_viewer import ABSENT, PATH, NotInstalled, is_installed
from isocenter.gateways.web.web import InWeb, StudyViewer, Web

router = APIRouter(include_in_schema=False)


@router.get("/exams/{accession_number:path}/ohif")
async def show(web: InWeb, viewer: StudyViewer, accession_number: str) -> Response:
    """The exam's studies in OHIF."""
    return await _opened(web, viewer, accession_number, by_study=False)


@router.get("/studies/{study_instance_uid}/ohif")
async def show_study(web: InWeb, viewer: StudyViewer, study_instance_uid: str) -> Response:
    """A study that no order claims, in OHIF."""
    return await _opened(web, viewer, study_instance_uid, by_study=True)


async def _opened(web: Web, viewer: Viewer, identifier: str, *, by_study: bool) -> Response:
    if not is_installed(web.options.second_viewer_home):
        raise NotInstalled(ABSENT)
    contents: ExamContents = await web.pool.run(
        opened_contents, viewer, identifier, web=web, by_study=by_study, look=web.look()
    )
    uids = ",".join(each.study.study_instance_uid for each in contents.studies)
    return RedirectResponse(f"{PATH}/viewer?{urlencode({'StudyInstanceUIDs': uids})}")
