"""What a DICOMDIR names: the files of a medium.

Only the file IDs: what a directory says of its patients and studies, the files say themselves.

Standard: PS3.3 F, PS3.10 8.6
"""

from typing import Final

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.part10 import parse_file_meta
from isocenter.standards.dicom.part10_elements import Buffer
from isocenter.standards.dicom.values import decode_dataset

MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_DIRECTORY_RECORD_SEQUENCE: Final = 0x0004_1220
_REFERENCED_FILE_ID: Final = 0x0004_1500
_COMPONENTS_MAX: Final = 8  # PS3.10 8.2


class NotADirectoryFile(RemoteProtocolError):
    """The file is no DICOMDIR."""


def referenced_file_ids(data: Buffer) -> list[tuple[str, ...]]:
    """The file IDs that the directory's records name, in their order: path components each.

    A component that could lead out of the medium makes the whole ID empty, so that the caller sees
    that there was one.

    Raises:
        RemoteProtocolError: this is no DICOMDIR, or it is damaged.

    Standard: PS3.3 F.3.2.2, PS3.10 8.2
    """
    meta = parse_file_meta(data)
    if meta.media_storage_sop_class_uid != MEDIA_STORAGE_DIRECTORY:
        raise NotADirectoryFile("the file is no DICOMDIR")
    directory = decode_dataset(data, meta.transfer_syntax_uid, start=meta.dataset_offset)
    found: list[tuple[str, ...]] = []
    for record in directory.sequence(_DIRECTORY_RECORD_SEQUENCE):
        components = tuple(each.strip() for each in record.texts(_REFERENCED_FILE_ID))
        if components and any(components):
            found.append(components if _stays_inside(components) else ())
    return found


def _stays_inside(components: tuple[str, ...]) -> bool:
    return len(components) <= _COMPONENTS_MAX and all(
        each and each not in {".", ".."} and not set(each) & set("/\\:\0") for each in components
    )
