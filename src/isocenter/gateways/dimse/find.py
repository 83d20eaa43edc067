"""C-FIND on Patient Root and Study Root: what the archive holds, as identifiers of answers.

An answer has the keys that were asked for and that the archive indexes, the unique keys of its
level and of those above, and where it can be retrieved from. Other keys are passed over, and the
status of each answer says so.

Standard: PS3.4 C.4.1, C.6.1, C.6.2
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, tzinfo
from functools import cache, partial
from itertools import islice
from typing import ClassVar, Final

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse.ports import QueryRequest
from isocenter.gateways.dimse.time_zones import (
    TIMEZONE_OFFSET_FROM_UTC,
    AskedZone,
    asked_zone,
)
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool
from isocenter.readmodels.indexed_attributes import (
    Beyond,
    beyond,
    element_of,
    values_of,
)
from isocenter.readmodels.indexed_attributes import Level as IndexedLevel
from isocenter.readmodels.study_list import InstanceRow, PatientRow, SeriesRow, StudyRow
from isocenter.readmodels.study_list_stream import Row, first, stream
from isocenter.standards.dicom import character_sets
from isocenter.standards.dicom.dictionary import vr_of
from isocenter.standards.dicom.matching import tags_of
from isocenter.standards.dicom.matching_keys import NOT_KEYS
from isocenter.standards.dicom.query_retrieve import (
    QUERY_RETRIEVE_LEVEL,
    Level,
    LevelQuery,
    parse_query,
)
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET, DataSet, Element
from isocenter.standards.dicom.values_temporal import format_date, format_time

MATCHES_MAX: Final = 10_000
_RETRIEVE_AE_TITLE: Final = 0x00080054
_INSTANCE_AVAILABILITY: Final = 0x00080056
_REQUEST_ATTRIBUTES_SEQUENCE: Final = 0x00400275
# Fields of rows by the attributes that they hold.
_TAGS: Final[Mapping[str, int]] = {
    "sop_class_uid": 0x00080016,
    "sop_instance_uid": 0x00080018,
    "study_date": 0x00080020,
    "series_date": 0x00080021,
    "study_time": 0x00080030,
    "series_time": 0x00080031,
    "accession_number": 0x00080050,
    "modality": 0x00080060,
    "modalities_in_study": 0x00080061,
    "sop_classes_in_study": 0x00080062,
    "manufacturer": 0x00080070,
    "referring_physician_name": 0x00080090,
    "station_name": 0x00081010,
    "study_description": 0x00081030,
    "series_description": 0x0008103E,
    "manufacturer_model_name": 0x00081090,
    "available_transfer_syntax_uid": 0x00083002,
    "patient_name": 0x00100010,
    "patient_id": 0x00100020,
    "issuer_of_patient_id": 0x00100021,
    "patient_birth_date": 0x00100030,
    "patient_sex": 0x00100040,
    "body_part_examined": 0x00180015,
    "protocol_name": 0x00181030,
    "timezone_offset_from_utc": TIMEZONE_OFFSET_FROM_UTC,
    "study_instance_uid": 0x0020000D,
    "series_instance_uid": 0x0020000E,
    "study_id": 0x00200010,
    "series_number": 0x00200011,
    "instance_number": 0x00200013,
    "laterality": 0x00200060,
    "number_of_patient_related_studies": 0x00201200,
    "number_of_patient_related_series": 0x00201202,
    "number_of_patient_related_instances": 0x00201204,
    "number_of_study_related_series": 0x00201206,
    "number_of_study_related_instances": 0x00201208,
    "number_of_series_related_instances": 0x00201209,
    "number_of_frames": 0x00280008,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "performed_procedure_step_start_date": 0x00400244,
    "performed_procedure_step_start_time": 0x00400245,
    "request_attributes": _REQUEST_ATTRIBUTES_SEQUENCE,
}
_REQUEST_TAGS: Final[Mapping[str, int]] = {
    "scheduled_procedure_step_id": 0x00400009,
    "requested_procedure_id": 0x00401001,
}
_ALWAYS: Final = frozenset({QUERY_RETRIEVE_LEVEL, _RETRIEVE_AE_TITLE, _INSTANCE_AVAILABILITY})
_OWN: Final = _ALWAYS | NOT_KEYS | frozenset(_TAGS.values())
_LEVELS: Final[Mapping[Level, IndexedLevel]] = {
    Level.STUDY: "study",
    Level.SERIES: "series",
    Level.IMAGE: "instance",
}
# So many answers are asked for at one go: more than a list shows at first.
_ROWS_AT_FIRST: Final = 50
# Values of the side index are looked up for so many.
_ROWS_AT_ONCE: Final = 200
# In another time zone, so many rows are looked at for each match that there may be.
_EXAMINED_PER_MATCH: Final = 10


class TooManyMatches(IsocenterError):
    """There are more matches than one query may have; the first of them were given."""

    kind: ClassVar[Kind] = Kind.BUSY


class StudyQuery:
    """Answers queries of Patient Root and Study Root, and keeps that they were asked."""

    def __init__(
        self,
        pool: Pool,
        *,
        clock: Clock,
        ae_title: str,
        zone: tzinfo = UTC,
        matches_max: int = MATCHES_MAX,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ae_title = ae_title
        self._zone = zone
        self._matches_max = matches_max

    def __call__(self, request: QueryRequest, /) -> Iterator[DataSet]:
        """The matches, as they come from the database: newest studies first.

        Raises:
            TooManyMatches: after the first ``matches_max``.
        """
        asked = parse_query(request.identifier, request.sop_class_uid, request.extensions)
        actor = _actor(request)
        viewer = Viewer.of(actor, Action.STUDY_READ)
        zone = asked_zone(request.identifier, request.extensions, self._zone)
        wanted = asked
        if request.extensions.timezone:
            wanted = replace(asked, returned=asked.returned | {TIMEZONE_OFFSET_FROM_UTC})
        few: list[Row] = []
        if zone is None and _is_own(asked):
            few = self._pool.each_here(partial(self._ask, viewer, actor, asked))
            if len(few) <= min(_ROWS_AT_FIRST, self._matches_max):
                return self._answers(few, wanted, request)
        else:
            self._pool.each_here(lambda tx: _audit(tx, actor, asked, now=self._clock()))
        return self._matches(viewer, wanted, request, zone, few[:-1])

    def lacks_keys(self, request: QueryRequest, /) -> bool:
        """Whether the identifier asks for attributes that the archive does not index.

        Standard: PS3.4 C.4.1.1.4 (status FF01)
        """
        if _OWN.issuperset(request.identifier):
            return False
        asked = parse_query(request.identifier, request.sop_class_uid, request.extensions)
        viewer = Viewer.of(_actor(request), Action.STUDY_READ)
        with self._pool.db.read() as tx:
            more = _beyond(tx, viewer, asked)
        known = _OWN | more.asked.keys() | more.creators.keys()
        return not known.issuperset(request.identifier)

    def _ask(self, viewer: Viewer, actor: Actor, asked: LevelQuery, tx: Tx) -> list[Row]:
        """The first matches, one more than are answered at one go; they are on record before."""
        _audit(tx, actor, asked, now=self._clock())
        limit = min(_ROWS_AT_FIRST, self._matches_max) + 1
        return first(tx, viewer, asked.level, asked.conditions, limit=limit)

    def _answers(
        self, rows: Iterable[Row], asked: LevelQuery, request: QueryRequest
    ) -> Iterator[DataSet]:
        for row in rows:
            yield answer(row, asked, request.identifier, retrieve_ae_title=self._ae_title)

    def _matches(
        self,
        viewer: Viewer,
        asked: LevelQuery,
        request: QueryRequest,
        zone: AskedZone | None,
        known: Sequence[Row],
    ) -> Generator[DataSet, None, None]:
        """All matches, those that are ``known`` already before the search for the others begins."""
        limit, identifier = self._matches_max, request.identifier
        yield from self._answers(known, asked, request)
        answered = {_identity(each) for each in known}
        with self._pool.db.read() as tx:
            more = _beyond(tx, viewer, asked)
            # Whoever asked may be gone before the end: the stream ends before its transaction.
            with closing(_rows(tx, viewer, asked.level, more, zone=zone, limit=limit + 1)) as rows:
                for number, (row, values) in enumerate(_valued(tx, viewer, more, rows)):
                    if number == limit:
                        break
                    if _identity(row) in answered:
                        continue
                    found = _Beside(more, values)
                    yield answer(
                        row, asked, identifier, retrieve_ae_title=self._ae_title, beside=found
                    )
                else:
                    return
        raise TooManyMatches(f"more than {limit} matches: ask for less")


def _rows(
    tx: Tx, viewer: Viewer, level: Level, more: Beyond, *, zone: AskedZone | None, limit: int
) -> Generator[Row, None, None]:
    """The first ``limit`` matches, or the first that are found among some more."""
    if zone is None:
        yield from stream(tx, viewer, level, more.conditions, more=more.columns, limit=limit)
        return
    wide = zone.widened(more.conditions)
    examined_max = limit * _EXAMINED_PER_MATCH
    examined = stream(tx, viewer, level, wide, more=more.columns, limit=examined_max + 1)
    with closing(examined):
        yield from islice(zone.matching(_bounded(examined, examined_max), more.conditions), limit)


def _bounded(rows: Iterable[Row], rows_max: int) -> Generator[Row, None, None]:
    for number, row in enumerate(rows):
        if number == rows_max:
            raise TooManyMatches("the dates are too far apart for another time zone")
        yield row


def _valued(
    tx: Tx, viewer: Viewer, more: Beyond, rows: Iterable[Row]
) -> Generator[tuple[Row, Mapping[int, Sequence[str]]], None, None]:
    """Each row, and what was asked for of what an administrator had indexed of it."""
    if not more.asked:
        yield from ((row, {}) for row in rows)
        return
    kept = iter(list(rows))  # while they are streamed, nothing else can be asked
    while lot := list(islice(kept, _ROWS_AT_ONCE)):
        yield from zip(lot, values_of(tx, viewer, more.asked, lot), strict=True)


def _identity(row: Row) -> tuple[str | None, ...]:
    """The unique keys of what the row stands for."""
    match row:
        case InstanceRow():
            return (row.sop_instance_uid,)
        case SeriesRow():
            return (row.study_instance_uid, row.series_instance_uid)
        case StudyRow():
            return (row.study_instance_uid,)
        case PatientRow():
            return (row.patient_id, row.issuer_of_patient_id)


@dataclass(frozen=True, slots=True)
class _Beside:
    """What an administrator had indexed of one row."""

    beyond: Beyond
    values: Mapping[int, Sequence[str]]

    def add_to(self, found: DataSet) -> None:
        """Put it into the answer; what the row has none of is empty there."""
        for tag, each in self.beyond.asked.items():
            found[tag] = element_of(each.vr, self.values.get(tag, ()))
        for tag, creator in self.beyond.creators.items():
            found.put(tag, creator)


def _actor(request: QueryRequest) -> Actor:
    return Actor.dicom_peer(
        request.grant.peer_name,
        request.caller.address,
        [each.value for each in request.grant.services],
    )


def _is_own(asked: LevelQuery) -> bool:
    """Whether all that is asked for is what the archive indexes of itself."""
    no_more = _LEVELS.get(asked.level) is None
    return no_more or (asked.returned | tags_of(asked.conditions)) <= _OWN


def _beyond(tx: Tx, viewer: Viewer, asked: LevelQuery) -> Beyond:
    """What the identifier asks for that is indexed beyond the archive's own attributes."""
    level = _LEVELS.get(asked.level)
    if level is None or _is_own(asked):
        return Beyond(tuple(asked.conditions), {}, {}, {})
    return beyond(tx, viewer, level, asked.conditions, returned=asked.returned, own=_OWN)


