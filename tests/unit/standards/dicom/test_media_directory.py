"""Directories of file-sets; pydicom reads them."""

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.fileset import FileSet

from isocenter.standards.dicom.media_directory import DirectoryEntry, encode_directory
from isocenter.standards.dicom.values_model import DataSet

EXPLICIT = "1.2.840.10008.1.2.1"


def header(patient: str, study: str, number: int, sop_class: str = "1.2.840.10008.5.1.4.1.1.2"):
    made = DataSet()
    made.put("SpecificCharacterSet", "ISO_IR 192")
    made.put("SOPClassUID", sop_class)
    made.put("SOPInstanceUID", f"{study}.1.{number}")
    made.put("PatientID", patient)
    made.put("PatientName", f"Phantom^Ağ {patient}")
    made.put("StudyInstanceUID", study)
    made.put("SeriesInstanceUID", f"{study}.1")
    made.put("StudyDate", "20260301")
    made.put("Modality", "CT")
    return made


def test_pydicom_walks_it(tmp_path: Path):
    entries = [
        DirectoryEntry(("DICOM", f"IM{number:06d}"), EXPLICIT, header(patient, study, number))
        for number, (patient, study) in enumerate([
            ("P1", "1.2.1"),
            ("P1", "1.2.1"),
            ("P1", "1.2.2"),
            ("P2", "1.2.3"),
        ])
    ]
    for each in entries:
        file = tmp_path.joinpath(*each.file_id)
        file.parent.mkdir(exist_ok=True)
        file.touch()  # pydicom leaves out records without a file
    path = tmp_path / "DICOMDIR"
    path.write_bytes(encode_directory(entries, sop_instance_uid="1.2.9", file_set_id="TEST"))
    found = FileSet(path)
    assert found.ID == "TEST"
    assert len(found) == 4
    assert set(found.find_values("PatientID")) == {"P1", "P2"}
    assert len(found.find(PatientID="P1", StudyInstanceUID="1.2.1")) == 2
    (last,) = found.find(PatientID="P2")
    assert last.PatientName == "Phantom^Ağ P2"
    assert Path(last.path) == tmp_path / "DICOM" / "IM000003"


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("2", "IMAGE"),
        ("4.2", "SPECTROSCOPY"),
        ("9.1.1", "WAVEFORM"),
        ("11.1", "PRESENTATION"),
        ("66", "RAW DATA"),
        ("66.4", "IMAGE"),
        ("88.59", "KEY OBJECT DOC"),
        ("88.33", "SR DOCUMENT"),
        ("104.1", "ENCAP DOC"),
        ("481.3", "RT STRUCTURE SET"),
    ],
)
def test_kinds_of_records(sop_class, kind):
    entry = DirectoryEntry(
        ("A",), EXPLICIT, header("P", "1.2", 1, f"1.2.840.10008.5.1.4.1.1.{sop_class}")
    )
    made = pydicom.dcmread(io.BytesIO(encode_directory([entry], sop_instance_uid="1.2.9")))
    assert made.DirectoryRecordSequence[-1].DirectoryRecordType == kind


def test_an_empty_one():
    made = pydicom.dcmread(io.BytesIO(encode_directory([], sop_instance_uid="1.2.9")))
    assert made.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity == 0
