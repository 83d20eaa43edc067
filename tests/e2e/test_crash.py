"""Kill -9 of each role under load: nothing acknowledged is lost, nothing taken is sent again."""

import hashlib
import http.client
import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from tests.certificates import an_identity
from tests.e2e.conftest import set_up_hospital
from tests.e2e.hl7_peers import ResultReceiver, acknowledgement_code, order, registration, send
from tests.e2e.product import Product, until

KILLS_PER_ROLE = 4
IMAGES = 200
ORDERS = 100


@pytest.fixture(scope="module")
def hospital(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Product, ResultReceiver]]:
    """One installation that survives all of these tests, one after the other; over HTTPS."""
    ehr = ResultReceiver()
    folder = tmp_path_factory.mktemp("crash")
    settings = {"ISOCENTER_STUDY_QUIET_S": "2", "ISOCENTER_RESTART_WAIT_MAX_S": "1"}
    product = Product(folder, an_identity(folder), **settings)
    set_up_hospital(product, ehr)
    yield product, ehr
    product.stop()
    ehr.close()


def kill_repeatedly(product: Product, role: str, finished: threading.Event) -> int:
    """Kill the role at random moments while the load lasts; return how often."""
    moments = random.Random(4711)
    kills = 0
    while not finished.is_set() and kills < KILLS_PER_ROLE:
        until(lambda: product.role_processes(role), what=f"{role} is back")
        time.sleep(moments.uniform(0.2, 1.2))
        product.kill(role)
        kills += 1
    return kills


def under_load(product: Product, role: str, load: Callable[[], None]) -> int:
    finished = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            load()
        except BaseException as error:  # noqa: BLE001 - carried to the test that waits
            failures.append(error)
        finally:
            finished.set()

    worker = threading.Thread(target=run)
    worker.start()
    kills = kill_repeatedly(product, role, finished)
    worker.join(timeout=180)
    assert not worker.is_alive(), "the load did not end"
    assert not failures, failures
    assert kills
    until(product.ready, timeout_s=60, what="ready again after the kills")
    return kills


def image(study: str, number: int) -> pydicom.Dataset:
    path = pydicom.data.get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.2"
    dataset.SOPInstanceUID = f"{study}.3.{number + 1}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.InstanceNumber = number
    return dataset


def store_all(product: Product, study: str, count: int, acknowledged: dict[str, bytes]) -> None:
    """Send as a scanner does: again until it is answered; notes what was answered with success."""
    pending = list(range(count))
    deadline = time.monotonic() + 120
    while pending and time.monotonic() < deadline:
        entity = AE(ae_title="CT1")
        entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2", ExplicitVRLittleEndian)
        association = entity.associate("127.0.0.1", product.dicom_port, ae_title="ISOCENTER")
        while association.is_established and pending:
            dataset = image(study, pending[0])
            answer = association.send_c_store(dataset)
            if "Status" not in answer:
                break
            assert answer.Status == 0, hex(answer.Status)
            acknowledged[dataset.SOPInstanceUID] = hashlib.sha256(dataset.PixelData).digest()
            pending.pop(0)
            time.sleep(0.01)
        association.abort()
        time.sleep(0.2)
    assert not pending


@contextmanager
def copying(product: Product) -> Iterator[list[str]]:
    """A destination to which everything is sent on: the objects that it was sent, in order."""
    taken: list[str] = []

    def take(event):
        taken.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    entity = AE("COPY")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2", ExplicitVRLittleEndian)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)]
    )
    try:
        port = str(server.socket.getsockname()[1])
        where = ("--ae-title", "COPY", "--host", "127.0.0.1", "--port", port)
        product.cli("peer", "add", "dicom", "COPY", *where)
        product.cli("route", "add", "copy", "--to", "COPY", "--if", "calling=CT1")
        yield taken
        product.cli("route", "remove", "copy")
    finally:
        server.shutdown()


def check_copies(product: Product, study: str, taken: list[str], *, kills: int) -> None:
    """Every image was sent on, and counted once; what a killed worker had not noted came again."""
    until(lambda: len(set(taken)) == IMAGES, timeout_s=90, what="all images copied")

    def settled() -> bool:
        _, found = product.api("GET", f"/api/deliveries?study_instance_uid={study}")
        return {each["state"] for each in found} == {"acknowledged"} and (
            sum(each["instances_sent"] for each in found) == IMAGES
        )

    # A killed worker's lease ends within 20 s.
    until(settled, timeout_s=90, what="every transfer acknowledged, each image counted once")
    assert len(taken) - IMAGES <= kills * 50


def counted(product: Product, study: str) -> int:
    _, found = product.api("GET", f"/dicomweb/studies?StudyInstanceUID={study}")
    return found[0]["00201208"]["Value"][0] if found else 0


