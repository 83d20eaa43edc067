"""The story: one exam from registration to acknowledged report, told by peers that are not ours."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient

from tests.e2e.hl7_peers import ResultReceiver, acknowledgement_code, order, registration, send
from tests.e2e.product import Product, until

pytestmark = pytest.mark.usefixtures("dcmtk")

HOPS = [
    "ordered",
    "scheduled",
    "on_worklist",
    "queried",
    "started",
    "images_received",
    "complete",
    "reconciled",
    "on_reading_list",
    "read",
    "signed",
    "sent",
    "acknowledged",
]


def dcmtk(program: str, *arguments: str, product: Product, ae_title: str = "CT1") -> str:
    target = ["-aet", ae_title, "-aec", "ISOCENTER", "127.0.0.1", str(product.dicom_port)]
    done = subprocess.run(
        [program, *arguments[:1], *target, *arguments[1:]], capture_output=True, text=True
    )
    assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def worklist(product: Product, *keys: str, ae_title: str = "CT1") -> list[dict[str, str]]:
    """Return what `findscu -W` prints, an item each, keyword -> value."""
    asked = [
        "PatientName",
        "PatientID",
        "AccessionNumber",
        "StudyInstanceUID",
        "RequestedProcedureDescription",
        "ScheduledProcedureStepSequence[0].Modality",
        "ScheduledProcedureStepSequence[0].ScheduledStationAETitle",
        "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate",
    ]
    named = {key.split("=")[0] for key in keys}
    arguments = [
        part for key in (*keys, *(a for a in asked if a not in named)) for part in ("-k", key)
    ]
    output = dcmtk("findscu", "-W", *arguments, product=product, ae_title=ae_title)
    items: list[dict[str, str]] = []
    for line in output.splitlines():
        if "Find Response:" in line or "Find SCU Response" in line:
            items.append({})
        if items and (match := re.search(r"\[(.*?)[\s\0]*\]\s+#.*?(\w+)$", line)):
            items[-1][match[2]] = match[1]
    return items


def test_echo(product: Product):
    assert "Received Echo Response (Success)" in dcmtk("echoscu", "-v", product=product)


def test_one_exam_from_registration_to_acknowledged_report(
    product: Product, ehr: ResultReceiver, testdata: Path, tmp_path: Path
):
    # Registered and ordered by the EHR.
    answer = send(product.hl7_port, registration("E2E01", "Phantom^Ada^^^", control_id="S1"))
    assert [acknowledgement_code(a) for a in answer] == ["AA"]
    placed = order(
        "E2E01", "Phantom^Ada", control_id="S2", placer="S-P1", accession="E2E0001", station="CT1"
    )
    answer = send(product.hl7_port, placed, chunk_bytes=1)
    assert [acknowledgement_code(a) for a in answer] == ["AA"]

    # The scanner sees its patient.
    until(product.reached("E2E0001", "on_worklist"))
    today = time.strftime("%Y%m%d")
    items = worklist(
        product,
        "ScheduledProcedureStepSequence[0].Modality=CT",
        f"ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate={today}",
        "PatientName=Phan*",
    )
    item = next(i for i in items if i["AccessionNumber"] == "E2E0001")
    assert item["PatientID"] == "E2E01"
    assert item["PatientName"].startswith("Phantom^Ada")
    assert not worklist(product, "PatientID=E2E01", "ScheduledProcedureStepSequence[0].Modality=MR")

    # Real images, taken under the worklist's identity.
    folder = tmp_path / "series"
    only_images = shutil.ignore_patterns("LICENSE*", "README*")
    shutil.copytree(testdata / "dicom/ct_head_philips_2mm_jpegls", folder, ignore=only_images)
    slices = sorted(folder.glob("*.dcm"))
    for path in slices:
        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.PatientName = item["PatientID"], item["PatientName"]
        dataset.AccessionNumber = item["AccessionNumber"]
        dataset.StudyInstanceUID = item["StudyInstanceUID"]
        dataset.save_as(path)
    dcmtk("storescu", "-R", "-xt", "+sd", str(folder), product=product)
    ledger = until(
        lambda: product.reached("E2E0001", "on_reading_list")() and product.ledger("E2E0001"),
        what="on the reading list",
    )
    assert ledger["by_name"]["images_received"]["count"] == len(slices) == 70

    # Found and fetched by an independent DICOMweb client, bytes as they were sent.
    client = DICOMwebClient(
        f"{product.url}/dicomweb",
        headers={"Authorization": f"Bearer {product.token('radiologist')}"},
    )
    (study,) = client.search_for_studies(search_filters={"AccessionNumber": "E2E0001"})
    assert study["00201208"]["Value"] == [70]
    uid = study["0020000D"]["Value"][0]
    first = pydicom.dcmread(slices[0])
    got = client.retrieve_instance(uid, first.SeriesInstanceUID, first.SOPInstanceUID)
    assert got.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    assert got.PixelData == first.PixelData
    metadata = client.retrieve_series_metadata(uid, first.SeriesInstanceUID)
    assert {m["00080018"]["Value"][0] for m in metadata} == {
        pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID for p in slices
    }

    # Reported, signed, received and acknowledged by the EHR.
    text = "No fracture.\nGrüße & 50 | 60^"
    status, report = product.api(
        "POST",
        "/api/reports",
        {"accession_number": "E2E0001", "text": "No fracture.\nGrüße & 50 | 60^"},
    )
    assert status == 201, report
    status, signed = product.api("POST", f"/api/reports/{report['report_id']}/sign")
    assert status == 200, signed
    until(product.reached("E2E0001", "acknowledged"), what="acknowledged")
    results = [m for m in ehr.received if "E2E0001" in str(m)]
    assert len(results) == 1
    text = "\n".join(str(segment) for segment in results[0].segments("OBX"))
    assert "No fracture." in text
    assert "50 \\F\\ 60\\S\\" in text
    assert str(results[0].segment("OBR")[25]) == "F"

    ledger = product.ledger("E2E0001")
    assert [hop["name"] for hop in ledger["hops"]] == HOPS
    assert {hop["state"] for hop in ledger["hops"]} == {"done"}
    assert ledger["state"] == "delivered"
    status, deliveries = product.api("GET", "/api/deliveries?accession_number=E2E0001")
    assert [d["state"] for d in deliveries] == ["acknowledged"]

    # A signed text stays: changing it is refused; an addendum is a version with its own delivery.
    status, _ = product.api("PUT", f"/api/reports/{report['report_id']}", {"text": "changed"})
    assert status == 409
    status, _ = product.api(
        "POST", f"/api/reports/{report['report_id']}/addenda", {"text": "Also fine."}
    )
    assert status in {200, 201}
    until(lambda: len([m for m in ehr.received if "E2E0001" in str(m)]) == 2, what="addendum")


def test_images_before_their_order_find_it(product: Product, testdata: Path):
    image = testdata / "dicom/ct_all_transfer_syntaxes/CTImage.dcm"
    dataset = pydicom.dcmread(image, stop_before_pixels=True)
    dcmtk("storescu", "-R", str(image), product=product)
    listed = until(
        lambda: [
            case
            for case in product.api("GET", "/api/reconciliation")[1]
            if case["study_instance_uid"] == dataset.StudyInstanceUID
        ],
        what="a case for the unmatched study",
    )
    assert listed[0]["kind"] == "unmatched"
    late = order(
        *("2178309", "Mister^Ct"),
        control_id="L1",
        placer="L-P1",
        accession=dataset.AccessionNumber,
    )
    assert acknowledgement_code(send(product.hl7_port, late)[0]) == "AA"
    until(product.reached(dataset.AccessionNumber, "reconciled"), what="late order linked")
    assert not [
        case
        for case in product.api("GET", "/api/reconciliation")[1]
        if case["study_instance_uid"] == dataset.StudyInstanceUID
    ]


def test_a_mistyped_accession_number_is_matched_by_a_person(
    product: Product, testdata: Path, tmp_path: Path
):
    send(product.hl7_port, registration("E2E03", "Phantom^Cyd", control_id="M1"))
    send(
        product.hl7_port,
        order("E2E03", "Phantom^Cyd", control_id="M2", placer="M-P1", accession="E2E0003"),
    )
    path = tmp_path / "mistyped.dcm"
    dataset = pydicom.dcmread(testdata / "dicom/ct_all_transfer_syntaxes/CTImage.dcm")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.30301", "2.25.30302"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.30303"
    dataset.PatientID, dataset.PatientName = "E2E03", "Phantom^Cyd"
    dataset.AccessionNumber = "E2E3000"
    dataset.save_as(path)
    dcmtk("storescu", "-R", str(path), product=product)

    def case():
        items = product.api("GET", "/api/reconciliation")[1]
        return next((c for c in items if c["study_instance_uid"] == "2.25.30301"), None)

    until(case, what="the mistyped study waits for a person")
    status, answer = product.api(
        "POST",
        "/api/reconciliation/2.25.30301/match",
        {"accession_number": "E2E0003", "reason": "typed wrongly at the scanner"},
    )
    assert status == 200, answer
    until(product.reached("E2E0003", "reconciled"), what="matched")
    assert case() is None


def test_a_cancelled_order_leaves_the_worklist(product: Product):
    send(product.hl7_port, registration("E2E04", "Phantom^Dee", control_id="C1"))
    placed = order("E2E04", "Phantom^Dee", control_id="C2", placer="C-P1", accession="E2E0004")
    send(product.hl7_port, placed)
    until(lambda: worklist(product, "PatientID=E2E04"), what="on the worklist")
    cancelled = order(
        "E2E04", "Phantom^Dee", control_id="C3", placer="C-P1", accession="E2E0004", control="CA"
    )
    assert acknowledgement_code(send(product.hl7_port, cancelled)[0]) == "AA"
    until(lambda: not worklist(product, "PatientID=E2E04"), what="gone from the worklist")
    assert product.ledger("E2E0004")["state"] == "cancelled"


def test_a_merge_reaches_the_worklist(product: Product):
    send(product.hl7_port, registration("E2E05", "Phantom^Eve", control_id="G1"))
    send(product.hl7_port, registration("E2E05X", "Phantom^Unknown", control_id="G2"))
    placed = order("E2E05X", "Phantom^Unknown", control_id="G3", placer="G-P1", accession="E2E0005")
    send(product.hl7_port, placed)
    merge = registration("E2E05", "Phantom^Eve", control_id="G4", event="A40", merged="E2E05X")
    assert acknowledgement_code(send(product.hl7_port, merge)[0]) == "AA"
    (item,) = until(lambda: worklist(product, "PatientID=E2E05"), what="merged on the worklist")
    assert item["AccessionNumber"] == "E2E0005"
    itself = registration("E2E05", "Phantom^Eve", control_id="G5", event="A40", merged="E2E05")
    refused = send(product.hl7_port, itself)[0]
    assert acknowledgement_code(refused) == "AE"
    assert b"205" in refused


def test_an_unknown_scanner_is_refused_and_approved_with_one_call(product: Product):
    command = [
        "echoscu",
        "-aet",
        "NEWCT",
        "-aec",
        "ISOCENTER",
        "127.0.0.1",
        str(product.dicom_port),
    ]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "Calling AE Title Not Recognized" in refused.stdout + refused.stderr
    _, pending = product.api("GET", "/api/peers/pending", user="root")
    caller = next(c for c in pending if c["caller"] == "NEWCT")
    status, answer = product.api(
        "POST",
        f"/api/peers/pending/{caller['pending_key']}/approve-dicom",
        {"name": "NEWCT", "allow": ["store"]},
        user="root",
    )
    assert status in {200, 201}, answer
    until(lambda: subprocess.run(command, capture_output=True).returncode == 0, what="approved")


def test_every_transfer_syntax_is_stored_and_comes_back_as_it_was_sent(
    product: Product, testdata: Path, tmp_path: Path
):
    client = DICOMwebClient(
        f"{product.url}/dicomweb",
        headers={"Authorization": f"Bearer {product.token('root')}"},
    )
    sent = []
    for number, path in enumerate(
        sorted((testdata / "dicom/ct_all_transfer_syntaxes").glob("CTImage*"))
    ):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.40401", "2.25.40402"
        uid = f"2.25.404{number:04d}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        copy = tmp_path / f"{number}.dcm"
        dataset.save_as(copy)
        client.store_instances([dataset])
        sent.append((uid, pydicom.dcmread(copy)))
    assert len(sent) == 16
    for uid, dataset in sent:
        got = client.retrieve_instance("2.25.40401", "2.25.40402", uid)
        assert got.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID, uid
        assert got.PixelData == dataset.PixelData, uid
        rendered = client.retrieve_instance_rendered(
            "2.25.40401", "2.25.40402", uid, media_types=("image/png",)
        )
        assert rendered[:8] == b"\x89PNG\r\n\x1a\n", dataset.file_meta.TransferSyntaxUID.name


def test_the_logs_of_the_story_hold_no_patient_data(product: Product):
    log = product.log
    assert "child_started" in log
    for mark in ("Phantom", "PHANTOM", "E2E01", "E2E03", "E2E05", "19600229", "No fracture"):
        assert mark not in log, mark
