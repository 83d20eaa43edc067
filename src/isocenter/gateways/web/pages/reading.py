"""The reading page: an exam's images beside its report.

Where the workspace is built it shows the images; browsers that cannot run it, and people who ask
with ``plain``, get rendered images. The draft saves itself through the API; the form here does the
same for a browser without scripts, and signs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive.service import location as archive
from isocenter.domain.reporting import service as reporting
from isocenter.domain.reporting.model import ReportState
from isocenter.gateways.web.launching import frame_origins
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.pages.exam_contents import (
    ExamContents,
    UnknownExam,
    exam_contents,
    study_contents,
)
from isocenter.gateways.web.pages.workspace_facts import workspace_facts
from isocenter.gateways.web.web import (
    STATIC,
    InWeb,
    SignedIn,
    StudyViewer,
    Web,
    exam_path,
    seen_after,
)
from isocenter.gateways.web.workspace_assets import content_security_policy, workspace_assets
from isocenter.infra.db import Tx

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Preset:
    """A window for images of one modality: centre and width in its units (CT: Hounsfield).

    Standard: PS3.18 8.3.5.1.4 (window parameter), PS3.3 C.11.2.1.2
    """

    label: str
    modality: str
    centre: int
    width: int
    key: int

    @property
    def window(self) -> str:
        """The value of the ``window`` parameter."""
        return f"{self.centre},{self.width},linear"


PRESETS = (
    Preset("Soft tissue", "CT", 40, 400, 1),
    Preset("Lung", "CT", -600, 1500, 2),
    Preset("Bone", "CT", 480, 2500, 3),
    Preset("Brain", "CT", 40, 80, 4),
    Preset("Liver", "CT", 60, 160, 5),
)


class ReportForm(BaseModel):
    """The editor. ``draft_revision`` is the one that the author saw, ``plain`` the page."""

    text: str
    report_id: str = ""
    draft_revision: str = ""
    plain: bool = False
    action: Literal["draft", "confirm", "sign", "addend"]


@router.get("/exams/{accession_number:path}/read")
async def show(
    request: Request,
    web: InWeb,
    viewer: StudyViewer,
    accession_number: str,
    addendum: Annotated[bool, Query()] = False,
    plain: Annotated[bool, Query()] = False,
) -> Response:
    """Images and report of the exam with this accession number."""
    contents = await web.pool.run(
        opened_contents, viewer, accession_number, web=web, by_study=False, look=web.look()
    )
    return _page(request, web, contents, addendum=addendum, plain=plain)


@router.get("/studies/{study_instance_uid}/read")
async def show_study(
    request: Request,
    web: InWeb,
    viewer: StudyViewer,
    study_instance_uid: str,
    plain: Annotated[bool, Query()] = False,
) -> Response:
    """Images of a study that no order claims: there is nothing a report could answer."""
    contents = await web.pool.run(
        opened_contents, viewer, study_instance_uid, web=web, by_study=True, look=web.look()
    )
    return _page(request, web, contents, addendum=False, plain=plain)


@router.get("/viewer")
async def launch(
    request: Request,
    web: InWeb,
    viewer: StudyViewer,
    wanted: Annotated[str, Query(alias="StudyInstanceUIDs", max_length=4096)],
) -> Response:
    """The first of the studies, the others beside it: the address that other programs open.

    Standard: IHE Radiology Technical Framework, Invoke Image Display (RAD-106)
    """
    uids = [each for each in wanted.replace("\\", ",").split(",") if each]
    if not uids:
        raise UnknownExam("Name the studies to open: StudyInstanceUIDs.")
    contents = await web.pool.run(
        opened_contents, viewer, uids[0], web=web, by_study=True, look=web.look()
    )
    return _page(request, web, contents, addendum=False, compare=uids[1:])


def opened_contents(
    tx: Tx, viewer: Viewer, identifier: str, *, web: Web, by_study: bool, look: Look
) -> ExamContents:
    """The contents of an exam or of a study, which is put on record as seen."""
    gather = study_contents if by_study else exam_contents
    contents = gather(
        tx,
        Viewer.of(viewer.actor, Action.EXAM_READ),
        identifier,
        dicomweb_path=web.options.dicomweb_path,
        look=look,
    )
    for each in contents.studies:
        uid = each.study.study_instance_uid  # an opening is always put on record
        archive.record_study_access(tx, viewer.actor, uid, action="study.view", now=look.now)
    return contents


def _page(
    request: Request,
    web: Web,
    contents: ExamContents,
    *,
    addendum: bool,
    plain: bool = False,
    compare: Sequence[str] = (),
) -> Response:
    report = contents.report
    drafting = report is None or report.state is ReportState.DRAFT
    may_write = (
        Action.REPORT_WRITE in request.state.actor.actions and not contents.exam.study_instance_uid
    )
    context: dict[str, Any] = {
        "section": "/",
        "contents": contents,
        "stack": [series for study in contents.studies for series in study.series],
        "mode": "draft" if drafting and may_write else "addend" if may_write and addendum else "",
        "may_addend": may_write and not drafting,
        "workspace": None,
    }
    if plain or not is_built():
        context["presets"] = PRESETS
        return web.page(request, "read.html", context, default_theme="dark")
    return workspace_page(request, web, "workspace.html", context, compare=compare)


def is_built() -> bool:
    """Whether the workspace was built, so that its page can be shown."""
    return workspace_assets(STATIC) is not None


def workspace_page(
    request: Request,
    web: Web,
    template: str,
    context: Mapping[str, Any],
    *,
    compare: Sequence[str] = (),
) -> Response:
    """A page that loads the workspace's script, of a context with the ``contents`` of an exam."""
    facts = workspace_facts(
        context["contents"],
        request.state.actor,
        dicomweb_path=web.options.dicomweb_path,
        compare=compare,
    )
    facts["frame_origins"] = frame_origins(request.state.actor, web.options.frame_origins)
    given = {**context, "workspace": workspace_assets(STATIC), "facts": facts}
    answer = web.page(request, template, given, default_theme="dark")
    policy = content_security_policy(web.options.frame_origins)
    answer.headers["Content-Security-Policy"] = policy
    return answer


@router.post("/exams/{accession_number:path}/read")
async def write(
    web: InWeb, actor: SignedIn, accession_number: str, form: Annotated[ReportForm, Form()]
) -> Response:
    """The draft saved, or the text signed."""
    await web.pool.run(_write, actor, accession_number, form, now=web.clock())
    if form.action in {"draft", "confirm"}:
        page = f"{exam_path(accession_number)}/read"
        return seen_after(f"{page}?plain=true" if form.plain else page, "draft")
    return seen_after(exam_path(accession_number), "signed")


def _write(tx: Tx, actor: Actor, accession_number: str, form: ReportForm, *, now: datetime) -> None:
    text = form.text.replace("\r\n", "\n")  # forms send line ends as CR LF
    if form.action == "addend":
        reporting.addend(tx, actor, form.report_id, text, now=now)
        return
    revision = int(form.draft_revision) if form.draft_revision.isdecimal() else None
    report = reporting.draft(tx, actor, accession_number, text, revision=revision, now=now)
    if form.action == "confirm":
        revision = report.draft_revision
        reporting.confirm_patient(tx, actor, report.report_id, revision=revision, now=now)
    elif form.action == "sign":
        reporting.sign(tx, actor, report.report_id, revision=report.draft_revision, now=now)
