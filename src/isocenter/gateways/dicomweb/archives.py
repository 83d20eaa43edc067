"""Studies, series and instances as zip files that a workstation or a CD can take: with DICOMDIR.

Files go from the store into the answer while it is sent, uncompressed (images hardly shrink), each
as it is stored or as its representation asks. The directory comes last, when everything is known.

Standard: PS3.18 8.7.3.6 (application/zip), PS3.10 8, Annex B
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import IO, Final, cast

from isocenter.domain.archive.model import InstanceLocation
from isocenter.domain.archive.model_splits import Modifications
from isocenter.gateways.dicomweb.corrections import corrected_header
from isocenter.gateways.dicomweb.disc_viewer import DiscViewer
from isocenter.gateways.dicomweb.pictures import read_head
from isocenter.gateways.dicomweb.pieces import chunks
from isocenter.gateways.dicomweb.representation import Representation, represented
from isocenter.infra.blobs import BlobStore
from isocenter.infra.ids import new_uid
from isocenter.standards import ProtocolError
from isocenter.standards.dicom.coercion import Modification
from isocenter.standards.dicom.media_directory import (
    DIRECTORY_KEYS,
    DirectoryEntry,
    encode_directory,
)
from isocenter.standards.dicom.values import decode_dataset
from isocenter.standards.dicom.values_model import DataSet

_FOLDER: Final = "DICOM"
_FILE_SET_ID: Final = "ISOCENTER"


class _Sink:
    """What the zip writer writes, to be taken away before it writes more."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes | memoryview, /) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        data = b"".join(self._written)
        self._written.clear()
        return data


def zip_parts(
    blobs: BlobStore,
    chosen: Sequence[tuple[InstanceLocation, Representation]],
    modifications: Modifications,
    *,
    now: datetime,
    viewer: DiscViewer | None = None,
) -> Iterator[bytes]:
    """The zip file, a portion at a time; with ``viewer`` a page that shows pictures is in it."""
    sink = _Sink()
    entries: list[DirectoryEntry] = []
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_STORED) as archive:
        for file_id, (location, how) in zip(_file_ids(chosen), chosen, strict=True):
            modification = modifications.of(location)
            pieces, syntax = represented(blobs, location, how, modification)
            with archive.open(_info("/".join(file_id), now), "w", force_zip64=True) as file:
                for chunk in chunks(blobs, pieces):
                    file.write(chunk)
                    yield sink.taken()
            yield sink.taken()
            entry = _entry(
                blobs, location, DirectoryEntry(file_id, syntax, DataSet()), modification
            )
            if entry is not None:
                entries.append(entry)
            if viewer is not None and entry is not None:
                for name, content in viewer.pictures(location, entry.header):
                    archive.writestr(_info(name, now), content)
                    yield sink.taken()
        directory = encode_directory(entries, sop_instance_uid=new_uid(), file_set_id=_FILE_SET_ID)
        archive.writestr(_info("DICOMDIR", now), directory)
        for name, content in viewer.page() if viewer is not None else ():
            archive.writestr(_info(name, now), content)
    yield sink.taken()


def _info(name: str, now: datetime) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (now.year, now.month, now.day, now.hour, now.minute, now.second))
    info.external_attr = 0o644 << 16
    return info


def _file_ids(
    chosen: Sequence[tuple[InstanceLocation, Representation]],
) -> Iterator[tuple[str, str, str]]:
    """Names that any medium takes: numbers of series and of instances within them.

    Standard: PS3.10 8.2, 8.5
    """
    series: dict[str, int] = {}
    counts: dict[str, int] = {}
    for location, _ in chosen:
        uid = location.series_instance_uid
        number = series.setdefault(uid, len(series) + 1)
        counts[uid] = counts.get(uid, 0) + 1
        yield _FOLDER, f"SE{number:06d}", f"IM{counts[uid]:06d}"


def _entry(
    blobs: BlobStore,
    location: InstanceLocation,
    file: DirectoryEntry,
    modification: Modification | None,
) -> DirectoryEntry | None:
    """The file in the directory; None when its header cannot be read or written."""
    try:
        head = read_head(blobs, location)
        header = decode_dataset(head, location.transfer_syntax_uid, start=location.dataset_offset)
        known = DataSet((tag, header[tag]) for tag in header if tag in DIRECTORY_KEYS)
        entry = replace(file, header=corrected_header(known, modification))
        # One bad header must not cost the others their directory.
        encode_directory([entry], sop_instance_uid=location.sop_instance_uid)
    except ProtocolError:
        return None
    return entry
