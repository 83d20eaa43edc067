"""OHIF 3.13.2, unchanged, on our DICOMweb: an independent viewer's whole way from list to pixels.

It has its own origin and a bearer token, as where a hospital runs its own viewer. What is on the
screen is judged by counting lit pixels, and by what the viewer itself says that it has loaded.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests

from tests.e2e.ohif.conftest import ViewerSite
from tests.e2e.pictures import captured
from tests.e2e.product import Product, until

HEAD = "ct_head_philips_2mm_jpegls"
SEGMENTED = "dcmqi_ct_seg_sr/data/segmentations"
WAIT_MS = 60_000  # the processor draws, and others may need it, too
PET_CT = "2.25.70001"
PRIOR = "2.25.70002"


class Reader:
    """Somebody at the viewer: a browser with one page."""

    def __init__(self, browser, site: ViewerSite, archive: Product) -> None:
        self.site = site
        self.archive = archive
        self.failures: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page(viewport={"width": 1200, "height": 800})
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))
        self.page.on("response", self._note)
        self.page.on("requestfailed", self._note_failure)
        # The guided tour covers the first view.
        self.page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")

    def _note(self, response) -> None:
        if response.url.startswith(self.archive.url):
            self.asked.append(response.url.removeprefix(self.archive.url))
            if response.status >= 400:
                self.failures.append(f"{response.status} {response.url}")

    def _note_failure(self, request) -> None:
        # A page that is left ends its requests; that is no failure of the archive.
        if request.url.startswith(self.archive.url) and "ABORTED" not in (request.failure or ""):
            self.failures.append(f"{request.failure} {request.url}")

    def open(self, path: str) -> None:
        self.asked.clear()
        self.page.goto(self.site.url + path)

    def wait_for_images(self, count: int, *, lit: float = 0.005) -> None:
        """Wait until so many viewports show more than ``lit`` of their pixels."""
        self.page.wait_for_function(
            """([count, lit]) => [...document.querySelectorAll("canvas.cornerstone-canvas")]
                .filter(canvas => {
                    if (!canvas.width || !canvas.height) return false;
                    const drawn = document.createElement("canvas");
                    [drawn.width, drawn.height] = [100, 100];
                    const pencil = drawn.getContext("2d");
                    pencil.drawImage(canvas, 0, 0, 100, 100);
                    const values = pencil.getImageData(0, 0, 100, 100).data;
                    let bright = 0;
                    for (let at = 0; at < values.length; at += 4) bright += values[at] > 40;
                    return bright > lit * 10000;
                }).length >= count""",
            arg=[count, lit],
        )

    def display_sets(self) -> list[dict[str, object]]:
        """What the viewer has made of the study's instances."""
        return self.page.evaluate(
            """() => services.displaySetService.getActiveDisplaySets()
                .map(({ Modality, numImageFrames, isReconstructable, displaySetInstanceUID }) =>
                    ({ Modality, numImageFrames, isReconstructable, displaySetInstanceUID }))"""
        )

    def screenshot(self, name: str) -> None:
        folder = self.archive.folder / "screenshots"
        folder.mkdir(exist_ok=True)
        captured(self.page, folder / f"{name}.png")


def part10(ds: pydicom.Dataset) -> bytes:
    stream = io.BytesIO()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def moved(path: Path, study: str, number: int, series: int, **changes: object) -> pydicom.Dataset:
    """A real image as the ``number``th of another series."""
    ds = pydicom.dcmread(path)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, f"{study}.{series}"
    ds.SOPInstanceUID = f"{study}.{series}.{number}"
    ds.SeriesNumber, ds.InstanceNumber = series, number
    ds.PatientName, ds.PatientID = "Phantom^Plastic", "PLASTIC"
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def pet_ct(folder: Path, head: list[Path]) -> Iterator[bytes]:
    """A head CT, and a real PET image at each of its places."""
    frame = {"FrameOfReferenceUID": f"{PET_CT}.9", "StudyDate": "20160301"}
    pet = folder / "pet_ct_mr_misc/1.dcm"
    for number, path in enumerate(head, start=1):
        ct = moved(path, PET_CT, number, 1, **frame)
        yield part10(ct)
        x, y, z = ct.ImagePositionPatient
        place = {
            "ImagePositionPatient": [x - 120, y - 160, z],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "SliceThickness": ct.SliceThickness,
        }
        yield part10(moved(pet, PET_CT, number, 2, **frame, **place))


