"""All that the pages of one exam show, gathered in one transaction.

What the reader may not see is left out here: without the right to read studies there are no series,
without the right to read reports no texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive.model import Series
from isocenter.domain.archive.service import location as archive
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model_visits import Visit
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import Exam
from isocenter.domain.reporting import service as reporting
from isocenter.domain.reporting import service_external as external
from isocenter.domain.reporting.model import Report, ReportVersion
from isocenter.domain.reporting.model_external import ExternalDocument, Observation
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model_appointments import Appointment
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.web.audited import opened_exam, opened_exam_of_study
from isocenter.gateways.web.formats import person_name
from isocenter.gateways.web.onrecord import Look
from isocenter.infra.db import Tx
from isocenter.readmodels.exam_ledger import ExamLedger, Hop, LedgerStudy


class UnknownExam(IsocenterError):
    """Neither an order nor a study has this number."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class HopView:
    """A hop as a line of the timeline. ``gap_s``: seconds since the hop before it that happened."""

    name: str
    at: datetime | None
    state: str
    late: bool
    reason: str | None
    since: datetime | None
    detail: str
    gap_s: float | None


@dataclass(frozen=True, slots=True)
class SeriesView:
    """A series with the addresses of its pictures."""

    series_instance_uid: str
    modality: str | None
    series_number: int | None
    description: str | None
    number_of_instances: int
    thumbnail: str
    images: str

    @property
    def label(self) -> str:
        """What people call it."""
        parts = [
            str(self.series_number) if self.series_number is not None else "",
            self.description,
        ]
        return " ".join(part for part in parts if part) or self.modality or "Series"


@dataclass(frozen=True, slots=True)
class StudyView:
    """A study with its series; none when the reader may not see images."""

    study: LedgerStudy
    study_date: date | None
    series: list[SeriesView]


@dataclass(frozen=True, slots=True)
class ExamContents:
    """One exam, for its pages."""

    exam: ExamLedger
    birth_date: date | None
    sex: str | None
    order: list[tuple[str, str]]
    studies: list[StudyView]
    report: Report | None
    versions: list[ReportVersion]
    hops: list[HopView]
    documents: list[ExternalDocument]
    observations: list[Observation]
    visit: Visit | None
    appointment: Appointment | None

    @property
    def done_count(self) -> int:
        """How many hops have happened."""
        return sum(hop.state == "done" for hop in self.hops)

    @property
    def image_total(self) -> int:
        """How many images its studies have."""
        return sum(each.study.number_of_instances for each in self.studies)

    @property
    def live_ids(self) -> str:
        """The identifiers by which events name this exam."""
        ids = [
            self.exam.accession_number,
            *(each.study.study_instance_uid for each in self.studies),
        ]
        ids.extend(each.report_id for each in self.exam.reports)
        return " ".join(each for each in ids if each and " " not in each)


def exam_contents(
    tx: Tx,
    viewer: Viewer,
    accession_number: str,
    *,
    dicomweb_path: str,
    look: Look,
) -> ExamContents:
    """The exam with this accession number. Raises ``UnknownExam``."""
    found = opened_exam(tx, viewer, accession_number, look=look)
    return _contents(tx, viewer, found, dicomweb_path)


def study_contents(
    tx: Tx,
    viewer: Viewer,
    study_instance_uid: str,
    *,
    dicomweb_path: str,
    look: Look,
) -> ExamContents:
    """The exam that this study belongs to. Raises ``UnknownExam``."""
    found = opened_exam_of_study(tx, viewer, study_instance_uid, look=look)
    return _contents(tx, viewer, found, dicomweb_path)


def _contents(tx: Tx, viewer: Viewer, exam: ExamLedger | None, dicomweb_path: str) -> ExamContents:
    if exam is None:
        raise UnknownExam("There is no exam with this number.")
    order = None if exam.study_instance_uid else orders.exam(tx, exam.accession_number)
    birth_date, sex = _person(tx, viewer, exam, order)
    report, versions = _report(tx, viewer, exam)
    may_read = order is not None and Action.REPORT_READ in viewer.actor.actions
    key = order.order.patient_key if order is not None and may_read else None
    return ExamContents(
        exam=exam,
        birth_date=birth_date,
        sex=sex,
        order=[*order_facts(order), *_related(tx, order)],
        studies=[study_view(tx, viewer, each, dicomweb_path) for each in exam.studies],
        report=report,
        versions=versions,
        hops=hop_views(exam.hops),
        documents=external.documents_of(tx, viewer, key) if key is not None else [],
        observations=external.observations_of(tx, viewer, key) if key is not None else [],
        visit=_visit(tx, order),
        appointment=next(iter(scheduling.appointments_of(tx, exam.accession_number)), None),
    )


