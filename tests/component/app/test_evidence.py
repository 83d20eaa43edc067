"""Objects written from what was measured, judged by readers that are not ours: highdicom, pydicom,
dicom3tools, DCMTK and dcmqi."""

import base64
import gzip
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from isocenter.app.evidence import EvidenceWriter
from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Actor
from isocenter.infra.db import Database
from tests.e2e.pages.slide_images import slide as slide_files
from tests.e2e.pages.workspace_images import SIZE, SPACING_MM, ct, part10, radiograph
from tests.hospital import Hospital

hd = pytest.importorskip("highdicom")


@dataclass
class Study:
    hospital: Hospital
    writer: EvidenceWriter
    study_uid: str
    images: list[pydicom.Dataset]
    film: pydicom.Dataset
    slide: pydicom.Dataset

    def keep(self, identifier, tool, image, content, label=""):
        body = {
            "series_instance_uid": image.SeriesInstanceUID,
            "sop_instance_uid": image.SOPInstanceUID,
            "frame_number": 1,
            "tool": tool,
            "label": label,
            "content": content,
        }
        answer = self.hospital.program("ada").put(
            f"/api/studies/{self.study_uid}/measurements/{identifier}", json=body
        )
        assert answer.status_code == 204, answer.text

    def write(self):
        """The objects written at a request, by kind."""
        path = f"/api/studies/{self.study_uid}/archived-findings"
        assert self.hospital.program("ada").post(path).status_code == 202
        self.hospital.dispatcher.run_once()
        told = self.hospital.program("ada").get(path).json()
        assert told["request"]["done_at"]
        made = {}
        for each in told["objects"]:
            answer = self.hospital.program("ada").get(
                f"/dicomweb/studies/{self.study_uid}/series/{each['series_instance_uid']}"
                f"/instances/{each['sop_instance_uid']}",
                headers={"accept": "application/dicom"},
            )
            assert answer.status_code == 200, answer.text
            read = pydicom.dcmread(io.BytesIO(answer.content))
            volumes = read.get("SeriesDescription") == "Volumes"
            kind = "volumes" if volumes else each["kind"]
            made.setdefault(kind, []).append(read)
        return made, told


def world(image, column, row):
    """Millimetres of a place in the image, whose first pixel's centre is (0.5, 0.5)."""
    x, y, z = map(float, image.ImagePositionPatient)
    return [x + (column - 0.5) * SPACING_MM, y + (row - 0.5) * SPACING_MM, z]


def length(image, unit="mm", value=40.123456789012345):
    return {
        "points": [world(image, 20, 60), world(image, 70.25, 60)],
        "statistics": [{"name": "", "value": value, "unit": unit}],
    }


@pytest.fixture(scope="module")
def study(database_stock, tmp_path_factory):
    url = database_stock.take()
    writer = []
    table = router(
        build_metadata=lambda tx, event, *, now: None,
        carry_objects=lambda tx, event, *, now: None,
        write_findings=lambda tx, event, *, now: writer[0](tx, event, now=now),
    )
    database = Database(url, router=table, connections_max=6)
    hospital = Hospital(database, tmp_path_factory.mktemp("evidence") / "objects")
    zone = ZoneInfo("Europe/Zurich")
    writer.append(
        EvidenceWriter(database, hospital.blobs, Actor.system("worker"), hospital.clock, zone)
    )
    number = hospital.order(1)
    study_uid = generate_uid()
    images = ct(study_uid, number)
    film = radiograph(study_uid, 2, ImagerPixelSpacing=[0.2, 0.2])
    film.AccessionNumber = number
    slide = pydicom.dcmread(io.BytesIO(slide_files(study_uid, number, factors=(1,))[0]))
    for each in (*images, film):
        each.PatientName = "Phântom^Ada"
        each.SpecificCharacterSet = "ISO_IR 100"
    parts = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part10(each) + b"\r\n"
        for each in (*images, film, slide)
    )
    answer = hospital.program("tom").post(
        "/dicomweb/studies",
        content=parts + b"--b--",
        headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
    )
    assert answer.status_code == 200
    hospital.dispatcher.run_once()
    made = Study(hospital, writer[0], study_uid, images, film, slide)
    _measure(made)
    yield made
    hospital.pool.close()
    database.close()
    database_stock.give_back(url)


