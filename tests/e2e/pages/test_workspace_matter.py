"""Slides, parametric maps and resampled volumes in the workspace of a real browser.

Tiles are at their places, levels follow the zoom, bars of length are true; maps show the values of
the file, in the colours of their scale; a tilted series is cut as numpy would do it.
"""

import base64
import io
import re

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from tests.e2e.pages.slide_images import UM_PER_PIXEL, painting, segments, shares, slide
from tests.e2e.pages.test_workspace import canvas_points, drag, expect, kept, voxels, ward
from tests.e2e.pages.workspace_images import SIZE, SPACING_MM, a_slice, ct, part10
from tests.e2e.pictures import captured
from tests.e2e.product import until

__all__ = ["ward"]  # a fixture

REAL_SLIDE = "dicom/highdicom_sm_seg_ann/sm_image.dcm"
REAL_SEGMENTS = "dicom/highdicom_sm_seg_ann/seg_image_sm_control_labelmap.dcm"
REAL_MAP = "dicom/pydicom_data_subset/parametric_map_float.dcm"


def settled(page):
    """The slide's element, once all tiles in view are drawn."""
    found = page.locator(".slide")
    until(lambda: found.get_attribute("data-waiting") == "0", what="the tiles in view")
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    return found


def drawn(page, selector=".slide canvas"):
    """What is on a canvas: (rows, columns, 3)."""
    text = page.evaluate(
        "selector => document.querySelector(selector).toDataURL('image/png').split(',')[1]",
        selector,
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"), np.int16)


def shown(page, pixels):
    """Colours on the slide's canvas at pixels (column, row) of the finest level, all in view."""
    canvas = drawn(page)
    places = page.evaluate(
        """([pixels, columns, rows]) => {
          const box = document.querySelector(".slide").getBoundingClientRect();
          const scale = Math.min(box.width / columns, box.height / rows);
          return pixels.map(([x, y]) => [
            box.width / 2 + (x + 0.5 - columns / 2) * scale,
            box.height / 2 + (y + 0.5 - rows / 2) * scale,
          ]);
        }""",
        [pixels, painting().shape[1], painting().shape[0]],
    )
    return np.array([canvas[int(y), int(x)] for x, y in places])


def bar_um(found):
    """The bar's length on the screen in points, and what it says in micrometres."""
    text = found.locator(".scale span").inner_text()
    number, unit = re.fullmatch(r"([\d.]+) (mm|\u00b5m)", text).groups()
    return found.locator(".scale i").bounding_box()["width"], float(number) * (
        1000 if unit == "mm" else 1
    )


@pytest.fixture(scope="module")
def case(ward, testdata):
    """An exam with a slide of three levels, a real slide and a real map, with segments of both.

    Gives its accession number."""
    number, study_uid = ward.hospital.order(1), generate_uid()
    objects = slide(study_uid, number)
    on_glass = segments(objects[0], factor=2, fractional=True, full=True, named=False)
    on_image = segments(objects[0], factor=1, fractional=False, full=False, named=True)
    for ds, name in ((on_glass, "glass"), (on_image, "image")):
        ds.SeriesDescription = f"segments by {name}"
        objects.append(part10(ds))
    for series, path in enumerate((REAL_SLIDE, REAL_MAP, REAL_SEGMENTS), start=2):
        ds = pydicom.dcmread(testdata / path)
        ds.StudyInstanceUID, ds.AccessionNumber, ds.SeriesNumber = study_uid, number, series
        ds.PatientID, ds.PatientName, ds.SeriesDescription = (
            "PH0001",
            "Phantom^Ada",
            f"real {ds.Modality}",
        )
        objects.append(part10(ds))
    ward.store(objects)
    return number


def test_slides_and_maps_are_shown_as_they_are(ward, case, testdata):
    page = ward.open(f"/exams/{case}/read")
    found = settled(page)
    places = [(30, 30), (450, 300), (720, 320), (860, 570), (130, 470)]
    wanted = np.array([painting()[y, x] for x, y in places], np.int16)
    assert found.get_attribute("data-level") == "0"
    assert np.abs(shown(page, places) - wanted).max() <= 8  # the finest tiles are JPEG
    points, micrometres = bar_um(found)
    scale = min(box_size(found)[0] / 900, box_size(found)[1] / 600)
    assert points * UM_PER_PIXEL / scale == pytest.approx(micrometres, rel=0.02)

    for _ in range(2):
        page.keyboard.press("-")
    settled(page)
    assert found.get_attribute("data-level") == "1"  # whose tiles are sparse, and in another order
    page.keyboard.press("f")
    settled(page)
    box = found.bounding_box()
    page.get_by_role("button", name="Measure a length").click()
    ends = [
        (box["width"] / 2 + (x - 450) * scale, box["height"] / 2 + (y - 300) * scale)
        for x, y in ((100, 100), (500, 400))
    ]
    page.mouse.move(box["x"] + ends[0][0], box["y"] + ends[0][1])
    page.mouse.down()
    page.mouse.move(box["x"] + ends[1][0], box["y"] + ends[1][1], steps=3)
    page.mouse.up()
    length, unit = found.locator(".rulers text").text_content().split()
    assert unit == "\u00b5m"
    assert float(length) == pytest.approx(500 * UM_PER_PIXEL, abs=UM_PER_PIXEL / scale * 2)
    page.keyboard.press("Delete")
    expect(found.locator(".rulers text")).to_have_count(0)
    page.keyboard.press("l")  # the pointer moves the slide again

    square = (box["width"] / 2 + (720 - 450) * scale, box["height"] / 2 + (320 - 300) * scale)
    page.mouse.move(box["x"] + square[0], box["y"] + square[1])
    for _ in range(6):
        page.mouse.wheel(0, -100)
    settled(page)
    canvas = drawn(page)
    under = canvas[int(square[1]), int(square[0])]
    assert np.abs(under - (20, 30, 240)).max() <= 8  # what is under the pointer stays there
    page.mouse.down()
    page.mouse.move(box["x"] + square[0] - 100, box["y"] + square[1] - 50, steps=3)
    page.mouse.up()
    settled(page)
    assert (drawn(page)[int(square[1]) - 50, int(square[0]) - 100] == under).all()

    page.locator(".thumb", has_text="real SM").click()
    expect(page.locator(".slide .top-right")).to_contain_text("real SM")
    settled(page)
    real = pydicom.dcmread(testdata / REAL_SLIDE)
    tiles = real.pixel_array.reshape(5, 5, 10, 10, 3)
    matrix = tiles.transpose(0, 2, 1, 3, 4).reshape(50, 50, 3)
    canvas = drawn(page)
    side = min(canvas.shape[:2]) / 50
    left = (canvas.shape[1] - 50 * side) / 2
    middles = [int((each + 0.5) * side) for each in range(50)]
    assert (canvas[middles][:, [int(left + each) for each in middles]] == matrix).all()

    page.locator(".thumb", has_text="real OT").click()
    scale = page.locator(".colour-scale")
    scale.wait_for()
    wanted = pydicom.dcmread(testdata / REAL_MAP).pixel_array
    assert (voxels(page) == wanted).all()
    ((x, y),) = canvas_points(page, [[40, 77]])
    page.mouse.move(x, y)
    under = page.get_by_label("Value under the pointer")
    expect(under).to_have_text(re.compile(r"^0\.\d{4,5}$"))
    assert float(under.inner_text()) == pytest.approx(wanted[77, 40], abs=1e-5)
    expect(page.locator(".pane .bottom-left").first).to_contain_text("W 0.94")
    compare_colours(page, wanted, (40, 77))


def on_screen(found, places):
    """Where pixels (column, row) of the finest level are, with all of the slide in view."""
    box = found.bounding_box()
    scale = min(box["width"] / 900, box["height"] / 600)
    return [
        (
            box["x"] + box["width"] / 2 + (x - 450) * scale,
            box["y"] + box["height"] / 2 + (y - 300) * scale,
        )
        for x, y in places
    ]


def line_um(found):
    """How long the drawn line is, by its points on the screen and the bar beside it."""
    ends = found.locator(".rulers line").evaluate(
        "line => ['x1', 'y1', 'x2', 'y2'].map((each) => Number(line.getAttribute(each)))"
    )
    points, micrometres = bar_um(found)
    return np.hypot(ends[2] - ends[0], ends[3] - ends[1]) * micrometres / points


def test_what_is_measured_on_a_slide_is_kept_and_found_again(ward, case):
    (study,) = ward.api(f"/api/exams/{case}")["studies"]
    study_uid = study["study_instance_uid"]
    page = ward.open(f"/exams/{case}/read")
    found = settled(page)
    page.keyboard.press("l")
    drag(page, *on_screen(found, [(100, 100), (500, 300)]))
    expect(found.locator(".rulers line")).to_have_count(1)
    drag(page, *on_screen(found, [(500, 300), (500, 400)]))  # the end of the line, not a new one
    expect(found.locator(".rulers line")).to_have_count(1)
    page.keyboard.press("l")
    page.locator("#tab-measurements").click()
    name = page.get_by_label("Name of this length")
    name.fill("Margin")
    name.press("Enter")
    until(lambda: [each["label"] for each in kept(ward, study_uid, 1)] == ["Margin"], what="a name")
    (made,) = kept(ward, study_uid, 1)
    assert made["content"]["pixel_origin"] == "VOLUME"
    ends = np.array(made["content"]["image_points"])
    assert np.abs(ends - [[100, 100], [500, 400]]).max() <= 2.5  # points of the screen are coarser
    (told,) = made["content"]["statistics"]
    assert told["unit"] == "\u00b5m"
    assert told["value"] == pytest.approx(np.hypot(*(ends[1] - ends[0])) * UM_PER_PIXEL)
    words = f"{told['value']:.1f} \u00b5m"

    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    expect(found.locator(".rulers text")).to_have_text(f"Margin {words}")
    settled(page)
    assert line_um(found) == pytest.approx(told["value"], rel=0.02)
    for _ in range(3):
        page.keyboard.press("+")
    settled(page)
    assert line_um(found) == pytest.approx(told["value"], rel=0.02)

    page.locator(".thumb", has_text="real SM").click()
    expect(found.locator(".top-right")).to_contain_text("real SM")
    expect(found.locator(".rulers line")).to_have_count(0)
    page.locator("#tab-measurements").click()
    row = page.locator(f"[data-measurement='{made['measurement_id']}']", has=page.locator("input"))
    expect(row.locator(".values")).to_have_text(words)
    expect(row.get_by_role("button", name="Calibrate")).to_have_count(0)
    row.get_by_role("button", name="Show").click()
    expect(page.locator(".rulers line.chosen")).to_have_count(1)
    settled(page)
    box, line = found.bounding_box(), found.locator(".rulers line").bounding_box()
    assert line["x"] + line["width"] / 2 == pytest.approx(box["x"] + box["width"] / 2, abs=2)
    assert line["y"] + line["height"] / 2 == pytest.approx(box["y"] + box["height"] / 2, abs=2)

    page.keyboard.press("Delete")
    path = f"/api/studies/{study_uid}/measurements"
    until(lambda: ward.api(path) == [], what="the removal")
    expect(row).to_have_count(0)
    page.keyboard.press("Control+z")
    kept(ward, study_uid, 1)
    expect(found.locator(".rulers line")).to_have_count(1)
    page.close()


def blended(under, colour, share):
    """A colour seen through a segment: half of what a pixel holds of it hides what lies below."""
    covered = np.asarray(share)[..., None] / 2
    return np.asarray(under) * (1 - covered) + np.asarray(colour) * covered


def until_shown(page, places, wanted, off=4):
    def matches():
        settled(page)
        return np.abs(shown(page, places) - wanted).max() <= off

    until(matches, what="the colours of segments")


# Where segments have no colours of their own.
PALETTE = (
    *((255, 107, 107), (6, 214, 160), (76, 201, 240)),
    *((255, 209, 102), (199, 125, 255), (255, 159, 28)),
)
FIRST, SECOND = PALETTE[:2]


def open_segments(page, name):
    """Lay the segments of a series over the slide that they were made from."""
    page.locator(".thumb", has_text=name).click()
    document = page.locator(f".document[aria-label*='{name}']")
    document.get_by_role("button", name="Show over its images").click()


def test_segments_are_drawn_over_slides(ward, case, testdata):
    page = ward.open(f"/exams/{case}/read")
    settled(page)
    places = [(110, 90), (300, 170), (490, 250), (300, 350), (300, 430), (400, 470), (600, 420)]
    plain = shown(page, places)
    page.locator("#tab-layers").click()
    page.locator(".thumb", has_text="segments by glass").click()
    expect(page.locator("[data-layer]")).to_have_count(3)  # overlays of images among them
    page.locator(".thumb", has_text="slide").first.click()
    held = np.array([[shares(2, number)[y // 2, x // 2] for x, y in places] for number in (1, 2)])
    until_shown(page, places, blended(blended(plain, FIRST, held[0]), SECOND, held[1]))
    page.get_by_role("checkbox", name="Ramp").uncheck()
    page.get_by_label("Opacity of Disc").fill("100")
    until_shown(page, places, blended(plain, SECOND, held[1] * 2))
    page.get_by_role("checkbox", name="Disc").uncheck()
    until_shown(page, places, plain, off=0)

    open_segments(page, "segments by image")
    expect(page.locator(".pane")).to_have_count(2)
    expect(page.locator("[data-layer]")).to_have_count(5)
    held = np.array([[shares(1, number)[y, x] > 0 for x, y in places] for number in (1, 2)])
    wanted = blended(blended(plain, FIRST, held[0]), SECOND, held[1])
    until_shown(page, places, wanted, off=10)  # the slide is smaller than before
    open_segments(page, "segments by glass")  # which name no image: any slide on that glass
    expect(page.locator(".slide .top-right")).to_contain_text("1 slide")
    open_segments(page, "real SEG")
    expect(page.locator(".slide .top-right")).to_contain_text("real SM")
    labels = pydicom.dcmread(testdata / REAL_SEGMENTS)
    matrix = np.zeros((50, 50), int)
    for frame, group in zip(
        labels.pixel_array, labels.PerFrameFunctionalGroupsSequence, strict=True
    ):
        (place,) = group.PlanePositionSlideSequence
        top = place.RowPositionInTotalImagePixelMatrix - 1
        left = place.ColumnPositionInTotalImagePixelMatrix - 1
        matrix[top : top + 10, left : left + 10] = frame
    tiles = pydicom.dcmread(testdata / REAL_SLIDE).pixel_array.reshape(5, 5, 10, 10, 3)
    under = tiles.transpose(0, 2, 1, 3, 4).reshape(50, 50, 3)

    colours = np.array(PALETTE)[matrix % len(PALETTE)]  # the first of them is the background's
    wanted = np.where((matrix > 0)[..., None], (under + colours) / 2, under)

    def matches():
        settled(page)
        canvas = drawn(page)
        side = min(canvas.shape[:2]) / 50
        top, left = ((each - 50 * side) / 2 for each in canvas.shape[:2])
        rows, columns = (
            [int(begin + (each + 0.5) * side) for each in range(50)] for begin in (top, left)
        )
        return np.abs(canvas[rows][:, columns] - wanted).max() <= 2

    until(matches, what="the labels over the slide")
    page.close()


def test_a_tilted_series_is_cut_after_the_server_has_resampled_it(ward):
    number, study_uid = ward.hospital.order(2), generate_uid()
    slices = ct(study_uid, number, count=6, tilt_mm=1.0)
    ward.store([part10(each) for each in slices])
    page = ward.open(f"/exams/{number}/read")
    button = page.get_by_role("button", name="Reformatted planes")
    expect(button).to_be_enabled()
    expect(button).to_have_attribute("title", re.compile("tilted by 26.6°.*the server resamples"))
    page.keyboard.press("m")
    quality = page.locator(".pane .quality").first
    expect(quality).to_contain_text("Derived on the server, not stored.")
    expect(quality).to_contain_text("a tilt of 26.6 degrees is taken out")
    dimensions, values = page.evaluate(
        """() => {
          const { dimensions, voxelManager } =
            isocenterWorkspace.grid.panes[0].viewport.getImageData();
          return [dimensions, [...voxelManager.getCompleteScalarDataArray()]];
        }"""
    )
    shown = np.array(values).reshape(dimensions[::-1])
    rows = np.arange(SIZE + 8)  # each slice lies 1.25 rows farther on than the one before
    stored = np.array([a_slice(each) for each in range(1, 7)], float)
    shifts = 1 / SPACING_MM * np.arange(6)
    shifts += np.ceil(shifts[-1]) - shifts[-1]
    for slice_, shift, seen in zip(stored, shifts, shown, strict=True):
        moved = np.array([np.interp(rows - shift, np.arange(SIZE), each) for each in slice_.T]).T
        inside = (rows - shift >= 0) & (rows - shift <= SIZE - 1)
        covered = seen[: len(rows)][inside[: seen.shape[0]]]
        assert np.abs(covered - moved[inside]).max() <= 0.51  # rounded
    page.keyboard.press("m")
    expect(page.locator(".pane .bottom-right").first).to_contain_text("Image")


def box_size(found):
    box = found.bounding_box()
    return box["width"], box["height"]


def compare_colours(page, values, place):
    """The colour of a pixel is the one that the bar has for its value."""
    column, row = place
    least, most = page.evaluate(
        "() => { const { appearance } = isocenterWorkspace.grid.active;"
        " const { lower, upper } = appearance.range(); return [lower, upper] }"
    )
    bar = drawn(page, ".colour-scale canvas")[:, 0]
    share = (values[row, column] - least) / (most - least)
    wanted = bar[round((1 - share) * (len(bar) - 1))]
    ((x, y),) = canvas_points(page, [[column, row]])
    shot = Image.open(io.BytesIO(captured(page)))
    found = np.array(shot.convert("RGB").getpixel((round(x), round(y))), np.int16)
    assert np.abs(found - wanted).max() <= 12, (found, wanted)
