"""Images on their way to DCMTK's storescp and to pynetdicom: down, slow, full, refusing."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    InstanceAvailabilityNotification,
    StorageCommitmentPushModel,
)

from isocenter.app.renditions import ProcessorShare, RenditionMaker
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_corrections import Corrections
from isocenter.domain.archive.model_renditions import MARK
from isocenter.domain.archive.service import renditions
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Progress
from isocenter.gateways.dimse.sending import ImageSender
from isocenter.infra.blobs import open_store
from isocenter.infra.blobs.several import SeveralStores
from isocenter.standards.dicom import uids
from tests.dicom_site import NOW, SYSTEM, Site, a_file, free_port, until

pytestmark = pytest.mark.peer("pynetdicom")
STUDY = "1.2.826.0.1.3680043.9.9999.1"
dcmtk = pytest.mark.skipif(shutil.which("storescp") is None, reason="DCMTK is not installed")


@pytest.fixture
def site(loop, database, tmp_path):
    site = Site(loop, database, open_store((tmp_path / "objects").as_uri()), tmp_path)
    site.start()
    yield site
    site.close()


def admit(site: Site, number: int, *, name: str = "CT_small.dcm", **changes):
    changes = {
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": f"{STUDY}.1",
        "SOPInstanceUID": f"{STUDY}.1.{number}",
        "AccessionNumber": "A1",
        "PatientName": "Phantom^Ada",
    } | changes
    calling = changes.pop("calling", "CT1")
    return site.admit(a_file(name, **changes), calling=calling)


def states(site: Site) -> list[str]:
    return [each.state for each in site.deliveries()]


@contextmanager
def storescp(port: int, folder: Path, *options: str) -> Iterator[subprocess.Popen]:
    """DCMTK's receiver."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        ["storescp", "-q", *options, "-od", str(folder), "-aet", "PACS", str(port)],
        env={"PATH": os.defpath + ":/usr/local/bin", "TCP_NODELAY": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Receiver:
    """A destination of pynetdicom that answers each object as it is told."""

    def __init__(self, port: int, *, syntaxes=None, classes=None) -> None:
        self.taken: list[str] = []
        self.objects: list[Dataset] = []
        self.notified: list = []
        self.asked: list[str] = []
        self.failure_reason: int | None = None
        self.reports_first = False
        self.answers = lambda uid: 0x0000
        self.entity = AE("PACS")
        for context in classes or [each.abstract_syntax for each in AllStoragePresentationContexts]:
            self.entity.add_supported_context(context, syntaxes or uids.EXPLICIT_VR_LITTLE_ENDIAN)
        self.entity.add_supported_context(InstanceAvailabilityNotification)
        self.entity.add_supported_context(StorageCommitmentPushModel)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_ACTION, self._commit),
        ]
        self.server = self.entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=handlers
        )

    def _store(self, event):
        uid = event.request.AffectedSOPInstanceUID
        status = self.answers(uid)
        if status is None:
            event.assoc.abort()
            return 0x0110
        if status == 0:
            self.taken.append(uid)
            self.objects.append(event.dataset)
        return status

    def _create(self, event):
        self.notified.append(event.attribute_list)
        return 0x0000, None

    def _commit(self, event):
        request = event.action_information
        self.asked += [each.ReferencedSOPInstanceUID for each in request.ReferencedSOPSequence]
        if self.reports_first:
            threading.Thread(target=self._answer, args=(event.assoc, request)).start()
            time.sleep(0.5)
        else:
            threading.Timer(0.2, self._answer, (event.assoc, request)).start()
        return 0x0000, None

    def _answer(self, association, request):
        result = Dataset()
        result.TransactionUID = request.TransactionUID
        items = request.ReferencedSOPSequence
        if self.failure_reason is None:
            result.ReferencedSOPSequence = items
        else:
            for item in items:
                item.FailureReason = self.failure_reason
            result.FailedSOPSequence = items
        event_type = 1 if self.failure_reason is None else 2
        association.send_n_event_report(
            result, event_type, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
        )

    def close(self) -> None:
        self.server.shutdown()


