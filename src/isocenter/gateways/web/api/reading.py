"""What the reading workspace asks for beyond DICOMweb: priors, and which case is next."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from isocenter.domain.access.model import Viewer
from isocenter.gateways.web.api.shapes import Shape
from isocenter.gateways.web.onrecord import Look
from isocenter.gateways.web.web import InWeb, StudyViewer
from isocenter.infra.db import Tx
from isocenter.readmodels.prior_studies import PriorStudy, prior_studies
from isocenter.readmodels.reading_list import ReadingItem, reading_list

router = APIRouter(tags=["reading"])


class PriorAnswer(Shape):
    """Another study of the patient. ``relevance``: 2 same modality and body part, 1 one of both."""

    study_instance_uid: str
    study_date: date | None
    study_description: str | None
    modalities: list[str]
    body_parts: list[str]
    number_of_series: int
    number_of_instances: int
    accession_number: str | None
    relevance: int
    report_state: str | None


class ReadingAnswer(Shape):
    """An exam that waits to be read."""

    accession_number: str
    priority: str | None
    patient_id: str | None
    patient_name: str | None
    procedure: str | None
    modalities: list[str]
    study_instance_uids: list[str]
    number_of_instances: int
    listed_at: datetime
    drafted_by: str | None


@router.get("/api/studies/{study_instance_uid}/priors", summary="Other studies of the patient")
async def priors(web: InWeb, viewer: StudyViewer, study_instance_uid: str) -> list[PriorAnswer]:
    """The patient's other studies, the most relevant first."""
    found = await web.pool.run(_priors, viewer, study_instance_uid, look=web.look())
    return [PriorAnswer.model_validate(each) for each in found]


def _priors(tx: Tx, viewer: Viewer, study_instance_uid: str, *, look: Look) -> list[PriorStudy]:
    what = ("study.priors", "study", study_instance_uid)
    look.readings.note(tx, viewer.actor, what, now=look.now)
    found = prior_studies(tx, viewer, study_instance_uid)
    launched = viewer.actor.launched
    if launched is None or launched.study_instance_uids is None:
        return found
    return [each for each in found if each.study_instance_uid in launched.study_instance_uids]


@router.get("/api/reading-list", summary="Exams to be read")
async def waiting(
    web: InWeb, viewer: StudyViewer, modality: Annotated[str | None, Query(max_length=16)] = None
) -> list[ReadingAnswer]:
    """Exams with complete, matched images and no signed report: the urgent first."""
    found = await web.pool.run(_waiting, viewer, modality, look=web.look())
    return [ReadingAnswer.model_validate(each) for each in found]


def _waiting(tx: Tx, viewer: Viewer, modality: str | None, *, look: Look) -> list[ReadingItem]:
    what = ("reading_list.search", "reading_list", modality or "")
    look.readings.note(tx, viewer.actor, what, now=look.now)
    return reading_list(tx, viewer, modality=modality)
