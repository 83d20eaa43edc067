"""What needs a person, and the person's decision."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from isocenter.domain.archive.model_contents import Content, Contents
from isocenter.domain.archive.service import contents as other_contents
from isocenter.domain.reconcile import service as reconcile
from isocenter.domain.reconcile.model import CaseKind, Method
from isocenter.gateways.web.api.shapes import LIMIT_MAX, Shape
from isocenter.gateways.web.web import InWeb, SignedIn, StudyViewer
from isocenter.readmodels import reconciliation

router = APIRouter(prefix="/api/reconciliation", tags=["reconciliation"])


class CandidateAnswer(Shape):
    """An order that the study might belong to; ``grounds`` says what speaks for it."""

    accession_number: str
    patient_id: str | None
    patient_name: str | None
    procedure: str | None
    modality: str | None
    scheduled_at: datetime | None
    grounds: list[str]


class CaseAnswer(Shape):
    """An open case, with what the images say."""

    case_key: int
    study_instance_uid: str
    kind: CaseKind
    reason: str
    opened_at: datetime
    accession_number: str | None
    patient_id: str | None
    patient_name: str | None
    modalities: list[str]
    number_of_instances: int
    linked_accession_number: str | None
    candidates: list[CandidateAnswer]


class LinkAnswer(Shape):
    """Which order a study belongs to, and why."""

    study_instance_uid: str
    accession_number: str
    method: Method
    reason: str
    linked_at: datetime
    linked_by: str


class ContentAnswer(Shape):
    """One of several contents. ``conflict_key`` is null for the one that is shown."""

    conflict_key: int | None
    sha256: str
    size_bytes: int
    calling_ae_title: str
    received_at: datetime
    asserted_study_instance_uid: str
    asserted_series_instance_uid: str

    @classmethod
    def of(cls, content: Content) -> Self:
        """The answer for this content."""
        return cls(
            conflict_key=content.conflict_key,
            sha256=content.digest,
            size_bytes=content.size_bytes,
            calling_ae_title=content.calling_ae_title,
            received_at=content.received_at,
            asserted_study_instance_uid=content.asserted_study_instance_uid,
            asserted_series_instance_uid=content.asserted_series_instance_uid,
        )


class ContentsAnswer(Shape):
    """An instance of which different bytes were received."""

    sop_instance_uid: str
    shown: ContentAnswer
    kept: list[ContentAnswer]

    @classmethod
    def of(cls, contents: Contents) -> Self:
        """The answer for these contents."""
        return cls(
            sop_instance_uid=contents.sop_instance_uid,
            shown=ContentAnswer.of(contents.shown),
            kept=[ContentAnswer.of(each) for each in contents.kept],
        )


class MatchRequest(BaseModel):
    """The exam that a person chose, and how they know."""

    accession_number: str = Field(max_length=64)
    reason: str = Field(default="", max_length=500)


class ReasonRequest(BaseModel):
    """Why."""

    reason: str = Field(default="", max_length=500)


@router.get("", summary="Open cases, oldest first")
async def cases(
    web: InWeb,
    viewer: StudyViewer,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
) -> list[CaseAnswer]:
    """Studies that need a person."""
    found = await web.pool.run(reconciliation.open_cases, viewer, limit=limit)
    return [CaseAnswer.model_validate(each) for each in found]


@router.post("/{study_instance_uid}/match", summary="Match a study with an order")
async def match(
    web: InWeb, actor: SignedIn, study_instance_uid: str, body: MatchRequest
) -> LinkAnswer:
    """The link, which stays whatever is learned later."""
    link = await web.pool.run(
        reconcile.match_by_person,
        actor,
        study_instance_uid,
        body.accession_number,
        reason=body.reason,
        now=web.clock(),
    )
    return LinkAnswer.model_validate(link)


@router.post("/{study_instance_uid}/undo", status_code=204, summary="Undo a match")
async def undo(web: InWeb, actor: SignedIn, study_instance_uid: str, body: ReasonRequest) -> None:
    """The study belongs to that order no more."""
    await web.pool.run(
        reconcile.undo_match, actor, study_instance_uid, reason=body.reason, now=web.clock()
    )


@router.post("/cases/{case_key}/dismiss", status_code=204, summary="End a case")
async def dismiss(web: InWeb, actor: SignedIn, case_key: int, body: ReasonRequest) -> None:
    """The case ended; it comes back only when there is something new."""
    await web.pool.run(reconcile.dismiss_case, actor, case_key, reason=body.reason, now=web.clock())


@router.get("/{study_instance_uid}/contents", summary="Instances that came with different bytes")
async def contents(
    web: InWeb, viewer: StudyViewer, study_instance_uid: str
) -> list[ContentsAnswer]:
    """What is shown of each, and what is kept beside it."""
    found = await web.pool.run(other_contents.contents_of, viewer, study_instance_uid)
    return [ContentsAnswer.of(each) for each in found]


@router.post("/contents/{conflict_key}/show", status_code=204, summary="Show the other content")
async def show_instead(web: InWeb, actor: SignedIn, conflict_key: int, body: ReasonRequest) -> None:
    """The kept content is shown, and the shown one is kept."""
    await web.pool.run(
        other_contents.show_instead,
        actor,
        web.blobs,
        conflict_key,
        reason=body.reason,
        now=web.clock(),
    )
