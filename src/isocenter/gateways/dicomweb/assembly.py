"""Objects that come as metadata and bulk data: their files, put together.

Metadata names its large values by URI; the parts that carry them say the same URI as their
Content-Location. Pictures, videos, documents and models come as what they are, and what can be read
from them fills in what the metadata leaves out. Several parts of one location are the frames of one
image.

Standard: PS3.18 8.7.3.4, 10.5.2, 10.5.3
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, cast

import msgspec

from isocenter.infra.blobs import BlobWriter
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom import part10, uids
from isocenter.standards.dicom.bitstreams import Bitstream, read_bitstream
from isocenter.standards.dicom.json_model import JsonObject, from_json
from isocenter.standards.dicom.values import encode_dataset
from isocenter.standards.dicom.values_model import DataSet, Element
from isocenter.standards.dicom.xml_model import from_xml
from isocenter.standards.dicomweb import media_types
from isocenter.standards.dicomweb.media_types import DICOM_XML, MP4, OCTET_STREAM

_IN_MEMORY_BYTES: Final = 16 << 20
_CHUNK_BYTES: Final = 1 << 20
_FIRST_BYTES: Final = 1 << 16
_PIXEL_DATA: Final = 0x7FE0_0010
_DOCUMENT: Final = 0x0042_0011
_AVAILABLE_TRANSFER_SYNTAX_UID: Final = 0x0008_3002
_MPEG_4_HIGH: Final = "1.2.840.10008.1.2.4.102"
_MPEG_2_MAIN: Final = "1.2.840.10008.1.2.4.100"
_ITEM: Final = b"\xfe\xff\x00\xe0"
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"
# PS3.5 A.4: a fragment has a length of 32 bits, and an even one.
_FRAGMENT_BYTES_MAX: Final = 0xFFFF_FFFE


class BulkData:
    """The bytes of one part, in memory or in a temporary file."""

    def __init__(self, content_type: str) -> None:
        kind = media_types.parse_media_type(content_type)
        self.media_type, self.transfer_syntax_uid = kind.name, kind.transfer_syntax or ""
        self.size_bytes = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - close() ends it
            _IN_MEMORY_BYTES
        )

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._file.write(data)
        self.size_bytes += len(data)

    def read(self, length: int = -1) -> bytes:
        """The first ``length`` bytes, or all."""
        self._file.seek(0)
        return self._file.read(length)

    def chunks(self) -> Iterator[bytes]:
        """All bytes, a portion at a time."""
        self._file.seek(0)
        while data := self._file.read(_CHUNK_BYTES):
            yield data

    def close(self) -> None:
        """Forget the bytes."""
        self._file.close()


@dataclass(slots=True)
class Assembly:
    """The metadata and bulk data of one request."""

    models: list[JsonObject] = field(default_factory=list[JsonObject])
    bulk: dict[str, list[BulkData]] = field(default_factory=dict[str, list[BulkData]])

    def add(self, location: str, content_type: str) -> BulkData:
        """A new part with bulk data."""
        made = BulkData(content_type)
        self.bulk.setdefault(location, []).append(made)
        return made

    def close(self) -> None:
        """Forget everything."""
        for parts in self.bulk.values():
            for each in parts:
                each.close()
        self.models, self.bulk = [], {}

    def write(self, model: JsonObject, writer: BlobWriter) -> bool:
        """Write the file of one of the objects; whether it says other values than the metadata did.

        Raises:
            RemoteProtocolError: the metadata is not well formed, bulk data is missing or unclear.
            LocalProtocolError: a value cannot be encoded.
        """
        pixels = model.get(f"{_PIXEL_DATA:08X}", {})
        parts: Sequence[BulkData] = ()
        if "BulkDataURI" in pixels:
            parts = self._parts(str(pixels["BulkDataURI"]))
        header = {key: value for key, value in model.items() if not (parts and value is pixels)}
        dataset = from_json(header, bulk_data=self._value)
        self._complete_document(model, dataset)
        syntax, streams = _read_pixels(dataset, parts)
        dataset.pop(_AVAILABLE_TRANSFER_SYNTAX_UID, None)
        before = dict(dataset)
        if streams:
            _complete_image(dataset, streams)
        writer.write(
            part10.encode_file_meta(
                sop_class_uid=dataset.text(0x0008_0016),
                sop_instance_uid=dataset.text(0x0008_0018),
                transfer_syntax_uid=syntax,
            )
        )
        writer.write(encode_dataset(dataset, syntax))
        if parts:
            for piece in _pixel_element(dataset, syntax, parts, streams):
                writer.write(piece)
        return any(
            dataset.texts(tag) != _texts(said) for tag, said in before.items() if said.values
        )

    def _parts(self, uri: str) -> Sequence[BulkData]:
        found = self.bulk.get(uri)
        if not found:
            raise RemoteProtocolError("bulk data that the metadata names is not in the body")
        return found

    def _value(self, uri: str) -> bytes:
        value = b"".join(each.read() for each in self._parts(uri))
        return value + b"\0" * (len(value) % 2)

    def _complete_document(self, model: JsonObject, dataset: DataSet) -> None:
        """Say of a document what its part says.

        Standard: PS3.3 C.24.2
        """
        uri = model.get(f"{_DOCUMENT:08X}", {}).get("BulkDataURI")
        if uri is None:
            return
        parts = self._parts(str(uri))
        if not dataset.text(0x0042_0012) and parts[0].media_type != OCTET_STREAM:
            dataset.put(0x0042_0012, parts[0].media_type)
        dataset.put(0x0042_0015, sum(each.size_bytes for each in parts))


def _texts(element: Element) -> tuple[str, ...]:
    return tuple(str(each) for each in element.values if isinstance(each, str | int | float))


def _read_pixels(dataset: DataSet, parts: Sequence[BulkData]) -> tuple[str, Sequence[Bitstream]]:
    """The transfer syntax of the file, and what the frames' headers say where they are pictures."""
    if not parts:
        return uids.EXPLICIT_VR_LITTLE_ENDIAN, []
    said = parts[0].transfer_syntax_uid or dataset.text(_AVAILABLE_TRANSFER_SYNTAX_UID)
    kind = parts[0].media_type
    if kind.startswith("video/"):
        return said or (_MPEG_4_HIGH if kind == MP4 else _MPEG_2_MAIN), []
    if (
        kind == OCTET_STREAM
        and not uids.transfer_syntax(said or "1.2.840.10008.1.2.1").encapsulated
    ):
        return uids.EXPLICIT_VR_LITTLE_ENDIAN, []
    if said == uids.RLE_LOSSLESS:
        return said, []
    streams = [read_bitstream(each.read(_FIRST_BYTES)) for each in parts]
    found = {each.transfer_syntax_uid for each in streams}
    if len(found) > 1:
        raise RemoteProtocolError("the frames are in several transfer syntaxes")
    return found.pop(), streams


