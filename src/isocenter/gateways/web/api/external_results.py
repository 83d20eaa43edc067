"""What other systems found out about an exam's patient: documents, and values such as an eGFR."""

from datetime import datetime
from typing import Annotated, ClassVar

from fastapi import APIRouter, Query
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.domain.orders import service as orders
from isocenter.domain.reporting import service_external as external
from isocenter.domain.reporting.model_external import ExternalDocument, Observation
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.pages.exam_contents import UnknownExam
from isocenter.gateways.web.web import InWeb, ReportViewer, SignedIn
from isocenter.infra.db import Tx

router = APIRouter(prefix="/api/external-results", tags=["reports"])


class UnknownDocument(IsocenterError):
    """There is no such document."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class DocumentAnswer(Shape):
    """The newest version of a document; its content is at ``/documents/{document_key}``."""

    document_key: int
    source_peer: str
    document_id: str
    version: int
    accession_number: str | None
    kind: str
    status: str
    author_name: str | None
    written_at: datetime | None
    media_type: str
    received_at: datetime


class ObservationAnswer(Shape):
    """A value as it holds now."""

    source_peer: str
    order_number: str
    code_value: str
    code_scheme: str
    code_meaning: str
    value: str
    unit: str
    reference_range: str
    abnormal_flags: str
    status: str
    observed_at: datetime


class ExternalResultsAnswer(Shape):
    """Both, newest first."""

    documents: list[DocumentAnswer]
    observations: list[ObservationAnswer]


@router.get("", summary="Documents and values of other systems about an exam's patient")
async def results(
    web: InWeb, viewer: ReportViewer, accession_number: Annotated[str, Query()]
) -> ExternalResultsAnswer:
    """What is known, at most a hundred of each."""
    documents, observations = await web.pool.run(
        _of_exam, viewer, accession_number, look=web.look()
    )
    return ExternalResultsAnswer(
        documents=[DocumentAnswer.model_validate(each) for each in documents],
        observations=[ObservationAnswer.model_validate(each) for each in observations],
    )


def _of_exam(
    tx: Tx, viewer: Viewer, accession_number: str, *, look: Look
) -> tuple[list[ExternalDocument], list[Observation]]:
    exam = orders.exam(tx, accession_number)
    if exam is None:
        raise UnknownExam("There is no exam with this number.")
    key = exam.order.patient_key
    what = ("exam.read", "exam", accession_number)
    look.readings.note(tx, viewer.actor, what, now=look.now)
    return external.documents_of(tx, viewer, key), external.observations_of(tx, viewer, key)


@router.get("/documents/{document_key}", summary="A document as it was received")
async def document(web: InWeb, actor: SignedIn, document_key: int) -> Response:
    """Its text or PDF."""
    found = await web.pool.run(external.document_content, actor, document_key, now=web.clock())
    if found is None:
        raise UnknownDocument("There is no such document.")
    kind = f"{found.media_type}; charset=utf-8" if "text" in found.media_type else found.media_type
    return Response(
        found.content,
        media_type=kind,
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"},
    )