def _visit(tx: Tx, order: Exam | None) -> Visit | None:
    """The visit that the order names, as the registration tells it."""
    if order is None or order.order.admission_id is None:
        return None
    visits = identity.visits_of(tx, order.order.patient_key)
    number = order.order.admission_id
    return next((each for each in visits if each.visit_number == number), None)


def _person(
    tx: Tx, viewer: Viewer, exam: ExamLedger, order: Exam | None
) -> tuple[date | None, str | None]:
    if order is not None:
        patient = identity.patient(tx, order.order.patient_key)
        return patient.birth_date, patient.sex
    if Action.STUDY_READ in viewer.actor.actions and exam.studies:
        study = archive.study(tx, viewer, exam.studies[0].study_instance_uid)
        return study.patient_birth_date, study.patient_sex
    return None, None


def _report(tx: Tx, viewer: Viewer, exam: ExamLedger) -> tuple[Report | None, list[ReportVersion]]:
    if not exam.reports or Action.REPORT_READ not in viewer.actor.actions:
        return None, []
    report_id = exam.reports[0].report_id
    return reporting.report(tx, viewer, report_id), reporting.versions(tx, viewer, report_id)


def order_facts(order: Exam | None) -> list[tuple[str, str]]:
    """What the order says, as label and value; empty values left out."""
    if order is None:
        return []
    facts = order.order
    said = [
        ("Procedure", ", ".join(each.description or "" for each in order.procedures)),
        ("Reason", facts.reason_for_study),
        ("Clinical information", facts.clinical_information),
        ("Ordered by", person_name(facts.ordering_provider_name)),
        ("Referred by", person_name(facts.referring_physician_name)),
        ("Placer order number", facts.placer_order_number),
        ("Filler order number", facts.filler_order_number),
        ("Priority", facts.priority),
        ("Location", facts.location),
        ("Patient class", facts.patient_class),
        ("Allergies", facts.allergies),
        ("Special needs", facts.special_needs),
        ("Danger", facts.danger_code),
        ("State", facts.state.replace("_", " ")),
        ("Reason for the state", facts.state_reason),
        ("Received from", facts.source_peer),
    ]
    return [(label, value) for label, value in said if value]


_RELATIONS: Mapping[str, str] = {
    "replacement": "Replaced by",
    "replaced": "Replaces",
    "parent": "Part of",
    "child": "Parted into",
}


def _related(tx: Tx, order: Exam | None) -> list[tuple[str, str]]:
    """The accession numbers of the orders that belong to this one."""
    if order is None:
        return []
    found = orders.related_orders(tx, order.order.order_key)
    return [(_RELATIONS[each.relation], each.accession_number) for each in found]


def study_view(tx: Tx, viewer: Viewer, study: LedgerStudy, dicomweb_path: str) -> StudyView:
    """The study with its series and the addresses of their pictures."""
    if Action.STUDY_READ not in viewer.actor.actions:
        return StudyView(study, None, [])
    uid = study.study_instance_uid
    series = [series_view(each, dicomweb_path) for each in archive.series_of(tx, viewer, uid)]
    return StudyView(study, archive.study(tx, viewer, uid).study_date, series)


def series_view(series: Series, dicomweb_path: str) -> SeriesView:
    """The series with the addresses of its pictures.

    Standard: PS3.18 10.4.1.1.5 (thumbnail)
    """
    uid, study_uid = series.series_instance_uid, series.study_instance_uid
    return SeriesView(
        series_instance_uid=uid,
        modality=series.modality,
        series_number=series.series_number,
        description=series.series_description,
        number_of_instances=series.number_of_instances,
        thumbnail=f"{dicomweb_path}/studies/{study_uid}/series/{uid}/thumbnail",
        images=f"/api/studies/{study_uid}/series/{uid}/frames",
    )


def hop_views(hops: Sequence[Hop]) -> list[HopView]:
    """The hops with what was counted, and how long each took after the one before."""
    views: list[HopView] = []
    before: datetime | None = None
    for hop in hops:
        gap_s = (hop.at - before).total_seconds() if hop.at and before else None
        views.append(
            HopView(
                name=hop.name.value,
                at=hop.at,
                state=hop.state.value,
                late=hop.late,
                reason=hop.reason,
                since=hop.since,
                detail=counted(hop),
                gap_s=gap_s if gap_s is None or gap_s >= 0 else None,
            )
        )
        before = max(hop.at, before) if hop.at and before else hop.at or before
    return views


def counted(hop: Hop) -> str:
    """What was counted at the hop, in words."""
    if not hop.count:
        return ""
    thing = {"queried": "time", "images_received": "image"}.get(hop.name.value, "time")
    return f"{hop.count} {thing}{'' if hop.count == 1 else 's'}"
