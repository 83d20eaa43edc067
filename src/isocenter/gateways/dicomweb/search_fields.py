"""Attributes of search results that the index does not hold, read from what is stored.

Studies and series are answered for by the header of one of their instances, instances by the
metadata object of their series. Attributes below the level of the search are left out.

Standard: PS3.18 8.3.4.3, 10.6.1.2.3
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from isocenter.domain.access.model import Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.peers import service as peers
from isocenter.gateways.dicomweb.context import Dicomweb
from isocenter.gateways.dicomweb.metadata import instance_metadata, series_metadata
from isocenter.infra.blobs import BlobMissing
from isocenter.readmodels import representatives
from isocenter.readmodels.indexed_attributes import Beyond, creator_tag, element_of
from isocenter.standards.dicom.json_model import JsonObject, to_json
from isocenter.standards.dicom.matching import Query
from isocenter.standards.dicom.text_reading import TextReading
from isocenter.standards.dicom.values_model import DataSet
from isocenter.standards.dicomweb.attribute_levels import Level, is_at

_SPECIFIC_CHARACTER_SET: Final = 0x0008_0005
_PIXEL_GROUP: Final = 0x7FE0
_SOP_INSTANCE_UID: Final = "00080018"


def wanted(query: Query, level: Level, indexed: frozenset[int]) -> Callable[[int], bool] | None:
    """Which attributes are to be read from what is stored; None when the index has all."""
    if query.all_fields:
        return lambda tag: tag not in indexed and is_at(tag, level) and tag >> 16 != _PIXEL_GROUP
    asked = {tag for tag in query.returned - indexed if is_at(tag, level)}
    asked.discard(_SPECIFIC_CHARACTER_SET)  # answers are in UTF-8
    return asked.__contains__ if asked else None


def indexed_fields(beyond: Beyond, values: Mapping[int, Sequence[str]]) -> JsonObject:
    """What an administrator had indexed of one row, as DICOM JSON."""
    if not values:
        return {}
    dataset = DataSet()
    for tag, texts in values.items():
        dataset[tag] = element_of(beyond.asked[tag].vr, texts)
        creator = creator_tag(tag)
        if creator in beyond.creators:
            dataset.put(creator, beyond.creators[creator])
    return to_json(dataset)


def stored_fields(
    context: Dicomweb,
    viewer: Viewer,
    rows: Sequence[Any],
    level: Level,
    is_wanted: Callable[[int], bool],
) -> list[JsonObject]:
    """For each row the wanted attributes that it has, as DICOM JSON."""
    models = _MODELS[level](context, viewer, rows)
    return [
        {key: value for key, value in model.items() if is_wanted(int(key, 16))} for model in models
    ]


def _of_studies(context: Dicomweb, viewer: Viewer, rows: Sequence[Any]) -> list[JsonObject]:
    uids = [each.study_instance_uid for each in rows]
    with context.pool.db.read() as tx:
        found = representatives.of_studies(tx, viewer, uids)
        readings = peers.text_readings(tx)
    return [_model(context, found.get(each), readings) for each in uids]


def _of_series(context: Dicomweb, viewer: Viewer, rows: Sequence[Any]) -> list[JsonObject]:
    uids = [(each.study_instance_uid, each.series_instance_uid) for each in rows]
    with context.pool.db.read() as tx:
        found = representatives.of_series(tx, viewer, uids)
        readings = peers.text_readings(tx)
    return [_model(context, found.get(each), readings) for each in uids]


def _of_instances(context: Dicomweb, viewer: Viewer, rows: Sequence[Any]) -> list[JsonObject]:
    wanted_series = {(each.study_instance_uid, each.series_instance_uid) for each in rows}
    by_uid: dict[str, JsonObject] = {}
    for study, series in sorted(wanted_series):
        with context.pool.db.read() as tx:
            known = archive.series_of(tx, viewer, study)
        for each in known:
            if each.series_instance_uid == series:
                made = series_metadata(context.pool.db, context.blobs, viewer, each)
                models: list[JsonObject] = msgspec.json.decode(made)
                by_uid |= {_uid(model): model for model in models}
    return [by_uid.get(each.sop_instance_uid, {}) for each in rows]


def _uid(model: JsonObject) -> str:
    values = model.get(_SOP_INSTANCE_UID, {}).get("Value", [])
    return str(values[0]) if values else ""


def _model(context: Dicomweb, location: Any, readings: Mapping[str, TextReading]) -> JsonObject:
    if location is None:
        return {}
    try:
        return instance_metadata(context.blobs, location, readings)
    except BlobMissing:
        # The search answers with what the index knows; retrieval will say what is wrong.
        return {}


_MODELS: Final = {"study": _of_studies, "series": _of_series, "instance": _of_instances}
