"""Series metadata: DICOM JSON of all instances of a series in one object, made once and kept.

A series of a thousand instances is then one read. The object is made when it is asked for or by a
worker, and made anew when the series has grown. URIs in it are relative to our root by a mark that
is replaced when it is sent, so that the same object serves every name we are reached by.

Standard: PS3.18 10.4.1.1.2, Annex F
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from isocenter.domain.access.model import Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import InstanceLocation, Series, SeriesMetadata
from isocenter.domain.archive.service import attributes
from isocenter.domain.peers import service as peers
from isocenter.gateways.dicomweb.pictures import read_head
from isocenter.infra.blobs import BlobMissing, BlobStore
from isocenter.infra.db import Database
from isocenter.infra.log import get_logger
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.json_model import BulkDataUri, JsonObject, header_to_json
from isocenter.standards.dicom.text_reading import AS_DECLARED, TextReading

ROOT_MARK: Final = b"isocenter-root:"
_log = get_logger(__name__)
_AVAILABLE_TRANSFER_SYNTAX_UID: Final = "00083002"
_SOP_CLASS_UID: Final = "00080016"
_SOP_INSTANCE_UID: Final = "00080018"
_STUDY_INSTANCE_UID: Final = "0020000D"
_SERIES_INSTANCE_UID: Final = "0020000E"
_TIMEZONE_OFFSET_FROM_UTC: Final = "00080201"
_REQUEST_ATTRIBUTES: Final = "00400275"
_KNOWN_KEYS: Final = frozenset({
    _AVAILABLE_TRANSFER_SYNTAX_UID,
    _SOP_CLASS_UID,
    _SOP_INSTANCE_UID,
    _STUDY_INSTANCE_UID,
    _SERIES_INSTANCE_UID,
})
_ACTOR: Final = Actor.system("metadata")
_REQUEST_IDS: Final = {
    "requested_procedure_id": "00401001",
    "scheduled_procedure_step_id": "00400009",
}


def series_metadata(db: Database, blobs: BlobStore, viewer: Viewer, series: Series) -> bytes:
    """The JSON array of the series' instances, made and kept when there is none that is current."""
    kept = kept_metadata(blobs, series)
    if kept is not None:
        return kept
    with db.read() as tx:
        locations = archive.locate(
            tx, viewer, series.study_instance_uid, series.series_instance_uid
        )
        readings = peers.text_readings(tx)
    models = [instance_metadata(blobs, each, readings) for each in locations]
    made = msgspec.json.encode(models)
    _keep(db, blobs, series, models, _described(blobs.put(made).key, models))
    return made


def kept_metadata(blobs: BlobStore, series: Series) -> bytes | None:
    """The JSON array of the series' instances where a current one is kept."""
    if series.metadata_blob_key and series.metadata_instances == series.number_of_instances:
        try:
            return blobs.read(series.metadata_blob_key)
        except BlobMissing:
            # It holds nothing that the instances do not hold.
            _log.error("metadata_missing", series_instance_uid=series.series_instance_uid)
    return None


def _described(blob_key: str, models: Sequence[JsonObject]) -> SeriesMetadata:
    """The kept object, and what searches shall know of the series from its first instance.

    Standard: PS3.18 Table 10.6.3-4
    """
    first = models[0] if models else {}
    items = first.get(_REQUEST_ATTRIBUTES, {}).get("Value", [])
    requests = [
        {name: text for name, tag in _REQUEST_IDS.items() if (text := _text(item, tag))}
        for item in items
    ]
    offset = _text(first, _TIMEZONE_OFFSET_FROM_UTC)
    return SeriesMetadata(
        blob_key, len(models), [each for each in requests if each], offset or None
    )


def _text(model: JsonObject, tag: str) -> str:
    values = model.get(tag, {}).get("Value", [])
    return str(values[0] or "").strip() if values else ""


def _keep(
    db: Database,
    blobs: BlobStore,
    series: Series,
    models: Sequence[JsonObject],
    made: SeriesMetadata,
) -> None:
    """Name the object for those who ask later; the one before is left to the sweeper.

    What is indexed beyond the archive's own attributes is taken from it at the same time.
    """
    actor, uids = _ACTOR, (series.study_instance_uid, series.series_instance_uid)
    with db.transaction() as tx:
        kept = archive.set_series_metadata(tx, actor, *uids, made)
        if kept:
            attributes.index_series(tx, actor, *uids, models)
    if not kept:
        blobs.delete(made.blob_key)


def instance_metadata(
    blobs: BlobStore, location: InstanceLocation, readings: Mapping[str, TextReading]
) -> JsonObject:
    """The DICOM JSON of one instance; of one that cannot be read, what the archive knows of it.

    ``readings`` are those of senders that do not keep to the character set that they declare.
    """
    try:
        model = header_to_json(
            memoryview(read_head(blobs, location)),
            transfer_syntax_uid=location.transfer_syntax_uid,
            start=location.dataset_offset,
            bulk_data_uri=_bulk_data_uri(location),
            reading=readings.get(location.calling_ae_title, AS_DECLARED),
        )
    except RemoteProtocolError:
        model = _known(location)
    model[_AVAILABLE_TRANSFER_SYNTAX_UID] = {"vr": "UI", "Value": [location.transfer_syntax_uid]}
    return model


def is_unreadable(model: JsonObject) -> bool:
    """Whether this is all that is known of an instance whose header cannot be read."""
    return model.keys() <= _KNOWN_KEYS


def with_root(metadata: bytes, root: str) -> bytes:
    """``metadata`` with absolute URIs below ``root``."""
    return metadata.replace(ROOT_MARK, root.encode())


def instance_path(location: InstanceLocation) -> str:
    """The path of the instance below our root."""
    return (
        f"/studies/{location.study_instance_uid}/series/{location.series_instance_uid}"
        f"/instances/{location.sop_instance_uid}"
    )


def _bulk_data_uri(location: InstanceLocation) -> BulkDataUri:
    def uri(path: tuple[int, ...]) -> str:
        # Tags at even places, item numbers between them.
        parts = (f"{each:08X}" if not at % 2 else str(each) for at, each in enumerate(path))
        return f"{ROOT_MARK.decode()}{instance_path(location)}/bulkdata/{'/'.join(parts)}"

    return uri


def _known(location: InstanceLocation) -> JsonObject:
    return {
        _SOP_CLASS_UID: {"vr": "UI", "Value": [location.sop_class_uid]},
        _SOP_INSTANCE_UID: {"vr": "UI", "Value": [location.sop_instance_uid]},
        _STUDY_INSTANCE_UID: {"vr": "UI", "Value": [location.study_instance_uid]},
        _SERIES_INSTANCE_UID: {"vr": "UI", "Value": [location.series_instance_uid]},
    }
