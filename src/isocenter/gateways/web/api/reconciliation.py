"""What needs a person, and the person's decision."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

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
