"""The reading workspace in a real browser, judged by numbers that are not its own.

Voxels and statistics are compared with pydicom's and numpy's, lengths with how the image was made,
letters with where a bright square of the phantom is seen.
"""

import base64
import io
import re
from collections.abc import Iterator

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import generate_uid

from isocenter.app.subscriptions import router
from isocenter.gateways.web.web import STATIC
from isocenter.gateways.web.workspace_assets import workspace_assets
from isocenter.infra.db import Database
from tests.e2e.pages.conftest import Site
from tests.e2e.pages.workspace_images import (
    SIZE,
    SPACING_MM,
    a_slice,
    ct,
    mammograms,
    part10,
    radiograph,
    registration,
)
from tests.e2e.pictures import captured
from tests.e2e.product import until
from tests.hospital import PASSWORD, Hospital

HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
LOSSLESS = (
    "ImplicitTransferSyntax_1.2.840.10008.1.2.",
    "LittleEndianExplicit",
    "BigEndianExplicit",
    "DeflatedExplicit",
    "RLELossless",
    "JPEGProcess14Transfer",
    "JPEGProcess14SV1",
    "JPEGLSLossless",
    "JPEG2000LosslessOnly",
)


def expect(locator):
    from playwright.sync_api import expect as made  # noqa: PLC0415 - skipped where it is absent

    return made(locator)


class Ward:
    """A hospital with a browser in which a radiologist is signed in."""

    def __init__(self, site, context):
        self.site = site
        self.hospital = site.hospital
        self.context = context
        self.complaints: list[str] = []

    def store(self, contents):
        parts = b"".join(
            b"--b\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n" for each in contents
        )
        answer = self.hospital.program("tom").post(
            "/dicomweb/studies",
            content=parts + b"--b--",
            headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
        )
        assert answer.status_code == 200, answer.text
        self.hospital.dispatcher.run_once()

    def api(self, path):
        with self.hospital.program("ada") as program:
            answer = program.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def open(self, path):
        page = self.context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda line: self.complaints.append(line.text) if line.type == "error" else None,
        )
        page.goto(path)
        page.wait_for_selector("html[data-ready=true]")
        return page


@pytest.fixture(scope="module")
def ward(database_stock, tmp_path_factory, chromium) -> Iterator[Ward]:
    if workspace_assets(STATIC) is None:
        pytest.skip("the reading workspace is not here: make viewer builds it")
    url = database_stock.take()
    database = Database(url, router=router(), connections_max=8)
    site = Site(Hospital(database, tmp_path_factory.mktemp("ward") / "objects"))
    site.hospital.user("ada")
    context = chromium.new_context(base_url=site.url, viewport={"width": 1300, "height": 850})
    page = context.new_page()
    page.goto("/sign-in")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
    page.close()
    made = Ward(site, context)
    yield made
    context.close()
    site.stop()
    site.hospital.pool.close()
    database.close()
    database_stock.give_back(url)
    assert not made.complaints


@pytest.fixture(scope="module")
def exam(ward) -> tuple[str, str]:
    """An exam with one straight CT series: its accession number and Study Instance UID."""
    number = ward.hospital.order(1)
    study_uid = generate_uid()
    ward.store([part10(each) for each in ct(study_uid, number)])
    return number, study_uid


def voxels(page):
    """The active viewport's image as the workspace measures in it: (rows, columns)."""
    rows, columns, content = page.evaluate(
        """async () => {
          const pane = isocenterWorkspace.grid.active;
          const image = pane.stack.getCornerstoneImage();
          const values = Float64Array.from(image.voxelManager.getScalarData());
          let text = "";
          const bytes = new Uint8Array(values.buffer);
          for (let at = 0; at < bytes.length; at += 32768)
            text += String.fromCharCode(...bytes.subarray(at, at + 32768));
          return [image.rows, image.columns, btoa(text)];
        }"""
    )
    return np.frombuffer(base64.b64decode(content), "<f8").reshape(rows, columns)


def go(page, index):
    page.evaluate("index => isocenterWorkspace.grid.active.go(index)", index)
    expect(page.locator(".pane .bottom-right").first).to_contain_text(f"Image {index + 1} of")