@pytest.fixture(scope="module")
def reader(
    viewer_site: ViewerSite,
    chromium,
    testdata: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Reader]:
    archive = Product(
        tmp_path_factory.mktemp("archive"),
        ISOCENTER_CROSS_ORIGINS=viewer_site.url,
        ISOCENTER_WEB_PROCESSES="2",
    )
    archive.cli("migrate")
    archive.start()
    try:
        for user, role in (("tom", "technologist"), ("ada", "radiologist")):
            archive.cli("user", "add", user, "--role", role)
        store(archive, testdata / "dicom")
        viewer_site.configure(f"{archive.url}/dicomweb", archive.token("ada"))
        reading = Reader(chromium, viewer_site, archive)
        yield reading
        reading.page.close()
    finally:
        archive.stop()


def store(archive: Product, folder: Path) -> None:
    by_place = sorted(
        (folder / HEAD).glob("*.dcm"),
        key=lambda path: float(
            pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]
        ),
    )
    segmented = folder / SEGMENTED
    plain = [*by_place, *sorted(segmented.glob("ct-3slice/*.dcm")), segmented / "liver.dcm"]
    prior = [
        part10(moved(path, PRIOR, number, 1, StudyDate="20140101"))
        for number, path in enumerate(by_place[20:25], start=1)
    ]
    objects = [*(path.read_bytes() for path in plain), *prior, *pet_ct(folder, by_place[::3])]
    head = b"--part\r\nContent-Type: application/dicom\r\n\r\n"
    answer = requests.post(
        f"{archive.url}/dicomweb/studies",
        data=b"".join(head + each + b"\r\n" for each in objects) + b"--part--\r\n",
        headers={
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=part',
            "Authorization": f"Bearer {archive.token('tom')}",
        },
        timeout=120,
    )
    assert answer.status_code == 200, answer.text


def study_of(folder: Path, path: str) -> str:
    found = next((folder / "dicom" / path).rglob("*.dcm"))
    return str(pydicom.dcmread(found, stop_before_pixels=True).StudyInstanceUID)


def test_the_study_list_is_searched(reader: Reader) -> None:
    reader.open("/")
    page = reader.page
    segmented, head = (page.get_by_text(name, exact=True) for name in ("JANCT000", "HEAD"))
    segmented.wait_for()
    assert head.is_visible()
    assert page.get_by_text("CT\\SEG", exact=True).is_visible()
    page.locator("input").first.fill("janct")
    head.wait_for(state="hidden")
    reader.screenshot("list")
    assert segmented.is_visible()
    assert not reader.failures


def test_a_series_is_shown_as_a_stack(reader: Reader, testdata: Path) -> None:
    reader.open(f"/viewer?StudyInstanceUIDs={study_of(testdata, HEAD)}")
    reader.wait_for_images(1)
    reader.screenshot("stack")
    (head,) = reader.display_sets()
    assert (head["Modality"], head["numImageFrames"]) == ("CT", 70)
    assert any("/frames/1" in path for path in reader.asked)
    assert any("/thumbnail" in path for path in reader.asked)
    assert not reader.failures


def test_a_series_is_cut_in_three_planes(reader: Reader, testdata: Path) -> None:
    reader.open(f"/viewer?StudyInstanceUIDs={study_of(testdata, HEAD)}&hangingprotocolId=mpr")
    reader.wait_for_images(3)
    reader.screenshot("mpr")
    assert [each["isReconstructable"] for each in reader.display_sets()] == [True]
    assert not reader.failures


def test_a_study_is_compared_with_its_prior(reader: Reader, testdata: Path) -> None:
    current = study_of(testdata, HEAD)
    reader.open(f"/viewer?StudyInstanceUIDs={current},{PRIOR}&hangingprotocolId=@ohif/hpCompare")
    reader.wait_for_images(2)
    reader.screenshot("compare")
    assert sorted(each["numImageFrames"] for each in reader.display_sets()) == [5, 70]
    assert not reader.failures


def test_a_segmentation_lies_over_its_images(reader: Reader, testdata: Path) -> None:
    reader.open(f"/viewer?StudyInstanceUIDs={study_of(testdata, SEGMENTED + '/ct-3slice')}")
    reader.wait_for_images(1)
    found = {each["Modality"]: each["displaySetInstanceUID"] for each in reader.display_sets()}
    assert set(found) == {"CT", "SEG"}
    reader.page.evaluate(
        """(displaySetInstanceUID) => {
            const viewportId = services.viewportGridService.getActiveViewportId();
            const updates = services.hangingProtocolService.getViewportsRequireUpdate(
                viewportId, displaySetInstanceUID);
            services.viewportGridService.setDisplaySetsForViewports(updates);
        }""",
        found["SEG"],
    )
    reader.page.wait_for_function(
        "() => services.segmentationService.getSegmentations().length === 1"
    )
    reader.page.wait_for_timeout(500)
    reader.screenshot("seg")
    (segments,) = reader.page.evaluate(
        """() => services.segmentationService.getSegmentations()
            .map(({ segments }) => Object.values(segments).map(({ label }) => label))"""
    )
    assert segments == ["Liver"]
    assert not reader.failures