@pytest.fixture
def orthanc(site, tmp_path) -> Iterator[int]:
    """The port of an Orthanc that knows us; missing is a counted skip."""
    program = shutil.which("Orthanc", path=os.defpath + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("Orthanc is not installed")
    port = free_port()
    configuration = tmp_path / "orthanc.json"
    described = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "DicomModalities": {"archive": ["ARCHIVE", "127.0.0.1", site.port]},
    }
    configuration.write_text(json.dumps(described))
    process = subprocess.Popen([program, str(configuration)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def receive():
    made = []

    def begin(port, **options):
        made.append(Receiver(port, **options))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@dcmtk
@pytest.mark.peer("dcmtk")
def test_a_destination_that_is_down_gets_everything_once_when_it_is_up(site, tmp_path):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    sent = [admit(site, number) for number in range(3)]
    assert site.route(STUDY) == 1
    assert site.route(STUDY) == 0  # the reaction ran twice
    site.work(ImageSender)
    until(lambda: site.deliveries()[0].last_error)
    (delivery,) = site.deliveries()
    assert (delivery.state, delivery.kind, delivery.accession_number) == ("queued", "images", "A1")
    with storescp(port, tmp_path / "in"):
        until(lambda: states(site) == ["acknowledged"])
        late = admit(site, 3)  # an image that comes after the study was sent follows alone
        assert site.route(STUDY, complete=True) == 1
        until(lambda: states(site) == ["acknowledged"] * 2)
    assert [each.instances_sent for each in site.deliveries()] == [3, 1]
    got = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, (tmp_path / "in").iterdir())}
    assert set(got) == {each.SOPInstanceUID for each in [*sent, late]}
    assert got[late.SOPInstanceUID].PixelData == late.PixelData


@dcmtk
@pytest.mark.peer("dcmtk")
def test_images_are_compressed_as_the_route_says(site, tmp_path):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("compressed", "PACS", transfer_syntax_uid=uids.JPEG_LS_LOSSLESS)
    original = admit(site, 1)
    admit(site, 2, name="JPEG2000.dcm")  # is compressed already, and stays so
    site.route(STUDY)
    with storescp(port, tmp_path / "in", "+xa"):
        site.work(ImageSender)
        until(lambda: states(site) == ["acknowledged"])
    got = {pydicom.dcmread(path).SOPInstanceUID: path for path in (tmp_path / "in").iterdir()}
    compressed, untouched = (got[f"{STUDY}.1.{number}"] for number in (1, 2))
    assert pydicom.dcmread(compressed).file_meta.TransferSyntaxUID == uids.JPEG_LS_LOSSLESS
    subprocess.run(["dcmdjpls", compressed, tmp_path / "decoded"], check=True)
    assert pydicom.dcmread(tmp_path / "decoded").PixelData == original.PixelData
    assert pydicom.dcmread(untouched).file_meta.TransferSyntaxUID == uids.JPEG_2000


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        (uids.HTJ2K_LOSSLESS_RPCL, uids.HTJ2K_LOSSLESS_RPCL),
        (uids.HTJ2K_LOSSLESS, uids.HTJ2K_LOSSLESS),  # of which the other is a special case
        (None, uids.HTJ2K_LOSSLESS_RPCL),
    ],
)
def test_a_kept_rendition_goes_out_as_it_is(site, receive, asked, taken):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS", transfer_syntax_uid=asked)
    original = admit(site, 1)
    kept = rendition_of(site, f"{STUDY}.1.1")
    with site.database.transaction() as tx:
        now = tx.value("select now()")
        archive.correct(tx, SYSTEM, STUDY, Corrections(patient_id="RIGHT"), now=now)
        # Whoever encodes it anew has nothing to read.
        site.store.delete(tx.value("select blob_key from archive.instance"))
    site.route(STUDY)
    receiver = receive(port, syntaxes=taken)
    site.work(ImageSender)
    until(lambda: states(site) == ["acknowledged"])
    (got,) = receiver.objects
    assert (got.PatientID, got.PixelData) == ("RIGHT", kept.PixelData)
    (frame,) = pydicom.encaps.generate_frames(got.PixelData, number_of_frames=1)
    assert np.array_equal(imagecodecs.jpeg2k_decode(frame), original.pixel_array)


