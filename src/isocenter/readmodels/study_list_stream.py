"""The searches of ``study_list`` as streams: for answers that go out one by one, as of C-FIND.

Standard: PS3.4 C.6.1.1, C.6.2.1
"""

from collections.abc import Generator, Iterable

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.infra.db.where import Columns
from isocenter.readmodels.study_list import (
    INSTANCE_TAGS,
    PATIENT_TAGS,
    SERIES_TAGS,
    STUDY_TAGS,
    InstanceRow,
    PatientRow,
    SeriesRow,
    StudyRow,
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
    match level:
        case Level.PATIENT:
            statement, params = patients_statement(conditions, patients_max=limit)
            yield from tx.stream(PatientRow, statement, params)
        case Level.STUDY:
            statement, params = studies_statement(conditions, more)
            yield from tx.stream(StudyRow, statement + " limit %s", [*params, limit])
        case Level.SERIES:
            statement, params = series_statement(conditions, more)
            yield from tx.stream(SeriesRow, statement + " limit %s", [*params, limit])
        case Level.IMAGE:
            statement, params = instances_statement(conditions, more)
            yield from tx.stream(InstanceRow, statement + " limit %s", [*params, limit])
