"""The bench's modality: asks the worklist, says what it does, stores images, has them committed.

It knows the installation only as a DICOM address, and an exam only by what the worklist says.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from isocenter.app.conformance.verdicts import Called, Failed
from isocenter.app.demo import performed_step
from isocenter.app.demo.dicom_client import (
    PERFORMED_STEP,
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    VERIFICATION,
    WORKLIST_FIND,
    Association,
    Context,
)
from isocenter.app.demo.images import Identity
from isocenter.infra.clock import Clock
from isocenter.infra.ids import new_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
WRONG_ENTRY = ("110514", "DCM", "Incorrect worklist entry selected")
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_ITEM_KEYS = (
    *_PATIENT,
    "IssuerOfPatientID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyInstanceUID",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
)
_STEP_KEYS = (
    "Modality",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
)
_STUDY_KEYS = (
    "StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber",
    "NumberOfStudyRelatedInstances",
)  # fmt: skip


class Scanner:
    """A CT with one AE title, which is also its scheduled station."""

    def __init__(self, called: Called, clock: Clock) -> None:
        self._called, self._clock = called, clock

    @property
    def ae_title(self) -> str:
        """Its own AE title."""
        return self._called.calling_ae_title

    def echo(self) -> None:
        """Verify the connection; raises ``AssociationRefused``."""
        with self._association(VERIFICATION) as association:
            association.echo()

    def worklist(self, **wanted: str) -> list[Dataset]:
        """The items that match these keys, of the patient or of the step."""
        query, step = Dataset(), Dataset()
        query.SpecificCharacterSet = "ISO_IR 192"
        for keyword in _ITEM_KEYS:
            setattr(query, keyword, wanted.pop(keyword, ""))
        for keyword in _STEP_KEYS:
            setattr(step, keyword, wanted.pop(keyword, ""))
        if wanted:
            raise KeyError(f"no keys of the worklist: {', '.join(wanted)}")
        query.ScheduledProcedureStepSequence = [step]
        with self._association(WORKLIST_FIND) as association:
            return list(association.find(query))

    def studies(self, **wanted: str) -> list[Dataset]:
        """The studies that match, as C-FIND tells them."""
        query = Dataset()
        query.SpecificCharacterSet = "ISO_IR 192"
        query.QueryRetrieveLevel = "STUDY"
        for keyword in _STUDY_KEYS:
            setattr(query, keyword, "")
        for keyword, value in wanted.items():
            setattr(query, keyword, value)
        with self._association(STUDY_ROOT_FIND) as association:
            return list(association.find(query, STUDY_ROOT_FIND))

    def begin(self, *items: Dataset) -> str:
        """Say that a step begins for these worklist items; gives its SOP Instance UID."""
        uid = new_uid()
        begun = [performed_step.beginning(self._identity(item), "CT") for item in items]
        attributes = begun[0]
        references = [each.ScheduledStepAttributesSequence[0] for each in begun]
        attributes.ScheduledStepAttributesSequence = references
        attributes.PerformedProcedureStepID = uid[-12:]
        with self._association(PERFORMED_STEP) as association:
            association.create_step(uid, attributes)
        return uid

    def end(
        self,
        uid: str,
        made: Iterable[Dataset],
        *,
        status: str = "COMPLETED",
        reason: tuple[str, str, str] | None = None,
    ) -> None:
        """Say that a step has ended, what it made, and why it was broken off."""
        attributes = performed_step.end(made, self._clock())
        attributes.PerformedProcedureStepStatus = status
        if reason is not None:
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = reason
            attributes.PerformedProcedureStepDiscontinuationReasonCodeSequence = [code]
        with self._association(PERFORMED_STEP) as association:
            association.set_step(uid, attributes)

    def images(self, item: Dataset, count: int = 2, **said: str) -> list[Dataset]:
        """A small series with a worklist item's identity, but for what is ``said``."""
        identity = self._identity(item)
        series = new_uid()
        made = [_image(identity, series, number) for number in range(1, count + 1)]
        for image in made:
            for keyword, value in said.items():
                setattr(image, keyword, value)
        return made

    def store(self, made: Sequence[Dataset]) -> None:
        """Store images; raises ``AssociationRefused`` when one is refused."""
        with self._association(CT_IMAGE) as association:
            for image in made:
                association.store(image)

    def commit(self, made: Sequence[Dataset]) -> tuple[set[str], set[str]]:
        """The SOP Instance UIDs of which storage is committed, and of which it is not."""
        request = Dataset()
        request.TransactionUID = new_uid()
        request.ReferencedSOPSequence = [_reference(image) for image in made]
        with self._association(STORAGE_COMMITMENT) as association:
            told = association.commit(request)
        if str(told.TransactionUID) != str(request.TransactionUID):
            raise Failed("the commitment is of another transaction")
        return _uids(told, "ReferencedSOPSequence"), _uids(told, "FailedSOPSequence")

    def _identity(self, item: Dataset) -> Identity:
        return Identity(
            item=item,
            study_instance_uid=str(item.get("StudyInstanceUID", "")),
            accession_number=str(item.get("AccessionNumber", "")),
            station=self.ae_title,
            started_at=self._clock(),
        )

    def _association(self, abstract_syntax: str) -> Association:
        return Association(
            (self._called.host, self._called.port),
            calling=self.ae_title,
            called=self._called.ae_title,
            contexts=[Context(abstract_syntax)],
        )


def unscheduled(study_instance_uid: str, now: datetime, **said: str) -> Dataset:
    """What a scanner knows of an exam without the worklist: what was typed at its console."""
    item, step = Dataset(), Dataset()
    for keyword in _ITEM_KEYS:
        setattr(item, keyword, "")
    item.StudyInstanceUID = study_instance_uid
    for keyword, value in said.items():
        setattr(item, keyword, value)
    step.ScheduledProcedureStepID = ""
    step.ScheduledProcedureStepStartDate = f"{now:%Y%m%d}"
    item.ScheduledProcedureStepSequence = [step]
    return item


def _image(identity: Identity, series: str, number: int) -> Dataset:
    image, item = Dataset(), identity.item
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID, image.SOPInstanceUID = CT_IMAGE, new_uid()
    for keyword in (*_PATIENT, "IssuerOfPatientID", "ReferringPhysicianName"):
        setattr(image, keyword, item.get(keyword, ""))
    image.StudyInstanceUID = identity.study_instance_uid
    image.AccessionNumber = identity.accession_number
    image.SeriesInstanceUID, image.SeriesNumber, image.InstanceNumber = series, 1, number
    image.StudyID = str(item.get("RequestedProcedureID", ""))
    local = identity.started_at.astimezone()
    for part in ("Study", "Series", "Content"):
        setattr(image, f"{part}Date", f"{local:%Y%m%d}")
        setattr(image, f"{part}Time", f"{local:%H%M%S}")
    image.TimezoneOffsetFromUTC = f"{local:%z}"
    image.Modality, image.StationName = "CT", identity.station
    image.Manufacturer, image.BodyPartExamined = "Isocenter conformance", "HEAD"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Rows = image.Columns = 16
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleIntercept, image.RescaleSlope = -1024, 1
    image.PixelData = bytes((number, 4)) * 256
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def _reference(image: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return reference


def _uids(told: Dataset, keyword: str) -> set[str]:
    found: list[Dataset] = list(told.get(keyword) or [])
    return {str(each.get("ReferencedSOPInstanceUID")) for each in found}
