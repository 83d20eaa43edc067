"""What a hospital asks a large index: classes of searches, each made of what some study says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from isocenter.infra.db import Database

Keys = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a study of the index says, and its first series."""

    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    patient_name: str
    patient_birth_date: date
    accession_number: str
    study_date: date
    study_description: str
    referring_physician_name: str
    modality: str
    station_name: str

    @property
    def family(self) -> str:
        """The patient's family name."""
        return self.patient_name.partition("^")[0]

    @property
    def given(self) -> str:
        """The patient's given name."""
        return self.patient_name.partition("^")[2]

    @property
    def day(self) -> str:
        """The date of the study in DICOM's form."""
        return f"{self.study_date:%Y%m%d}"

    def days(self, number: int) -> str:
        """So many days from the study's date on, as a range."""
        return f"{self.day}-{self.study_date + timedelta(days=number - 1):%Y%m%d}"


@dataclass(frozen=True, slots=True)
class Search:
    """One class of search.

    Attributes:
        level: Query/Retrieve Level; WORKLIST for the modality worklist.
        keys: what is asked of a sample.
        index: one that the plan must use; "" where several will do.
        only: ``QIDO`` or ``C-FIND`` where the other does not know such a search.
        may_be_none: whether nothing may be found.
    """

    name: str
    level: str
    keys: Callable[[Sample], Keys]
    index: str = ""
    only: str = ""
    may_be_none: bool = False


_SAMPLES: Final = """
select study_instance_uid, series_instance_uid, patient_id, patient_name, patient_birth_date,
       accession_number, study_date, study_description, referring_physician_name, series.modality,
       station_name
  from archive.study join archive.series using (study_key)
 where study_instance_uid = any(%s) and series_number = 1
"""


def samples(database: Database, numbers: list[int]) -> list[Sample]:
    """What the studies with these numbers say."""
    with database.transaction() as tx:
        return tx.all(Sample, _SAMPLES, ([f"2.25.95{n}" for n in numbers],))


def _middle(text: str) -> str:
    return text[1:-1]


