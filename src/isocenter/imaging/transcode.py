"""From one transfer syntax to another: frames, and whole files.

Lossless targets keep every stored value. A lossy target is made only when it is asked for by name,
and then says so in the header. Video is passed over.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from isocenter.imaging.codecs import Decoded, decode_frame
from isocenter.imaging.encoders import NATIVE, can_encode, encode_frame
from isocenter.imaging.frames import (
    PIXEL_DATA,
    PixelFormat,
    PixelsUnreadableError,
    extract_frame,
    pixel_format,
)
from isocenter.standards import LocalProtocolError, RemoteProtocolError
from isocenter.standards.dicom import part10, uids, values
from isocenter.standards.dicom.part10_elements import ITEM, SEQUENCE_DELIMITATION
from isocenter.standards.dicom.part10_frames import frame_ranges
from isocenter.standards.dicom.values import DataSet

_DEFLATED: Final = uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
_OVERLAY_GROUPS: Final = range(0x6000, 0x6020, 2)
ENCAPSULATED_END: Final = struct.pack(
    "<HHL", SEQUENCE_DELIMITATION >> 16, SEQUENCE_DELIMITATION & 0xFFFF, 0
)
# What the codec's colour transform makes of RGB.
_RCT: Final = frozenset({
    uids.HTJ2K_LOSSLESS,
    uids.HTJ2K_LOSSLESS_RPCL,
    uids.JPEG_2000_LOSSLESS,
})
_ICT: Final = frozenset({uids.HTJ2K, uids.JPEG_2000})
# PS3.3 C.7.6.1.1.5.1: by which method detail was lost.
_LOSSY_METHODS: Final = {
    uids.JPEG_BASELINE: "ISO_10918_1",
    uids.JPEG_EXTENDED: "ISO_10918_1",
    uids.JPEG_LS_NEAR_LOSSLESS: "ISO_14495_1",
    uids.JPEG_2000: "ISO_15444_1",
    uids.HTJ2K: "ISO_15444_15",
}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A DICOM file taken apart: header values, pixel format and where the frames are.

    Attributes:
        data: the file, or the inflated data set, that the frames' offsets count in.
    """

    meta: part10.FileMeta
    header: DataSet
    pixels: PixelFormat | None
    data: bytes | memoryview
    scan: part10.HeaderScan

    def frames(self) -> Iterator[bytes]:
        """Each frame's bytes as its codec wants them.

        Raises:
            RemoteProtocolError: the pixel data cannot be divided into frames.
        """
        for frame in frame_ranges(self.data, self.scan):
            yield extract_frame(self.data[frame.offset : frame.offset + frame.length], frame)


def open_image(data: bytes | memoryview) -> ImageFile:
    """A DICOM file taken apart; ``pixels`` is None when it has no pixel data.

    Raises:
        RemoteProtocolError: it breaks the encoding rules.

    Standard: PS3.10 7
    """
    meta = part10.parse_file_meta(data)
    syntax = meta.transfer_syntax_uid
    scan = part10.scan_header(data, (), transfer_syntax_uid=syntax, start=meta.dataset_offset)
    header = values.decode_dataset(data, syntax, start=meta.dataset_offset)
    pixels = None
    if scan.pixel_data is not None:
        pixels = pixel_format(
            header,
            syntax,
            pixel_data_tag=scan.pixel_data.tag,
            pixel_data_vr=scan.pixel_data.vr,
        )
    return ImageFile(meta, header, pixels, data if scan.inflated is None else scan.inflated, scan)