def answer(
    row: Row,
    asked: LevelQuery,
    identifier: DataSet,
    *,
    retrieve_ae_title: str,
    beside: _Beside | None = None,
) -> DataSet:
    """The identifier of the answer that stands for a row.

    It is in the character set of the question if that holds all of it.

    Standard: PS3.4 C.4.1.1.3.2
    """
    found = DataSet()
    found.put(QUERY_RETRIEVE_LEVEL, asked.level.value)
    found.put(_RETRIEVE_AE_TITLE, retrieve_ae_title)
    found.put(_INSTANCE_AVAILABILITY, "ONLINE")
    for name, tag in _named_tags(type(row)):
        if tag in asked.returned:
            found[tag] = _element(tag, getattr(row, name))
    if beside is not None:
        beside.add_to(found)
    terms = character_sets.choose(found.all_texts(), identifier.specific_character_set)
    if terms:
        found.put(SPECIFIC_CHARACTER_SET, *terms)
    return found.sorted()


@cache
def _named_tags(row: type[Row]) -> Sequence[tuple[str, int]]:
    """The fields of a kind of rows that hold attributes."""
    return [(each.name, _TAGS[each.name]) for each in fields(row) if each.name in _TAGS]


_Scalar = str | int | date | time | datetime


def _element(tag: int, value: _Scalar | list[str] | list[dict[str, str]] | None) -> Element:
    vr = vr_of(tag)
    if isinstance(value, list):
        return Element(vr, tuple(_item(each) if isinstance(each, dict) else each for each in value))
    if value is None or value == "":
        return Element(vr)
    if isinstance(value, date):
        return Element(vr, (format_date(value),))
    if isinstance(value, time):
        return Element(vr, (format_time(value),))
    if isinstance(value, int):
        return Element(vr, (str(value) if vr == "IS" else value,))
    return Element(vr, tuple(value.split("\\")))


def _item(request: Mapping[str, str]) -> DataSet:
    item = DataSet()
    for name, tag in _REQUEST_TAGS.items():
        if request.get(name):
            item.put(tag, request[name])
    return item


def _audit(tx: Tx, actor: Actor, asked: LevelQuery, *, now: datetime) -> None:
    # The keys and not their values: what was looked for is data of patients, too.
    entry = AuditEntry(
        action=_ACTIONS[asked.level],
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type=asked.level.value.lower(),
        object_id="",
        detail={"keys": sorted(f"{tag:08X}" for tag in asked.returned)},
    )
    record(tx, entry, now=now)


_ACTIONS: Final[Mapping[Level, str]] = {
    Level.PATIENT: "patient.search",
    Level.STUDY: "study.search",
    Level.SERIES: "series.search",
    Level.IMAGE: "instance.search",
}
