"""Objects that are no images, ours and those of others, in the workspace of a real browser."""

import base64
import copy
import io
import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage, RTStructureSetStorage, generate_uid

from isocenter.app.evidence import EvidenceWriter
from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Actor
from isocenter.gateways.web.web import STATIC
from isocenter.gateways.web.workspace_assets import workspace_assets
from isocenter.infra.db import Database
from tests.e2e.pages.conftest import Site
from tests.e2e.pages.test_workspace import (
    Ward,
    canvas_points,
    drag,
    expect,
    go,
    kept,
    until_drawn,
    voxels,
)
from tests.e2e.pages.workspace_images import SIZE, SPACING_MM, a_slice, ct, part10
from tests.e2e.pictures import captured
from tests.e2e.product import until
from tests.hospital import PASSWORD, Hospital

DRAWN = np.array([255, 209, 102])  # what presentation states draw in


@pytest.fixture(scope="module")
def ward(database_stock, tmp_path_factory, chromium) -> Iterator[Ward]:
    if workspace_assets(STATIC) is None:
        pytest.skip("the reading workspace is not here: make viewer builds it")
    url = database_stock.take()
    writer: list[EvidenceWriter] = []
    table = router(
        build_metadata=lambda tx, event, *, now: None,
        write_findings=lambda tx, event, *, now: writer[0](tx, event, now=now),
    )
    database = Database(url, router=table, connections_max=8)
    site = Site(Hospital(database, tmp_path_factory.mktemp("ward") / "objects"))
    zone = ZoneInfo("UTC")
    hospital = site.hospital
    writer.append(
        EvidenceWriter(database, hospital.blobs, Actor.system("worker"), hospital.clock, zone)
    )
    hospital.user("ada")
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
    hospital.pool.close()
    database.close()
    database_stock.give_back(url)
    assert not made.complaints


def series(page, label):
    """Open a series from the strip in the active viewport."""
    page.locator(".thumb", has_text=label).click()


def shown(page):
    """How the active viewport shows its image."""
    return page.evaluate("isocenterWorkspace.grid.active.view.shown()")


def painted(page, column, row, *, reach=0):
    """The strongest colour and alpha painted so near to a place of the active viewport's image."""
    found = page.evaluate(
        """([column, row, reach]) => {
          const pane = isocenterWorkspace.grid.active;
          const image = pane.stack?.getImageData()?.imageData;
          if (!image) return [0, 0, 0, 0];
          const at = pane.viewport.worldToCanvas(image.indexToWorld([column, row, 0]));
          const sheet = pane.element.querySelector("canvas.sheet");
          const ratio = sheet.width / sheet.clientWidth;
          const [x, y] = at.map((each) => Math.round(each * ratio));
          const side = 2 * reach + 1;
          const { data } = sheet.getContext("2d").getImageData(x - reach, y - reach, side, side);
          let best = 0;
          for (let at = 0; at < data.length; at += 4) if (data[at + 3] > data[best + 3]) best = at;
          return [...data.slice(best, best + 4)];
        }""",
        [column, row, reach],
    )
    return np.array(found)


