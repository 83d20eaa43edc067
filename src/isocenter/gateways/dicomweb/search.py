"""QIDO-RS: searches for studies, series and instances.

Standard: PS3.18 10.6
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, time
from functools import cache
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.access.model import Viewer
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.gateways.dicomweb import search_fields
from isocenter.gateways.dicomweb.bodies import json_answer, xml_parts
from isocenter.gateways.dicomweb.context import (
    Dicomweb,
    actor_of,
    context_of,
    service_root,
    viewer_of,
)
from isocenter.gateways.dicomweb.errors import NotAcceptable
from isocenter.gateways.dicomweb.retrieve import accepted
from isocenter.infra.db import Tx
from isocenter.readmodels import indexed_attributes, study_list
from isocenter.readmodels.indexed_attributes import Beyond
from isocenter.standards.dicom import dictionary
from isocenter.standards.dicom.json_model import JsonObject
from isocenter.standards.dicom.matching import ListOfUid, Query, tags_of
from isocenter.standards.dicom.matching_keys import parse_params
from isocenter.standards.dicom.values_model import name_groups
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.attribute_levels import Level
from isocenter.standards.dicomweb.media_types import DICOM_JSON, DICOM_XML, Offer
from isocenter.standards.dicomweb.multipart import content_type, stable_boundary

_OFFERS: Final = (
    Offer(DICOM_JSON),
    Offer("application/json"),
    Offer(DICOM_XML, multipart=True),
)
_PARAMETERS_OF_OURS: Final = frozenset({"accept", "charset"})
_STUDY_INSTANCE_UID: Final = 0x0020_000D
_SERIES_INSTANCE_UID: Final = 0x0020_000E
_REQUEST_TAGS: Final = {
    "scheduled_procedure_step_id": 0x0040_0009,
    "requested_procedure_id": 0x0040_1001,
}
_INSTANCE_AVAILABILITY: Final = "00080056"
_RETRIEVE_URL: Final = "00081190"
_REQUEST_ATTRIBUTES: Final = "00400275"
_PATH: Final = (
    ("studies", "study_instance_uid"),
    ("series", "series_instance_uid"),
    ("instances", "sop_instance_uid"),
)
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")

_MATCHED: Final[Mapping[Level, frozenset[int]]] = {
    "study": study_list.STUDY_TAGS,
    "series": study_list.SERIES_TAGS,
    "instance": study_list.INSTANCE_TAGS,
}

# One of the searches of ``study_list``; what its rows are follows from the level.
Search = Callable[..., Sequence[Any]]


async def studies(request: Request) -> Response:
    """The studies that match, newest first.

    Standard: PS3.18 10.6.1.1, Table 10.6.3-3
    """
    return await context_of(request).pool.call(_answer, request, study_list.search_studies, "study")


async def series(request: Request) -> Response:
    """The series that match, of one study or of all.

    Standard: PS3.18 10.6.1.2, Table 10.6.3-4
    """
    return await context_of(request).pool.call(_answer, request, study_list.search_series, "series")


async def instances(request: Request) -> Response:
    """The instances that match, of one series, one study or all.

    Standard: PS3.18 10.6.1.3, Table 10.6.3-5
    """
    return await context_of(request).pool.call(
        _answer, request, study_list.search_instances, "instance"
    )


def _answer(request: Request, search: Search, level: Level) -> Response:
    """The answer: all in one hop to a thread."""
    chosen = media_types.select(accepted(request), _OFFERS)
    if chosen is None:
        raise NotAcceptable(f"search results are sent as {DICOM_JSON} or multipart {DICOM_XML}")
    context, viewer = context_of(request), viewer_of(request)
    query = _scoped(
        parse_params(request.query_params.multi_items(), ignored=_PARAMETERS_OF_OURS), request
    )
    most = context.options.search_results_max
    limit = min(query.limit if query.limit is not None else most, most)
    asked = _Asked(query, level, limit, service_root(request))
    found = _found(request, search, asked, viewer)
    objects = found.objects
    truncated = found.has_more and query.limit != limit
    warnings = _warnings(found.ignored, truncated=truncated)
    headers: dict[str, str] = {}
    if warnings:
        headers["Warning"] = ", ".join(f'299 {request.url.netloc} "{w}"' for w in warnings)
    empty = HTTPStatus.NO_CONTENT if chosen.multipart else context.options.empty_search_status
    if not objects and empty is HTTPStatus.NO_CONTENT:
        return Response(None, empty, headers)
    if chosen.multipart:
        return _xml_answer(request, objects, headers)
    return json_answer(request, msgspec.json.encode(objects), chosen.name, headers)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search: at most ``limit`` answers of ``level``, with URLs below ``root``."""

    query: Query
    level: Level
    limit: int
    root: str


