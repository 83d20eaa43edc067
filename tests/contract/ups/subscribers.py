"""pynetdicom at the other end: a performer that asks, and a subscriber that is told."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
    UnifiedProcedureStepWatch,
)

GLOBAL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"


def dataset(**values) -> Dataset:
    """A data set; a dictionary is a sequence of one item, a list one of several."""
    made = Dataset()
    for keyword, value in values.items():
        if isinstance(value, dict):
            value = [dataset(**value)]
        elif isinstance(value, list):
            value = [dataset(**each) for each in value]
        setattr(made, keyword, value)
    return made


def code(value: str, meaning: str, scheme: str = "99TEST") -> dict:
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


def a_step(**changes) -> Dataset:
    """What creates a step: all of types 1 and 2 of PS3.4 Table CC.2.5-3."""
    values = {
        "TransactionUID": "",
        "ScheduledProcedureStepPriority": "MEDIUM",
        "ProcedureStepLabel": "Find nodules",
        "WorklistLabel": "AI",
        "ScheduledProcessingParametersSequence": [],
        "ScheduledStationNameCodeSequence": code("GPU1", "The graphics machine"),
        "ScheduledStationClassCodeSequence": [],
        "ScheduledStationGeographicLocationCodeSequence": [],
        "ScheduledProcedureStepStartDateTime": "20260302130000",
        "ScheduledWorkitemCodeSequence": code("NODULES", "Find nodules"),
        "CommentsOnTheScheduledProcedureStep": "",
        "InputReadinessState": "READY",
        "InputInformationSequence": [],
        "StudyInstanceUID": "1.2.31",
        "PatientName": "Phantom^Ada",
        "PatientID": "P0",
        "IssuerOfPatientID": "HOSP",
        "IssuerOfPatientIDQualifiersSequence": [],
        "OtherPatientIDsSequence": [],
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "AdmissionID": "",
        "IssuerOfAdmissionIDSequence": [],
        "AdmittingDiagnosesDescription": "",
        "AdmittingDiagnosesCodeSequence": [],
        "ReferencedRequestSequence": {
            "StudyInstanceUID": "1.2.31",
            "AccessionNumber": "ACC0",
            "RequestedProcedureID": "RP0",
        },
        "ProcedureStepState": "SCHEDULED",
        "ProcedureStepProgressInformationSequence": [],
        "UnifiedProcedureStepPerformedProcedureSequence": [],
        **changes,
    }
    return dataset(**{key: value for key, value in values.items() if value is not None})


def performed() -> dict:
    """What completion needs."""
    return {
        "UnifiedProcedureStepPerformedProcedureSequence": {
            "PerformedStationNameCodeSequence": code("GPU1", "The graphics machine"),
            "PerformedProcedureStepStartDateTime": "20260302130500",
            "PerformedWorkitemCodeSequence": code("NODULES", "Find nodules"),
            "PerformedProcedureStepEndDateTime": "20260302131000",
            "OutputInformationSequence": [],
        }
    }


class Performer:
    """One association that has negotiated Push, Pull, Watch and Query."""

    def __init__(self, association) -> None:
        self.association = association

    def create(self, step: Dataset, uid: str | None = None) -> tuple[int, str]:
        uid = uid or generate_uid()
        status, _ = self.association.send_n_create(step, UnifiedProcedureStepPush, uid)
        self.last = status
        return status.Status, uid

    def act(self, action: int, uid: str, via=UnifiedProcedureStepPull, **said) -> int:
        status, _ = self.association.send_n_action(
            dataset(**said) if said else None, action, UnifiedProcedureStepPush, uid, meta_uid=via
        )
        self.last = status
        return status.Status

    def change(self, uid: str, state: str, transaction: str | None) -> int:
        said = {} if transaction is None else {"TransactionUID": transaction}
        return self.act(1, uid, ProcedureStepState=state, **said)

    def set(self, uid: str, **said) -> int:
        status, _ = self.association.send_n_set(
            dataset(**said), UnifiedProcedureStepPush, uid, meta_uid=UnifiedProcedureStepPull
        )
        self.last = status
        return status.Status

    def get(self, uid: str, tags=(), via=UnifiedProcedureStepPull) -> tuple[int, Dataset | None]:
        status, found = self.association.send_n_get(
            list(tags), UnifiedProcedureStepPush, uid, meta_uid=via
        )
        return status.Status, found

    def find(self, model=UnifiedProcedureStepPull, **keys) -> tuple[list[Dataset], int]:
        answers = list(self.association.send_c_find(dataset(**keys), model))
        return [each for _, each in answers if each is not None], answers[-1][0].Status

    def subscribe(self, uid: str, ae_title: str, lock: str = "FALSE", **keys) -> int:
        return self.act(
            3, uid, UnifiedProcedureStepWatch, ReceivingAE=ae_title, DeletionLock=lock, **keys
        )

    def unsubscribe(self, uid: str, ae_title: str) -> int:
        return self.act(4, uid, UnifiedProcedureStepWatch, ReceivingAE=ae_title)


@contextmanager
def performer(port: int, ae_title: str = "WS1") -> Iterator[Performer]:
    ae = AE(ae_title)
    for each in (
        UnifiedProcedureStepPush,
        UnifiedProcedureStepPull,
        UnifiedProcedureStepWatch,
        UnifiedProcedureStepQuery,
    ):
        ae.add_requested_context(each)
    association = ae.associate("127.0.0.1", port, ae_title="ISOCENTER")
    assert association.is_established
    assert len(association.accepted_contexts) == 4
    try:
        yield Performer(association)
    finally:
        association.release()


class Subscriber:
    """Keeps what it is told: event type, UID, information."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, Dataset]] = []
        self.status = 0x0000
        self.hangs_up = False
        self.ae = AE("VIEWER")
        self.ae.add_supported_context(UnifiedProcedureStepEvent, scu_role=False, scp_role=True)

    def start(self, port: int = 0) -> int:
        handlers = [(evt.EVT_N_EVENT_REPORT, self._hear), (evt.EVT_PDU_SENT, self._sent)]
        self.server = self.ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        return int(self.server.server_address[1])

    def _hear(self, event):
        request = event.request
        assert request.AffectedSOPClassUID == UnifiedProcedureStepPush
        uid = request.AffectedSOPInstanceUID
        self.told.append((event.event_type, uid, event.event_information))
        return self.status, None

    def _sent(self, event):
        if self.hangs_up and isinstance(event.pdu, P_DATA_TF):
            event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    def states(self) -> list[str]:
        """The states that it was told, in order."""
        return [str(each.ProcedureStepState) for kind, _, each in self.told if kind == 1]