def test_what_was_found_is_archived_and_shown_again_as_it_was(ward):
    number, study_uid = ward.hospital.order(1), generate_uid()
    ward.store([part10(each) for each in ct(study_uid, number)])
    page = ward.open(f"/exams/{number}/read")
    go(page, 2)
    plain = shown(page)
    assert plain["window"] == [40, 400]
    page.keyboard.press("x")
    page.keyboard.press(".")
    page.keyboard.press("4")
    turned = shown(page)
    assert turned["window"] == [40, 80]
    assert turned["flipped"]
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert shown(page) == plain
    for _ in range(3):
        page.keyboard.press("Control+y")
    assert shown(page) == turned
    page.keyboard.press("l")
    drag(page, *canvas_points(page, [[20, 60], [70, 60]]))
    page.keyboard.press("e")
    drag(page, *canvas_points(page, [[40, 40], [60, 54]]))
    length = sorted(kept(ward, study_uid, 2), key=lambda each: each["tool"])[1]
    page.keyboard.press("Control+z")
    kept(ward, study_uid, 1)
    page.keyboard.press("Control+y")
    kept(ward, study_uid, 2)
    page.keyboard.press("g")
    page.keyboard.press("Shift+G")
    kept(ward, study_uid, 4)
    page.keyboard.press("Shift+S")
    expect(page.locator("#status")).to_contain_text("Saving to the archive")
    until(lambda: ward.api(f"/api/studies/{study_uid}/archived-findings")["request"], what="asked")
    ward.hospital.dispatcher.run_once()
    expect(page.locator("#status")).to_contain_text("In the archive: 4 objects")
    page.close()

    again = ward.open(f"/exams/{number}/read")
    (told,) = length["content"]["statistics"]
    series(again, "Measurements")
    expect(again.locator(".document")).to_contain_text(f"Length{round(told['value'], 4):g} mm")
    series(again, "Saved views")
    again.get_by_role("button", name="Show: Saved view").click()
    expect(again.locator(".pane .bottom-left").nth(1)).to_contain_text("W 80  L 40")
    replayed = shown(again)
    for name in ("window", "inverted", "rotation", "flipped"):
        assert replayed[name] == turned[name], name
    for column in (30, 45, 60):  # the line
        assert np.abs(painted(again, column, 60, reach=2)[:3] - DRAWN).max() < 8
    assert not painted(again, 30, 80, reach=2).any()
    before = painted(again, 50, 47)
    series(again, "Outlined regions")
    again.get_by_role("button", name="Show over its images").click()
    until(lambda: (painted(again, 50, 47) != before).any(), what="the segment")
    assert not painted(again, 30, 80).any()
    again.locator("#tab-layers").click()
    again.get_by_label("Region 1", exact=True).uncheck()
    until(lambda: (painted(again, 50, 47) == before).all(), what="the segment hidden")
    again.close()


def of_study(ds, study_uid, **more):
    """Somebody's object as one of our patient's study."""
    ds.StudyInstanceUID, ds.PatientID, ds.PatientName = study_uid, "PH0001", "Phantom^Ada"
    for name, value in more.items():
        setattr(ds, name, value)
    return ds


def structure_set(images):
    """Two contours of one structure on the third and fourth image."""
    ds = Dataset()
    third = images[2]
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime"):
        setattr(ds, name, getattr(third, name))
    ds.SOPClassUID, ds.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    ds.SeriesInstanceUID, ds.Modality, ds.SeriesDescription = (
        generate_uid(),
        "RTSTRUCT",
        "Structures",
    )
    ds.StructureSetLabel = "Phantom"
    roi, contoured = Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = 1, "Bright square"
    contoured.ReferencedROINumber, contoured.ROIDisplayColor = 1, [0, 255, 0]
    contoured.ContourSequence = []
    for image in images[2:4]:
        z = image.ImagePositionPatient[2]
        low_x, high_x = -50 + 0.8 * 93.5, -50 + 0.8 * 117.5
        low_y, high_y = -50 + 0.8 * 9.5, -50 + 0.8 * 33.5
        contour, source = Dataset(), Dataset()
        source.ReferencedSOPClassUID = image.SOPClassUID
        source.ReferencedSOPInstanceUID = image.SOPInstanceUID
        contour.ContourImageSequence = [source]
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
        corners = ((low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y))
        contour.ContourData = [float(v) for x, y in corners for v in (x, y, z)]
        contoured.ContourSequence.append(contour)
    ds.StructureSetROISequence, ds.ROIContourSequence = [roi], [contoured]
    return ds


def pet(images):
    """PET in the place of a CT: cold, with a hot block of a known uptake."""
    series_uid, made = generate_uid(), []
    for image in images:
        ds = copy.deepcopy(image)
        ds.SOPClassUID, ds.SOPInstanceUID = PositronEmissionTomographyImageStorage, generate_uid()
        ds.SeriesInstanceUID, ds.Modality, ds.SeriesDescription = series_uid, "PT", "PET phantom"
        ds.Units, ds.DecayCorrection, ds.CorrectedImage = "BQML", "START", ["DECY", "ATTN"]
        ds.SeriesDate = ds.AcquisitionDate = "20260302"
        ds.SeriesTime = ds.AcquisitionTime = "101500"
        ds.PatientWeight, ds.PatientSize = 72, 1.75
        drug = Dataset()
        drug.RadiopharmaceuticalStartTime = "091500"
        drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = 370e6, 6586.2
        ds.RadiopharmaceuticalInformationSequence = [drug]
        ds.RescaleSlope, ds.RescaleIntercept = 2.5, 0
        del ds.RescaleType, ds.WindowCenter, ds.WindowWidth
        values = np.full((128, 128), 400, "<u2")
        values[60:90, 30:60] = 12000  # in tissue
        ds.PixelData = values.tobytes()
        made.append(ds)
    return made


