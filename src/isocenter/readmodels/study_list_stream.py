"""The searches of ``study_list`` as streams: for answers that go out one by one, as of C-FIND.

Standard: PS3.4 C.6.1.1, C.6.2.1
"""

from collections.abc import Generator, Iterable, Sequence

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.infra.db.where import Clause, Columns
from isocenter.readmodels.study_list import (
    INSTANCE_TAGS,
    PATIENT_TAGS,
    SERIES_TAGS,
    STUDY_TAGS,
    InstanceRow,
    PatientRow,
    SeriesRow,
    StudyRow,
    Within,
    few_studies,
    few_studies_of_patients,
    instances_statement,
    patients_statement,
    series_statement,
    studies_statement,
)
from isocenter.standards.dicom.matching import Condition
from isocenter.standards.dicom.query_retrieve import Level

Row = PatientRow | StudyRow | SeriesRow

MATCHED = {
    Level.PATIENT: PATIENT_TAGS,
    Level.STUDY: STUDY_TAGS,
    Level.SERIES: SERIES_TAGS,
    Level.IMAGE: INSTANCE_TAGS,
}
"""The attributes that can be matched at each level; others do not restrict a search."""


def stream(
    tx: Tx,
    viewer: Viewer,
    level: Level,
    conditions: Iterable[Condition],
    *,
    more: Columns,
    limit: int,
) -> Generator[Row, None, None]:
    """The first ``limit`` entities of ``level`` that fulfil all ``conditions``."""
    viewer.require(Action.STUDY_READ)
    given = tuple(conditions)
    within = _within(tx, viewer, level, given)
    row, (statement, params) = _statement(level, given, more, limit, within)
    yield from tx.stream(row, statement, params)


def first(
    tx: Tx, viewer: Viewer, level: Level, conditions: Iterable[Condition], *, limit: int
) -> list[Row]:
    """The same at one go, for few: one round trip, and a plan that the connection keeps."""
    viewer.require(Action.STUDY_READ)
    given = tuple(conditions)
    within = _within(tx, viewer, level, given)
    row, (statement, params) = _statement(level, given, {}, limit, within)
    return tx.all(row, statement, params)


def _within(tx: Tx, viewer: Viewer, level: Level, conditions: Sequence[Condition]) -> Within:
    found = few_studies_of_patients if level is Level.PATIENT else few_studies
    return found(tx, viewer, conditions)


def _statement(
    level: Level, conditions: Sequence[Condition], more: Columns, limit: int, within: Within
) -> tuple[type[Row], Clause]:
    """What a row becomes, and the statement."""
    row: type[Row]
    match level:
        case Level.PATIENT:
            return PatientRow, patients_statement(conditions, patients_max=limit, within=within)
        case Level.STUDY:
            row, (statement, params) = StudyRow, studies_statement(conditions, more, within)
        case Level.SERIES:
            row, (statement, params) = SeriesRow, series_statement(conditions, more, within)
        case Level.IMAGE:
            row, (statement, params) = InstanceRow, instances_statement(conditions, more, within)
    return row, (statement + " limit %s", [*params, limit])