STUDY: Final = (
    Search("patient id", "STUDY", lambda s: {"PatientID": s.patient_id}, "study_current_patient"),
    Search("part of patient id", "STUDY", lambda s: {"PatientID": f"*{_middle(s.patient_id)}*"}),
    Search(
        "accession number",
        "STUDY",
        lambda s: {"AccessionNumber": s.accession_number},
        "study_current_accession",
    ),
    Search(
        "part of accession no.",
        "STUDY",
        lambda s: {"AccessionNumber": f"*{s.accession_number[2:]}*"},
    ),
    Search(
        "date and modality",
        "STUDY",
        lambda s: {"StudyDate": s.day, "ModalitiesInStudy": s.modality},
        "study_date",
    ),
    Search("a week", "STUDY", lambda s: {"StudyDate": s.days(7)}, "study_date"),
    Search("ten years", "STUDY", lambda _: {"StudyDate": "20080101-20171231"}, "study_date"),
    Search(
        "ten years, page 400",
        "STUDY",
        lambda _: {"StudyDate": "20080101-20171231", "offset": "10000"},
        "study_date",
        only="QIDO",
    ),
    Search("all, offset 100,000", "STUDY", lambda _: {"offset": "100000"}, only="QIDO"),
    Search("modality", "STUDY", lambda s: {"ModalitiesInStudy": s.modality}),
    Search("rare modality", "STUDY", lambda _: {"ModalitiesInStudy": "ES"}),
    Search("modality of none", "STUDY", lambda _: {"ModalitiesInStudy": "XA"}, may_be_none=True),
    Search("whole name", "STUDY", lambda s: {"PatientName": s.patient_name}),
    Search("name S*", "STUDY", lambda _: {"PatientName": "S*"}),
    Search("name, 3 letters", "STUDY", lambda s: {"PatientName": f"{s.family[:3]}*"}),
    Search("family name", "STUDY", lambda s: {"PatientName": f"{s.family}^*"}),
    Search(
        "family, part of given",
        "STUDY",
        lambda s: {"PatientName": f"{s.family}^{s.given[:2]}*"},
        "study_current_name",
    ),
    Search("part of name", "STUDY", lambda s: {"PatientName": f"*{s.family}*"}),
    Search("given name", "STUDY", lambda s: {"PatientName": f"*^{s.given}"}),
    Search("name of nobody", "STUDY", lambda _: {"PatientName": "*qqwwx*"}, may_be_none=True),
    Search(
        "fuzzy name",
        "STUDY",
        lambda s: {"PatientName": f"{s.family} {s.given[:2]}", "fuzzymatching": "true"},
        only="QIDO",
    ),
    Search(
        "fuzzy given name",
        "STUDY",
        lambda s: {"PatientName": s.given, "fuzzymatching": "true"},
        only="QIDO",
    ),
    Search(
        "fuzzy name of nobody",
        "STUDY",
        lambda _: {"PatientName": "Qqwwx Yyzzx", "fuzzymatching": "true"},
        only="QIDO",
        may_be_none=True,
    ),
    Search("birth date", "STUDY", lambda s: {"PatientBirthDate": f"{s.patient_birth_date:%Y%m%d}"}),
    Search(
        "referring physician",
        "STUDY",
        lambda s: {"ReferringPhysicianName": s.referring_physician_name},
    ),
    Search(
        "referring, part",
        "STUDY",
        lambda s: {"ReferringPhysicianName": f"{s.referring_physician_name[:7]}*"},
    ),
    Search("description", "STUDY", lambda s: {"StudyDescription": s.study_description}),
    Search(
        "word of description",
        "STUDY",
        lambda s: {"StudyDescription": f"*{s.study_description.split()[-1]}*"},
    ),
    Search(
        "rare word of it", "STUDY", lambda _: {"StudyDescription": "*arthro*"}, may_be_none=True
    ),
    Search("rare word, as written", "STUDY", lambda _: {"StudyDescription": "*Sialo*"}),
    Search(
        "as OHIF asks",
        "STUDY",
        lambda s: {
            "PatientName": f"*{s.family[:4]}*",
            "StudyDescription": f"*{s.study_description.split()[1]}*",
            "StudyDate": s.days(365),
            "ModalitiesInStudy": s.modality,
        },
    ),
    Search(
        "study UID",
        "STUDY",
        lambda s: {"StudyInstanceUID": s.study_instance_uid},
        "study_study_instance_uid_key",
    ),
)
_ALONE: Final = "QIDO"  # by C-FIND only where relational queries are negotiated: the same statement
BELOW: Final = (
    Search(
        "series of a study",
        "SERIES",
        lambda s: {"StudyInstanceUID": s.study_instance_uid},
        "study_study_instance_uid_key",
    ),
    Search(
        "series UID", "SERIES", lambda s: {"SeriesInstanceUID": s.series_instance_uid}, only=_ALONE
    ),
    Search("series of a patient", "SERIES", lambda s: {"PatientID": s.patient_id}, only=_ALONE),
    Search(
        "series, day, modality",
        "SERIES",
        lambda s: {"StudyDate": s.day, "Modality": s.modality},
        only=_ALONE,
    ),
    Search("series, modality", "SERIES", lambda s: {"Modality": s.modality}, only=_ALONE),
    Search("series, rare modality", "SERIES", lambda _: {"Modality": "ES"}, only=_ALONE),
    Search("station", "SERIES", lambda s: {"StationName": s.station_name}, only=_ALONE),
    Search("rare station", "SERIES", lambda _: {"StationName": "CTSPARE"}, only=_ALONE),
    Search(
        "station and day",
        "SERIES",
        lambda s: {"StationName": s.station_name, "StudyDate": s.day},
        only=_ALONE,
    ),
    Search(
        "series date",
        "SERIES",
        lambda s: {"SeriesDate": s.day, "Modality": s.modality},
        only=_ALONE,
    ),
    Search(
        "performed on",
        "SERIES",
        lambda s: {"PerformedProcedureStepStartDate": s.day, "Modality": s.modality},
        only=_ALONE,
    ),
    Search("institution", "SERIES", lambda _: {"InstitutionName": "Hospital Main"}, only=_ALONE),
    Search(
        "rare institution", "SERIES", lambda _: {"InstitutionName": "Hospital Far"}, only=_ALONE
    ),
    Search(
        "instances of a series",
        "IMAGE",
        lambda s: {
            "StudyInstanceUID": s.study_instance_uid,
            "SeriesInstanceUID": s.series_instance_uid,
        },
        "study_study_instance_uid_key",
    ),
    Search(
        "instance UID",
        "IMAGE",
        lambda s: {"SOPInstanceUID": f"{s.series_instance_uid}.1"},
        only=_ALONE,
    ),
    Search("instances of a patient", "IMAGE", lambda s: {"PatientID": s.patient_id}, only=_ALONE),
    Search(
        "patient",
        "PATIENT",
        lambda s: {"PatientID": s.patient_id},
        "study_current_patient",
        only="C-FIND",
    ),
    Search("patient, S*", "PATIENT", lambda _: {"PatientName": "S*"}, only="C-FIND"),
    Search(
        "patient, family name",
        "PATIENT",
        lambda s: {"PatientName": f"{s.family}^*"},
        only="C-FIND",
    ),
    Search(
        "worklist, station, day", "WORKLIST", lambda _: _steps("CT1", today=True), only="C-FIND"
    ),
    Search("worklist, modality, day", "WORKLIST", lambda _: _steps("", today=True), only="C-FIND"),
    Search("worklist, station", "WORKLIST", lambda _: _steps("CT1", today=False), only="C-FIND"),
)


def _steps(station: str, *, today: bool) -> Keys:
    keys = {"ScheduledStationAETitle": station, "Modality": "CT"}
    if today:
        keys["ScheduledProcedureStepStartDate"] = f"{datetime.now(UTC):%Y%m%d}"
    return {f"ScheduledProcedureStepSequence.{name}": value for name, value in keys.items()}