ELLIPSE = [[50.5, 40.5], [50.5, 60.5], [30.5, 50.5], [70.5, 50.5]]  # top, bottom, left, right
STATISTICS = [
    {"name": "Area", "value": 402.1238596594935, "unit": "mm²"},
    {"name": "Mean", "value": 41.4142135623731, "unit": "HU"},
    {"name": "SD", "value": 11.7320508075689, "unit": "HU"},
    {"name": "Min", "value": 3, "unit": "HU"},
    {"name": "Max", "value": 1200, "unit": "HU"},
]
TRIANGLE = [[10, 10], [40, 10], [10, 50]]


PAINTED = np.random.default_rng(11).random((2, SIZE, SIZE)) > 0.5
PAINTED[:, :20] = PAINTED[:, :, 101:] = False


def painted(mask):
    """A mark as the brush keeps it: the bits of the rectangle around what is set."""
    rows, columns = np.nonzero(mask)
    part = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    bits = base64.b64encode(np.packbits(part, bitorder="little").tobytes()).decode()
    said = {"left": int(columns.min()), "top": int(rows.min()), "bits": bits}
    said |= {"columns": part.shape[1], "rows": part.shape[0]}
    area = {"name": "Area", "value": float(mask.sum() * SPACING_MM**2), "unit": "mm²"}
    return {"points": [], "statistics": [area], "mask": said}


def _measure(study):
    third, fourth = study.images[2], study.images[3]
    study.keep("1d2c9a52-5f0c-4a33-9f8f-5b6f3a3f0001", "Length", third, length(third), "Läsion")
    points = [world(third, *each) for each in ELLIPSE]
    study.keep("m2", "EllipticalROI", third, {"points": points, "statistics": STATISTICS})
    for at, image in enumerate((third, fourth)):
        outline = {
            "points": [],
            "contour": [world(image, *each) for each in TRIANGLE],
            "closed": True,
            "statistics": [{"name": "Area", "value": 384.0, "unit": "mm²"}],
        }
        study.keep(f"m3-{at}", "PlanarFreehandROI", image, outline, "Nodule")
    for at, image in enumerate((third, fourth)):
        study.keep(f"n1-{at}", "Segment", image, painted(PAINTED[at]), "Painted")
    cobb = [world(third, *each) for each in ([10, 10], [60, 12], [10, 80], [60, 70])]
    angle = {"points": cobb, "statistics": [{"name": "", "value": 13.6, "unit": "°"}]}
    study.keep("m4", "CobbAngle", third, angle)
    arrow = {
        "points": [world(third, 90, 90), world(third, 80, 80)],
        "text": "here",
        "statistics": [],
    }
    study.keep("m5", "ArrowAnnotate", third, arrow)
    on_film = {
        "points": [[1, 2, 0], [3, 4, 0]],
        "image_points": [[20.5, 30.5], [70.5, 30.5]],
        "statistics": [{"name": "", "value": 10.0, "unit": "mm Proj"}],
    }
    study.keep("m6", "Length", study.film, on_film)
    on_slide = {
        "points": [],
        "pixel_origin": "VOLUME",
        "image_points": [[100, 100.25], [500, 400.25]],
        "statistics": [{"name": "", "value": 250.0, "unit": "\u00b5m"}],
    }
    study.keep("s1", "Length", study.slide, on_slide, "Margin")
    study.keep("m7", "KeyImage", third, {"points": [], "statistics": []})
    study.keep("m8", "KeyImage", study.film, {"points": [], "statistics": []})
    shown = {
        "window": [60.5, 160.25],
        "inverted": True,
        "rotation": 90,
        "flipped": True,
        "area": [[1, 1], [128, 128]],
    }
    study.keep("m9", "View", third, {"points": [], "statistics": [], "view": shown}, "Liver")


@pytest.fixture(scope="module")
def written(study):
    return study.write()


def valid(dataset, tmp_path):
    """Complaints of dicom3tools and DCMTK about the object."""
    path = Path(tmp_path) / "object.dcm"
    dataset.save_as(path)
    checker = shutil.which("dciodvfy")
    said = subprocess.run([checker, str(path)], capture_output=True, text=True, check=False).stderr
    return [line for line in said.splitlines() if line.startswith("Error")]


KINDS = ("measurements", "key_images", "view", "segmentation", "volumes")


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("kind", KINDS)
def test_objects_are_valid_for_dicom3tools(written, tmp_path, kind):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not here")
    (dataset,) = written[0][kind]
    assert valid(dataset, tmp_path) == []