STEADY = """async () => {
  const camera = () => JSON.stringify(isocenterWorkspace.grid.active.viewport.getCamera());
  const before = camera();
  for (let frame = 0; frame < 5; frame += 1) await new Promise(requestAnimationFrame);
  return before === camera();
}"""


def until_drawn(page, series_uid):
    """Return when the active viewport's image is one of the series; its words are there before."""
    drawn = "isocenterWorkspace.grid.active.stack?.getCornerstoneImage()?.imageId ?? ''"
    until(lambda: series_uid in page.evaluate(drawn), what=f"an image of {series_uid}")
    # The image is there a moment before the camera has moved to it.
    until(lambda: page.evaluate(STEADY), what="a view that no longer moves")


def canvas_points(page, indices):
    """Where pixels (column, row) of the active viewport's image are on the page."""
    return page.evaluate(
        """indices => {
          const pane = isocenterWorkspace.grid.active;
          const box = pane.canvas.getBoundingClientRect();
          const image = pane.viewport.getImageData().imageData;
          return indices.map(([i, j]) => {
            const [x, y] = pane.viewport.worldToCanvas(image.indexToWorld([i, j, 0]));
            return [box.x + x, box.y + y];
          });
        }""",
        indices,
    )


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
    page.mouse.move(*end, steps=3)
    page.mouse.up()


def kept(ward, study_uid, count):
    path = f"/api/studies/{study_uid}/measurements"
    return until(lambda: found if len(found := ward.api(path)) == count else None, what=path)


def test_voxels_are_those_of_the_file_in_every_lossless_transfer_syntax(ward, testdata):
    study_uid, series_uid = generate_uid(), generate_uid()
    files = sorted((testdata / "dicom/ct_all_transfer_syntaxes").glob("CTImage.dcm_*.dcm"))
    chosen = [path for path in files if any(each in path.name for each in LOSSLESS)]
    assert len(chosen) == len(LOSSLESS)
    plain = pydicom.dcmread(testdata / "dicom/ct_all_transfer_syntaxes/CTImage.dcm")
    wanted = plain.pixel_array * float(plain.RescaleSlope) + float(plain.RescaleIntercept)
    plain.PixelData = encapsulate([imagecodecs.htj2k_encode(plain.pixel_array, reversible=True)])
    plain["PixelData"].is_undefined_length = True
    plain.file_meta.TransferSyntaxUID = HTJ2K_LOSSLESS
    contents = []
    for number, ds in enumerate([*map(pydicom.dcmread, chosen), plain], 1):
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
        ds.SOPInstanceUID, ds.InstanceNumber = generate_uid(), number
        contents.append(part10(ds))
    ward.store(contents)
    page = ward.open(f"/studies/{study_uid}/read")
    for index in range(len(contents)):  # all hold the same image
        go(page, index)
        name = chosen[index].name if index < len(chosen) else "HTJ2K"
        assert np.array_equal(voxels(page), wanted), name
    page.close()


def test_what_is_measured_is_true_kept_and_taken_into_the_report(ward, exam):
    number, study_uid = exam
    page = ward.open(f"/exams/{number}/read")
    go(page, 2)
    page.keyboard.press("l")
    drag(page, *canvas_points(page, [[20, 60], [70, 60]]))
    page.keyboard.press("e")
    drag(page, *canvas_points(page, [[40, 40], [60, 54]]))
    length, ellipse = sorted(kept(ward, study_uid, 2), key=lambda each: each["tool"] != "Length")
    (told,) = length["content"]["statistics"]
    assert told["unit"] == "mm"
    assert told["value"] == pytest.approx(50 * SPACING_MM, abs=0.3)  # to a pixel of the screen
    ends = np.array(length["content"]["points"])
    assert told["value"] == pytest.approx(np.linalg.norm(ends[0] - ends[1]), abs=1e-6)
    check_statistics(ellipse)
    page.locator("#tab-measurements").click()
    page.get_by_label("Name of this length").fill("Lesion")
    page.keyboard.press("Enter")
    row = page.locator("[data-measurement]", has=page.get_by_label("Name of this length"))
    row.get_by_role("button", name="Insert").click()
    sentence = f"Lesion: {told['value']:.1f} mm (CT 1 phantom, image 3 of 5)."
    expect(page.locator("#text")).to_have_value(sentence)
    expect(page.locator("#draft-state")).to_contain_text("Draft saved")
    page.close()

    again = ward.open(f"/exams/{number}/read")
    expect(again.locator("#text")).to_have_value(sentence)
    again.locator("#tab-measurements").click()
    again.get_by_role("button", name="Show").first.click()
    expect(again.locator(".pane svg text", has_text="Lesion")).to_be_attached()
    expect(again.locator(".pane .bottom-right").first).to_contain_text("Image 3 of 5")
    again.get_by_role("button", name="Delete Lesion").click()
    (left,) = kept(ward, study_uid, 1)
    assert left["tool"] == "EllipticalROI"
    assert [each[0] for each in ward.hospital.audited("measurement.remove")] == ["ada"]
    again.close()