def colourfulness(page, column, row):
    """How far from grey the first viewport, a plane of the phantom, is shown at a place of it."""
    x, y = page.evaluate(
        "at => isocenterWorkspace.grid.panes[0].viewport.worldToCanvas(at)",
        [-50 + 0.8 * column, -50 + 0.8 * row, 6],
    )
    shot = captured(page.locator(".pane .canvas").first)
    picture = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    near = picture[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5]
    return np.ptp(near, axis=2).mean()


def uptake_factor(ds):
    """From Bq/ml to SUV by body weight, from the attributes of a PET image."""
    drug = ds.RadiopharmaceuticalInformationSequence[0]
    clock = [
        float(t[:2]) * 3600 + float(t[2:4]) * 60 + float(t[4:])
        for t in (str(ds.SeriesTime), str(drug.RadiopharmaceuticalStartTime))
    ]
    left = np.exp(-np.log(2) * (clock[0] - clock[1]) / float(drug.RadionuclideHalfLife))
    return float(ds.PatientWeight) * 1000 / (float(drug.RadionuclideTotalDose) * left)


def none_kept(ward, study_uid):
    path = f"/api/studies/{study_uid}/measurements"
    until(lambda: not ward.api(path), what="nothing kept")


def check_lean_mass(ward, page, study_uid):
    """A mean is told by lean body mass as numpy works it out; by body weight it is kept."""
    (ds, *_) = pet(ct(study_uid, ""))
    series(page, "PET phantom")
    expect(page.locator(".pane .top-right")).to_contain_text("PET phantom")
    page.get_by_label("Uptake").select_option("lbm")
    expect(page.locator(".pane .bottom-left")).to_contain_text("SUVlbm")
    page.keyboard.press("e")
    drag(page, *canvas_points(page, [[45, 75], [55, 85]]))  # from its middle
    (ellipse,) = kept(ward, study_uid, 1)
    mean = next(each for each in ellipse["content"]["statistics"] if each["name"] == "Mean")
    by_weight = 12000 * float(ds.RescaleSlope) * uptake_factor(ds)
    assert mean["unit"] == "SUVbw g/ml"
    assert mean["value"] == pytest.approx(by_weight, rel=1e-6)
    weight, height_cm = float(ds.PatientWeight), float(ds.PatientSize) * 100
    lean = 1.07 * weight - 148 * np.square(weight / height_cm)  # of a woman
    page.locator("#tab-measurements").click()
    told = page.locator("[data-measurement] .values")
    expect(told).to_contain_text(f"Mean {by_weight * lean / weight:.1f} SUVlbm g/ml")
    page.get_by_role("button", name="Delete Ellipse").click()
    none_kept(ward, study_uid)
    page.locator(".pane").first.focus()


def unpacked(mask):
    """The pixels that the brush kept."""
    bits = np.frombuffer(base64.b64decode(mask["bits"]), np.uint8)
    part = np.unpackbits(bits, bitorder="little")[: mask["rows"] * mask["columns"]]
    made = np.zeros((SIZE, SIZE), bool)
    rows, columns = slice(mask["top"], None), slice(mask["left"], None)
    made[rows, columns][: mask["rows"], : mask["columns"]] = part.reshape(
        mask["rows"], mask["columns"]
    )
    return made


