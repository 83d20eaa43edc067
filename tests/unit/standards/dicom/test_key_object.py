"""Rejection notes between what they say and data sets."""

from datetime import datetime

import pytest

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom.key_object import (
    KEY_OBJECT_SELECTION,
    Note,
    NoteIdentity,
    Reference,
    Title,
    read_note,
    write_note,
)
from isocenter.standards.dicom.values import DataSet, decode_dataset, encode_dataset

CT, WAVEFORM, REPORT = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.9.1.1",
    "1.2.840.10008.5.1.4.1.1.88.11",
)
REFERENCES = (
    Reference("1.2", "1.2.1", CT, "1.2.1.1"),
    Reference("1.2", "1.2.1", WAVEFORM, "1.2.1.2"),
    Reference("1.2", "1.2.2", REPORT, "1.2.2.1"),
)
IDENTITY = NoteIdentity(
    series_instance_uid="1.2.9",
    sop_instance_uid="1.2.9.1",
    written_at=datetime(2026, 3, 2, 9, 5),  # noqa: DTZ001 - of the place that the note is from
)


def a_header(**values: str) -> DataSet:
    header = DataSet()
    for keyword, value in ({"PatientName": "Phantom^Ada", "PatientID": "P-1"} | values).items():
        header.put(keyword, value)
    return header


def written(title: Title = Title.QUALITY, text: str = "moved", **values: str) -> DataSet:
    note = Note(title, REFERENCES, text)
    return write_note(note, about=a_header(**values), identity=IDENTITY)


@pytest.mark.parametrize("title", Title)
def test_what_is_written_is_read(title):
    data = encode_dataset(written(title), "1.2.840.10008.1.2.1")
    assert read_note(decode_dataset(data, "1.2.840.10008.1.2.1")) == Note(
        title, REFERENCES, "moved"
    )


def test_the_document_says_whose_it_is_and_what_is_unknown():
    document = written(StudyDate="20260301", PatientSex="F")
    assert document.text(0x00080020) == "20260301"
    assert document.text(0x00100010) == "Phantom^Ada"
    for tag in (0x00080050, 0x00080090, 0x00100030, 0x00200010):  # type 2, which nobody said
        assert tag in document
        assert document.text(tag) == ""
    kinds = [item.text(0x0040A040) for item in document.sequence(0x0040A730)]
    assert kinds == ["TEXT", "IMAGE", "WAVEFORM", "COMPOSITE"]


def test_the_images_character_set_is_kept_where_it_is_enough():
    latin = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Phantom^Björk"}
    assert written(**latin).specific_character_set == ("ISO_IR 100",)
    assert written(text="Łódź", **latin).specific_character_set == ("ISO_IR 192",)
    assert written().specific_character_set == ()


def test_only_the_titles_of_rejection_mean_something():
    document = written()
    document.item(0x0040A043).put("CodeValue", "113000")  # Of Interest
    assert read_note(document) is None
    document = written()
    document.item(0x0040A043).put("CodingSchemeDesignator", "99OTHER")
    assert read_note(document) is None
    document = written()
    document.put("SOPClassUID", CT)
    assert read_note(document) is None
    assert document.text(0x00080018) == "1.2.9.1"


def test_evidence_tells_places_and_content_what_is_meant():
    document = written()
    content = document.sequence(0x0040A730)
    document.put("ContentSequence", *content[:2])  # the text and the first image
    assert read_note(document).references == REFERENCES[:1]
    document.put("ContentSequence")
    assert read_note(document).references == REFERENCES
    document.put("ContentSequence", *content)
    document.put("CurrentRequestedProcedureEvidenceSequence")
    assert read_note(document).references[0] == Reference("", "", CT, "1.2.1.1")


def test_a_note_is_of_one_study():
    other = Reference("1.3", "1.3.1", CT, "1.3.1.1")
    for references in ((), (*REFERENCES, other)):
        with pytest.raises(LocalProtocolError):
            write_note(Note(Title.QUALITY, references), about=a_header(), identity=IDENTITY)
    assert written().text(0x00080016) == KEY_OBJECT_SELECTION
