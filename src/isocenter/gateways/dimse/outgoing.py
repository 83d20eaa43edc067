"""One stored instance made ready to be sent in a negotiated transfer syntax, in bounded memory.

    wanted = choose(accepted, instance)
    prepared = prepare(blobs, instance, wanted, transcode=processes)
    for piece in prepared.pieces: ...

What is sent as it is stored comes from the store a piece at a time, whatever its size; between
uncompressed little endian encodings only the header is written anew. An HTJ2K rendition that is
kept beside the instance is sent as it is, too. Other compressed pixels are decoded by
``transcode``, in another process, because that needs libraries that this one must not load. Values
that have changed since (``modification``) go into the header in every case. All of this blocks and
belongs in a thread. Who gets it, and when to try again, is the caller's business.

Standard: PS3.4 C.4.2.3.1, PS3.5 10
"""

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar, Final, TypeAlias

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.model_renditions import MARK
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.blobs import BlobMissing, BlobStore
from isocenter.standards import ProtocolError, RemoteProtocolError
from isocenter.standards.dicom import uids
from isocenter.standards.dicom.coercion import Modification, modify
from isocenter.standards.dicom.part10 import parse_file_meta, scan_header
from isocenter.standards.dicom.part10_elements import (
    UNDEFINED_LENGTH,
    Encoding,
    TruncatedError,
    encoding_of,
)
from isocenter.standards.dicom.values import decode_dataset, encode_dataset

Piece: TypeAlias = bytes | memoryview
Transcode: TypeAlias = Callable[[bytes, str], bytes]
"""A file and a transfer syntax UID in, the file in that transfer syntax out."""

# What every peer must take: the default, and the one that all but the oldest prefer (PS3.5 10.1).
RENDITION: Final = uids.HTJ2K_LOSSLESS_RPCL
# What its codestream conforms to: the order of progression is free in the other. PS3.5 A.4.11
_RENDITION_IS: Final = frozenset({RENDITION, uids.HTJ2K_LOSSLESS})
UNCOMPRESSED: Final = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN)
PIECE_BYTES: Final = 1 << 20
_FIRST_READ_BYTES: Final = 1 << 16
_HEADER_BYTES_MAX: Final = 256 << 20
# Decoded pixels are in memory twice for a moment: theirs and ours.
_TRANSCODED_BYTES_MAX: Final = 512 << 20
_PIXEL_DATA_VRS: Final[Mapping[int, str]] = {
    0x7FE00008: "OF",
    0x7FE00009: "OD",
    0x7FE00010: "OW",
}
_PIXEL_DATA_HEAD_BYTES: Final = 12


class NotSendable(IsocenterError):
    """The instance cannot be put into a transfer syntax that the peer takes."""

    kind: ClassVar[Kind] = Kind.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class KeptRendition:
    """The form of an instance in ``RENDITION`` that is kept beside it.

    Attributes:
        size_bytes: of the blob, with the mark before the file.
    """

    blob_key: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A stored instance on its way out.

    Attributes:
        rendition: what is kept of it in another transfer syntax; None: nothing.
        pixel_data_offset: of the Pixel Data element in the blob; None without one, or deflated.
        modification: what the header must say now; None for what it says already.
    """

    study_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    blob_key: str
    size_bytes: int
    dataset_offset: int
    pixel_data_offset: int | None
    modification: Modification | None = None
    rendition: KeptRendition | None = None

    @classmethod
    def of(cls, location: InstanceLocation, modification: Modification | None = None) -> "Outgoing":
        """The instance at ``location``."""
        return cls(
            study_instance_uid=location.study_instance_uid,
            sop_class_uid=location.sop_class_uid,
            sop_instance_uid=location.sop_instance_uid,
            transfer_syntax_uid=location.transfer_syntax_uid,
            blob_key=location.blob_key,
            size_bytes=location.size_bytes,
            dataset_offset=location.dataset_offset,
            pixel_data_offset=location.pixel_data_offset,
            modification=modification,
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A data set ready to be sent: its pieces in order, read while they are taken."""

    transfer_syntax_uid: str
    pieces: Iterator[Piece]