def test_the_report_says_the_same_numbers_at_the_same_places(study, written):
    (dataset,) = written[0]["measurements"]
    assert str(dataset.PatientName) == "Phântom^Ada"
    assert dataset.StudyDate == "20260302"
    report = hd.sr.ComprehensiveSR.from_dataset(dataset)
    groups = report.content.get_image_measurement_groups()
    told = {
        (each.name.meaning, each.unit.value): each.value
        for group in groups
        for each in group.get_measurements()
    }
    assert told["Length", "mm"] in {40.123456789012345, 10.0}
    assert told["Cobb angle", "deg"] == 13.6
    by_value = {float(each.value): each[0] for group in groups for each in group.get_measurements()}
    lesion, film = by_value[40.123456789012345], by_value[10.0]
    assert list(lesion.ContentSequence[0].GraphicData) == [20, 60, 70.25, 60]
    coordinates = film.ContentSequence[0]
    assert list(coordinates.GraphicData) == [20.5, 30.5, 70.5, 30.5]
    image = coordinates.ContentSequence[0].ReferencedSOPSequence[0]
    assert image.ReferencedSOPInstanceUID == study.film.SOPInstanceUID


def test_a_length_on_a_slide_lies_in_its_total_pixel_matrix(study, written):
    (dataset,) = written[0]["measurements"]
    report = hd.sr.ComprehensiveSR.from_dataset(dataset)
    ((length,),) = [
        found
        for group in report.content.get_image_measurement_groups()
        if (found := [each for each in group.get_measurements() if each.unit.value == "um"])
    ]
    assert (length.name.meaning, length.value) == ("Length", 250.0)
    coordinates = length[0].ContentSequence[0]
    assert coordinates.PixelOriginInterpretation == "VOLUME"
    assert list(coordinates.GraphicData) == [100, 100.25, 500, 400.25]
    image = coordinates.ContentSequence[0].ReferencedSOPSequence[0]
    assert image.ReferencedSOPInstanceUID == study.slide.SOPInstanceUID
    assert "ReferencedFrameNumber" not in image  # no tile of it: all of the matrix


def test_regions_keep_their_outline_and_every_statistic(study, written):
    (dataset,) = written[0]["measurements"]
    report = hd.sr.ComprehensiveSR.from_dataset(dataset)
    groups = report.content.get_planar_roi_measurement_groups()
    assert len(groups) == 4  # the arrow among them: a mark is a region without numbers
    (ellipse,) = [each for each in groups if each.roi.graphic_type.value == "ELLIPSE"]
    # the major axis comes first: here it is the horizontal one
    wanted = np.array([ELLIPSE[2], ELLIPSE[3], ELLIPSE[0], ELLIPSE[1]])
    assert np.abs(ellipse.roi.value - wanted).max() < 1e-4
    told = {
        (each.name.meaning, each.derivation.meaning if each.derivation else ""): each.value
        for each in ellipse.get_measurements()
    }
    assert told[("Area", "")] == STATISTICS[0]["value"]
    # Once more below the first number, where viewers built on Cornerstone look for the place.
    (below,) = (each for each in ellipse.get_measurements()[0][0].ContentSequence)
    assert (below.ValueType, below.GraphicType) == ("SCOORD", "ELLIPSE")
    assert np.array_equal(below.GraphicData, ellipse.roi.value.ravel())
    names = ("Mean", "Standard Deviation", "Minimum", "Maximum")
    for name, statistic in zip(names, STATISTICS[1:], strict=True):
        assert told[("Attenuation Coefficient", name)] == statistic["value"]


def test_an_arrow_keeps_its_place_and_its_words(written):
    (dataset,) = written[0]["measurements"]
    report = hd.sr.ComprehensiveSR.from_dataset(dataset)
    groups = report.content.get_planar_roi_measurement_groups()
    (arrow,) = [each for each in groups if len(each.roi.value) == 2]
    assert np.abs(arrow.roi.value - [[90, 90], [80, 80]]).max() < 1e-4
    assert arrow.get_measurements() == []
    words = [each.TextValue for each in arrow[0].ContentSequence if each.ValueType == "TEXT"]
    assert words == ["Cornerstone3DTools@^0.1.0:ArrowAnnotate", "here"]


def test_key_images_are_selected(study, written):
    (dataset,) = written[0]["key_images"]
    document = hd.ko.KeyObjectSelectionDocument.from_dataset(dataset)
    found = {
        uid
        for _, _, uid in (
            document.resolve_reference(each)
            for each in (study.images[2].SOPInstanceUID, study.film.SOPInstanceUID)
        )
    }
    assert found == {study.images[2].SOPInstanceUID, study.film.SOPInstanceUID}


