"""A running product with a radiologist at a browser, for benches and rehearsals.

The product is started as a user would (``isocenter serve``), in a folder of its own; images are
made up and stored over HTTP, orders come over HL7. Nothing of the product is imported.
"""

import io
import re
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tools.bench.receivers import ENVIRONMENT, free_port, running

CHROMIUM: Final = Path("/usr/bin/chromium")
PASSWORD: Final = "correct horse 9"  # noqa: S105 - of an installation that is thrown away
ARGUMENTS: Final = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    # The browser's own window is drawn from pages as well, which it loads beside ours when it
    # begins. This list replaces Playwright's: what of that matters here is in it.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,PreloadTopChromeWebUI,HttpsUpgrades"
    ",HttpsFirstBalancedModeAutoEnable,MediaRouter,OptimizationHints,NetworkTimeServiceQuerying"
    ",AimEnabled,PreconnectToSearch,PaintHolding",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-precise-memory-info",
)
WAIT_MS: Final = 120_000
_READY_S: Final = 240.0  # of a product on a busy machine
SPACING_MM: Final = 0.7
SLICE_MM: Final = 2.5
_NOISE_HU: Final = 14.0
Pixels = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Room:
    """The product: where it answers, and a program's token."""

    url: str
    hl7_port: int
    token: str

    def ask(self, path: str) -> Any:
        """The JSON that the product answers."""
        answer = httpx.get(self.url + path, headers=self._login, timeout=60)
        answer.raise_for_status()
        return answer.json()

    @property
    def _login(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def store(self, files: Iterable[bytes]) -> None:
        """Store objects by STOW-RS, some at a time."""
        batch: list[bytes] = []
        for each in files:
            batch.append(each)
            if len(batch) == 100:
                self._post(batch)
                batch = []
        if batch:
            self._post(batch)

    def _post(self, batch: list[bytes]) -> None:
        parts = [b"--b\r\nContent-Type: application/dicom\r\n\r\n" + each for each in batch]
        kind = 'multipart/related; type="application/dicom"; boundary=b'
        answer = httpx.post(
            f"{self.url}/dicomweb/studies",
            content=b"\r\n".join(parts) + b"\r\n--b--",
            headers=self._login | {"Content-Type": kind},
            timeout=300,
        )
        answer.raise_for_status()

    def order(self, patient_id: str, name: str, accession_number: str) -> None:
        """Place an order over HL7, as the hospital's system would."""
        stamp = time.strftime("%Y%m%d%H%M%S")
        obr = [""] * 28
        obr[1], obr[2], obr[4] = "1", f"P{accession_number}^EHR", "CTHEAD^CT of the head^L"
        obr[18], obr[24], obr[27] = accession_number, "CT", f"^^^{stamp}^^R"
        lines = [
            f"MSH|^~\\&|EHR|HOSPITAL|ISOCENTER|RAD|{stamp}||ORM^O01|{accession_number}|P|2.3.1",
            f"PID|1||{patient_id}^^^HOSP^MR||{name}||19600229|F",
            "PV1|1|O|RAD^1^1",
            f"ORC|NW|P{accession_number}^EHR|||||^^^{stamp}^^R||{stamp}|||77^Referrer^Synthetic",
            "|".join(["OBR", *obr[1:]]),
        ]
        with socket.create_connection(("127.0.0.1", self.hl7_port), timeout=30) as connection:
            connection.sendall(b"\x0b" + "\r".join([*lines, ""]).encode() + b"\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                answer += connection.recv(65536)
        if b"MSA|AA" not in answer:
            raise RuntimeError(answer.decode(errors="replace"))


@contextmanager
def reading_room(folder: Path, **settings: str) -> Generator[Room]:
    """Run the product with a radiologist until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = {f"ISOCENTER_{name}_PORT": str(free_port()) for name in ("HTTP", "DICOM", "HL7")}
    environment = {
        "ISOCENTER_HOME": str(folder / "home"),
        "ISOCENTER_STUDY_QUIET_S": "2",
        "ISOCENTER_WEB_PROCESSES": "1",
        **ports,
        **settings,
    }

    def command(*arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "isocenter", *arguments],
            env=ENVIRONMENT | environment,
            input=given,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    command("migrate")
    peer = ("EHR", "--host", "127.0.0.1", "--port", "2599", "--receive", "adt,orm")
    command("peer", "add", "hl7", *peer)
    user = ("user", "add", "radiologist", "--role", "radiologist", "--password-stdin")
    command(*user, given=f"{PASSWORD}\n")
    token = command("token", "create", "--user", "radiologist")
    serve = [sys.executable, "-m", "isocenter", "serve"]
    port = int(ports["ISOCENTER_HTTP_PORT"])
    hl7_port = int(ports["ISOCENTER_HL7_PORT"])
    with running(serve, folder=folder, port=hl7_port, **environment):
        room = Room(f"http://127.0.0.1:{port}", hl7_port, token)
        _wait_until_ready(room)
        yield room


def _wait_until_ready(room: Room) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        with suppress(httpx.TransportError):  # nobody listens there yet
            if httpx.get(f"{room.url}/health/ready", timeout=10).is_success:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(room.url)
        time.sleep(0.2)


@contextmanager
def chromium() -> Generator[Browser]:
    """The browser, which draws by the processor on every machine."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def signed_in(browser: Browser, room: Room) -> Generator[BrowserContext]:
    """A browser context in which the radiologist is signed in."""
    context = browser.new_context(base_url=room.url, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto("/sign-in")
    page.get_by_label("User name").fill("radiologist")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r".*/$"))
    page.close()
    yield context
    context.close()


def heap_bytes(page: Page) -> int:
    """What the page's script holds after garbage was collected."""
    session: Any = page.context.new_cdp_session(page)  # its answers have no types
    session.send("HeapProfiler.collectGarbage")
    used = int(session.send("Runtime.getHeapUsage")["usedSize"])
    session.detach()
    return used


@dataclass(frozen=True, slots=True)
class Scan:
    """A made-up CT of one patient.

    Attributes:
        size: rows and columns.
    """

    study_instance_uid: str
    patient_id: str
    patient_name: str
    accession_number: str = ""
    study_date: str = "20260302"
    slices: int = 24
    size: int = 256


def scan_files(scan: Scan) -> Iterator[bytes]:
    """The objects of the scan: a body with a bright block in air, one file for each slice."""
    series, frame = generate_uid(), generate_uid()
    sections = _sections(scan.size)
    for number in range(1, scan.slices + 1):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = scan.study_instance_uid, series
        ds.PatientName, ds.PatientID = scan.patient_name, scan.patient_id
        ds.PatientBirthDate, ds.PatientSex = "19600229", "F"
        ds.AccessionNumber, ds.Modality = scan.accession_number, "CT"
        ds.StudyDate, ds.StudyTime, ds.StudyDescription = scan.study_date, "080000", "CT head"
        ds.SeriesDescription, ds.BodyPartExamined = "axial", "HEAD"
        ds.SeriesNumber, ds.InstanceNumber = 1, number
        ds.FrameOfReferenceUID = frame
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [-90, -90, SLICE_MM * number]
        ds.PixelSpacing, ds.SliceThickness = [SPACING_MM, SPACING_MM], SLICE_MM
        ds.Rows = ds.Columns = scan.size
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
        ds.WindowCenter, ds.WindowWidth = 40, 400
        ds.PixelData = next(sections).tobytes()
        yield _part10(ds)


def _sections(size: int) -> Iterator[Pixels]:
    """Sections as a scanner makes them, without end: stored values, 1024 is water.

    Tissue with noise of 14 HU whose neighbours depend on each other, air with less of it around,
    and one value where the scanner did not look. Each shows other rows of the same noise.
    """
    noise = np.random.default_rng(3).normal(size=(size + 64, size))
    for axis in (0, 1):
        noise = (np.roll(noise, 1, axis) + 14 * noise + np.roll(noise, -1, axis)) / 16
    noise *= _NOISE_HU / noise.std()
    down, along = np.mgrid[:size, :size] / size - 0.5
    seen = down**2 + along**2 <= 0.25
    body = (down / 0.45) ** 2 + (along / 0.49) ** 2 <= 1
    block = (abs(down) <= 0.05) & (abs(along + 0.2) <= 0.05)
    tissue = np.where(body, 1064.0, 24.0)
    share = np.where(body, 1.0, 0.7)
    for number in count(1):
        from_row = number % 64
        section = (tissue + share * noise[from_row : from_row + size]).round().clip(0)
        section[~seen] = 0
        section[block] = 2000
        yield section.astype("<u2")


def _part10(ds: Dataset) -> bytes:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