def check_statistics(ellipse):
    """Mean, SD, least and greatest of the pixels whose centres lie in the ellipse, and its area."""
    points = (np.array(ellipse["content"]["points"])[:, :2] + 50) / SPACING_MM  # columns, rows
    low, high = points.min(axis=0), points.max(axis=0)
    centre, radii = (low + high) / 2, (high - low) / 2
    rows, columns = np.mgrid[:SIZE, :SIZE]
    inside = ((columns - centre[0]) / radii[0]) ** 2 + ((rows - centre[1]) / radii[1]) ** 2 <= 1
    values = a_slice(3)[inside].astype(float)
    told = {each["name"]: each["value"] for each in ellipse["content"]["statistics"]}
    assert told["Mean"] == pytest.approx(values.mean(), abs=1e-9)
    assert told["SD"] == pytest.approx(values.std(), rel=0.01)
    assert (told["Min"], told["Max"]) == (values.min(), values.max())
    assert told["Area"] == pytest.approx(np.pi * np.prod(radii) * SPACING_MM**2, rel=1e-6)


def test_letters_stand_where_the_patient_is_under_flips_and_turns(ward, exam):
    page = ward.open(f"/exams/{exam[0]}/read")
    for keys in ("", "x", "y", "x", ".", "x", "."):  # each on top of those before
        if keys:
            page.keyboard.press(keys)
        letters = letters_of(page)
        across, down = towards_the_square(page)
        sides = {
            letters["right" if across > 0 else "left"],
            letters["bottom" if down > 0 else "top"],
        }
        assert sides == {"L", "A"}, (keys, letters, across, down)
    page.close()


def letters_of(page):
    """The letters at the four sides, once the picture that they belong to is shown."""
    return page.evaluate(
        """async () => {
          for (let frame = 0; frame < 4; frame++) await new Promise(requestAnimationFrame);
          const marks = [...document.querySelectorAll(".pane .mark")];
          return Object.fromEntries(marks.map((each) => [each.dataset.side, each.textContent]));
        }"""
    )