def test_the_view_is_a_presentation_state(study, written):
    (dataset,) = written[0]["view"]
    (voi,) = dataset.SoftcopyVOILUTSequence
    assert (float(voi.WindowCenter), float(voi.WindowWidth)) == (60.5, 160.25)
    assert dataset.PresentationLUTShape == "INVERSE"
    assert (dataset.ImageRotation, dataset.ImageHorizontalFlip) == (90, "Y")
    (area,) = dataset.DisplayedAreaSelectionSequence
    assert list(area.DisplayedAreaBottomRightHandCorner) == [128, 128]
    (notes,) = dataset.GraphicAnnotationSequence
    words = [each.UnformattedTextValue for each in notes.TextObjectSequence]
    assert any("Läsion" in each and "40.1 mm" in each for each in words)
    kinds = [each.GraphicType for each in notes.GraphicObjectSequence]
    assert kinds.count("POLYLINE") == 5  # length, nodule, two lines of the Cobb angle, arrow
    assert kinds.count("ELLIPSE") == 1


def test_outlined_regions_are_segments_of_the_pixels_inside(study, written):
    (dataset,) = written[0]["segmentation"]
    seg = hd.seg.Segmentation.from_dataset(dataset)
    labels = {seg.get_segment_description(n).segment_label: n for n in seg.segment_numbers}
    assert sorted(labels) == ["Nodule", "Painted", "Region 1"]
    sources = [study.images[index].SOPInstanceUID for index in (2, 3)]
    pixels = seg.get_pixels_by_source_instance(sources)
    nodule = pixels[..., labels["Nodule"] - 1]
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    wanted = (columns > 10) & (rows > 10) & ((columns - 10) / 30 + (rows - 10) / 40 < 1)
    for frame in nodule:
        assert np.array_equal(frame.astype(bool), wanted)
    brushed = pixels[..., labels["Painted"] - 1].astype(bool)
    assert np.array_equal(brushed, PAINTED)
    region = pixels[0, ..., labels["Region 1"] - 1].astype(bool)
    inside = ((columns - 50.5) / 20) ** 2 + ((rows - 50.5) / 10) ** 2 <= 1
    assert np.array_equal(region, inside)


def test_volumes_are_pixels_times_spacing_and_name_their_segments(study, written):
    (dataset,) = written[0]["volumes"]
    (seg,) = written[0]["segmentation"]
    report = hd.sr.ComprehensiveSR.from_dataset(dataset)
    groups = report.content.get_volumetric_roi_measurement_groups()
    slice_mm = float(study.images[3].ImagePositionPatient[2]) - float(
        study.images[2].ImagePositionPatient[2]
    )
    labels = {each.SegmentNumber: each.SegmentLabel for each in seg.SegmentSequence}
    pixels = dict.fromkeys(labels.values(), 0)
    values = hd.seg.Segmentation.from_dataset(seg).pixel_array
    for frame, facts in zip(values, seg.PerFrameFunctionalGroupsSequence, strict=True):
        (identified,) = facts.SegmentIdentificationSequence
        pixels[labels[identified.ReferencedSegmentNumber]] += int(frame.sum())
    told = {}
    for group in groups:
        (volume,) = group.get_measurements()
        segment = group.referenced_segment
        (number,) = segment.referenced_segment_numbers or [0]
        assert segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert group.tracking_uid == seg.SegmentSequence[number - 1].TrackingUID
        assert (volume.name.meaning, volume.unit.value) == ("Volume", "cm3")
        told[labels[number]] = volume.value
    assert set(told) == {"Nodule", "Painted"}  # the region on one image is an area
    for label, value in told.items():
        wanted = pixels[label] * SPACING_MM**2 * slice_mm / 1000
        assert value == pytest.approx(wanted, rel=1e-12)


def dcmqi(tool, *arguments):
    """Run a program of dcmqi, which comes as a wheel."""
    found = shutil.which(tool, path=Path(sys.executable).parent)
    if found is None:
        pytest.skip("dcmqi is not here")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.peer("dcmqi")