def rendition_of(site: Site, sop_instance_uid: str) -> Dataset:
    """What the worker makes of an instance in the background: the bytes that WADO-RS serves."""
    with site.database.transaction() as tx:
        tx.run("update archive.study set completed_at = now()")
        renditions.want_all_renditions(tx, SYSTEM, ["CT"], now=NOW)
    share = ProcessorShare(100, lambda seconds: None)
    stores = SeveralStores({"main": site.store})
    maker = RenditionMaker(site.database, stores, SYSTEM, lambda: NOW, ["CT"], share, lambda: False)
    assert maker.run() == 1
    viewer = Viewer.of(SYSTEM, Action.STUDY_READ)
    with site.database.read() as tx:
        (made,) = renditions.renditions_of(tx, viewer, [sop_instance_uid]).values()
    return pydicom.dcmread(BytesIO(bytes(site.store.read(made.blob_key))[len(MARK) :]))


def test_a_refused_object_parks_the_transfer_and_holds_up_nothing(site, receive):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    for number in range(3):
        admit(site, number)
    site.route(STUDY)
    receiver = receive(port)
    receiver.answers = lambda uid: 0xC000 if uid.endswith(".1.1") else 0
    site.work(ImageSender)
    until(lambda: states(site) == ["refused"])
    (parked,) = site.deliveries()
    assert parked.last_error == "1 of 3 instances were not taken"
    assert (parked.instances_sent, parked.instances_failed) == (2, 1)
    admit(site, 3)
    site.route(STUDY)
    until(lambda: states(site) == ["refused", "acknowledged"])
    receiver.answers = lambda uid: 0
    with site.database.transaction() as tx:
        assert [each["reason"] for each in tx.value("select failures from distribution.transfer")]
        distribution.replay(tx, SYSTEM, parked.delivery_key, now=tx.value("select now()"))
    until(lambda: states(site) == ["acknowledged"] * 2)
    assert sorted(set(receiver.taken)) == [f"{STUDY}.1.{number}" for number in range(4)]


def test_a_full_destination_is_asked_again_from_where_it_was(site, receive):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    for number in range(4):
        admit(site, number)
    site.route(STUDY)
    receiver = receive(port)
    full = iter([0, 0, 0xA700])
    receiver.answers = lambda uid: next(full, 0)
    site.work(ImageSender)
    until(lambda: states(site) == ["acknowledged"])
    assert receiver.taken == [f"{STUDY}.1.{number}" for number in range(4)]


def test_an_object_that_breaks_the_destination_again_and_again_is_passed_over(site, receive):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    for number in range(3):
        admit(site, number)
    site.route(STUDY)
    receiver = receive(port)
    receiver.answers = lambda uid: None if uid.endswith(".1.1") else 0
    site.work(ImageSender)
    until(lambda: states(site) == ["refused"])
    assert [f"{STUDY}.1.0", f"{STUDY}.1.2"] == receiver.taken
    with site.database.read() as tx:
        (failure,) = tx.value("select failures from distribution.transfer")
    assert failure["sop_instance_uid"] == f"{STUDY}.1.1"
    assert "broke 5 times" in failure["reason"]


def test_what_the_destination_does_not_take_at_all_is_named(site, receive):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    admit(site, 1)
    admit(site, 2, name="MR_small.dcm")
    site.route(STUDY)
    receiver = receive(port, classes=[CTImageStorage])
    site.work(ImageSender)
    until(lambda: states(site) == ["refused"])
    assert receiver.taken == [f"{STUDY}.1.1"]


def test_conditions_choose_and_images_never_go_back(site, receive):
    port = free_port()
    site.add_peer("PACS", port, title="PACS")
    site.add_route(
        "heads",
        "PACS",
        conditions={"modalities": ("ct", "mr"), "series_descriptions": ("*head*",)},
        notifies=True,
    )
    admit(site, 1, SeriesDescription="Head 5mm")
    admit(site, 2, SeriesInstanceUID=f"{STUDY}.2", SeriesDescription="Chest")
    admit(site, 3, SeriesInstanceUID=f"{STUDY}.3", SeriesDescription="Head", calling="PACS")
    assert site.route(STUDY) == 1
    assert site.route(STUDY, complete=True) == 1  # only word of it is new
    receiver = receive(port)
    site.work(ImageSender)
    until(lambda: states(site) == ["acknowledged"] * 2)
    assert receiver.taken == [f"{STUDY}.1.1"]
    assert [each.kind for each in site.deliveries()] == ["images", "availability"]
    (told,) = receiver.notified
    (series,) = told.ReferencedSeriesSequence
    (reference,) = series.ReferencedSOPSequence
    assert told.StudyInstanceUID == STUDY
    assert (reference.ReferencedSOPInstanceUID, reference.InstanceAvailability) == (
        f"{STUDY}.1.1",
        "ONLINE",
    )
    assert reference.RetrieveAETitle == "ARCHIVE"


