"""The directory of a file-set (DICOMDIR): which files there are, by patient, study and series.

Only made, not read. What a record says of its file is copied from the file's header; of keys that
must have a value and have none in the header, a number stands in.

Standard: PS3.3 Annex F, PS3.10 8
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from isocenter.standards.dicom import part10, uids
from isocenter.standards.dicom.values import encode_dataset
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET, DataSet

MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_SYNTAX: Final = uids.EXPLICIT_VR_LITTLE_ENDIAN
_NEXT: Final = 0x0004_1400
_LOWER: Final = 0x0004_1420
_ITEM_BYTES: Final = 8
_SEQUENCE_HEAD_BYTES: Final = 12
_IN_USE: Final = 0xFFFF
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

_PATIENT_KEYS: Final = (0x0010_0010, 0x0010_0020, 0x0010_0030, 0x0010_0040)
_STUDY_KEYS: Final = (
    *(0x0008_0020, 0x0008_0030, 0x0008_0050, 0x0008_0090, 0x0008_1030),
    *(0x0020_000D, 0x0020_0010),
)
_SERIES_KEYS: Final = (0x0008_0060, 0x0008_0070, 0x0008_103E, 0x0020_000E, 0x0020_0011)
_INSTANCE_KEYS: Final = (
    *(0x0008_0008, 0x0008_0023, 0x0008_0033, 0x0008_1115, 0x0020_0013, 0x0020_0032, 0x0020_0037),
    *(0x0020_0052, 0x0028_0008, 0x0028_0010, 0x0028_0011, 0x0040_A043, 0x0040_A491, 0x0040_A493),
    *(0x0042_0010, 0x0042_0012, 0x0070_0080, 0x0070_0081, 0x0070_0082, 0x0070_0083, 0x0070_0084),
    *(0x3004_000A, 0x3006_0002, 0x300A_0002),
)
# Of a file's header, all that a directory can use.
DIRECTORY_KEYS: Final = frozenset({
    *(SPECIFIC_CHARACTER_SET, 0x0008_0016, 0x0008_0018, 0x0010_0021),
    *(*_PATIENT_KEYS, *_STUDY_KEYS, *_SERIES_KEYS, *_INSTANCE_KEYS),
})
# PS3.3 Table F.3-3 (and F.4-1): the type of record that stands for a storage class.
_RECORD_TYPES: Final = (
    ("88.59", "KEY OBJECT DOC"),
    ("88.", "SR DOCUMENT"),
    ("9.", "WAVEFORM"),
    ("11.", "PRESENTATION"),
    ("104.", "ENCAP DOC"),
    ("66.1", "REGISTRATION"),
    ("66.3", "REGISTRATION"),
    ("66.2", "FIDUCIAL"),
    ("66.5", "SURFACE"),
    ("66.6", "TRACT"),
    ("66.4", "IMAGE"),
    ("66", "RAW DATA"),
    ("67", "VALUE MAP"),
    ("4.2", "SPECTROSCOPY"),
    ("481.2", "RT DOSE"),
    ("481.3", "RT STRUCTURE SET"),
    ("481.5", "RT PLAN"),
    ("481.8", "RT PLAN"),
    ("481.4", "RT TREAT RECORD"),
    ("481.6", "RT TREAT RECORD"),
    ("481.7", "RT TREAT RECORD"),
    ("481.9", "RT TREAT RECORD"),
)


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """A file of the set.

    Attributes:
        file_id: the components of its path, each of at most eight capitals, digits and underscores.
        header: of the file's data set those elements that are ``DIRECTORY_KEYS``.
    """

    file_id: Sequence[str]
    transfer_syntax_uid: str
    header: DataSet


@dataclass(slots=True)
class _Record:
    dataset: DataSet
    lower: "dict[str, _Record]" = field(default_factory=dict[str, "_Record"])
    offset: int = 0


def encode_directory(
    entries: Iterable[DirectoryEntry], *, sop_instance_uid: str, file_set_id: str = ""
) -> bytes:
    """The DICOMDIR file of a file-set with these files.

    Args:
        entries: its files.
        sop_instance_uid: a new UID for the directory.
        file_set_id: at most 16 capitals, digits, blanks and underscores.

    Raises:
        LocalProtocolError: a header holds values that cannot be encoded.

    Standard: PS3.3 F.2, F.3
    """
    root: dict[str, _Record] = {}
    for number, entry in enumerate(entries, start=1):
        _add(root, entry, number)
    records = list(_in_order(root))
    meta = part10.encode_file_meta(
        sop_class_uid=MEDIA_STORAGE_DIRECTORY,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=_SYNTAX,
    )
    offset = len(meta) + len(encode_dataset(_head(root, file_set_id), _SYNTAX))
    offset += _SEQUENCE_HEAD_BYTES
    for record in records:
        record.offset = offset
        offset += _ITEM_BYTES + len(encode_dataset(record.dataset, _SYNTAX))
    _link(root)
    dataset = _head(root, file_set_id)
    dataset.put(0x0004_1220, *(each.dataset for each in records), vr="SQ")
    return meta + encode_dataset(dataset, _SYNTAX)


def _head(root: dict[str, _Record], file_set_id: str) -> DataSet:
    first, last = (list(root.values())[place].offset if root else 0 for place in (0, -1))
    head = DataSet()
    head.put(0x0004_1130, file_set_id, vr="CS")
    head.put(0x0004_1200, first, vr="UL")
    head.put(0x0004_1202, last, vr="UL")
    head.put(0x0004_1212, 0, vr="US")
    return head


def _add(root: dict[str, _Record], entry: DirectoryEntry, number: int) -> None:
    header = entry.header
    patient = f"{header.text(0x0010_0020)}\\{header.text(0x0010_0021)}"
    of_patient = root.setdefault(patient, _record(header, "PATIENT", _PATIENT_KEYS))
    study = header.text(0x0020_000D)
    of_study = of_patient.lower.setdefault(study, _record(header, "STUDY", _STUDY_KEYS))
    series = header.text(0x0020_000E)
    of_series = of_study.lower.setdefault(series, _record(header, "SERIES", _SERIES_KEYS))
    for record, tag in ((of_study, 0x0020_0010), (of_series, 0x0020_0011)):
        if not record.dataset.text(tag):
            record.dataset.put(tag, str(number))
    made = _record(header, _record_type(header.text(0x0008_0016)), _INSTANCE_KEYS)
    if not made.dataset.text(0x0020_0013):
        made.dataset.put(0x0020_0013, str(number))
    made.dataset.put(0x0004_1500, *entry.file_id, vr="CS")
    made.dataset.put(0x0004_1510, header.text(0x0008_0016), vr="UI")
    made.dataset.put(0x0004_1511, header.text(0x0008_0018), vr="UI")
    made.dataset.put(0x0004_1512, entry.transfer_syntax_uid, vr="UI")
    of_series.lower["\\".join(entry.file_id)] = made


def _record(header: DataSet, kind: str, keys: Sequence[int]) -> _Record:
    dataset = DataSet()
    dataset.put(_NEXT, 0, vr="UL")
    dataset.put(0x0004_1410, _IN_USE, vr="US")
    dataset.put(_LOWER, 0, vr="UL")
    dataset.put(0x0004_1430, kind, vr="CS")
    for tag in (SPECIFIC_CHARACTER_SET, *keys):
        if tag in header:
            dataset[tag] = header[tag]
        elif tag in {*_PATIENT_KEYS[:2], *_STUDY_KEYS[:3]}:
            dataset.put(tag)  # these must be there, if only empty
    return _Record(dataset)


def _record_type(sop_class_uid: str) -> str:
    if sop_class_uid.startswith(_STORAGE):
        rest = sop_class_uid.removeprefix(_STORAGE)
        for prefix, kind in _RECORD_TYPES:
            exact = not prefix.endswith(".")
            if rest == prefix or (not exact and rest.startswith(prefix)):
                return kind
    return "IMAGE"


def _in_order(records: dict[str, _Record]) -> Iterator[_Record]:
    for record in records.values():
        yield record
        yield from _in_order(record.lower)


def _link(records: dict[str, _Record]) -> None:
    """Point each record to the next of its level and to the first below it.

    Standard: PS3.3 F.3.2.2
    """
    found = list(records.values())
    for at, record in enumerate(found):
        following = found[at + 1].offset if at + 1 < len(found) else 0
        below = next(iter(record.lower.values())).offset if record.lower else 0
        record.dataset.put(_NEXT, following, vr="UL")
        record.dataset.put(_LOWER, below, vr="UL")
        _link(record.lower)
