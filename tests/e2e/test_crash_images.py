"""Kill -9 of each role while images come: none that was answered is lost, none is counted twice."""

import hashlib
import http.client
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from tests.e2e.crash import running_hospital, under_load
from tests.e2e.hl7_peers import ResultReceiver
from tests.e2e.product import Product, until

IMAGES = 200


@pytest.fixture(scope="module")
def hospital(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Product, ResultReceiver]]:
    yield from running_hospital(tmp_path_factory)


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
            try:
                answer = association.send_c_store(dataset)
            except RuntimeError:  # it was lost since it was looked at
                break
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


def test_plain_http_on_the_https_port_is_not_answered(hospital):
    product, _ = hospital
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(f"http://127.0.0.1:{product.http_port}/health/ready", timeout=5)
