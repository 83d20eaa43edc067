"""QIDO-RS: searches for studies, series and instances.

Standard: PS3.18 10.6
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from typing import Any, Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.gateways.dicomweb.bodies import json_answer
from isocenter.gateways.dicomweb.context import (
    actor_of,
    context_of,
    service_root,
    viewer_of,
)
from isocenter.gateways.dicomweb.errors import NotAcceptable
from isocenter.gateways.dicomweb.retrieve import accepted
from isocenter.infra.db import Tx
from isocenter.readmodels import study_list
from isocenter.standards.dicom import dictionary
from isocenter.standards.dicom.matching import ListOfUid, Query, tags_of
from isocenter.standards.dicom.matching_keys import parse_params
from isocenter.standards.dicom.values_model import name_groups
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import DICOM_JSON, Offer

_OFFERS: Final = (Offer(DICOM_JSON), Offer("application/json"))
_PARAMETERS_OF_OURS: Final = frozenset({"accept", "charset"})
_STUDY_INSTANCE_UID: Final = 0x0020_000D
_SERIES_INSTANCE_UID: Final = 0x0020_000E
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")

_MATCHED: Final = {
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
    return await _answer(request, study_list.search_studies, "study")


async def series(request: Request) -> Response:
    """The series that match, of one study or of all.

    Standard: PS3.18 10.6.1.2, Table 10.6.3-4
    """
    return await _answer(request, study_list.search_series, "series")


async def instances(request: Request) -> Response:
    """The instances that match, of one series, one study or all.

    Standard: PS3.18 10.6.1.3, Table 10.6.3-5
    """
    return await _answer(request, study_list.search_instances, "instance")


async def _answer(request: Request, search: Search, level: str) -> Response:
    chosen = media_types.select(accepted(request), _OFFERS)
    if chosen is None:
        raise NotAcceptable("search results are sent as application/dicom+json")
    context, viewer, actor = context_of(request), viewer_of(request), actor_of(request)
    query = _scoped(
        parse_params(request.query_params.multi_items(), ignored=_PARAMETERS_OF_OURS), request
    )
    most = context.options.search_results_max
    limit = min(query.limit if query.limit is not None else most, most)
    now = context.clock()

    def run(tx: Tx) -> Sequence[Any]:
        found = search(tx, viewer, query.conditions, limit=limit + 1, offset=query.offset)
        asked = sorted(f"{tag:08X}" for tag in query.returned)
        entry = AuditEntry(
            action=f"{level}.search",
            actor=actor.name,
            actor_kind=actor.kind.value,
            source=actor.source,
            object_type=level,
            object_id=request.path_params.get("study", ""),
            detail={"keys": asked, "results": min(len(found), limit)},
        )
        record(tx, entry, now=now)
        return found

    rows = await context.pool.run(run)
    more = len(rows) > limit
    root = service_root(request)
    body = msgspec.json.encode([_object(row, root) for row in rows[:limit]])
    warnings = _warnings(query, level, truncated=more and query.limit != limit)
    headers: dict[str, str] = {}
    if warnings:
        headers["Warning"] = ", ".join(f'299 {request.url.netloc} "{w}"' for w in warnings)
    return await json_answer(request, body, chosen.name, headers)


def _warnings(query: Query, level: str, *, truncated: bool) -> list[str]:
    """What the client should know of the answer.

    Standard: PS3.18 8.3.4.4, 10.6.3
    """
    ignored = tags_of(query.conditions) - _MATCHED[level]
    warnings: list[str] = []
    if ignored:
        names = " ".join(f"{tag:08X}" for tag in sorted(ignored))
        warnings.append(f"These attributes are not matched: {names}")
    if truncated:
        warnings.append("There are more results than are returned")
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
    made = {
        f"{tag:08X}": _attribute(tag, getattr(row, name))
        for name, tag in TAGS.items()
        if hasattr(row, name)
    }
    made["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
    made["00081190"] = {"vr": "UR", "Value": [root + _path(row)]}
    return dict(sorted(made.items()))


def _attribute(tag: int, value: Any) -> dict[str, Any]:
    vr = dictionary.vr_of(tag)
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    present = [_json_value(vr, each) for each in values if each is not None and each != ""]
    return {"vr": vr, "Value": present} if present else {"vr": vr}


def _json_value(vr: str, value: Any) -> Any:
    if isinstance(value, date):
        return f"{value:%Y%m%d}"
    if isinstance(value, time):
        return f"{value:%H%M%S.%f}" if value.microsecond else f"{value:%H%M%S}"
    if vr == "PN":
        groups = zip(_NAME_GROUPS, name_groups(value), strict=False)
        return {group: text for group, text in groups if text}
    return value


def _path(row: Any) -> str:
    path = f"/studies/{row.study_instance_uid}"
    if hasattr(row, "series_instance_uid"):
        path += f"/series/{row.series_instance_uid}"
    if hasattr(row, "sop_instance_uid"):
        path += f"/instances/{row.sop_instance_uid}"
    return path


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