def test_pet_and_ct_are_fused(reader: Reader) -> None:
    reader.open(f"/tmtv?StudyInstanceUIDs={PET_CT}")
    reader.wait_for_images(9, lit=0.01)
    reader.screenshot("pet-ct")
    assert {each["Modality"] for each in reader.display_sets()} == {"CT", "PT"}
    # The standardised uptake value is known: dose, weight and times have come through.
    assert reader.page.get_by_text("54282").count() == 0
    assert not reader.failures


def drawn_on(image: pydicom.Dataset) -> dict[str, dict]:
    """One measurement of each kind that both viewers have, on places (column, row) of an image."""
    origin = np.array(image.ImagePositionPatient, float)
    row, column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    between, across = (float(each) for each in image.PixelSpacing)

    def world(*places: tuple[float, float]) -> list[list[float]]:
        return [list(origin + row * across * x + column * between * y) for x, y in places]

    def content(points: list[list[float]], *statistics: tuple[str, float, str]) -> dict:
        named = [{"name": name, "value": value, "unit": unit} for name, value, unit in statistics]
        return {"points": points, "statistics": named}

    region = [("Area", 1200.5, "mm²"), ("Mean", 41.5, "HU"), ("SD", 3.25, "HU"), ("Max", 90, "HU")]
    square = [(150, 150), (250, 150), (150, 250), (250, 250)]
    return {
        "Length": content(world((100, 200), (300, 200)), ("", 200 * across, "mm")),
        "Bidirectional": content(
            world((100, 100), (200, 100), (150, 80), (150, 120)),
            ("", 100 * across, "mm"), ("\u00d7", 40 * between, "mm"),
        ),
        "Angle": content(world((200, 100), (200, 200), (300, 200)), ("", 90.0, "°")),
        "CobbAngle": content(
            world((100, 100), (200, 100), (100, 200), (200, 300)), ("", 45.0, "°")
        ),
        "EllipticalROI": content(world((200, 150), (200, 250), (150, 200), (250, 200)), *region),
        "RectangleROI": content(world(*square), *region),
        "ArrowAnnotate": {**content(world((60, 60), (80, 80))), "text": "here"},
        "Probe": content(world((256, 256)), ("", 42.0, "HU")),
    }  # fmt: skip


def test_what_was_measured_with_us_is_measured_there(reader: Reader, testdata: Path) -> None:
    archive, study = reader.archive, study_of(testdata, HEAD)
    image = pydicom.dcmread(sorted((testdata / "dicom" / HEAD).glob("*.dcm"))[30])
    drawn = drawn_on(image)
    ada = requests.Session()
    ada.headers["Authorization"] = f"Bearer {archive.token('ada')}"
    for number, (tool, content) in enumerate(drawn.items()):
        answer = ada.put(
            f"{archive.url}/api/studies/{study}/measurements/m{number}",
            json={
                "series_instance_uid": image.SeriesInstanceUID,
                "sop_instance_uid": image.SOPInstanceUID,
                "frame_number": 1,
                "tool": tool,
                "label": f"our {tool}",
                "content": content,
            },
            timeout=30,
        )
        assert answer.status_code == 204, answer.text
    path = f"{archive.url}/api/studies/{study}/archived-findings"
    assert ada.post(path, timeout=30).status_code == 202
    until(lambda: ada.get(path, timeout=30).json()["request"]["done_at"], what="the report")

    reader.open(f"/viewer?StudyInstanceUIDs={study}")
    reader.wait_for_images(1)
    (report,) = [each for each in reader.display_sets() if each["Modality"] == "SR"]
    found = reader.page.evaluate(
        """async (displaySetInstanceUID) => {
            const set = services.displaySetService.getDisplaySetByUID(displaySetInstanceUID);
            await set.load();
            commands.runCommand("hydrateStructuredReport", { displaySetInstanceUID });
            return {
              rehydratable: set.isRehydratable,
              measurements: services.measurementService.getMeasurements().map((each) => ({
                tool: each.toolName, label: each.label, image: each.SOPInstanceUID,
                points: each.points, text: each.displayText,
              })),
            };
        }""",
        report["displaySetInstanceUID"],
    )
    reader.screenshot("sr")
    assert found["rehydratable"]
    assert sorted(each["tool"] for each in found["measurements"]) == sorted(drawn)
    assert {each["image"] for each in found["measurements"]} == {image.SOPInstanceUID}
    for each in found["measurements"]:
        assert np.abs(np.subtract(each["points"], drawn[each["tool"]]["points"])).max() < 0.01
    told = {each["tool"]: each["text"]["primary"] for each in found["measurements"]}
    assert told["Bidirectional"] == ["L: 45.1 mm", "W: 18.0 mm"]
    assert told["RectangleROI"] == ["1201 mm²"]
    assert not reader.failures