@dataclass(frozen=True, slots=True)
class _Found:
    """The answers, whether there are more, and attributes that did not restrict the search."""

    objects: list[JsonObject]
    has_more: bool
    ignored: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows, what they were searched by beyond the archive's attributes, and its values."""

    rows: Sequence[Any]
    beyond: Beyond
    values: Sequence[Mapping[int, Sequence[str]]]


def _found(request: Request, search: Search, asked: _Asked, viewer: Viewer) -> _Found:
    """The answers."""
    context = context_of(request)
    searched = context.pool.each_here(lambda tx: _search(tx, request, search, asked))
    tags = tags_of(searched.beyond.conditions)
    return _Found(
        _objects(context, viewer, searched, asked),
        len(searched.rows) > asked.limit,
        tags - _MATCHED[asked.level] - searched.beyond.columns.keys(),
    )


def _search(tx: Tx, request: Request, search: Search, asked: _Asked) -> _Rows:
    """One row more than the limit where there are more, and the search on record."""
    context, actor, viewer = context_of(request), actor_of(request), viewer_of(request)
    query, level, limit = asked.query, asked.level, asked.limit
    more = indexed_attributes.beyond(
        tx, viewer, level, query.conditions, returned=query.returned, own=_RETURNED[level]
    )
    found = search(
        tx, viewer, more.conditions, more=more.columns, limit=limit + 1, offset=query.offset
    )
    entry = AuditEntry(
        action=f"{level}.search",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type=level,
        object_id=request.path_params.get("study", ""),
        detail={
            "keys": sorted(f"{tag:08X}" for tag in query.returned),
            "results": min(len(found), limit),
        },
    )
    record(tx, entry, now=context.clock())
    values = indexed_attributes.values_of(tx, viewer, more.asked, found[:limit])
    return _Rows(found, more, values)


def _objects(context: Dicomweb, viewer: Viewer, searched: _Rows, asked: _Asked) -> list[JsonObject]:
    """The rows as DICOM JSON, with what was asked for beyond the archive's attributes."""
    rows = searched.rows[: asked.limit]
    objects = [_object(row, asked.root) for row in rows]
    indexed = searched.beyond.asked
    if indexed:
        for known, values in zip(objects, searched.values, strict=True):
            known |= search_fields.indexed_fields(searched.beyond, values)
    own = _RETURNED[asked.level] | indexed.keys() | searched.beyond.creators.keys()
    is_wanted = search_fields.wanted(asked.query, asked.level, own)
    if is_wanted is not None:
        more = search_fields.stored_fields(context, viewer, rows, asked.level, is_wanted)
        for known, stored in zip(objects, more, strict=True):
            known |= stored
    if indexed or is_wanted is not None:
        objects = [dict(sorted(each.items())) for each in objects]
    return objects


def _xml_answer(
    request: Request, objects: Sequence[JsonObject], headers: Mapping[str, str]
) -> Response:
    """Each result as a part.

    Standard: PS3.18 10.6.3.3.1
    """
    boundary = stable_boundary(request.url.path)
    content = xml_parts(objects, boundary)
    return Response(content, HTTPStatus.OK, headers, content_type(DICOM_XML, boundary))


def _warnings(ignored: frozenset[int], *, truncated: bool) -> list[str]:
    """What the client should know of the answer.

    Standard: PS3.18 8.3.4.4, 10.6.3
    """
    warnings: list[str] = []
    if ignored:
        names = " ".join(f"{tag:08X}" for tag in sorted(ignored))
        warnings.append(f"These attributes are not matched: {names}")
    if truncated:
        warnings.append(
            "The number of results exceeded the maximum supported by the server."
            " Additional results can be requested."
        )
    return warnings


def _scoped(query: Query, request: Request) -> Query:
    """The search within the study and series that the path names."""
    path = request.path_params
    scope = [
        ListOfUid(tag, (path[name],))
        for name, tag in (("study", _STUDY_INSTANCE_UID), ("series", _SERIES_INSTANCE_UID))
        if name in path
    ]
    return replace(query, conditions=(*query.conditions, *scope))


def _object(row: Any, root: str) -> dict[str, Any]:
    """The row as DICOM JSON, with where to retrieve what it stands for.

    Standard: PS3.18 Annex F, Tables 10.6.3-3 to 10.6.3-5
    """
    kind = _kind_of(row.__class__)
    made: dict[str, Any] = dict.fromkeys(kind.keys)
    for name, key, vr in kind.fields:
        made[key] = _attribute(vr, getattr(row, name))
    if _REQUEST_ATTRIBUTES in made:
        made[_REQUEST_ATTRIBUTES] = _requests(row.request_attributes)
    made[_INSTANCE_AVAILABILITY] = {"vr": "CS", "Value": ["ONLINE"]}
    path = "".join([f"/{part}/{getattr(row, name)}" for part, name in kind.path])
    made[_RETRIEVE_URL] = {"vr": "UR", "Value": [root + path]}
    return made