@pytest.mark.parametrize("role", ["dimse", "worker"])
def test_every_image_that_was_answered_with_success_is_there(hospital, role):
    product, _ = hospital
    study = {"dimse": "2.25.70011", "worker": "2.25.70012"}[role]
    acknowledged: dict[str, bytes] = {}
    with copying(product) if role == "worker" else nullcontext([]) as taken:
        kills = under_load(product, role, lambda: store_all(product, study, IMAGES, acknowledged))
        assert len(acknowledged) == IMAGES
        if role == "worker":
            check_copies(product, study, taken, kills=kills)
    session = requests.Session()
    session.trust_env, session.verify = False, str(product.identity.certificate)
    client = DICOMwebClient(
        f"{product.url}/dicomweb",
        session=session,
        headers={"Authorization": f"Bearer {product.token('radiologist')}"},
    )
    # What a process that was killed had answered and not shown yet, a worker finds within 15 s.
    until(lambda: counted(product, study) == IMAGES, timeout_s=60, what="all images are to be seen")
    stored = client.retrieve_series(study, f"{study}.2")
    assert acknowledged == {
        each.SOPInstanceUID: hashlib.sha256(each.PixelData).digest() for each in stored
    }
    assert counted(product, study) == IMAGES, "counted once each, in spite of repeats"


@pytest.mark.parametrize("role", ["hl7", "worker"])
def test_every_order_that_was_acknowledged_is_there_once(hospital, role):
    product, _ = hospital
    acknowledged: list[str] = []

    def load() -> None:
        for number in range(ORDERS):
            accession = f"K{role}{number:05d}"
            patient, name = f"K{role}{number}", f"Phantom^K{number}"
            messages = (
                registration(patient, name, control_id=f"KR{role}{number}"),
                order(
                    *(patient, name),
                    control_id=f"KO{role}{number}",
                    placer=f"K{role}-{number}",
                    accession=accession,
                ),
            )
            for message in messages:
                deliver(product, message)
            acknowledged.append(accession)

    under_load(product, role, load)
    assert len(acknowledged) == ORDERS
    for accession in acknowledged:
        status, body = product.api("GET", f"/api/exams?accession_number={accession}")
        assert status == 200
        assert len(body["items"]) == 1, accession
    for accession in acknowledged[-3:]:
        until(product.reached(accession, "on_worklist"), what="events flow on after the kills")


def deliver(product: Product, message: bytes) -> None:
    """Send as an EHR does: the same message again until it is acknowledged."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answers = send(product.hl7_port, message)
        except OSError:
            time.sleep(0.1)
            continue
        if answers:
            assert acknowledgement_code(answers[0]) == "AA", answers[0]
            return
    raise AssertionError("never acknowledged")


@pytest.mark.parametrize("role", ["hl7", "worker", "web"])
def test_every_signed_report_arrives_and_none_again_after_its_acknowledgement(hospital, role):
    product, ehr = hospital
    count = 40
    for number in range(count):
        accession = f"R{role}{number:05d}"
        send(
            product.hl7_port,
            order(
                *(f"R{role}{number}", f"Phantom^R{number}"),
                control_id=f"RO{role}{number}",
                placer=f"R{role}-{number}",
                accession=accession,
            ),
        )

    def call(method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                status, answer = product.api(method, path, body)
            except (OSError, ValueError, TimeoutError):
                status, answer = 0, None
            if status and status < 500:
                return status, answer
            time.sleep(0.1)
        raise AssertionError(f"{path}: no answer")

    def load() -> None:
        for number in range(count):
            accession = f"R{role}{number:05d}"
            status, report = call(
                "POST", "/api/reports", {"accession_number": accession, "text": f"Normal {number}."}
            )
            if status == 409:  # an answer was lost with the process: the draft is there already
                _, exam = call("GET", f"/api/exams/{accession}")
                report = exam["reports"][0]
            status, _ = call("POST", f"/api/reports/{report['report_id']}/sign")
            assert status in {200, 409}
            time.sleep(0.05)

    before = len(ehr.received)
    kills = under_load(product, role, load)

    def all_acknowledged() -> bool:
        _, deliveries = product.api("GET", "/api/deliveries?limit=200")
        ours = [d for d in deliveries if d["accession_number"].startswith(f"R{role}")]
        states = Counter(d["state"] for d in ours)
        return states == {"acknowledged": count}

    until(all_acknowledged, timeout_s=120, what="every report acknowledged")
    received = ehr.received[before:]
    settled = len(received)
    by_control_id = Counter(str(m.segment("MSH")[10]) for m in received)
    assert len(by_control_id) == count
    # Only a process killed between receiving an acknowledgement and recording it may repeat a
    # message, and then it repeats the same one, under the same control id.
    assert settled - count <= kills
    bodies = {(str(m.segment("MSH")[10]), str(m)) for m in received}
    assert len(bodies) == count, "a repeated message is the same to the byte"
    time.sleep(3)
    assert len(ehr.received) == before + settled, "nothing is sent again after it was acknowledged"


def test_plain_http_on_the_https_port_is_not_answered(hospital):
    product, _ = hospital
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(f"http://127.0.0.1:{product.http_port}/health/ready", timeout=5)
