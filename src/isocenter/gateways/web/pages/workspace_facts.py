"""What the workspace's script is told with its page: the exam, its studies and series.

It is data in the page and no script; everything else the workspace asks DICOMweb and the API for.
"""

from collections.abc import Sequence
from typing import Any

from isocenter.domain.access.model import Action, Actor
from isocenter.gateways.web.formats import person_name
from isocenter.gateways.web.pages.exam_contents import ExamContents, StudyView


def workspace_facts(
    contents: ExamContents, actor: Actor, *, dicomweb_path: str, compare: Sequence[str]
) -> dict[str, Any]:
    """The facts as a JSON object. ``compare`` names studies to be shown beside the exam's own."""
    exam = contents.exam
    return {
        "accession_number": exam.accession_number,
        "patient_id": exam.patient_id or "",
        "patient_name": person_name(exam.patient_name) or "",
        "dicomweb": dicomweb_path,
        "may_measure": Action.REPORT_WRITE in actor.actions,
        "compare": list(compare),
        "studies": [_study(each) for each in contents.studies],
    }


def _study(view: StudyView) -> dict[str, Any]:
    return {
        "study_instance_uid": view.study.study_instance_uid,
        "study_date": view.study_date.isoformat() if view.study_date else None,
        "study_description": view.study.study_description or "",
        "series": [
            {
                "series_instance_uid": series.series_instance_uid,
                "modality": series.modality or "",
                "label": series.label,
                "number_of_instances": series.number_of_instances,
            }
            for series in view.series
        ],
    }
