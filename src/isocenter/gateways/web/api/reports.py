"""Reports: draft, sign, addend."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from isocenter.domain.reporting import service as reporting
from isocenter.domain.reporting.model import ReportState, VersionKind
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.web import InWeb, ReportViewer, SignedIn

router = APIRouter(prefix="/api/reports", tags=["reports"])

TEXT_LENGTH_MAX = 200_000


class ReportAnswer(Shape):
    """A report. ``draft_text`` is null once it is signed; ``version`` is 0 until then.

    With ``patient_unconfirmed`` the exam's patient was merged or parted while the draft was
    written: it is not signed before a writer has confirmed the patient.
    """

    report_id: str
    accession_number: str
    state: ReportState
    version: int
    draft_text: str | None
    draft_revision: int
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime
    signed_at: datetime | None
    patient_unconfirmed: bool


class VersionAnswer(Shape):
    """A signed text. ``digest`` is hexadecimal SHA-256, chained from version to version."""

    version: int
    kind: VersionKind
    text: str
    digest: str
    signed_by: str
    signer_name: str
    signed_at: datetime


class DraftRequest(BaseModel):
    """A draft for the exam with this accession number."""

    accession_number: str = Field(max_length=64)
    text: str = Field(max_length=TEXT_LENGTH_MAX)
    draft_revision: int | None = None


class SaveRequest(BaseModel):
    """A draft's new text. ``draft_revision`` is the one the author saw: another one conflicts."""

    text: str = Field(max_length=TEXT_LENGTH_MAX)
    draft_revision: int | None = None


class SignRequest(BaseModel):
    """Which draft the signer saw."""

    draft_revision: int | None = None


class ConfirmRequest(BaseModel):
    """Which draft the writer saw, beside the patient as they are now."""

    draft_revision: int


class AddendumRequest(BaseModel):
    """What is added."""

    text: str = Field(max_length=TEXT_LENGTH_MAX)


@router.get("", summary="The report of an exam")
async def report_of(
    web: InWeb, viewer: ReportViewer, accession_number: Annotated[str, Query()]
) -> list[ReportAnswer]:
    """The exam's report in a list, which is empty when nobody has begun to write."""
    found = await web.pool.run(reporting.report_of, viewer, accession_number)
    return [ReportAnswer.model_validate(found)] if found else []


@router.post("", status_code=201, summary="Begin or save the draft of an exam's report")
async def draft(web: InWeb, actor: SignedIn, body: DraftRequest) -> ReportAnswer:
    """The report with its draft."""
    made = await web.pool.run(
        reporting.draft,
        actor,
        body.accession_number,
        body.text,
        revision=body.draft_revision,
        now=web.clock(),
    )
    return ReportAnswer.model_validate(made)


@router.get("/{report_id}", summary="A report")
async def report(web: InWeb, viewer: ReportViewer, report_id: str) -> ReportAnswer:
    """The report."""
    found = await web.pool.run(reporting.report, viewer, report_id)
    return ReportAnswer.model_validate(found)


@router.put("/{report_id}", summary="Save a draft")
async def save(web: InWeb, actor: SignedIn, report_id: str, body: SaveRequest) -> ReportAnswer:
    """The report with its draft."""
    saved = await web.pool.run(
        reporting.redraft,
        actor,
        report_id,
        body.text,
        revision=body.draft_revision,
        now=web.clock(),
    )
    return ReportAnswer.model_validate(saved)


@router.get("/{report_id}/versions", summary="The signed texts of a report")
async def versions(web: InWeb, viewer: ReportViewer, report_id: str) -> list[VersionAnswer]:
    """All signed texts, oldest first."""
    found = await web.pool.run(reporting.versions, viewer, report_id)
    return [
        VersionAnswer(
            version=each.version,
            kind=each.kind,
            text=each.text,
            digest=each.digest.hex(),
            signed_by=each.signed_by,
            signer_name=each.signer_name,
            signed_at=each.signed_at,
        )
        for each in found
    ]


@router.post("/{report_id}/sign", summary="Sign the draft")
async def sign(
    web: InWeb, actor: SignedIn, report_id: str, body: SignRequest | None = None
) -> ReportAnswer:
    """The signed report; it is on its way to its recipients when this answers."""
    revision = body.draft_revision if body else None
    signed = await web.pool.run(
        reporting.sign, actor, report_id, revision=revision, now=web.clock()
    )
    return ReportAnswer.model_validate(signed)


@router.post("/{report_id}/patient", summary="Confirm the patient of a draft")
async def confirm_patient(
    web: InWeb, actor: SignedIn, report_id: str, body: ConfirmRequest
) -> ReportAnswer:
    """The report: after a merge, its writer says that it is about the patient as they are now."""
    confirmed = await web.pool.run(
        reporting.confirm_patient,
        actor,
        report_id,
        revision=body.draft_revision,
        now=web.clock(),
    )
    return ReportAnswer.model_validate(confirmed)


@router.post("/{report_id}/addenda", status_code=201, summary="Sign an addendum")
async def addend(
    web: InWeb, actor: SignedIn, report_id: str, body: AddendumRequest
) -> ReportAnswer:
    """The report with the addendum as its newest version."""
    added = await web.pool.run(reporting.addend, actor, report_id, body.text, now=web.clock())
    return ReportAnswer.model_validate(added)
