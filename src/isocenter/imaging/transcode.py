"""From one transfer syntax to another: frames, and whole files.

Lossless targets keep every stored value. A lossy target is made only when it is asked for by name,
and then says so in the header. Video is passed over.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import imagecodecs
import numpy as np

from isocenter.imaging.codecs import Decoded, decode_frame
from isocenter.imaging.frames import (
    PIXEL_DATA,
    PixelFormat,
    Pixels,
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
_NATIVE: Final = frozenset({
    uids.IMPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_LITTLE_ENDIAN,
    _DEFLATED,
})
_JPEG_QUALITY: Final = 90
_JPEG_2000_BITS_MAX: Final = 26


def can_encode(transfer_syntax_uid: str) -> bool:
    """Whether frames and files can be written in this transfer syntax."""
    return transfer_syntax_uid in _NATIVE or transfer_syntax_uid in _ENCODERS


def encode_frame(frame: Decoded, pixels: PixelFormat, transfer_syntax_uid: str) -> bytes:
    """One frame's bytes in the target transfer syntax, without padding.

    Args:
        frame: as ``codecs.decode_frame`` gave it.
        pixels: of the source; stored bits and sign are the frame's.
        transfer_syntax_uid: target.

    Raises:
        PixelsUnreadableError: the target cannot hold such pixels.
        LocalProtocolError: the target is not one that is written.

    Standard: PS3.5 8, Annex A
    """
    if transfer_syntax_uid in _NATIVE:
        return _encode_native(frame.pixels, pixels)
    encoder = _ENCODERS.get(transfer_syntax_uid)
    if encoder is None:
        raise LocalProtocolError(f"{uids.name_of(transfer_syntax_uid)} is not written")
    if frame.pixels.dtype.kind == "f" or pixels.bits_allocated in {1, 64}:
        raise PixelsUnreadableError("only integer pixels of 8 to 32 bits are compressed")
    try:
        return encoder(np.ascontiguousarray(frame.pixels), pixels)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        name = uids.name_of(transfer_syntax_uid)
        raise PixelsUnreadableError(f"the frame cannot be written as {name}") from error


def _encode_native(array: Pixels, pixels: PixelFormat) -> bytes:
    if pixels.bits_allocated == 1:
        return np.packbits(array.astype(np.uint8).ravel(), bitorder="little").tobytes()
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _unsigned(array: Pixels, pixels: PixelFormat) -> Pixels:
    """The stored bits without a sign: what codecs without signed pixels carry."""
    if array.dtype.kind != "i":
        return array
    unsigned = array.view(array.dtype.str.replace("i", "u"))
    return unsigned & unsigned.dtype.type((1 << pixels.bits_stored) - 1)


def _encode_htj2k(array: Pixels, pixels: PixelFormat) -> bytes:
    # RPCL progression and TLM markers: what PS3.5 A.4.11 asks of the RPCL transfer syntax.
    return _bytes(imagecodecs.htj2k_encode(array, reversible=True, tlm=True, rgb=pixels.is_colour))


def _encode_jpeg_ls(array: Pixels, pixels: PixelFormat) -> bytes:
    return _bytes(imagecodecs.jpegls_encode(_unsigned(array, pixels)))


def _encode_jpeg_2000(array: Pixels, pixels: PixelFormat) -> bytes:
    if pixels.bits_stored > _JPEG_2000_BITS_MAX:
        raise PixelsUnreadableError("OpenJPEG holds at most 26 bits without loss")
    return _bytes(
        imagecodecs.jpeg2k_encode(
            array,
            codecformat="j2k",
            reversible=True,
            mct=pixels.is_colour,
            bitspersample=pixels.bits_stored,
        )
    )


def _encode_lossless_jpeg(array: Pixels, pixels: PixelFormat) -> bytes:
    if pixels.is_colour:
        return _bytes(
            imagecodecs.jpeg8_encode(
                array, lossless=True, predictor=1, colorspace="RGB", outcolorspace="RGB"
            )
        )
    bits = max(pixels.bits_stored, 2)
    return _bytes(
        imagecodecs.jpeg8_encode(
            _unsigned(array, pixels), lossless=True, predictor=1, bitspersample=bits
        )
    )


def _encode_jpeg_baseline(array: Pixels, pixels: PixelFormat) -> bytes:
    if array.dtype != np.uint8:
        raise PixelsUnreadableError("JPEG baseline holds 8 bit pixels")
    if pixels.is_colour:
        return _bytes(imagecodecs.jpeg8_encode(array, _JPEG_QUALITY, subsampling="422"))
    return _bytes(imagecodecs.jpeg8_encode(array, _JPEG_QUALITY))


def _encode_rle(array: Pixels, pixels: PixelFormat) -> bytes:
    """RLE: one segment for each byte of each sample, most significant first.

    Standard: PS3.5 Annex G
    """
    width = array.dtype.itemsize
    samples = array[:, :, np.newaxis] if array.ndim == 2 else array
    segments: list[bytes] = []
    for sample in range(samples.shape[2]):
        plane = np.ascontiguousarray(samples[:, :, sample], samples.dtype.newbyteorder(">"))
        octets = plane.view(np.uint8).reshape(pixels.rows, pixels.columns, width)
        for byte in range(width):
            rows = (np.ascontiguousarray(row) for row in octets[:, :, byte])
            segment = b"".join(_pack_bits(row.tobytes()) for row in rows)
            segments.append(segment + b"\0" * (len(segment) % 2))
    if len(segments) > 15:
        raise PixelsUnreadableError("RLE holds at most 15 segments")
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    header = struct.pack(f"<L{len(offsets)}L", len(segments), *offsets).ljust(64, b"\0")
    return header + b"".join(segments)


def _pack_bits(row: bytes) -> bytes:
    return _bytes(imagecodecs.packbits_encode(row))


def _bytes(encoded: Any) -> bytes:
    return bytes(encoded)


def _encode_deflated(array: Pixels, pixels: PixelFormat) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(_encode_native(array, pixels)) + stream.flush()


_Encoder = Callable[[Pixels, PixelFormat], bytes]
_ENCODERS: Final[dict[str, _Encoder]] = {
    uids.HTJ2K_LOSSLESS: _encode_htj2k,
    uids.HTJ2K_LOSSLESS_RPCL: _encode_htj2k,
    uids.JPEG_LS_LOSSLESS: _encode_jpeg_ls,
    uids.JPEG_2000_LOSSLESS: _encode_jpeg_2000,
    uids.JPEG_LOSSLESS_FIRST_ORDER: _encode_lossless_jpeg,
    uids.JPEG_BASELINE: _encode_jpeg_baseline,
    uids.RLE_LOSSLESS: _encode_rle,
    uids.DEFLATED_IMAGE_FRAME: _encode_deflated,
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
    native = transfer_syntax_uid in _NATIVE
    if image.pixels is None:
        # Without pixel data there is nothing to compress: PS3.5 A.4 leaves only native encodings.
        target = transfer_syntax_uid if native else uids.EXPLICIT_VR_LITTLE_ENDIAN
        return _meta(image, target) + values.encode_dataset(image.header, target)
    decoded = [decode_frame(frame, image.pixels) for frame in image.frames()]
    if not decoded:
        raise PixelsUnreadableError("video is not transcoded")
    frames = [encode_frame(frame, image.pixels, transfer_syntax_uid) for frame in decoded]
    header = _header(image, decoded[0], transfer_syntax_uid, frames)
    encoding = transfer_syntax_uid
    if transfer_syntax_uid == _DEFLATED:
        encoding = uids.EXPLICIT_VR_LITTLE_ENDIAN
    body = values.encode_dataset(header, encoding)
    if native:
        body += _native_element(frames, image.pixels, encoding, decoded)
    else:
        body += _encapsulated_element(frames)
    if transfer_syntax_uid == _DEFLATED:
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
        header.put(0x00280006, 0)
        photometric = first.photometric_interpretation
        if transfer_syntax_uid == uids.JPEG_BASELINE:
            photometric = "YBR_FULL_422"
        elif transfer_syntax_uid in {
            uids.HTJ2K_LOSSLESS,
            uids.HTJ2K_LOSSLESS_RPCL,
            uids.JPEG_2000_LOSSLESS,
        }:
            photometric = "YBR_RCT"
        header.put(0x00280004, photometric)
        if transfer_syntax_uid == uids.RLE_LOSSLESS:
            header.put(0x00280006, 1)
    if uids.transfer_syntax(transfer_syntax_uid).may_lose_detail:
        # PS3.3 C.7.6.1.1.5: what was lost, by how much, by which method.
        ratio = first.pixels.nbytes * len(frames) / max(1, sum(map(len, frames)))
        header.put(0x00282110, "01")
        header.put(0x00282112, f"{ratio:.4g}")
        header.put(0x00282114, "ISO_10918_1")
    return header


def _native_element(
    frames: Sequence[bytes], pixels: PixelFormat, encoding: str, decoded: Sequence[Decoded]
) -> bytes:
    if pixels.bits_allocated == 1:
        # One bit frames follow each other without alignment (PS3.5 8.1.1).
        bits = np.concatenate([frame.pixels.ravel() for frame in decoded])
        value = np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()
    else:
        value = b"".join(frames)
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
    offsets: list[int] = []
    at = 0
    for frame in padded:
        offsets.append(at)
        at += len(frame) + 8
    # Offsets have 32 bits; beyond them the table stays empty, which is allowed.
    table = struct.pack(f"<{len(offsets)}L", *offsets) if at < 1 << 32 else b""
    parts = [struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF), _item(table)]
    parts.extend(_item(frame) for frame in padded)
    parts.append(
        struct.pack("<HHL", SEQUENCE_DELIMITATION >> 16, SEQUENCE_DELIMITATION & 0xFFFF, 0)
    )
    return b"".join(parts)


def _item(value: bytes) -> bytes:
    return struct.pack("<HHL", ITEM >> 16, ITEM & 0xFFFF, len(value)) + value
