"""Searches over studies, series and instances: what QIDO-RS and C-FIND answer with.

Rows carry every attribute that the archive indexes, also those of the levels above, with what is
known of patient and order now where that is not what the images say. Turning them
into DICOM JSON or data sets, and leaving out what was not asked for, is the gateway's work.
Attributes that are not indexed do not restrict a search. What an administrator had indexed comes as
``more`` columns, see ``indexed_attributes``.

Standard: PS3.18 10.6, PS3.4 C.6.2
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Final, LiteralString, TypeVar

from isocenter.domain.access.model import Action, Viewer
from isocenter.infra.db import Tx
from isocenter.infra.db.terms import narrowing
from isocenter.infra.db.where import Clause, Column, Columns, Items, supported, where
from isocenter.standards.dicom.matching import Condition, DateRange, ListOfUid, SingleValue

ROWS_MAX: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRow:
    """A patient with studies. Names of fields are the standard's."""

    patient_name: str | None
    patient_id: str
    issuer_of_patient_id: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    number_of_patient_related_studies: int
    number_of_patient_related_series: int
    number_of_patient_related_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A study. Names of fields are the standard's."""

    study_instance_uid: str
    study_date: date | None
    study_time: time | None
    accession_number: str | None
    modalities_in_study: list[str]
    sop_classes_in_study: list[str]
    referring_physician_name: str | None
    study_description: str | None
    patient_name: str | None
    patient_id: str | None
    issuer_of_patient_id: str | None
    patient_birth_date: date | None
    patient_sex: str | None
    study_id: str | None
    timezone_offset_from_utc: str | None
    number_of_study_related_series: int
    number_of_study_related_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow(StudyRow):
    """A series, with its study.

    Attributes:
        request_attributes: ids of requested procedures and scheduled steps; known once the
            series' metadata was made.
    """

    series_instance_uid: str
    modality: str | None
    series_number: int | None
    series_description: str | None
    series_date: date | None
    series_time: time | None
    body_part_examined: str | None
    laterality: str | None
    station_name: str | None
    manufacturer: str | None
    manufacturer_model_name: str | None
    protocol_name: str | None
    performed_procedure_step_start_date: date | None
    performed_procedure_step_start_time: time | None
    request_attributes: list[dict[str, str]]
    number_of_series_related_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRow(SeriesRow):
    """An instance, with its series and study. ``number_of_frames`` is None for a single frame."""

    sop_instance_uid: str
    sop_class_uid: str
    instance_number: int | None
    rows: int | None
    columns: int | None
    bits_allocated: int | None
    number_of_frames: int | None
    available_transfer_syntax_uid: str
    size_bytes: int


