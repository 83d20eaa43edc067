"""What a study's images should say by what is known now."""

from dataclasses import dataclass
from datetime import date, datetime

from isocenter.domain.archive.model import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    PATIENT_SEX,
    REFERRING_PHYSICIAN_NAME,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Values to say instead; None: what the images say is right.

    Attributes:
        issuer_of_patient_id: '' with a patient ID of unknown issuer.
    """

    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_name: str | None = None
    patient_birth_date: date | None = None
    patient_sex: str | None = None
    accession_number: str | None = None
    referring_physician_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedStudy(Corrections):
    """The corrections of a study, and when they were decided."""

    study_instance_uid: str
    corrected_at: datetime

    def texts(self) -> dict[int, str]:
        """The values by tag, as a header says them.

        Standard: PS3.5 6.2
        """
        born = self.patient_birth_date
        found = {
            PATIENT_ID: self.patient_id,
            ISSUER_OF_PATIENT_ID: self.issuer_of_patient_id,
            PATIENT_NAME: self.patient_name,
            PATIENT_BIRTH_DATE: f"{born:%Y%m%d}" if born else None,
            PATIENT_SEX: self.patient_sex,
            ACCESSION_NUMBER: self.accession_number,
            REFERRING_PHYSICIAN_NAME: self.referring_physician_name,
        }
        return {tag: text for tag, text in found.items() if text is not None}
