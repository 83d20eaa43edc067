"""What the archive bench searches: many small studies of invented patients, one object each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

MODALITIES: Final = ("CT", "MR", "DX", "US", "PT")
_DAYS: Final = 50
_FIRST_DAY: Final = date(2025, 1, 1)
_FAMILIES: Final = ("Synthetic", "Phantom", "Testcase", "Sample", "Invented")
_EDGE: Final = 16


@dataclass(frozen=True, slots=True)
class Study:
    """One invented study."""

    number: int

    @property
    def patient_id(self) -> str:
        """Two studies have the same patient."""
        return f"BENCH{self.number // 2:07d}"

    @property
    def patient_name(self) -> str:
        """A hundred patients share a family name and the beginning of a given name."""
        family = _FAMILIES[self.number % len(_FAMILIES)]
        return f"{family}{self.number // 200:04d}^Ada{self.number:07d}"

    @property
    def accession_number(self) -> str:
        """Each study has its own."""
        return f"BA{self.number:08d}"

    @property
    def study_date(self) -> str:
        """One of fifty days."""
        return f"{_FIRST_DAY + timedelta(self.number % _DAYS):%Y%m%d}"

    @property
    def modality(self) -> str:
        """One of five, on each day all of them."""
        return MODALITIES[self.number // _DAYS % len(MODALITIES)]


# A class of searches: the attributes of a study that are asked for, by keyword.
SEARCHES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "patient id": ("PatientID",),
    "accession number": ("AccessionNumber",),
    "date and modality": ("StudyDate", "ModalitiesInStudy"),
    "name prefix": ("PatientName",),
})


def keys_of(search: str, study: Study) -> dict[str, str]:
    """The keys, by keyword, with which ``search`` finds ``study`` and its like."""
    family = study.patient_name.split("^", maxsplit=1)[0]
    values = {
        "PatientID": study.patient_id,
        "AccessionNumber": study.accession_number,
        "StudyDate": study.study_date,
        "ModalitiesInStudy": study.modality,
        "PatientName": f"{family}*",
    }
    return {keyword: values[keyword] for keyword in SEARCHES[search]}


def write_studies(folder: Path, count: int) -> list[Study]:
    """Write ``count`` studies into ``folder``."""
    folder.mkdir(parents=True)
    studies = [Study(number) for number in range(count)]
    for study, dataset in zip(studies, _datasets(studies), strict=True):
        dataset.save_as(folder / f"{study.number:06d}.dcm", enforce_file_format=True)
    return studies


def _datasets(studies: list[Study]) -> Iterator[FileDataset]:
    for study in studies:
        uid = f"2.25.94{study.number:09d}"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = UID(uid + "3")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, uid + "3"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid + "1", uid + "2"
        dataset.PatientName, dataset.PatientID = study.patient_name, study.patient_id
        dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
        dataset.StudyDate = dataset.SeriesDate = study.study_date
        dataset.StudyTime = f"{study.number % 24:02d}0000"
        dataset.AccessionNumber, dataset.StudyID = study.accession_number, str(study.number)
        dataset.Modality, dataset.StudyDescription = study.modality, "Bench"
        dataset.SeriesNumber = dataset.InstanceNumber = "1"
        dataset.ReferringPhysicianName = ""
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows = dataset.Columns = _EDGE
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.PixelRepresentation = 0
        dataset.PixelData = bytes(2 * _EDGE * _EDGE)
        yield dataset
