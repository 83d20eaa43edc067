"""Patients that exist nowhere, their exams, what is found and what is reported.

Everything follows from a running number, so that a later run goes on where the last one ended.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

_FAMILIES = ("Phantom", "Specimen", "Testcase", "Sample", "Placebo", "Mockup", "Dummy", "Fixture")
_GIVEN = (
    ("Ada", "F"), ("Bruno", "M"), ("Clara", "F"), ("Diego", "M"), ("Edda", "F"), ("Faris", "M"),
    ("Greta", "F"), ("Hugo", "M"), ("Ines", "F"), ("Jonas", "M"), ("Kira", "F"), ("Liam", "M"),
    ("Mina", "F"), ("Nils", "M"), ("Olga", "F"), ("Pavel", "M"), ("Quinn", "F"), ("Rosa", "F"),
    ("Soren", "M"), ("Tilda", "F"), ("Umar", "M"), ("Vera", "F"), ("Wim", "M"),
)  # fmt: skip
_REFERRERS = ("Referrer^Alma", "Referrer^Boris", "Referrer^Chen")
_ROOT = uuid.UUID("5a1f7c1e-0000-4000-8000-000000000000")  # names below give repeatable UIDs


@dataclass(frozen=True)
class Patient:
    """A patient as the EHR knows it."""

    number: str
    name: str
    birth_date: str
    sex: str
    visit: str


@dataclass(frozen=True)
class Kind:
    """A kind of exam, where it is made, and what can be seen on it.

    Attributes:
        reports: the text to write for each finding; the findings are those of the phantoms.
    """

    code: str
    description: str
    modality: str
    station: str
    body_part: str
    subject: str
    question: str
    reports: Mapping[str, str]


@dataclass(frozen=True)
class Exam:
    """One order and what will be found."""

    serial: int
    patient: Patient
    kind: Kind
    finding: str
    style: str
    priority: str
    referrer: str
    placer_number: str
    accession_number: str
    procedure_id: str
    study_instance_uid: str
    ordered_at: datetime

    @property
    def question(self) -> str:
        """What the referrer wants to know."""
        return self.kind.question

    @property
    def report(self) -> str:
        """What the radiologist will write."""
        return self.kind.reports[self.finding]


def patient(serial: int) -> Patient:
    """The patient with a running number."""
    given, sex = _GIVEN[(serial * 5) % len(_GIVEN)]
    family = _FAMILIES[(serial * 3) % len(_FAMILIES)]
    born = date(1938, 1, 1) + timedelta(days=(serial * 2711) % 25_000)
    return Patient(
        number=f"DEMO{serial:06d}",
        name=f"{family}^{given}",
        birth_date=born.strftime("%Y%m%d"),
        sex=sex,
        visit=f"V{serial:06d}",
    )


def exam(serial: int, of: Patient, now: datetime) -> Exam:
    """The exam with a running number, for a patient; kinds, styles and findings take turns."""
    kind = KINDS[(serial - 1) % len(KINDS)]
    findings = sorted(kind.reports)
    return Exam(
        serial=serial,
        patient=of,
        kind=kind,
        finding=findings[-1 - ((serial - 1) // len(KINDS)) % len(findings)],
        style=("omi", "zds", "orm")[serial % 3],
        priority="S" if serial % 4 == 1 else "R",
        referrer=_REFERRERS[serial % len(_REFERRERS)],
        placer_number=f"DP{serial:06d}",
        accession_number=f"D{serial:07d}",
        procedure_id=f"RP{serial:06d}",
        study_instance_uid=uid(f"{now:%Y%m%d}-study-{serial}"),
        ordered_at=now,
    )


def uid(name: str) -> str:
    """A DICOM UID that follows from a name.

    Standard: PS3.5 B.2
    """
    return f"2.25.{uuid.uuid5(_ROOT, name).int}"


KINDS = (
    Kind(
        "CTHEAD", "CT head without contrast", "CT", "DEMO_CT", "HEAD", "head",
        "Fall, headache. Bleeding?",
        {
            "subdural": (
                "Findings: Crescent-shaped hyperdense collection along the left convexity, up to"
                " 9 mm. No midline shift. Ventricles of normal width. No fracture.\n"
                "Impression: Acute left subdural haematoma."
            ),
            "none": (
                "Findings: No intracranial bleeding, no mass effect. Ventricles and sulci"
                " appropriate for age. Skull intact.\nImpression: Normal CT of the head."
            ),
        },
    ),
    Kind(
        "XRCHEST", "Radiograph of the chest, PA", "DX", "DEMO_DX", "CHEST", "chest radiograph",
        "Cough and fever. Infiltrate?",
        {
            "pneumonia": (
                "Findings: Consolidation in the left lower zone. No effusion. Heart of normal"
                " size.\nImpression: Left lower lobe pneumonia."
            ),
            "nodule": (
                "Findings: Ill-defined nodule of about 28 mm in the right upper zone. Heart of"
                " normal size.\nImpression: Right upper lobe nodule; CT is advised."
            ),
            "none": (
                "Findings: Lungs clear, no effusion, heart of normal size.\n"
                "Impression: Normal chest."
            ),
        },
    ),
    Kind(
        "MRBRAIN", "MR brain, T1 and T2", "MR", "DEMO_MR", "BRAIN", "brain",
        "First seizure. Lesion?",
        {
            "metastases": (
                "Findings: Three round lesions with surrounding oedema, the largest in the right"
                " frontal lobe.\nImpression: Findings suggest cerebral metastases."
            ),
            "infarct": (
                "Findings: Area of raised T2 signal in the territory of the left middle cerebral"
                " artery with swelling.\nImpression: Subacute left MCA infarct."
            ),
            "none": (
                "Findings: Normal signal of grey and white matter, no mass, no oedema.\n"
                "Impression: Normal MR of the brain."
            ),
        },
    ),
    Kind(
        "XRHAND", "Radiograph of the left hand", "DX", "DEMO_DX", "HAND", "hand radiograph",
        "Punch injury. Fracture?",
        {
            "fracture": (
                "Findings: Fracture of the neck of the fifth metacarpal with palmar tilt.\n"
                "Impression: Boxer's fracture."
            ),
            "none": "Findings: No fracture, joints congruent.\nImpression: Normal left hand.",
        },
    ),
    Kind(
        "CTCHEST", "CT chest with contrast", "CT", "DEMO_CT", "CHEST", "chest",
        "Weight loss. Mass?",
        {
            "nodule": (
                "Findings: Spiculated nodule of 28 mm in the right upper lobe. No enlarged lymph"
                " nodes, no effusion.\nImpression: Suspicious right upper lobe nodule."
            ),
            "effusion": (
                "Findings: Right pleural effusion, layering. No mass.\n"
                "Impression: Right pleural effusion."
            ),
            "none": "Findings: No nodule, no effusion.\nImpression: Normal CT of the chest.",
        },
    ),
    Kind(
        "USABDOMEN", "Ultrasound of the abdomen", "US", "DEMO_US", "ABDOMEN", "ultrasound",
        "Raised liver enzymes. Focal lesion?",
        {
            "none": (
                "Findings: Liver of normal size and echo, no focal lesion. Bile ducts not"
                " dilated.\nImpression: Normal ultrasound of the abdomen."
            ),
        },
    ),
)  # fmt: skip