def proposals(instances: Iterable[Outgoing]) -> list[tuple[str, tuple[str, ...]]]:
    """Abstract syntax and transfer syntaxes of each presentation context to propose, in order.

    For each SOP class one context for each stored transfer syntax, that of renditions among them,
    and one for what can be made of it: a peer then tells which of them it takes, and does not
    choose between them.

    Standard: PS3.8 9.3.2.2
    """
    contexts: dict[tuple[str, tuple[str, ...]], None] = {}
    classes: dict[str, set[str]] = {}
    for each in instances:
        kept = classes.setdefault(each.sop_class_uid, set())
        kept.add(each.transfer_syntax_uid)
        if each.rendition is not None:
            kept.add(RENDITION)
    for sop_class, stored in classes.items():
        for syntax in sorted(stored):
            contexts[sop_class, (syntax,)] = None
        others = tuple(each for each in UNCOMPRESSED if {each} != stored)
        contexts[sop_class, others] = None
    return list(contexts)


def choose(accepted: Collection[str], instance: Outgoing) -> str | None:
    """Of the transfer syntaxes that the peer takes for the SOP class the best; None for none.

    The stored one goes before the one of a rendition, which is as true and needs no work either,
    and that before the ones that it is turned into. What is stored uncompressed goes uncompressed
    where it can: its header alone is written anew.
    """
    stored = instance.transfer_syntax_uid
    kept = () if instance.rendition is None else (RENDITION,)
    wanted = (*kept, *UNCOMPRESSED) if _is_transcoded(instance) else (*UNCOMPRESSED, *kept)
    return next((each for each in (stored, *wanted) if each in accepted), None)


def prepare(
    blobs: BlobStore, instance: Outgoing, transfer_syntax_uid: str, *, transcode: Transcode
) -> Prepared:
    """The instance's data set in a transfer syntax.

    Args:
        blobs: where its bytes are.
        instance: what is sent.
        transfer_syntax_uid: the stored one, that of its rendition, one of ``UNCOMPRESSED``, or
            one to compress with.
        transcode: decodes compressed pixels, and compresses.

    Raises:
        NotSendable: it cannot be brought into the transfer syntax, or is too large for that.
        BlobMissing: its bytes are gone.
        StorageUnavailable: they cannot be read now.
    """
    try:
        if transfer_syntax_uid == instance.transfer_syntax_uid:
            pieces = _even(_as_stored(blobs, instance), instance)
        elif (kept := _as_kept(blobs, instance, transfer_syntax_uid)) is not None:
            pieces = _even(_as_stored(blobs, kept), kept)
        elif _is_transcoded(instance) or uids.transfer_syntax(transfer_syntax_uid).encapsulated:
            pieces = _transcoded(blobs, instance, transfer_syntax_uid, transcode)
        elif instance.pixel_data_offset is None:
            pieces = _written_anew(blobs, instance, transfer_syntax_uid)
        else:
            pieces = _header_anew(blobs, instance, transfer_syntax_uid, instance.pixel_data_offset)
    except ProtocolError as error:
        raise NotSendable(f"{instance.sop_instance_uid}: {error}") from error
    return Prepared(transfer_syntax_uid, pieces)


def _is_transcoded(instance: Outgoing) -> bool:
    """Whether its pixels have to be decoded, or their bytes swapped."""
    syntax = uids.transfer_syntax(instance.transfer_syntax_uid)
    has_pixels = instance.pixel_data_offset is not None
    return has_pixels and (syntax.encapsulated or not syntax.little_endian)