def test_a_paused_destination_waits_and_others_do_not(site, receive):
    ports = free_port(), free_port()
    for name, port in zip(("PACS", "OTHER"), ports, strict=True):
        site.add_peer(name, port)
        site.add_route(f"to-{name}", name)
    admit(site, 1)
    site.route(STUDY)
    with site.database.transaction() as tx:
        now = tx.value("select now()")
        distribution.pause(tx, SYSTEM, "PACS", reason="maintenance", now=now)
    waiting, other = receive(ports[0]), receive(ports[1])
    site.work(ImageSender)
    until(lambda: other.taken)
    time.sleep(0.2)
    assert waiting.taken == []
    with site.database.transaction() as tx:
        distribution.resume(tx, SYSTEM, "PACS", now=tx.value("select now()"))
    until(lambda: waiting.taken == other.taken)


def test_a_sender_that_dies_is_followed_by_another_that_goes_on(site, receive):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    for number in range(3):
        admit(site, number)
    site.route(STUDY)
    with site.database.transaction() as tx:  # took one, noted it, and never came back
        now = tx.value("select now()")
        claimed = distribution.claim_transfer(tx, "PACS", lease_s=0.3, now=now)
        first = tx.value("select min(instance_key) from archive.instance")
        done = Progress(first, 1, ())
        distribution.note_progress(tx, claimed, done, lease_s=0.3, now=now)
    receiver = receive(port)
    site.work(ImageSender)
    until(lambda: states(site) == ["acknowledged"])
    assert receiver.taken == [f"{STUDY}.1.1", f"{STUDY}.1.2"]
    assert site.deliveries()[0].instances_sent == 3


@pytest.mark.peer("orthanc")
def test_orthanc_takes_images_and_commits_to_them(site, orthanc):
    site.add_peer("ORTHANC", orthanc)
    site.add_route("all", "ORTHANC", wants_commitment=True)
    for number in range(3):
        admit(site, number)
    site.route(STUDY)
    site.work()
    until(lambda: [each.commitment for each in site.deliveries()] == ["committed"], 30)
    (delivery,) = site.deliveries()
    assert (delivery.state, delivery.instances_sent) == ("acknowledged", 3)
    assert delivery.commitment_error is None


@pytest.mark.parametrize(("reason", "first"), [(None, False), (0x0110, False), (None, True)])
def test_a_commitment_on_the_same_association_is_proof_or_not(site, receive, reason, first):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS", wants_commitment=True)
    admit(site, 1)
    site.route(STUDY)
    receiver = receive(port)
    receiver.failure_reason, receiver.reports_first = reason, first
    site.work()
    until(lambda: site.deliveries()[0].commitment in {"committed", "failed"})
    (delivery,) = site.deliveries()
    assert receiver.asked == [f"{STUDY}.1.1"]
    if reason is None:
        assert (delivery.commitment, delivery.commitment_error) == ("committed", None)
    else:
        assert delivery.commitment == "failed"
        assert "processing failure" in delivery.commitment_error


def test_what_is_known_better_now_is_said_on_the_way_out(site, receive):
    port = free_port()
    site.add_peer("PACS", port)
    site.add_route("all", "PACS")
    stored = admit(site, 1, PatientID="WRONG")
    with site.database.transaction() as tx:
        now = tx.value("select now()")
        archive.correct(tx, SYSTEM, STUDY, Corrections(patient_id="RIGHT"), now=now)
    site.route(STUDY)
    receiver = receive(port)
    site.work(ImageSender)
    until(lambda: states(site) == ["acknowledged"])
    (got,) = receiver.objects
    assert (got.PatientID, got.PixelData) == ("RIGHT", stored.PixelData)
    (original,) = got.OriginalAttributesSequence
    assert original.ModifiedAttributesSequence[0].PatientID == "WRONG"
    with site.database.read() as tx:
        assert tx.values("select object_id from audit.record where action = 'study.send'") == [
            STUDY
        ]