# What is known now goes before what the images say; indexes are on these expressions.
_PATIENT_NAME: Final = (
    "coalesce(study.corrected_patient_name_normalised, study.patient_name_normalised)"
)
_PATIENT_NAME_PHONETIC: Final = (
    "coalesce(study.corrected_patient_name_phonetic, study.patient_name_phonetic)"
)
_REFERRING_PHYSICIAN: Final = (
    "coalesce(study.corrected_referring_physician_normalised, study.referring_physician_normalised)"
)
_PATIENT_ID: Final = "coalesce(study.corrected_patient_id, study.patient_id)"
_ISSUER_OF_PATIENT_ID: Final = (
    "coalesce(study.corrected_issuer_of_patient_id, study.issuer_of_patient_id)"
)
_ACCESSION_NUMBER: Final = "coalesce(study.corrected_accession_number, study.accession_number)"
_STUDY_COLUMNS: Final = {
    0x0020_000D: Column("study.study_instance_uid"),
    0x0008_0020: Column("study.study_date", "date"),
    0x0008_0030: Column("study.study_time", "time"),
    0x0008_0050: Column(
        _ACCESSION_NUMBER, terms="archive.trigrams(" + _ACCESSION_NUMBER + ")", beginnings=True
    ),
    0x0008_0061: Column("study.modalities", "text_array", terms="study.modalities"),
    0x0008_0062: Column("study.sop_classes", "text_array", terms="study.sop_classes"),
    0x0008_0090: Column(
        _REFERRING_PHYSICIAN,
        "person_name",
        terms="archive.trigrams(" + _REFERRING_PHYSICIAN + ")",
    ),
    0x0008_1030: Column(
        "study.study_description", terms="archive.trigrams(study.study_description)"
    ),
    0x0010_0010: Column(
        _PATIENT_NAME,
        "person_name",
        _PATIENT_NAME_PHONETIC,
        terms="(archive.trigrams("
        + _PATIENT_NAME
        + ") || string_to_array("
        + _PATIENT_NAME_PHONETIC
        + ", ' '))",
        beginnings=True,
    ),
    0x0010_0020: Column(
        _PATIENT_ID, terms="archive.trigrams(" + _PATIENT_ID + ")", beginnings=True
    ),
    0x0010_0021: Column(_ISSUER_OF_PATIENT_ID),
    0x0010_0030: Column(
        "coalesce(study.corrected_patient_birth_date, study.patient_birth_date)", "date"
    ),
    0x0010_0040: Column("coalesce(study.corrected_patient_sex, study.patient_sex)"),
    0x0020_0010: Column("study.study_id"),
    0x0008_0201: Column("study.timezone_offset_from_utc"),
    0x0020_1206: Column("study.number_of_series", "number"),
    0x0020_1208: Column("study.number_of_instances", "number"),
}
_PATIENT_COLUMNS: Final = {
    tag: column for tag, column in _STUDY_COLUMNS.items() if tag >> 16 == 0x0010
}
_SERIES_COLUMNS: Final = {
    **_STUDY_COLUMNS,
    0x0020_000E: Column("series.series_instance_uid"),
    0x0008_0060: Column("series.modality"),
    0x0020_0011: Column("series.series_number", "number"),
    0x0008_103E: Column("series.series_description"),
    0x0008_0021: Column("series.series_date", "date"),
    0x0008_0031: Column("series.series_time", "time"),
    0x0018_0015: Column("series.body_part_examined"),
    0x0020_0060: Column("series.laterality"),
    0x0008_1010: Column("series.station_name"),
    0x0008_0070: Column("series.manufacturer"),
    0x0008_1090: Column("series.manufacturer_model_name"),
    0x0018_1030: Column("series.protocol_name"),
    0x0040_0244: Column("series.performed_procedure_step_start_date", "date"),
    0x0040_0245: Column("series.performed_procedure_step_start_time", "time"),
    0x0020_1209: Column("series.number_of_instances", "number"),
    0x0040_0275: Items(
        {
            0x0040_0009: Column("request ->> 'scheduled_procedure_step_id'"),
            0x0040_1001: Column("request ->> 'requested_procedure_id'"),
        },
        source="jsonb_array_elements(series.request_attributes) as request",
    ),
}
_INSTANCE_COLUMNS: Final = {
    **_SERIES_COLUMNS,
    0x0008_0018: Column("instance.sop_instance_uid"),
    0x0008_0016: Column("instance.sop_class_uid"),
    0x0020_0013: Column("instance.instance_number", "number"),
    0x0028_0010: Column("instance.rows", "number"),
    0x0028_0011: Column("instance.columns", "number"),
    0x0028_0100: Column("instance.bits_allocated", "number"),
    0x0028_0008: Column("instance.number_of_frames", "number"),
    0x0008_3002: Column("instance.transfer_syntax_uid"),
}

PATIENT_TAGS: Final = frozenset(_PATIENT_COLUMNS)
STUDY_TAGS: Final = frozenset(_STUDY_COLUMNS)
SERIES_TAGS: Final = frozenset(_SERIES_COLUMNS)
INSTANCE_TAGS: Final = frozenset(_INSTANCE_COLUMNS)