def _as_kept(blobs: BlobStore, instance: Outgoing, transfer_syntax_uid: str) -> Outgoing | None:
    """The rendition as if it were the stored instance; None where it is not this or is gone."""
    rendition = instance.rendition
    if rendition is None or transfer_syntax_uid not in _RENDITION_IS:
        return None
    start, size = len(MARK), rendition.size_bytes
    try:
        head = blobs.read(rendition.blob_key, start, min(_FIRST_READ_BYTES, size - start))
    except BlobMissing:
        return None  # discarded since the plan was made: it is made anew
    return replace(
        instance,
        transfer_syntax_uid=RENDITION,
        blob_key=rendition.blob_key,
        size_bytes=size,
        dataset_offset=start + parse_file_meta(head).dataset_offset,
    )


def _as_stored(blobs: BlobStore, instance: Outgoing) -> Iterator[Piece]:
    start, rest = instance.dataset_offset, instance.size_bytes
    if instance.modification is None:
        return _range(blobs, instance.blob_key, start, rest)
    whole = rest - start
    length = min(_FIRST_READ_BYTES, whole)
    while True:
        data = blobs.read(instance.blob_key, start, length)
        try:
            modified = modify(
                data,
                instance.transfer_syntax_uid,
                instance.modification,
                is_whole=length == whole,
            )
        except TruncatedError:
            if length == whole:
                raise
            length = _longer(instance, length, whole)
            continue
        if modified is None:
            return _range(blobs, instance.blob_key, start, rest)
        behind = _range(blobs, instance.blob_key, start + modified.end, rest)
        return chain(modified.pieces, behind)


def _even(pieces: Iterator[Piece], instance: Outgoing) -> Iterator[Piece]:
    """``pieces`` in even lengths: fragments must have them, whatever the stored elements have.

    A deflated stream of an odd length gets the padding that it lacks; what is odd as a whole
    otherwise stays so, because no byte can be added to it.

    Standard: PS3.8 9.3.5.1, PS3.5 A.5
    """
    rest = b""
    for piece in pieces:
        even: Piece = piece
        if rest or len(piece) % 2:
            joined = rest + bytes(piece)
            length = len(joined) & ~1
            even, rest = joined[:length], joined[length:]
        if even:
            yield even
    if rest:
        deflated = uids.transfer_syntax(instance.transfer_syntax_uid).deflated
        yield rest + b"\0" if deflated else rest


def _longer(instance: Outgoing, length: int, whole: int) -> int:
    """How much more of a header to read."""
    if length >= _HEADER_BYTES_MAX:
        raise NotSendable(f"{instance.sop_instance_uid}: the header is too large to be corrected")
    return min(16 * length, whole, _HEADER_BYTES_MAX)


def _transcoded(
    blobs: BlobStore, instance: Outgoing, transfer_syntax_uid: str, transcode: Transcode
) -> Iterator[Piece]:
    _limited(instance, instance.size_bytes)
    file = memoryview(transcode(blobs.read(instance.blob_key), transfer_syntax_uid))
    start = parse_file_meta(file).dataset_offset
    return _modified(file[start:], instance, transfer_syntax_uid)


def _limited(instance: Outgoing, size_bytes: int) -> None:
    if size_bytes > _TRANSCODED_BYTES_MAX:
        raise NotSendable(f"{instance.sop_instance_uid} is too large to be encoded anew")


def _modified(data: memoryview, instance: Outgoing, transfer_syntax_uid: str) -> Iterator[Piece]:
    """A whole data set in memory, with what the header must say now."""
    if instance.modification is not None:
        modified = modify(data, transfer_syntax_uid, instance.modification, is_whole=True)
        if modified is not None:
            return chain(modified.pieces, _cut(data[modified.end :]))
    return _cut(data)