def test_a_segment_is_painted_within_a_threshold_and_comes_back_as_an_object(ward):
    number, study_uid = ward.hospital.order(3), generate_uid()
    ward.store([part10(each) for each in ct(study_uid, number, patient=3)])
    page = ward.open(f"/exams/{number}/read")
    go(page, 2)
    page.keyboard.press("Shift+B")
    page.get_by_label("Paint only values from").fill("40")
    page.keyboard.press("Tab")
    ((x, y),) = canvas_points(page, [[64, 64]])
    page.mouse.click(x, y)
    (mark,) = kept(ward, study_uid, 1)
    mask = unpacked(mark["content"]["mask"])
    rows, columns = np.mgrid[:SIZE, :SIZE]
    away = np.hypot(rows - 64, columns - 64) * SPACING_MM
    bright = a_slice(3) >= 40
    assert (
        mask[(away < 7.2) & bright]
    ).all()  # the brush has 8 mm; the mouse stops at whole pixels
    assert not mask[(away > 8.8) | ~bright].any()
    page.locator("#tab-measurements").click()
    millilitres = mask.sum() * SPACING_MM**2 * 2 / 1000
    segment = page.locator("[data-segment='Segment 1'] .values")
    expect(segment).to_have_text(f"{millilitres:.2f} mL on 1 image")
    page.locator(".pane").first.focus()
    page.keyboard.press("Control+z")
    none_kept(ward, study_uid)
    page.keyboard.press("Control+y")
    kept(ward, study_uid, 1)
    page.keyboard.press("Shift+S")
    until(lambda: ward.api(f"/api/studies/{study_uid}/archived-findings")["request"], what="asked")
    ward.hospital.dispatcher.run_once()
    expect(page.locator("#status")).to_contain_text("In the archive: 1 object")
    page.get_by_role("button", name="Delete Segment 1").click()
    none_kept(ward, study_uid)
    page.close()

    again = ward.open(f"/exams/{number}/read")
    series(again, "Outlined regions")
    again.get_by_role("button", name="Show over its images").click()
    row, column = np.argwhere(mask & (away < 4))[0]
    until(lambda: painted(again, int(column), int(row)).any(), what="the segment")
    again.keyboard.press("m")
    expect(again.locator(".pane .mark.top")).to_have_count(3)
    cut = """() => [...document.querySelectorAll("canvas.sheet")].map((sheet) =>
        sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height)
            .data.some((value) => value > 0))"""
    until(lambda: again.evaluate(cut) == [True] * 3, what="the segment on every plane")
    again.close()


def test_objects_of_others_are_shown_and_uptake_is_true(ward, testdata):
    number, study_uid = ward.hospital.order(2), generate_uid()
    images = ct(study_uid, number)
    files = testdata / "dicom"
    read = pydicom.dcmread
    third_party = files / "dcmqi_ct_seg_sr/data"
    real = of_study(read(files / "pet_ct_mr_misc/1.dcm"), study_uid, SeriesDescription="real PET")
    others = [
        real,
        structure_set(images),
        of_study(read(third_party / "sr-example/sr.dcm"), study_uid, SeriesDescription="tumours"),
        of_study(read(third_party / "segmentations/liver.dcm"), study_uid),
        of_study(read(files / "dcmjs_dimse/pdf.dcm"), study_uid, SeriesDescription="letter"),
        of_study(read(get_testdata_file("waveform_ecg.dcm")), study_uid, Modality="ECG"),
        *(
            of_study(read(path), study_uid, SeriesDescription="abdomen")
            for path in sorted((third_party / "segmentations/ct-3slice").glob("*.dcm"))
        ),
    ]
    for each in others:
        each.AccessionNumber = number
    ward.store([part10(each) for each in (*images, *pet(images), *others)])
    page = ward.open(f"/exams/{number}/read")
    page.get_by_label("Layout").select_option(index=0)
    series(page, "real PET")
    expect(page.locator(".pane .top-right")).to_contain_text("real PET")
    until_drawn(page, real.SeriesInstanceUID)
    stored = real.pixel_array * float(real.RescaleSlope) + float(real.RescaleIntercept)
    wanted = stored * uptake_factor(real)
    assert wanted.max() > 1
    assert np.abs(voxels(page) - wanted).max() <= 1e-6 * wanted.max()  # the engine's are float32
    check_lean_mass(ward, page, study_uid)
    series(page, "tumours")
    expect(page.locator(".document")).to_contain_text("Radiopharmaceutical agent")
    series(page, "ECG")
    expect(page.locator(".document .lead")).to_have_count(24)  # rhythm and median beat
    series(page, "letter")
    expect(page.locator(".document iframe")).to_have_attribute("src", re.compile("blob:"))
    series(page, "Liver Segmentation")
    page.get_by_role("button", name="Show over its images").click()
    until(lambda: painted(page, 150, 200).any(), what="the liver")
    page.get_by_label("Layout").select_option(index=0)
    series(page, "Structures")
    page.get_by_role("button", name="Show over its images").click()
    green = [0, 255, 0]
    until(lambda: (painted(page, 93.5, 20, reach=1)[:3] == green).all(), what="the contour")
    page.keyboard.press("Shift+F")
    expect(page.locator(".pane .mark.top")).to_have_count(3)
    page.get_by_label("Opacity of the PET").fill("100")
    until(lambda: colourfulness(page, 45, 75) > 60, what="the hot block in colour")
    assert colourfulness(page, 100, 100) < 10  # cold: grey as before
    page.get_by_label("Opacity of the PET").fill("0")
    until(lambda: colourfulness(page, 45, 75) < 10, what="nothing over the CT")
    page.close()