def towards_the_square(page):
    """From the middle of the viewport to the brightest part of the picture: right, down."""
    shot = Image.open(io.BytesIO(captured(page.locator(".pane .canvas canvas").first)))
    grey = np.asarray(shot.convert("L")).astype(float)
    height, width = grey.shape
    grey[:, : width // 12] = grey[:, -width // 12 :] = 0  # text around the image
    grey[: height // 12] = grey[-height // 12 :] = 0
    bright = Image.fromarray(grey).reduce(16)
    row, column = np.unravel_index(np.asarray(bright).argmax(), (bright.height, bright.width))
    return column - bright.width / 2, row - bright.height / 2


RADIOGRAPHS = (  # what the image states about its spacing, what a line of 50 pixels is then
    ({"ImagerPixelSpacing": [0.2, 0.2]}, 10.0, "mm (at the detector)"),
    (
        {"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 1.25},
        8.0,
        "mm (magnification corrected)",
    ),
    (
        {
            "ImagerPixelSpacing": [0.2, 0.2],
            "PixelSpacing": [0.1, 0.1],
            "PixelSpacingCalibrationType": "FIDUCIAL",
        },
        5.0,
        "mm",
    ),
    ({}, 50.0, "px"),
)


def test_a_length_on_a_radiograph_says_how_it_is_known(ward):
    study_uid = generate_uid()
    made = [radiograph(study_uid, at, **each[0]) for at, each in enumerate(RADIOGRAPHS, 1)]
    ward.store([part10(each) for each in made])
    page = ward.open(f"/studies/{study_uid}/read")
    page.get_by_label("Layout").select_option(index=0)
    page.locator("#tab-measurements").click()
    for at, (spacing, wanted, words) in enumerate(RADIOGRAPHS):
        page.locator(f"[data-series='{made[at].SeriesInstanceUID}']").click()
        expect(page.locator(".pane .top-right")).to_contain_text(f"DX {at + 1} radiograph")
        until_drawn(page, made[at].SeriesInstanceUID)
        page.keyboard.press("l")
        drag(page, *canvas_points(page, [[20, 60], [70, 60]]))
        values = page.locator("[data-measurement] .values")
        expect(values).to_have_count(at + 1)
        number, _, said = values.nth(at).inner_text().partition(" ")
        assert said == words
        assert float(number) == pytest.approx(wanted, rel=0.02)
        uncalibrated = page.locator(".pane .quality", has_text="lengths in pixels")
        expect(uncalibrated).to_have_count(0 if spacing else 1)
    page.close()


def test_volumes_are_shown_only_where_slices_make_one(ward, exam):
    page = ward.open(f"/exams/{exam[0]}/read")
    page.keyboard.press("m")
    expect(page.locator(".pane .mark.top")).to_have_count(3)
    expect(page.locator(".pane").nth(1).locator(".mark.top")).to_have_text("H")
    for pane in page.locator(".pane").all():
        expect(pane.locator(".message")).to_be_hidden()
    assert coronal_matches(page)
    # The bright square is whiter than the window is wide: the plane is as bright as the image.
    until(
        lambda: page.evaluate(BRIGHT) == [255, 255, 255], what="a white square on the axial plane"
    )
    page.keyboard.press("v")
    expect(page.locator(".pane .bottom-right")).to_have_text("Volume rendering")
    until(lambda: page.evaluate(LIT) > 100, what="the square as a solid")
    page.close()
    study_uid, repeated = generate_uid(), ct(generate_uid(), "")
    for each in repeated:
        each.StudyInstanceUID, each.ImagePositionPatient[2] = (
            study_uid,
            2 * (each.InstanceNumber // 2),
        )
    ward.store([part10(each) for each in repeated])
    twice = ward.open(f"/studies/{study_uid}/read")
    planes = twice.get_by_role("button", name="Reformatted planes")
    expect(planes).to_be_disabled()
    expect(planes).to_have_attribute("title", re.compile("images share a position"))
    twice.keyboard.press("m")
    expect(twice.locator("#status")).to_contain_text("images share a position")
    expect(twice.locator(".pane")).to_have_count(1)
    twice.close()


BRIGHT = """() => {
  const { viewport } = isocenterWorkspace.grid.panes[0];
  const [, , z] = viewport.getCamera().focalPoint;
  const [x, y] = viewport.worldToCanvas([-50 + 0.8 * 106, -50 + 0.8 * 22, z]);
  const ratio = devicePixelRatio;
  const { data } = viewport.canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1);
  return [...data.slice(0, 3)];
}"""


LIT = """() => {
  const { canvas } = isocenterWorkspace.grid.panes[0].viewport;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, at) => at % 4 === 0 && value > 60).length;
}"""


def coronal_matches(page):
    """Whether the volume behind the planes holds the slices' voxels where they were scanned."""
    found = page.evaluate(
        """() => {
          const pane = isocenterWorkspace.grid.panes[2];
          const { imageData, voxelManager } = pane.viewport.getImageData();
          const at = [[-50 + 0.8 * 100, -50 + 0.8 * 20, 4], [-50 + 0.8 * 3, -50 + 0.8 * 77, 8]];
          const value = (world) =>
            voxelManager.getAtIJK(...imageData.worldToIndex(world).map(Math.round));
          return at.map(value);
        }"""
    )
    return found == [int(a_slice(2)[20, 100]), int(a_slice(4)[77, 3])]


def test_a_prior_is_compared_beside_the_study_and_scrolls_with_it(ward):
    number, prior_uid = ward.hospital.order(41), generate_uid()
    earlier = ct(prior_uid, "EARLIER", patient=41)
    for each in earlier:
        each.StudyDate = "20250101"
    current = ct(generate_uid(), number, patient=41)
    ward.store([part10(each) for each in (*earlier, *current)])
    page = ward.open(f"/exams/{number}/read")
    page.locator("#tab-history").click()
    expect(page.locator(f"[data-study='{prior_uid}']")).to_contain_text("2025-01-01")
    page.locator(".pane").first.focus()
    page.keyboard.press("q")
    expect(page.locator(".pane")).to_have_count(2)
    expect(page.locator(".pane .top-left").nth(1)).to_contain_text("2025-01-01")
    place = page.locator(".pane .bottom-right")
    expect(place.nth(1)).to_contain_text("Image 3 of 5")
    link = page.get_by_role("button", name="Link scrolling")
    expect(link).to_have_attribute("aria-pressed", "true")  # the prior's image is there before
    page.keyboard.press("ArrowDown")
    expect(place.nth(0)).to_contain_text("Image 4 of 5")
    expect(place.nth(1)).to_contain_text("Image 4 of 5")

    # Once somebody has registered the prior, its place counts: two slices on, and a little turned.
    turned = np.eye(4)
    cosine, sine = np.cos(np.radians(3)), np.sin(np.radians(3))
    turned[1:3, 1:3] = [[cosine, -sine], [sine, cosine]]
    ward.store([part10(registration(earlier[0], current[0], moved(0, 0, 4) @ turned))])
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    page.locator("#tab-history").click()
    page.locator(".pane").first.focus()
    page.keyboard.press("q")
    expect(place.nth(0)).to_contain_text("Image 3 of 5")
    expect(place.nth(1)).to_contain_text("Image 1 of 5")
    page.keyboard.press("ArrowDown")
    expect(place.nth(0)).to_contain_text("Image 4 of 5")
    expect(place.nth(1)).to_contain_text("Image 2 of 5")
    page.close()


def test_mammograms_of_one_series_hang_as_the_breasts_face_each_other(ward):
    number = ward.hospital.order(42)
    ward.store([part10(each) for each in mammograms(generate_uid(), number, patient=42)])
    page = ward.open(f"/exams/{number}/read")
    panes = page.locator(".pane .top-right")
    expect(panes).to_have_count(4)
    for at, view in enumerate(("R CC", "L CC", "R MLO", "L MLO")):
        expect(panes.nth(at)).to_contain_text(f"screening {view}")
    brightness = page.evaluate(
        "() => isocenterWorkspace.grid.panes.map((each) =>"
        " each.stack.getCornerstoneImage().voxelManager.getScalarData()[0])"
    )
    assert brightness == [20, 40, 30, 10]
    page.close()


def moved(x: float, y: float, z: float):
    """A translation in millimetres, to be multiplied with points."""
    made = np.eye(4)
    made[:3, 3] = x, y, z
    return made


def test_a_report_is_written_and_signed_beside_the_images_and_the_next_case_is_a_key_away(ward):
    numbers = [ward.hospital.order(each) for each in (31, 32)]
    studies = [generate_uid() for _ in numbers]
    for at, number in enumerate(numbers):
        images = ct(studies[at], number, patient=31 + at, count=3 + at)
        ward.store([part10(each) for each in images])
    ward.hospital.quiet()
    page = ward.open(f"/exams/{numbers[0]}/read")
    page.keyboard.press("r")
    page.keyboard.type("Normal.")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".pane .bottom-right").first).to_contain_text("Image 3 of 3")
    page.keyboard.press("4")
    expect(page.locator(".pane .bottom-left").first).to_contain_text("W 80  L 40")
    expect(page.locator("#next-case a")).to_have_attribute("href", f"/exams/{numbers[1]}/read")
    check_exchange(ward, page, numbers, studies[1])
    page.keyboard.press("r")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Sign as Ada Phantom").click()
    page.wait_for_url(f"**/exams/{numbers[0]}?done=signed")
    expect(page.locator("#report")).to_contain_text("Normal.")
    page.close()


def check_exchange(ward, page, numbers, study_uid):
    """The next case stands on the same page, put on record as opened; the one before comes back."""
    opened = len(ward.hospital.audited("study.view"))
    page.evaluate("window.samePage = true")
    page.keyboard.press("e")
    draw_line(page)
    page.keyboard.press("Shift+N")
    page.wait_for_url(f"**/exams/{numbers[1]}/read")
    page.wait_for_selector("html[data-ready=true]")
    assert page.evaluate("window.samePage")
    assert ward.hospital.audited("study.view")[0][1] == study_uid
    assert len(ward.hospital.audited("study.view")) == opened + 1
    expect(page.locator(".banner")).to_contain_text(numbers[1])
    expect(page.locator(".pane .bottom-left").first).to_contain_text("W 400  L 40")
    expect(page.locator(".pane .bottom-right").first).to_contain_text("Image 3 of 4")
    expect(page.locator("#measurement-count")).to_have_text("")
    expect(page.locator("#text")).to_have_value("")
    np.testing.assert_array_equal(voxels(page), a_slice(3))
    page.wait_for_function("() => !isocenterWorkspace.grid.active.misfits")
    check_refusal(ward, page, numbers[1])
    page.go_back()
    page.wait_for_url(f"**/exams/{numbers[0]}/read")
    page.wait_for_selector("html[data-ready=true]")
    assert page.evaluate("window.samePage")
    expect(page.locator("#text")).to_have_value("Normal.")
    expect(page.locator("#measurement-count")).to_have_text("1")
    draft = "/api/reports?accession_number=" + numbers[1]
    assert [each["state"] for each in ward.api(draft)] == ["draft"]


def check_refusal(ward, page, number):
    """What the server does not take keeps its case on the screen when the reader says so."""
    asked: list[str] = []

    def stay(dialog):
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", stay)
    page.route("**/api/reports**", lambda route: route.fulfill(status=409, json={"detail": "no"}))
    page.keyboard.press("r")
    page.keyboard.type("Seen.")
    page.go_back()
    expect(page.locator("#status")).to_contain_text("This case is still shown")
    assert asked == ["What you have written is not saved. Leave this case all the same?"]
    page.wait_for_url(f"**/exams/{number}/read")
    expect(page.locator("#text")).to_have_value("Seen.")
    page.unroute("**/api/reports**")
    page.remove_listener("dialog", stay)
    refused = [each for each in ward.complaints if "409" in each]  # the browser names it as well
    ward.complaints[:] = [each for each in ward.complaints if each not in refused]
    assert refused


def draw_line(page):
    first, last = canvas_points(page, [(40, 40), (80, 70)])
    page.mouse.move(*first)
    page.mouse.down()
    page.mouse.move(*last, steps=4)
    page.mouse.up()
    expect(page.locator("#measurement-count")).to_have_text("1")


def test_a_browser_that_cannot_draw_gets_rendered_images(ward, exam):
    page = ward.context.new_page()
    page.add_init_script(
        "HTMLCanvasElement.prototype.getContext = new Proxy(HTMLCanvasElement.prototype.getContext,"
        " { apply: (f, on, given) => given[0] === 'webgl2' ? null : Reflect.apply(f, on, given) })"
    )
    page.goto(f"/exams/{exam[0]}/read")
    page.wait_for_url("**/read?plain=true")
    expect(page.locator("#image")).to_be_visible()
    page.close()


def test_layouts_are_chosen_and_remembered(ward, exam):
    page = ward.open(f"/exams/{exam[0]}/read")
    page.get_by_label("Layout").select_option(index=1)
    expect(page.locator(".pane")).to_have_count(2)
    page.wait_for_timeout(300)
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    expect(page.locator(".pane")).to_have_count(2)
    page.get_by_label("Layout").select_option(index=0)
    expect(page.locator(".pane")).to_have_count(1)
    page.close()
