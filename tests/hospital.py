"""A small installation in one process: real database, files and HTTP door, no sockets."""

import io
from datetime import date
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from starlette.testclient import TestClient

from isocenter.app.hl7_desk import Hl7Desk
from isocenter.app.http.application import Backing, create_application
from isocenter.app.http.options import HttpOptions
from isocenter.domain.access import service as access
from isocenter.domain.access.model import Actor, Role
from isocenter.domain.archive.service.completion import complete_quiet_studies
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditFilter
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.orders.model import OrderFacts, ProcedureFacts, StepFacts
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.domain.scheduling import service as scheduling
from isocenter.gateways.dicomweb.application import application as dicomweb
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.gateways.web.options import WebOptions
from isocenter.infra.blobs import open_store
from isocenter.infra.db import Database
from isocenter.infra.outbox import Dispatcher
from isocenter.infra.pools import Pool
from tests.fakes.clock import FixedClock

PASSWORD = "correct horse battery"
SYSTEM = Actor.system("test")
ORIGIN = "http://testserver"
EHR = "https://ehr.example"  # may show our pages in a frame
LAUNCH_KEY = "k" * 40
USERS = {
    "root": Role.ADMINISTRATOR,
    "ada": Role.RADIOLOGIST,
    "tom": Role.TECHNOLOGIST,
    "fay": Role.FRONT_DESK,
}


class Hospital:
    """The installation, and what happens in it."""

    def __init__(self, database: Database, folder: Path, *, ehr: str = EHR) -> None:
        self.clock = FixedClock()
        self.home = folder.with_name("home")
        self.database = database
        self.pool = Pool(database, threads=4)
        self.blobs = open_store(f"file://{folder}")
        self.dispatcher = Dispatcher(database, database.router, clock=self.clock)
        self.application = create_application(
            Backing(self.pool, self.blobs, Hl7Desk(ReceiveOptions(), self.clock), clock=self.clock),
            options=HttpOptions(
                web=WebOptions(
                    feed_poll_s=0.02,
                    page_rows=5,
                    frame_origins=frozenset({ehr}),
                    launch_keys={"ada": LAUNCH_KEY},
                    second_viewer_home=self.home,
                ),
                frame_ancestors=frozenset({ehr}),
                actor_kept_s=0,
            ),
            mounts={
                "/dicomweb": dicomweb(
                    self.pool,
                    self.blobs,
                    options=DicomwebOptions(object_bytes_max=10**8),
                    clock=self.clock,
                )
            },
            metrics=lambda: "# none\n",
        )
        self._tokens: dict[str, str] = {}
        self._known: set[str] = set()

    def user(self, name: str) -> None:
        """Make sure of one of the ``USERS``: hashing a password takes its time."""
        if name in self._known:
            return
        self._known.add(name)
        with self.database.transaction() as tx:
            access.add_user(
                tx,
                SYSTEM,
                (name, f"{name.title()} Phantom"),
                roles=[USERS[name]],
                password=PASSWORD,
                now=self.clock(),
            )

    def stranger(self) -> TestClient:
        """A browser that is not signed in."""
        return TestClient(
            self.application,
            base_url=ORIGIN,
            headers={"accept": "text/html", "origin": ORIGIN},
            follow_redirects=False,
        )

    def browser(self, user: str) -> TestClient:
        """A browser in which ``user`` has signed in."""
        self.user(user)
        browser = self.stranger()
        answer = browser.post("/sign-in", data={"user_name": user, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser

    def program(self, user: str) -> TestClient:
        """A program with a token of ``user``."""
        if user not in self._tokens:
            self.user(user)
            with self.database.transaction() as tx:
                self._tokens[user] = access.create_token(
                    tx, SYSTEM, user, ttl_s=10**7, now=self.clock()
                )
        headers = {"authorization": f"Bearer {self._tokens[user]}"}
        return TestClient(self.application, base_url=ORIGIN, headers=headers)

    def order(self, number: int, *, name: str = "Phantom^Ada", **facts: object) -> str:
        """Place an order; gives its accession number."""
        patient = PatientFacts(
            identifiers=(PatientIdentifier(f"PH{number:04d}", "HOSPITAL"),),
            person_name=name,
            birth_date=date(1961, 3, 4),
            sex="F",
            asserted_at=self.clock(),
        )
        step = StepFacts(
            modality="CT", station_ae_titles=("CT01",), start_at=self.clock(), description="Chest"
        )
        procedure = ProcedureFacts(description="CT chest with contrast", steps=(step,))
        order = OrderFacts(
            placer_order_number=f"P{number}",
            procedures=(procedure,),
            reason_for_study="cough for three weeks",
            asserted_at=self.clock(),
            **facts,
        )
        with self.database.transaction() as tx:
            placed = scheduling.place_order(tx, SYSTEM, patient, order, now=self.clock())
        self.dispatcher.run_once()
        return placed.accession_number

    def scan(
        self, accession_number: str, number: int, *, count: int = 3, name: str = "Phantom^Ada"
    ) -> str:
        """Store a small CT series over STOW-RS; gives the Study Instance UID."""
        study_uid = f"2.25.1000{number}"
        for index in range(1, count + 1):
            self.keep(
                a_slice(accession_number, number, index, name=name, study_uid=study_uid),
                react=False,
            )
        self.dispatcher.run_once()
        return study_uid

    def keep(self, content: bytes, *, react: bool = True) -> None:
        """Store a file over STOW-RS."""
        answer = self.program("tom").post(
            "/dicomweb/studies",
            content=b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b--",
            headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
        )
        assert answer.status_code == 200, answer.text
        if react:
            self.dispatcher.run_once()

    def quiet(self) -> None:
        """Let enough time pass for studies to be complete."""
        self.clock.advance(minutes=2)
        with self.database.transaction() as tx:
            complete_quiet_studies(tx, SYSTEM, quiet_s=60, now=self.clock())
        self.dispatcher.run_once()

    def recipient(self, name: str = "ehr") -> None:
        """Add an HL7 peer that gets results."""
        with self.database.transaction() as tx:
            peer = Hl7Peer(name=name, host="127.0.0.1", port=2575, send=frozenset({"oru"}))
            peers.add_hl7_peer(tx, SYSTEM, peer, now=self.clock())

    def audited(self, action: str) -> list[tuple[str, str, str | None]]:
        """(actor, object, patient ID) of the audit records of an action."""
        with self.database.read() as tx:
            return [
                (each.actor, each.object_id, each.patient_id)
                for each in audit.search(tx, AuditFilter(action=action), limit=500)
            ]


def a_slice(accession_number: str, number: int, index: int, *, name: str, study_uid: str) -> bytes:
    """One CT slice as a file: a bright disc that grows with the index."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{study_uid}.1.{index}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, f"{study_uid}.1"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID = name, f"PH{number:04d}"
    ds.PatientBirthDate, ds.PatientSex = "19610304", "F"
    ds.AccessionNumber = accession_number
    ds.StudyDate, ds.StudyTime = "20260302", "080000"
    ds.StudyDescription, ds.SeriesDescription = "CT chest", "Chest 1.0 lung"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 1, index
    ds.Rows = ds.Columns = 64
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.WindowCenter, ds.WindowWidth = 40, 400
    y, x = np.ogrid[:64, :64]
    disc = (x - 32) ** 2 + (y - 32) ** 2 < (4 * index) ** 2
    ds.PixelData = np.where(disc, 1100, 100).astype("<i2").tobytes()
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