def test_segments_are_the_same_voxels_for_dcmqi(written, tmp_path):
    (dataset,) = written[0]["segmentation"]
    dataset.save_as(tmp_path / "seg.dcm")
    dcmqi(
        "segimage2itkimage",
        *("--inputDICOM", str(tmp_path / "seg.dcm"), "--outputDirectory", str(tmp_path)),
    )
    names = [each.SegmentLabel for each in dataset.SegmentSequence]
    head, _, packed = (
        (tmp_path / f"{names.index('Painted') + 1}.nrrd").read_bytes().partition(b"\n\n")
    )
    said = dict(each.split(": ", 1) for each in head.decode().splitlines() if ": " in each)
    assert (said["type"], said["sizes"]) == ("short", f"{SIZE} {SIZE} 2")
    assert said["space directions"] == f"({SPACING_MM:.17g},0,0) (0,{SPACING_MM:.17g},0) (0,0,2)"
    voxels = np.frombuffer(gzip.decompress(packed), "<i2").reshape(2, SIZE, SIZE)
    assert np.array_equal(voxels != 0, PAINTED)


@pytest.mark.peer("dcmqi")
@pytest.mark.parametrize("kind", ["volumes", "measurements"])
def test_reports_say_the_same_for_dcmqi(written, tmp_path, kind):
    (dataset,) = written[0][kind]
    dataset.save_as(tmp_path / "report.dcm")
    dcmqi(
        "tid1500reader",
        *("--inputDICOM", str(tmp_path / "report.dcm")),
        *("--outputMetadata", str(tmp_path / "report.json")),
    )
    found = json.loads((tmp_path / "report.json").read_text())["Measurements"]
    groups = dataset.ContentSequence[-1].ContentSequence
    assert [each["TrackingUniqueIdentifier"] for each in found] == [
        each.ContentSequence[1].UID for each in groups
    ]
    for each, group in zip(found, groups, strict=True):
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
        assert [float(item["value"]) for item in each["measurementItems"]] == pytest.approx([
            float(item.MeasuredValueSequence[0].FloatingPointValue) for item in numbers
        ])
    if kind == "volumes":
        (seg,) = written[0]["segmentation"]
        assert {each["segmentationSOPInstanceUID"] for each in found} == {seg.SOPInstanceUID}
        assert [each["ReferencedSegment"] for each in found] == [2, 3]


def test_the_same_is_not_written_again_and_a_change_names_what_it_replaces(study, written):
    before, _ = written
    again, _ = study.write()
    assert {kind: len(each) for kind, each in again.items()} == dict.fromkeys(KINDS, 1)
    third = study.images[2]
    identifier = "1d2c9a52-5f0c-4a33-9f8f-5b6f3a3f0001"
    study.keep(identifier, "Length", third, length(third, value=41.0), "Läsion")
    after, _ = study.write()
    assert {kind: len(each) for kind, each in after.items()} == {
        "measurements": 2,
        "key_images": 1,
        "view": 2,
        "segmentation": 1,
        "volumes": 1,
    }
    first, second = after["measurements"]
    assert first.SOPInstanceUID == before["measurements"][0].SOPInstanceUID
    assert second.SeriesInstanceUID == first.SeriesInstanceUID
    (replaced,) = second.PredecessorDocumentsSequence
    named = replaced.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    tracked = [
        item.ContentSequence[1].UID
        for dataset in (first, second)
        for item in dataset.ContentSequence[-1].ContentSequence
        if item.ContentSequence[0].TextValue.endswith(":Length")
    ]
    assert len(set(tracked)) == len(tracked) / 2  # the same measurement has the same identifier


def test_a_signed_report_has_its_measurements_written(study, written):
    hospital = study.hospital
    third = study.images[2]
    study.keep(
        "m10",
        "Probe",
        third,
        {
            "points": [world(third, 5, 5)],
            "statistics": [{"name": "", "value": 33, "unit": "HU"}],
        },
    )
    number = third.AccessionNumber
    ada = hospital.program("ada")
    made = ada.post("/api/reports", json={"accession_number": number, "text": "Normal."})
    assert made.status_code in {200, 201}, made.text
    signed = ada.post(f"/api/reports/{made.json()['report_id']}/sign", json={})
    assert signed.status_code == 200, signed.text
    hospital.dispatcher.run_once()
    told = ada.get(f"/api/studies/{study.study_uid}/archived-findings").json()
    reports = [each for each in told["objects"] if each["kind"] == "measurements"]
    assert told["request"]["requested_by"] == "reading"
    assert told["request"]["done_at"]
    assert len(reports) >= 2


def test_nothing_is_asked_for_where_nothing_was_measured(study):
    ada = study.hospital.program("ada")
    assert ada.post("/api/studies/2.25.404/archived-findings").status_code == 404
    fay = study.hospital.program("fay")
    path = f"/api/studies/{study.study_uid}/archived-findings"
    assert fay.post(path).status_code == 403