def _written_anew(
    blobs: BlobStore, instance: Outgoing, transfer_syntax_uid: str
) -> Iterator[Piece]:
    """A data set without pixel data, or a deflated one, in another uncompressed encoding."""
    _limited(instance, instance.size_bytes)
    data = blobs.read(instance.blob_key, instance.dataset_offset)
    scan = scan_header(data, (), transfer_syntax_uid=instance.transfer_syntax_uid)
    source = scan.inflated if scan.inflated is not None else data
    written = _encoded_header(
        source[: scan.header_end], _uncompressed(instance.transfer_syntax_uid), transfer_syntax_uid
    )
    pieces = _modified(memoryview(written), instance, transfer_syntax_uid)
    if scan.pixel_data is None:
        return pieces
    value = memoryview(source)[scan.pixel_data.offset :][: scan.pixel_data.length]
    head = _pixel_data_head(
        scan.pixel_data.tag, scan.pixel_data.vr, len(value), transfer_syntax_uid
    )
    return chain(pieces, [head], _cut(value))


def _header_anew(
    blobs: BlobStore, instance: Outgoing, transfer_syntax_uid: str, pixel_data_offset: int
) -> Iterator[Piece]:
    """Header in the other little endian encoding; pixel data as they are in both."""
    header_bytes = pixel_data_offset - instance.dataset_offset
    if header_bytes > _HEADER_BYTES_MAX:
        raise NotSendable(f"{instance.sop_instance_uid}: the header is too large to be encoded")
    data = blobs.read(
        instance.blob_key, instance.dataset_offset, header_bytes + _PIXEL_DATA_HEAD_BYTES
    )
    scan = scan_header(data, (), transfer_syntax_uid=instance.transfer_syntax_uid)
    pixels = scan.pixel_data
    if pixels is None or pixels.length is None:
        raise RemoteProtocolError("pixel data of undefined length in an uncompressed encoding")
    written = _encoded_header(
        data[: scan.header_end], instance.transfer_syntax_uid, transfer_syntax_uid
    )
    start = instance.dataset_offset + pixels.offset
    value = _range(blobs, instance.blob_key, start, start + pixels.length)
    vr = pixels.vr if scan.encoding.explicit_vr else _PIXEL_DATA_VRS[pixels.tag]
    head = _pixel_data_head(pixels.tag, vr, pixels.length, transfer_syntax_uid)
    return chain(_modified(memoryview(written), instance, transfer_syntax_uid), [head], value)


def _uncompressed(transfer_syntax_uid: str) -> str:
    """How the data set itself is encoded when it is inflated."""
    deflated = uids.transfer_syntax(transfer_syntax_uid).deflated
    return uids.EXPLICIT_VR_LITTLE_ENDIAN if deflated else transfer_syntax_uid


def _encoded_header(data: bytes, from_syntax: str, to_syntax: str) -> bytes:
    return encode_dataset(decode_dataset(data, from_syntax), to_syntax)


def _pixel_data_head(tag: int, vr: str, length: int, transfer_syntax_uid: str) -> bytes:
    group, element = tag >> 16, tag & 0xFFFF
    if length >= UNDEFINED_LENGTH:
        raise RemoteProtocolError("pixel data are longer than an element can be")
    encoding: Encoding = encoding_of(transfer_syntax_uid)
    if not encoding.explicit_vr:
        return struct.pack("<HHL", group, element, length)
    return struct.pack("<HH2sHL", group, element, vr.encode("ascii"), 0, length)


def _cut(data: memoryview) -> Iterator[Piece]:
    for at in range(0, len(data), PIECE_BYTES):
        yield data[at : at + PIECE_BYTES]


def _range(blobs: BlobStore, key: str, start: int, end: int) -> Iterator[Piece]:
    """The bytes of a blob from ``start`` to ``end``, a piece at a time; small ones at once."""
    if end - start <= PIECE_BYTES:
        yield blobs.read(key, start, end - start)
        return
    with blobs.open(key) as file:
        file.seek(start)
        left = end - start
        while left > 0:
            data = file.read(min(PIECE_BYTES, left))
            if not data:
                raise RemoteProtocolError("the stored object ends early")
            left -= len(data)
            yield data