_OF_PATIENT: Final[LiteralString] = """
select coalesce(study.corrected_patient_name, study.patient_name) as patient_name,
       coalesce(study.corrected_patient_id, study.patient_id) as patient_id,
       coalesce(study.corrected_issuer_of_patient_id, study.issuer_of_patient_id)
           as issuer_of_patient_id,
       coalesce(study.corrected_patient_birth_date, study.patient_birth_date)
           as patient_birth_date,
       coalesce(study.corrected_patient_sex, study.patient_sex) as patient_sex"""
_FROM_PATIENT: Final[LiteralString] = """
  from archive.study
 where coalesce(study.corrected_patient_id, study.patient_id) = matched.patient_id
   and coalesce(study.corrected_issuer_of_patient_id, study.issuer_of_patient_id, '')
       = matched.issuer"""
_COUNTS_OF_PATIENT: Final[LiteralString] = """
select count(*)::int as number_of_patient_related_studies,
       sum(study.number_of_series)::int as number_of_patient_related_series,
       sum(study.number_of_instances)::int as number_of_patient_related_instances"""
_OF_STUDY: Final[LiteralString] = (
    _OF_PATIENT
    + """,
       study.study_instance_uid, study.study_date, study.study_time,
       coalesce(study.corrected_accession_number, study.accession_number) as accession_number,
       study.modalities as modalities_in_study, study.sop_classes as sop_classes_in_study,
       coalesce(study.corrected_referring_physician_name, study.referring_physician_name)
           as referring_physician_name,
       study.study_description, study.study_id, study.timezone_offset_from_utc,
       study.number_of_series as number_of_study_related_series,
       study.number_of_instances as number_of_study_related_instances"""
)
_OF_SERIES: Final[LiteralString] = """,
       series.series_instance_uid, series.modality, series.series_number,
       series.series_description, series.series_date, series.series_time,
       series.body_part_examined, series.laterality, series.station_name, series.manufacturer,
       series.manufacturer_model_name, series.protocol_name,
       series.performed_procedure_step_start_date, series.performed_procedure_step_start_time,
       series.request_attributes,
       series.number_of_instances as number_of_series_related_instances"""
_OF_INSTANCE: Final[LiteralString] = """,
       instance.sop_instance_uid, instance.sop_class_uid, instance.instance_number, instance.rows,
       instance.columns, instance.bits_allocated, instance.number_of_frames,
       instance.transfer_syntax_uid as available_transfer_syntax_uid, instance.size_bytes"""

# The keys make every order total, so that pages neither repeat nor skip.
_BY_STUDY: Final[LiteralString] = """
 order by study.study_date desc nulls last, study.study_time desc nulls last,
          study.study_key desc"""
_BY_SERIES: Final[LiteralString] = ", series.series_number nulls last, series.series_key"
_BY_INSTANCE: Final[LiteralString] = ", instance.instance_number nulls last, instance.instance_key"

_NO_MORE: Final[Columns] = {}
_KEYS: Final[LiteralString] = "select study_key from archive.study where "
_AMONG_NEWEST: Final[LiteralString] = "".join((
    "select count(*) from (select * from archive.study",
    _BY_STUDY,
    " limit %s) study where ",
))
# What is passed over on the way to a page this far is counted in the index alone.
_FAR: Final = 500
# A page of what is that frequent is found by looking through the newest studies. So many studies
# of what is not are looked at one by one in the same time.
_NEWEST: Final = 500
_FREQUENT: Final = 5
_FEW_STUDIES: Final = 5000
_FEW_DAYS: Final = timedelta(days=31)
_STUDY_DATE: Final = 0x0008_0020
# By study, series and instance UID, accession number and patient ID.
_ONE_OF_FEW: Final = frozenset({
    0x0020_000D, 0x0020_000E, 0x0008_0018, 0x0008_0050, 0x0010_0020,
})  # fmt: skip
Within = Sequence[int] | None

RowT = TypeVar("RowT", bound=StudyRow)


