"""A demonstration modality: finds the patient on the worklist, makes the images, stores them.

Unless it is an old one it says when it begins and what it has made when it ends.

It knows the product only as a DICOM address, and an exam only by what the worklist says.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from isocenter.app.demo import images, performed_step
from isocenter.app.demo.cast import Exam
from isocenter.app.demo.dicom_client import (
    PERFORMED_STEP,
    VERIFICATION,
    WORKLIST_FIND,
    Association,
    AssociationRefused,
    Context,
)
from isocenter.infra.clock import Clock

_ATTEMPTS = 40
_PAUSE_S = 1.0


@dataclass(frozen=True)
class Called:
    """Whom the modality calls."""

    host: str
    port: int
    ae_title: str


class NotOnWorklist(Exception):
    """The patient did not appear on the worklist in time."""


class Modality:
    """One scanner with its AE title.

    Args:
        ae_title: its calling AE title, also its scheduled station.
        modality: "CT", "MR", "DX" or "US".
        called: the product.
        clock: gives the acquisition time.
        say: tells the audience.
        tells_steps: it says when it begins and ends; older ones do not.
    """

    def __init__(
        self,
        ae_title: str,
        modality: str,
        *,
        called: Called,
        clock: Clock,
        say: Callable[[str, str], None],
        tells_steps: bool = True,
    ) -> None:
        self.ae_title, self.modality = ae_title, modality
        self._called, self._clock, self._say = called, clock, say
        self._tells_steps = tells_steps

    def find(self, exam: Exam) -> Dataset:
        """The worklist item for an exam's patient; asks again until it appears.

        Raises:
            NotOnWorklist: it did not.
        """
        for _ in range(_ATTEMPTS):
            try:
                items = [item for item in self._query() if self._is_for(item, exam)]
            except AssociationRefused:
                items = []
            if items:
                return items[-1]
            time.sleep(_PAUSE_S)
        raise NotOnWorklist(f"{exam.placer_number} did not appear on the worklist")

    def begin(self, identity: images.Identity) -> None:
        """Say that an exam begins; whether anybody wants to know does not stop it."""
        if self._tells_steps:
            attributes = performed_step.beginning(identity, self.modality)
            uid = performed_step.uid_of(identity)
            self._tell("begins", lambda association: association.create_step(uid, attributes))

    def perform(self, identity: images.Identity, made: Sequence[Dataset], *, name: str) -> int:
        """Store a study's images and say that they are all; gives how many."""
        count = 0
        for batch in _in_batches(made, 8):
            self._store(batch)
            count += len(batch)
        if self._tells_steps:
            attributes = performed_step.end(made, self._clock())
            uid = performed_step.uid_of(identity)
            self._tell("has ended", lambda association: association.set_step(uid, attributes))
        self._say(
            self.modality,
            f"stored {count} image{'s' * (count != 1)} of {name}, accession"
            f" {identity.accession_number or 'none'}",
        )
        return count

    def _tell(self, what: str, act: Callable[[Association], None]) -> None:
        try:
            with self._association([Context(PERFORMED_STEP)]) as association:
                act(association)
        except AssociationRefused as error:
            self._say(self.modality, f"could not say that the exam {what}: {error}")

    def _query(self) -> Iterator[Dataset]:
        step = Dataset()
        step.Modality = self.modality
        today = f"{self._clock().astimezone():%Y%m%d}"
        step.ScheduledProcedureStepStartDate = f"{today}-{today}"
        for keyword in (
            "ScheduledStationAETitle",
            "ScheduledProcedureStepStartTime",
            "ScheduledProcedureStepID",
            "ScheduledProcedureStepDescription",
        ):
            setattr(step, keyword, "")
        query = Dataset()
        query.SpecificCharacterSet = "ISO_IR 192"
        for keyword in (
            "AccessionNumber",
            "ReferringPhysicianName",
            "PatientName",
            "PatientID",
            "IssuerOfPatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyInstanceUID",
            "RequestedProcedureID",
            "RequestedProcedureDescription",
        ):
            setattr(query, keyword, "")
        query.ScheduledProcedureStepSequence = [step]
        with self._association([Context(WORKLIST_FIND)]) as association:
            yield from association.find(query)

    def _is_for(self, item: Dataset, exam: Exam) -> bool:
        """Whether an item is the exam: by its patient and what is to be done."""
        described = str(item.get("RequestedProcedureDescription", ""))
        return (
            str(item.get("PatientID", "")) == exam.patient.number
            and described == exam.kind.description
        )

    def _store(self, batch: list[Dataset]) -> None:
        pairs = {(str(i.SOPClassUID), str(i.file_meta.TransferSyntaxUID)) for i in batch}
        contexts = [Context(VERIFICATION), *(Context(*pair) for pair in sorted(pairs))]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._association(contexts) as association:
                    for image in batch:
                        association.store(image)
            except AssociationRefused:
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return

    def _association(self, contexts: list[Context]) -> Association:
        return Association(
            (self._called.host, self._called.port),
            calling=self.ae_title,
            called=self._called.ae_title,
            contexts=contexts,
        )


def _in_batches(made: Iterable[Dataset], size: int) -> Iterator[list[Dataset]]:
    batch: list[Dataset] = []
    for each in made:
        batch.append(each)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
