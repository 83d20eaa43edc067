"""Key Object Selection documents that take instances out of use: rejection notes, read and written.

    note = read_note(decode_dataset(…))      # None: a key object selection of another kind
    data_set = write_note(note, about=header_of_one_of_the_instances, …)

What a note does to an archive is not decided here. The one title that the standard does not have is
ours: the profile knows no way back, and whoever restores instances must be able to say so durably.

Standard: PS3.3 A.35.4, C.17.6; PS3.16 TID 2010, CID 7010; IHE RAD TF-3 4.66
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Final

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom import character_sets, uids
from isocenter.standards.dicom.values_model import SPECIFIC_CHARACTER_SET, DataSet

KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"

_SOP_CLASS_UID: Final = 0x00080016
_CODE_VALUE: Final = 0x00080100
_CODING_SCHEME: Final = 0x00080102
_REFERENCED_SERIES: Final = 0x00081115
_REFERENCED_SOP_CLASS_UID: Final = 0x00081150
_REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155
_REFERENCED_SOP: Final = 0x00081199
_STUDY_INSTANCE_UID: Final = 0x0020000D
_SERIES_INSTANCE_UID: Final = 0x0020000E
_VALUE_TYPE: Final = 0x0040A040
_CONCEPT_NAME: Final = 0x0040A043
_TEXT_VALUE: Final = 0x0040A160
_EVIDENCE: Final = 0x0040A375
_CONTENT: Final = 0x0040A730
_UTF_8: Final = "ISO_IR 192"

# The Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1), which a note has as the instances
# that it is about; those of type 2 must be there even when they are empty.
_SHARED_OF_TYPE_2: Final = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName",
    "PatientID", "PatientBirthDate", "PatientSex", "StudyID",
)  # fmt: skip
_SHARED: Final = (
    0x00080051, 0x00080201, 0x00081030, 0x00100021, 0x00100024, 0x00101000, 0x00101002, 0x00101010,
)  # fmt: skip


class Title(StrEnum):
    """Why instances are not to be used: the code value of the document's title.

    Standard: PS3.16 CID 7010
    """

    QUALITY = "113001"
    PATIENT_SAFETY = "113037"
    INCORRECT_WORKLIST_ENTRY = "113038"
    RETENTION_EXPIRED = "113039"
    REVOKED = "REVOKE_REJECTION"

    @property
    def scheme(self) -> str:
        """The coding scheme that the code is of."""
        return "99ISOCENTER" if self is Title.REVOKED else "DCM"

    @property
    def meaning(self) -> str:
        """The code's meaning."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Title.QUALITY: "Rejected for Quality Reasons",
    Title.PATIENT_SAFETY: "Rejected for Patient Safety Reasons",
    Title.INCORRECT_WORKLIST_ENTRY: "Incorrect Modality Worklist Entry",
    Title.RETENTION_EXPIRED: "Data Retention Policy Expired",
    Title.REVOKED: "Rejection Revoked",
}
_TITLES: Final = {(each.value, each.scheme): each for each in Title}


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """An instance that a note names, with its place. What a note does not say is ''."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Note:
    """What a document says: these instances, for this reason, and in words why."""

    title: Title
    references: tuple[Reference, ...]
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteIdentity:
    """What names a document that is written, and when that was, in its place's time."""

    series_instance_uid: str
    sop_instance_uid: str
    written_at: datetime


def read_note(document: DataSet) -> Note | None:
    """The note that a Key Object Selection document is; None when it is about something else.

    The instances meant are those of the content tree; the evidence tells their places, and may name
    others, as the presentation states that apply to them. A document without content references
    means all of its evidence.

    Standard: PS3.3 C.17.6.2.1
    """
    if document.text(_SOP_CLASS_UID) != KEY_OBJECT_SELECTION:
        return None
    code = document.item(_CONCEPT_NAME)
    title = _TITLES.get((code.text(_CODE_VALUE).strip(), code.text(_CODING_SCHEME).strip().upper()))
    if title is None:
        return None
    evidence = {each.sop_instance_uid: each for each in _evidence(document)}
    meant = dict.fromkeys(_meant(document)) or dict.fromkeys(
        (each.sop_class_uid, uid) for uid, each in evidence.items()
    )
    return Note(
        title,
        tuple(
            evidence.get(uid) or Reference("", "", sop_class_uid, uid)
            for sop_class_uid, uid in meant
            if uids.is_valid(uid)
        ),
        _description(document),
    )


def _evidence(document: DataSet) -> Iterator[Reference]:
    for study in document.sequence(_EVIDENCE):
        for series in study.sequence(_REFERENCED_SERIES):
            for item in series.sequence(_REFERENCED_SOP):
                yield Reference(
                    study.text(_STUDY_INSTANCE_UID),
                    series.text(_SERIES_INSTANCE_UID),
                    item.text(_REFERENCED_SOP_CLASS_UID),
                    item.text(_REFERENCED_SOP_INSTANCE_UID),
                )


def _meant(document: DataSet) -> Iterator[tuple[str, str]]:
    for item in document.sequence(_CONTENT):
        for reference in item.sequence(_REFERENCED_SOP):
            yield (
                reference.text(_REFERENCED_SOP_CLASS_UID),
                reference.text(_REFERENCED_SOP_INSTANCE_UID),
            )