def transcode_file(data: bytes | memoryview, transfer_syntax_uid: str) -> bytes:
    """The same SOP instance in another transfer syntax, as a file.

    Elements after the pixel data (padding, signatures that would no longer hold) are left out.

    Raises:
        PixelsUnreadableError: the frames cannot be decoded, or the target cannot hold them.
        RemoteProtocolError: the file breaks the encoding rules.
        LocalProtocolError: the target is not one that is written.

    Standard: PS3.5 Annex A, PS3.10 7
    """
    if not can_encode(transfer_syntax_uid):
        raise LocalProtocolError(f"{uids.name_of(transfer_syntax_uid)} is not written")
    image = open_image(data)
    native = transfer_syntax_uid in NATIVE
    if image.pixels is None:
        # Without pixel data there is nothing to compress: PS3.5 A.4 leaves only native encodings.
        target = transfer_syntax_uid if native else uids.EXPLICIT_VR_LITTLE_ENDIAN
        return _meta(image, target) + values.encode_dataset(image.header, target)
    if native and _is_plain(image):
        # From one native encoding to another the pixels stay as they are, whatever they hold.
        return _file(image, image.header, transfer_syntax_uid, _pixel_value(image))
    if not native:
        _refuse_embedded_overlays(image.header)
    lossy = uids.transfer_syntax(transfer_syntax_uid).may_lose_detail
    decoded = [decode_frame(each, image.pixels, keep_ybr=not lossy) for each in image.frames()]
    if not decoded:
        raise PixelsUnreadableError("video is not transcoded")
    frames = [encode_frame(frame, image.pixels, transfer_syntax_uid) for frame in decoded]
    header = _header(image, decoded[0], transfer_syntax_uid, frames)
    if not native:
        return _file(image, header, transfer_syntax_uid, frames)
    return _file(image, header, transfer_syntax_uid, _native_value(frames, image.pixels, decoded))


def _is_plain(image: ImageFile) -> bool:
    """Whether the pixel data is native and in the byte order that is written."""
    syntax = uids.transfer_syntax(image.meta.transfer_syntax_uid)
    found = image.scan.pixel_data
    whole = found is not None and found.length is not None
    return whole and syntax.little_endian and not syntax.encapsulated


def _pixel_value(image: ImageFile) -> bytes:
    found = image.scan.pixel_data
    if found is None or found.length is None:
        return b""
    value = bytes(image.data[found.offset : found.offset + found.length])
    if len(value) < found.length:
        raise PixelsUnreadableError("the pixel data ends early")
    return value


def _refuse_embedded_overlays(header: DataSet) -> None:
    """Refuse to lose overlays that are kept in the unused bits of the pixels.

    Standard: PS3.3 C.9.2 (of editions before 2006)
    """
    for group in _OVERLAY_GROUPS:
        allocated = header.number(group << 16 | 0x0100) or 1
        if allocated > 1 and group << 16 | 0x3000 not in header:
            raise PixelsUnreadableError("an overlay in the pixels' unused bits would be lost")


def _file(
    image: ImageFile, header: DataSet, transfer_syntax_uid: str, content: bytes | Sequence[bytes]
) -> bytes:
    """The file with the pixel data: the value of native ones, or encapsulated frames."""
    deflated = transfer_syntax_uid == _DEFLATED
    encoding = uids.EXPLICIT_VR_LITTLE_ENDIAN if deflated else transfer_syntax_uid
    body = values.encode_dataset(header, encoding)
    if image.pixels is None:
        raise PixelsUnreadableError("there is no pixel data")
    if isinstance(content, bytes):
        body += _native_element(content, image.pixels, encoding)
    else:
        body += _encapsulated_element(content)
    if deflated:
        stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = stream.compress(body) + stream.flush()
        body += b"\0" * (len(body) % 2)
    return _meta(image, transfer_syntax_uid) + body


def _meta(image: ImageFile, transfer_syntax_uid: str) -> bytes:
    return part10.encode_file_meta(
        sop_class_uid=_uid(image.header.text(0x00080016), image.meta.media_storage_sop_class_uid),
        sop_instance_uid=_uid(
            image.header.text(0x00080018), image.meta.media_storage_sop_instance_uid
        ),
        transfer_syntax_uid=transfer_syntax_uid,
        source_ae_title=image.meta.source_ae_title,
    )


def _uid(of_data_set: str, of_file_meta: str) -> str:
    uid = of_data_set or of_file_meta
    if not uid:
        raise RemoteProtocolError("the file names neither SOP class nor instance")
    return uid


