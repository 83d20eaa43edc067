"""What registry and orders say now, in the files and metadata that go out; what is stored stays.

Standard: PS3.3 C.12.1.1.9
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from isocenter.domain.access.model import Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import SOP_INSTANCE_UID, InstanceLocation
from isocenter.domain.archive.model_splits import Modifications
from isocenter.gateways.dicomweb.pieces import BlobRange, Piece
from isocenter.infra.blobs import BlobStore
from isocenter.infra.db import Tx
from isocenter.standards import ProtocolError
from isocenter.standards.dicom import dictionary
from isocenter.standards.dicom.coercion import ORIGINAL_ATTRIBUTES_SEQUENCE, Modification, modify
from isocenter.standards.dicom.json_model import JsonObject, to_json
from isocenter.standards.dicom.part10 import encode_file_meta, parse_file_meta
from isocenter.standards.dicom.part10_elements import TruncatedError
from isocenter.standards.dicom.values_model import DataSet

_FIRST_READ_BYTES: Final = 1 << 16
_ORIGINALS: Final = f"{ORIGINAL_ATTRIBUTES_SEQUENCE:08X}"
_INSTANCE: Final = f"{SOP_INSTANCE_UID:08X}"


def modifications_of(
    tx: Tx, viewer: Viewer, study_instance_uid: str, sop_instance_uid: str | None = None
) -> Modifications:
    """What the study's images, or one of them, must say on their way out."""
    only = None if sop_instance_uid is None else [sop_instance_uid]
    return archive.modifications(tx, viewer, [study_instance_uid], only)


def corrected_pieces(
    blobs: BlobStore, location: InstanceLocation, modification: Modification | None
) -> list[Piece]:
    """The stored file with what its header must say now.

    A file that cannot be taken apart goes out as it is: a person has to see it, and the search
    tells what is known of it.
    """
    whole: list[Piece] = [BlobRange(location.blob_key, 0, location.size_bytes)]
    if modification is None:
        return whole
    length = min(_FIRST_READ_BYTES, location.size_bytes)
    while True:
        data = blobs.read(location.blob_key, 0, length)
        try:
            modified = modify(
                data,
                location.transfer_syntax_uid,
                modification,
                start=location.dataset_offset,
                is_whole=length == location.size_bytes,
            )
        except TruncatedError:
            if length == location.size_bytes:
                return whole
            length = min(16 * length, location.size_bytes)
            continue
        except ProtocolError:
            return whole
        if modified is None:
            return whole
        rest = BlobRange(location.blob_key, modified.end, location.size_bytes - modified.end)
        head = [bytes(each) for each in modified.pieces]
        meta = _meta(data[: location.dataset_offset], modification)
        return [meta, *head, *([rest] if rest.length else [])]


def corrected_file(data: bytes, modification: Modification | None) -> bytes:
    """A whole file in memory, with what its header must say now."""
    if modification is None:
        return data
    try:
        meta = parse_file_meta(data)
        start, syntax = meta.dataset_offset, meta.transfer_syntax_uid
        modified = modify(data, syntax, modification, start=start, is_whole=True)
    except ProtocolError:
        return data
    if modified is None:
        return data
    before = _meta(data[:start], modification)
    return b"".join([before, *modified.pieces, memoryview(data)[modified.end :]])


def _meta(before: bytes, modification: Modification) -> bytes:
    """What is before the data set of a file, naming the instance as the data set names it now.

    Standard: PS3.10 7.1
    """
    uid = modification.values.get(SOP_INSTANCE_UID)
    if uid is None:
        return before
    meta = parse_file_meta(before)
    return encode_file_meta(
        sop_class_uid=meta.media_storage_sop_class_uid,
        sop_instance_uid=uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        source_ae_title=meta.source_ae_title,
    )


def corrected_metadata(
    content: bytes, study_instance_uid: str, modifications: Modifications
) -> bytes:
    """A JSON array of metadata of the study's instances, with what it must say now."""
    if not modifications:
        return content
    models: list[JsonObject] = msgspec.json.decode(content)
    return msgspec.json.encode([
        corrected_model(each, modifications.of_stored(study_instance_uid, _instance(each)))
        for each in models
    ])


def _instance(model: JsonObject) -> str:
    values = model.get(_INSTANCE, {}).get("Value", [])
    return str(values[0] or "").strip() if values else ""


def corrected_model(model: JsonObject, modification: Modification | None) -> JsonObject:
    """The DICOM JSON of an instance, with what it must say now and what it said before.

    Standard: PS3.3 Table C.12-1
    """
    if modification is None:
        return model
    said = _wanted(modification)
    changed = {
        key: attribute for key, attribute in said.items() if not _same(model, key, attribute)
    }
    if not changed:
        return model
    before = {key: model.get(key, {"vr": attribute["vr"]}) for key, attribute in changed.items()}
    item: JsonObject = {
        "04000550": {"vr": "SQ", "Value": [before]},
        "04000562": {"vr": "DT", "Value": [f"{modification.modified_at:%Y%m%d%H%M%S%z}"]},
        "04000563": {"vr": "LO", "Value": [modification.modifying_system]},
        "04000564": {"vr": "LO"},
        "04000565": {"vr": "CS", "Value": [modification.reason]},
    }
    earlier: Sequence[Any] = model.get(_ORIGINALS, {}).get("Value", [])
    originals = {"vr": "SQ", "Value": [*earlier, item]}
    return dict(sorted({**model, **changed, _ORIGINALS: originals}.items()))


def corrected_header(header: DataSet, modification: Modification | None) -> DataSet:
    """A header's values for showing, with what they must say now."""
    if modification is None:
        return header
    made = DataSet(header)
    for tag, text in modification.values.items():
        made.put(tag, text)
    return made


def _wanted(modification: Modification) -> JsonObject:
    dataset = DataSet()
    for tag, text in modification.values.items():
        if text:
            dataset.put(tag, text)
        else:
            dataset.put(tag)
    return to_json(dataset)


def _same(model: JsonObject, key: str, attribute: JsonObject) -> bool:
    values = model.get(key, {}).get("Value", [])
    if dictionary.vr_of(int(key, 16)) == "DA":
        values = [str(each).replace(".", "") for each in values if each]
    present = [each for each in values if each]
    return present == attribute.get("Value", [])
