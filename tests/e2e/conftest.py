"""One running product for the story, allowed peers and users as a hospital would set them up."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.hl7_peers import ResultReceiver
from tests.e2e.product import Product, until

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    # The workspace draws with WebGL: by the processor, whatever the machine has.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def testdata() -> Path:
    """The folder of real third-party files."""
    chosen = os.environ.get("ISOCENTER_TESTDATA")  # noqa: TID251 - a switch of the tests
    folder = Path(chosen or ROOT.parent / "shared/testdata")
    if not folder.is_dir():
        pytest.skip("real test data is not here (ISOCENTER_TESTDATA)")
    return folder


@pytest.fixture(scope="session")
def ehr() -> Iterator[ResultReceiver]:
    receiver = ResultReceiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory, ehr: ResultReceiver) -> Iterator[Product]:
    installation = Product(tmp_path_factory.mktemp("product"), ISOCENTER_STUDY_QUIET_S="2")
    installation.cli("migrate")
    set_up_hospital(installation, ehr)
    yield installation
    installation.stop()


def set_up_hospital(product: Product, ehr: ResultReceiver) -> None:
    """Start the product and add the peers and users that the tests play."""
    product.start()
    peer = {"host": "127.0.0.1", "port": 11119, "allow": ["store", "find", "worklist"]}
    modalities = ("CT1", "MR1", "FINDSCU", "STORESCU", "ECHOSCU")
    results = {"host": "127.0.0.1", "port": ehr.port, "send": ["oru"], "receive": ["adt", "orm"]}
    document = {
        "format": "isocenter-config-1",
        "dicom_peers": [{"name": name, "ae_title": name, **peer} for name in modalities],
        "hl7_peers": [{"name": "EHR", "ack_timeout_s": 10, **results}],
    }
    peers = product.folder / "peers.json"
    peers.write_text(json.dumps(document))
    product.cli("config", "import", str(peers))
    until(product.takes_hl7, what="a connection of the peer made known just now")
    users = ("radiologist", "radiologist"), ("desk", "front_desk"), ("root", "administrator")
    for user, role in users:
        product.cli(
            "user", "add", user, "--role", role, "--password-stdin", stdin="correct horse 9\n"
        )


@pytest.fixture(scope="session")
def dcmtk() -> None:
    for program in ("findscu", "storescu", "echoscu", "dcmodify"):
        if shutil.which(program) is None:
            pytest.skip(f"DCMTK's {program} is not here")


@pytest.fixture(scope="session")
def chromium():
    """The one browser of a process: the driver runs but once in it."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    playwright.expect.set_options(timeout=30_000)  # the software that draws may have little time
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield browser
        browser.close()