@dataclass(frozen=True, slots=True)
class _Kind:
    """How rows of one kind are written.

    Attributes:
        keys: of all attributes in DICOM JSON, in the order of their tags.
        fields: field, key and VR of those that are a field of the row.
        path: parts of the resource's path, and the fields that hold their UIDs.
    """

    keys: Sequence[str]
    fields: Sequence[tuple[str, str, str]]
    path: Sequence[tuple[str, str]]


@cache
def _kind_of(row: type[Any]) -> _Kind:
    has = {each.name for each in fields(row)}
    written = [
        (name, f"{tag:08X}", dictionary.vr_of(tag)) for name, tag in TAGS.items() if name in has
    ]
    keys = {key for _, key, _ in written} | {_INSTANCE_AVAILABILITY, _RETRIEVE_URL}
    if "request_attributes" in has:
        keys.add(_REQUEST_ATTRIBUTES)
    return _Kind(sorted(keys), written, [each for each in _PATH if each[1] in has])


def _requests(requests: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The Request Attributes Sequence as far as the index holds it.

    Standard: PS3.18 Table 10.6.3-4
    """
    items = [
        {
            f"{tag:08X}": _attribute(dictionary.vr_of(tag), each[name])
            for name, tag in _REQUEST_TAGS.items()
            if name in each
        }
        for each in requests
    ]
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


def _attribute(vr: str, value: Any) -> dict[str, Any]:
    if value is None or value == "":
        return {"vr": vr}
    if not isinstance(value, list):
        return {"vr": vr, "Value": [_json_value(vr, value)]}
    values = cast("list[Any]", value)
    present = [_json_value(vr, each) for each in values if each is not None and each != ""]
    return {"vr": vr, "Value": present} if present else {"vr": vr}


def _json_value(vr: str, value: Any) -> Any:
    match vr:
        case "DA" if isinstance(value, date):
            return f"{value.year:04}{value.month:02}{value.day:02}"
        case "TM" if isinstance(value, time):
            whole = f"{value.hour:02}{value.minute:02}{value.second:02}"
            return f"{whole}.{value.microsecond:06}" if value.microsecond else whole
        case "PN":
            groups = zip(_NAME_GROUPS, name_groups(value), strict=False)
            return {group: text for group, text in groups if text}
        case _:
            return value


# Field of a row -> tag. A row has those of its level and of the levels above it.
TAGS: Final[Mapping[str, int]] = {
    "study_date": 0x0008_0020,
    "study_time": 0x0008_0030,
    "accession_number": 0x0008_0050,
    "modalities_in_study": 0x0008_0061,
    "sop_classes_in_study": 0x0008_0062,
    "referring_physician_name": 0x0008_0090,
    "study_description": 0x0008_1030,
    "patient_name": 0x0010_0010,
    "patient_id": 0x0010_0020,
    "issuer_of_patient_id": 0x0010_0021,
    "patient_birth_date": 0x0010_0030,
    "patient_sex": 0x0010_0040,
    "study_instance_uid": 0x0020_000D,
    "study_id": 0x0020_0010,
    "timezone_offset_from_utc": 0x0008_0201,
    "number_of_study_related_series": 0x0020_1206,
    "number_of_study_related_instances": 0x0020_1208,
    "series_date": 0x0008_0021,
    "series_time": 0x0008_0031,
    "modality": 0x0008_0060,
    "manufacturer": 0x0008_0070,
    "station_name": 0x0008_1010,
    "series_description": 0x0008_103E,
    "manufacturer_model_name": 0x0008_1090,
    "body_part_examined": 0x0018_0015,
    "protocol_name": 0x0018_1030,
    "series_instance_uid": 0x0020_000E,
    "series_number": 0x0020_0011,
    "laterality": 0x0020_0060,
    "number_of_series_related_instances": 0x0020_1209,
    "performed_procedure_step_start_date": 0x0040_0244,
    "performed_procedure_step_start_time": 0x0040_0245,
    "sop_class_uid": 0x0008_0016,
    "sop_instance_uid": 0x0008_0018,
    "instance_number": 0x0020_0013,
    "number_of_frames": 0x0028_0008,
    "rows": 0x0028_0010,
    "columns": 0x0028_0011,
    "bits_allocated": 0x0028_0100,
    "available_transfer_syntax_uid": 0x0008_3002,
}
# What a row of each level returns without a look at what is stored. The whole Request Attributes
# Sequence is stored; the index has two of its attributes.
_ALWAYS: Final = frozenset({0x0008_0056, 0x0008_1190})
_RETURNED: Final[Mapping[Level, frozenset[int]]] = {
    "study": study_list.STUDY_TAGS | _ALWAYS,
    "series": (study_list.SERIES_TAGS | _ALWAYS) - {0x0040_0275},
    "instance": (study_list.INSTANCE_TAGS | _ALWAYS) - {0x0040_0275},
}
