"""What must hold for any bytes that claim to be a DICOM file.

Whatever the bytes, reading raises nothing but RemoteProtocolError; what the scan and the decoder
both find is the same; what was decoded can be written and read again without change.
``python -m tests.fuzz.part10 SECONDS`` mutates the corpus and keeps what breaks; pytest replays it.
"""

from isocenter.standards import LocalProtocolError, RemoteProtocolError
from isocenter.standards.dicom import part10, uids
from isocenter.standards.dicom.json_model import to_json
from isocenter.standards.dicom.part10_frames import frame_ranges
from isocenter.standards.dicom.values import decode_dataset, encode_dataset

WANTED = frozenset({0x00080018, 0x00100010, 0x00100020, 0x0020000D, 0x00400275})


def run(data: bytes) -> None:
    """Raise what is not allowed to be raised."""
    try:
        meta = part10.parse_file_meta(data)
        read(data, meta)
    except RemoteProtocolError:
        return


def read(data: bytes, meta: part10.FileMeta) -> None:
    """Scan, index, decode, encode and decode again."""
    syntax, start = meta.transfer_syntax_uid, meta.dataset_offset
    scan = part10.scan_header(
        data, WANTED, transfer_syntax_uid=syntax, start=start, inflated_bytes_max=1 << 24
    )
    for tag in WANTED:
        scan.text(tag)
    dataset = decode_dataset(data, syntax, start=start)
    to_json(dataset)
    if not scan.elements.keys() <= dataset.keys() | {0x7FE00001}:
        message = "the scan found what the decoder did not"
        raise AssertionError(message)
    try:
        encoded = encode_dataset(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    except LocalProtocolError:
        # Text that breaks its character set, or values that are too many, cannot be written again.
        encoded = b""
    if encoded:
        decode_dataset(encoded, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    frame_ranges(scan.inflated or data, scan)