def _header(
    image: ImageFile, first: Decoded, transfer_syntax_uid: str, frames: Sequence[bytes]
) -> DataSet:
    header = DataSet(image.header)
    for tag in (0x7FE00001, 0x7FE00002):
        header.pop(tag, None)
    if 0x00280102 in header and image.pixels is not None:
        # Decoded values begin at bit 0, wherever the source kept them.
        header.put(0x00280102, image.pixels.bits_stored - 1)
    if first.pixels.ndim == 3:
        header.put(0x00280006, 1 if transfer_syntax_uid == uids.RLE_LOSSLESS else 0)
        header.put(0x00280004, photometric_after(first, transfer_syntax_uid))
    method = _LOSSY_METHODS.get(transfer_syntax_uid)
    if method is not None:
        # PS3.3 C.7.6.1.1.5: what was lost, by how much, by which method; one value for each time.
        ratio = first.pixels.nbytes * len(frames) / max(1, sum(map(len, frames)))
        header.put(0x00282110, "01")
        header.put(0x00282112, *header.texts(0x00282112), f"{ratio:.4g}")
        header.put(0x00282114, *header.texts(0x00282114), method)
    return header


def photometric_after(first: Decoded, transfer_syntax_uid: str) -> str:
    """The Photometric Interpretation of decoded frames once they are encoded."""
    if transfer_syntax_uid in {uids.JPEG_BASELINE, uids.JPEG_EXTENDED}:
        return "YBR_FULL_422"
    if first.photometric_interpretation == "RGB":
        if transfer_syntax_uid in _RCT:
            return "YBR_RCT"
        if transfer_syntax_uid in _ICT:
            return "YBR_ICT"
    return first.photometric_interpretation


def _native_value(
    frames: Sequence[bytes], pixels: PixelFormat, decoded: Sequence[Decoded]
) -> bytes:
    if pixels.bits_allocated != 1:
        return b"".join(frames)
    # One bit frames follow each other without alignment (PS3.5 8.1.1).
    bits = np.concatenate([frame.pixels.ravel() for frame in decoded])
    return np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()


def _native_element(value: bytes, pixels: PixelFormat, encoding: str) -> bytes:
    value += b"\0" * (len(value) % 2)
    group, element = pixels.pixel_data_tag >> 16, pixels.pixel_data_tag & 0xFFFF
    if encoding == uids.IMPLICIT_VR_LITTLE_ENDIAN:
        return struct.pack("<HHL", group, element, len(value)) + value
    vr = b"OW" if pixels.bits_allocated > 8 else b"OB"
    if pixels.pixel_data_tag != PIXEL_DATA:
        vr = b"OF" if pixels.bits_allocated == 32 else b"OD"
    return struct.pack("<HH2sHL", group, element, vr, 0, len(value)) + value


def _encapsulated_element(frames: Sequence[bytes]) -> bytes:
    """Pixel data as one fragment per frame, with a basic offset table.

    Standard: PS3.5 A.4
    """
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    items = [item_head(len(frame)) + frame for frame in padded]
    return b"".join([encapsulated_head([len(each) for each in padded]), *items, ENCAPSULATED_END])


def encapsulated_head(sizes_bytes: Sequence[int]) -> bytes:
    """What goes before the fragments of encapsulated pixel data, one fragment per frame.

    Args:
        sizes_bytes: of each frame with its padding.

    Standard: PS3.5 A.4
    """
    offsets: list[int] = []
    at = 0
    for size in sizes_bytes:
        offsets.append(at)
        at += size + len(item_head(size))
    # Offsets have 32 bits; beyond them the table stays empty, which is allowed.
    table = struct.pack(f"<{len(offsets)}L", *offsets) if at < 1 << 32 else b""
    element = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    return element + item_head(len(table)) + table


def item_head(size_bytes: int) -> bytes:
    """What goes before the bytes of a fragment."""
    return struct.pack("<HHL", ITEM >> 16, ITEM & 0xFFFF, size_bytes)


def encapsulated_file_head(image: ImageFile, first: Decoded, transfer_syntax_uid: str) -> bytes:
    """The file up to its pixel data, in a transfer syntax that loses no detail.

    Args:
        image: of which it is made.
        first: a frame of it as it is going to be encoded.
        transfer_syntax_uid: of encapsulated pixel data.

    Raises:
        PixelsUnreadableError: an overlay in the pixels' unused bits would be lost.
    """
    _refuse_embedded_overlays(image.header)
    header = _header(image, first, transfer_syntax_uid, ())
    return _meta(image, transfer_syntax_uid) + values.encode_dataset(header, transfer_syntax_uid)