def search_studies(
    tx: Tx,
    viewer: Viewer,
    conditions: Iterable[Condition],
    *,
    more: Columns = _NO_MORE,
    limit: int = 100,
    offset: int = 0,
) -> list[StudyRow]:
    """Studies that fulfil all ``conditions``, newest first.

    Standard: PS3.18 10.6.1, PS3.18 Table 10.6.3-3
    """
    given = tuple(conditions)
    within = few_studies(tx, viewer, given)
    if offset < _FAR:
        found = studies_statement(given, more, within)
        return _rows(tx, viewer, StudyRow, found, (limit, offset))
    clause, params = _where(given, _STUDY_COLUMNS, more, within)
    parts: tuple[LiteralString, ...] = (
        _OF_STUDY,
        " from archive.study where study_key in (select study_key from archive.study where ",
        clause,
        _BY_STUDY,
        " limit %s offset %s)",
        _BY_STUDY,
    )
    return tx.all(StudyRow, "".join(parts), [*params, _bounded(limit), offset])


def search_series(
    tx: Tx,
    viewer: Viewer,
    conditions: Iterable[Condition],
    *,
    more: Columns = _NO_MORE,
    limit: int = 100,
    offset: int = 0,
) -> list[SeriesRow]:
    """Series that fulfil all ``conditions``: newest study first, then by series number.

    Standard: PS3.18 10.6.1, PS3.18 Table 10.6.3-4
    """
    given = tuple(conditions)
    found = series_statement(given, more, few_studies(tx, viewer, given))
    return _rows(tx, viewer, SeriesRow, found, (limit, offset))


def search_instances(
    tx: Tx,
    viewer: Viewer,
    conditions: Iterable[Condition],
    *,
    more: Columns = _NO_MORE,
    limit: int = 100,
    offset: int = 0,
) -> list[InstanceRow]:
    """Instances that fulfil all ``conditions``: by study and series, then by instance number.

    Standard: PS3.18 10.6.1, PS3.18 Table 10.6.3-5
    """
    given = tuple(conditions)
    found = instances_statement(given, more, few_studies(tx, viewer, given))
    return _rows(tx, viewer, InstanceRow, found, (limit, offset))


def few_studies(tx: Tx, viewer: Viewer, conditions: Iterable[Condition]) -> Within:
    """The keys of all studies that may fulfil ``conditions``, where an index of parts tells few.

    None where they are soon found among the newest, or where other indexes do. How many there are
    cannot be estimated, since trigrams come together and statistics do not know rare values: it is
    counted, among the newest first.
    """
    viewer.require(Action.STUDY_READ)
    given = supported(conditions, _STUDY_COLUMNS)
    found = narrowing(given, _STUDY_COLUMNS)
    if found is None or any(map(_is_narrow, given)):
        return None
    clause, params = where(given, _STUDY_COLUMNS)
    if tx.value(_AMONG_NEWEST + clause, [_NEWEST, *params]) >= _FREQUENT:
        return None
    return _few(tx, found)


def few_studies_of_patients(tx: Tx, viewer: Viewer, conditions: Iterable[Condition]) -> Within:
    """The same for a search of patients, which goes through patients where studies are many."""
    given = supported(conditions, _PATIENT_COLUMNS)
    if not given or narrowing(given, _PATIENT_COLUMNS) is not None:
        return few_studies(tx, viewer, given)
    viewer.require(Action.STUDY_READ)
    return _few(tx, where(given, _PATIENT_COLUMNS))


def _few(tx: Tx, found: Clause) -> Within:
    clause, params = found
    keys = tx.values(_KEYS + clause + " limit %s", [*params, _FEW_STUDIES + 1])
    return keys if len(keys) <= _FEW_STUDIES else None


def _is_narrow(condition: Condition) -> bool:
    """Whether the condition alone leaves few studies to look at, and has an index."""
    match condition:
        case DateRange(tag, date() as earliest, date() as latest):
            return tag == _STUDY_DATE and latest - earliest <= _FEW_DAYS
        case SingleValue(tag) | ListOfUid(tag):
            return tag in _ONE_OF_FEW
        case _:
            return False