def _complete_image(dataset: DataSet, streams: Sequence[Bitstream]) -> None:
    """Image Pixel attributes as the pictures say them; they know better than metadata does.

    Standard: PS3.18 10.5.2, PS3.3 C.7.6.3
    """
    first = streams[0]
    dataset.put(0x0028_0002, first.samples_per_pixel)
    dataset.put(0x0028_0010, first.rows)
    dataset.put(0x0028_0011, first.columns)
    if first.samples_per_pixel > 1:
        dataset.put(0x0028_0004, first.photometric_interpretation)
        dataset.put(0x0028_0006, 0)
    elif not dataset.text(0x0028_0004):
        dataset.put(0x0028_0004, first.photometric_interpretation)
    wide = 8 if first.bits <= 8 else 16
    for tag, value in (
        (0x0028_0100, wide),
        (0x0028_0101, first.bits),
        (0x0028_0102, first.bits - 1),
        (0x0028_0103, 0),
    ):
        if dataset.number(tag) is None:
            dataset.put(tag, value)
    if len(streams) > 1:
        dataset.put(0x0028_0008, str(len(streams)))
    if uids.transfer_syntax(first.transfer_syntax_uid).may_lose_detail:
        dataset.put(0x0028_2110, "01")


def _pixel_element(
    dataset: DataSet, syntax: str, parts: Sequence[BulkData], streams: Sequence[Bitstream]
) -> Iterator[bytes]:
    """The Pixel Data element: native, or a fragment for each part behind an empty offset table.

    Standard: PS3.5 8.2, A.4
    """
    if not uids.transfer_syntax(syntax).encapsulated:
        size = sum(each.size_bytes for each in parts)
        vr = b"OW" if (dataset.number(0x0028_0100) or 16) > 8 else b"OB"
        yield b"\xe0\x7f\x10\0" + vr + b"\0\0" + (size + size % 2).to_bytes(4, "little")
        for each in parts:
            yield from each.chunks()
        yield b"\0" * (size % 2)
        return
    yield b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + _ITEM + bytes(4)
    for number, each in enumerate(parts):
        wrapped = bool(streams) and each.read(8)[4:8] == b"jP  "
        whole = read_bitstream(each.read()).data if wrapped else b""
        size = len(whole) if wrapped else each.size_bytes
        if size + size % 2 > _FRAGMENT_BYTES_MAX:
            raise RemoteProtocolError(f"frame {number + 1} is too large for a fragment")
        yield _ITEM + (size + size % 2).to_bytes(4, "little")
        yield from _even([bytes(whole)] if wrapped else each.chunks(), size)
    yield _SEQUENCE_END


def _even(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    yield from chunks
    yield b"\0" * (size % 2)


def read_models(document: bytes, media_type: str) -> list[JsonObject]:
    """The objects of one part of metadata.

    Raises:
        RemoteProtocolError: it is neither DICOM JSON nor a Native DICOM Model.

    Standard: PS3.18 8.7.3.4
    """
    if media_type == DICOM_XML:
        return [from_xml(document)]
    try:
        found: Any = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"the metadata is no JSON: {error}") from error
    models = cast("list[JsonObject]", found if isinstance(found, list) else [found])
    if not all(isinstance(each, dict) for each in models):  # pyright: ignore[reportUnnecessaryIsInstance] - the JSON of others
        raise RemoteProtocolError("the metadata is no array of objects")
    return models


def uids_of(model: JsonObject) -> tuple[str, str, str, str]:
    """Study, series, SOP class and SOP instance of an object's metadata, "" where it lacks them."""
    study, series, sop_class, instance = (
        _first(model.get(key)) for key in ("0020000D", "0020000E", "00080016", "00080018")
    )
    return study, series, sop_class, instance


def _first(attribute: Any) -> str:
    try:
        return str(attribute["Value"][0] or "")
    except (TypeError, KeyError, IndexError):
        return ""
