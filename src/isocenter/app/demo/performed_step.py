"""What a demonstration modality tells about an exam: that it begins, what it made, that it ends.

Standard: PS3.4 F.7; IHE RAD TF-2 4.6, 4.7
"""

from collections.abc import Iterable
from datetime import datetime

from pydicom import Dataset

from isocenter.app.demo import cast
from isocenter.app.demo.images import Identity

IN_PROGRESS = "IN PROGRESS"


def uid_of(identity: Identity) -> str:
    """The SOP Instance UID of the exam's performed procedure step."""
    return cast.uid(f"{identity.study_instance_uid}-performed")


def beginning(identity: Identity, modality: str) -> Dataset:
    """The attributes with which a step is created."""
    item = identity.item
    scheduled = item.ScheduledProcedureStepSequence[0]
    reference = Dataset()
    reference.StudyInstanceUID = identity.study_instance_uid
    reference.ReferencedStudySequence = []
    reference.AccessionNumber = identity.accession_number
    reference.RequestedProcedureID = item.get("RequestedProcedureID", "")
    reference.RequestedProcedureDescription = item.get("RequestedProcedureDescription", "")
    reference.ScheduledProcedureStepID = scheduled.get("ScheduledProcedureStepID", "")
    reference.ScheduledProcedureStepDescription = scheduled.get(
        "ScheduledProcedureStepDescription", ""
    )
    reference.ScheduledProtocolCodeSequence = []
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 192"
    step.ScheduledStepAttributesSequence = [reference]
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(step, keyword, item.get(keyword, ""))
    step.ReferencedPatientSequence = []
    step.PerformedProcedureStepID = f"PPS{identity.started_at:%H%M%S}"
    step.PerformedStationAETitle = identity.station
    step.PerformedStationName = ""
    step.PerformedLocation = ""
    _say_when(step, "Start", identity.started_at)
    step.PerformedProcedureStepStatus = IN_PROGRESS
    step.PerformedProcedureStepDescription = item.get("RequestedProcedureDescription", "")
    step.PerformedProcedureTypeDescription = ""
    step.ProcedureCodeSequence = []
    step.PerformedProcedureStepEndDate = ""
    step.PerformedProcedureStepEndTime = ""
    step.Modality = modality
    step.StudyID = ""
    step.PerformedProtocolCodeSequence = []
    step.PerformedSeriesSequence = []
    return step


def end(made: Iterable[Dataset], ended_at: datetime) -> Dataset:
    """The attributes with which a step is completed: every image, by its series."""
    series: dict[str, Dataset] = {}
    for image in made:
        item = series.setdefault(str(image.SeriesInstanceUID), _series(image))
        reference = Dataset()
        reference.ReferencedSOPClassUID = image.SOPClassUID
        reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
        item.ReferencedImageSequence.append(reference)
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 192"
    step.PerformedProcedureStepStatus = "COMPLETED"
    _say_when(step, "End", ended_at)
    step.PerformedSeriesSequence = list(series.values())
    return step


def _series(image: Dataset) -> Dataset:
    item = Dataset()
    item.PerformingPhysicianName = ""
    item.ProtocolName = image.get("ProtocolName", "") or image.get("SeriesDescription", "") or "-"
    item.OperatorsName = ""
    item.SeriesInstanceUID = image.SeriesInstanceUID
    item.SeriesDescription = image.get("SeriesDescription", "")
    item.RetrieveAETitle = ""
    item.ReferencedImageSequence = []
    item.ReferencedNonImageCompositeSOPInstanceSequence = []
    return item


def _say_when(step: Dataset, which: str, at: datetime) -> None:
    # Scanners say the time of their department, and in which zone it is.
    local = at.astimezone()
    step.TimezoneOffsetFromUTC = f"{local:%z}"
    setattr(step, f"PerformedProcedureStep{which}Date", f"{local:%Y%m%d}")
    setattr(step, f"PerformedProcedureStep{which}Time", f"{local:%H%M%S}")