def patients_statement(
    conditions: Iterable[Condition], *, patients_max: int, within: Within = None
) -> Clause:
    """The statement whose rows are the patients of studies that fulfil all ``conditions``.

    Attributes are those of the patient's newest study; counts are of all of them. Studies without
    Patient ID have no patient here. The order is that of the index of patients: it gives the first
    before the last is found.
    """
    clause, params = _where(conditions, _PATIENT_COLUMNS, _NO_MORE, within)
    parts: tuple[LiteralString, ...] = (
        "select newest.*, counted.* from (select distinct on (",
        _PATIENT_ID,
        ", issuer) ",
        _PATIENT_ID,
        " as patient_id, issuer from archive.study cross join lateral (select coalesce(",
        _ISSUER_OF_PATIENT_ID,
        ", '') as issuer) stated where ",
        _PATIENT_ID,
        " <> '' and ",
        clause,
        " order by ",
        _PATIENT_ID,
        " using ~<~, issuer limit %s) matched cross join lateral (",
        _OF_PATIENT,
        _FROM_PATIENT,
        _BY_STUDY,
        " limit 1) newest cross join lateral (",
        _COUNTS_OF_PATIENT,
        _FROM_PATIENT,
        ") counted order by matched.patient_id using ~<~, matched.issuer",
    )
    return "".join(parts), [*params, patients_max]


def studies_statement(
    conditions: Iterable[Condition], more: Columns = _NO_MORE, within: Within = None
) -> Clause:
    """The statement whose rows are the studies that fulfil all ``conditions``."""
    clause, params = _where(conditions, _STUDY_COLUMNS, more, within)
    parts: tuple[LiteralString, ...] = (_OF_STUDY, " from archive.study where ", clause, _BY_STUDY)
    return "".join(parts), params


def series_statement(
    conditions: Iterable[Condition], more: Columns = _NO_MORE, within: Within = None
) -> Clause:
    """The statement whose rows are the series that fulfil all ``conditions``."""
    clause, params = _where(conditions, _SERIES_COLUMNS, more, within)
    parts: tuple[LiteralString, ...] = (
        _OF_STUDY,
        _OF_SERIES,
        " from archive.study join archive.series using (study_key) where ",
        clause,
        _BY_STUDY,
        _BY_SERIES,
    )
    return "".join(parts), params


def instances_statement(
    conditions: Iterable[Condition], more: Columns = _NO_MORE, within: Within = None
) -> Clause:
    """The statement whose rows are the instances that fulfil all ``conditions``."""
    found, params = matching_instances(conditions, more, within)
    return _OF_STUDY + _OF_SERIES + _OF_INSTANCE + found, params


def matching_instances(
    conditions: Iterable[Condition], more: Columns = _NO_MORE, within: Within = None
) -> Clause:
    """The rest of a statement, from its ``from`` on, over study, series and instance."""
    clause, params = _where(conditions, _INSTANCE_COLUMNS, more, within)
    parts: tuple[LiteralString, ...] = (
        " from archive.study join archive.series using (study_key)"
        " join archive.instance using (series_key) where ",
        clause,
        _BY_STUDY,
        _BY_SERIES,
        _BY_INSTANCE,
    )
    return "".join(parts), params


def _where(conditions: Iterable[Condition], own: Columns, more: Columns, within: Within) -> Clause:
    columns = {**more, **own}
    clause, params = where(supported(conditions, columns), columns)
    if within is None:
        return clause, params
    return clause + " and study.study_key = any(%s)", [*params, list(within)]


def _bounded(limit: int) -> int:
    return max(0, min(limit, ROWS_MAX))


def _rows(
    tx: Tx, viewer: Viewer, row: type[RowT], found: Clause, page: tuple[int, int]
) -> list[RowT]:
    viewer.require(Action.STUDY_READ)
    (statement, params), (limit, offset) = found, page
    return tx.all(
        row, statement + " limit %s offset %s", [*params, _bounded(limit), max(0, offset)]
    )