def _description(document: DataSet) -> str:
    texts = (
        item.text(_TEXT_VALUE)
        for item in document.sequence(_CONTENT)
        if item.text(_VALUE_TYPE) == "TEXT" and item.item(_CONCEPT_NAME).text(_CODE_VALUE) == _TEXT
    )
    return next(texts, "")


_TEXT: Final = "113012"


def write_note(note: Note, *, about: DataSet, identity: NoteIdentity) -> DataSet:
    """The Key Object Selection document that says ``note``.

    Args:
        note: about instances of one study.
        about: the header of one of them: patient and study are described in its words.
        identity: the document's own UIDs and time; of ``about``'s time zone, where that says one.

    Raises:
        LocalProtocolError: the note names no instance, or instances of several studies.

    Standard: PS3.3 A.35.4.3; PS3.16 TID 2010
    """
    studies = {each.study_instance_uid for each in note.references}
    if len(studies) != 1:
        raise LocalProtocolError("a note is about instances of one study")
    document = _shared(about)
    document.put("SOPClassUID", KEY_OBJECT_SELECTION)
    document.put("SOPInstanceUID", identity.sop_instance_uid)
    document.put("StudyInstanceUID", *studies)
    document.put("Modality", "KO")
    document.put("SeriesInstanceUID", identity.series_instance_uid)
    document.put("SeriesNumber", "9999")
    document.put("SeriesDescription", note.title.meaning)
    document.put("ReferencedPerformedProcedureStepSequence")
    document.put("Manufacturer", "Isocenter")
    document.put("InstanceNumber", "1")
    document.put("ContentDate", f"{identity.written_at:%Y%m%d}")
    document.put("ContentTime", f"{identity.written_at:%H%M%S}")
    document.put("CurrentRequestedProcedureEvidenceSequence", _evidence_item(note.references))
    document.put("ValueType", "CONTAINER")
    document.put(
        "ConceptNameCodeSequence", _code(note.title.value, note.title.scheme, note.title.meaning)
    )
    document.put("ContinuityOfContent", "SEPARATE")
    template = DataSet()
    template.put("MappingResource", "DCMR")
    template.put("TemplateIdentifier", "2010")
    document.put("ContentTemplateSequence", template)
    described = [_description_item(note.description)] if note.description else []
    selected = [_selected_item(each) for each in note.references]
    document.put("ContentSequence", *described, *selected)
    _declare_character_set(document, about)
    return document


def _shared(about: DataSet) -> DataSet:
    document = DataSet()
    for keyword in _SHARED_OF_TYPE_2:
        document.put(keyword)
    for tag in (*document, *_SHARED):
        if tag in about:
            document[tag] = about[tag]
    return document


def _declare_character_set(document: DataSet, about: DataSet) -> None:
    """That of the instances, where it has all characters; else one that has all there are."""
    terms = about.specific_character_set
    if not all(character_sets.can_encode(text, terms) for text in document.all_texts()):
        document.put(SPECIFIC_CHARACTER_SET, _UTF_8)
    elif SPECIFIC_CHARACTER_SET in about:
        document[SPECIFIC_CHARACTER_SET] = about[SPECIFIC_CHARACTER_SET]


def _evidence_item(references: Sequence[Reference]) -> DataSet:
    study = DataSet()
    study.put("StudyInstanceUID", references[0].study_instance_uid)
    series: list[DataSet] = []
    for uid, members in groupby(sorted(references), key=attrgetter("series_instance_uid")):
        item = DataSet()
        item.put("SeriesInstanceUID", uid)
        item.put("ReferencedSOPSequence", *(_sop(each) for each in members))
        series.append(item)
    study.put("ReferencedSeriesSequence", *series)
    return study


def _sop(reference: Reference) -> DataSet:
    item = DataSet()
    item.put("ReferencedSOPClassUID", reference.sop_class_uid)
    item.put("ReferencedSOPInstanceUID", reference.sop_instance_uid)
    return item


def _selected_item(reference: Reference) -> DataSet:
    """A content item of the kind that the referenced object is (PS3.16 TID 2010, rows 7 to 9)."""
    name = uids.name_of(reference.sop_class_uid)
    kind = "COMPOSITE"
    if "Image Storage" in name:
        kind = "IMAGE"
    elif "Waveform Storage" in name:
        kind = "WAVEFORM"
    item = DataSet()
    item.put("ReferencedSOPSequence", _sop(reference))
    item.put("RelationshipType", "CONTAINS")
    item.put("ValueType", kind)
    return item


def _description_item(text: str) -> DataSet:
    item = DataSet()
    item.put("RelationshipType", "CONTAINS")
    item.put("ValueType", "TEXT")
    item.put("ConceptNameCodeSequence", _code(_TEXT, "DCM", "Key Object Description"))
    item.put("TextValue", text)
    return item


def _code(value: str, scheme: str, meaning: str) -> DataSet:
    item = DataSet()
    item.put("CodeValue", value)
    item.put("CodingSchemeDesignator", scheme)
    item.put("CodeMeaning", meaning)
    return item
