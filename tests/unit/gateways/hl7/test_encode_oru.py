"""Reports as each receiver wants them: text, PDF, codes; and what its statuses cannot say."""

import zlib
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, date, datetime

import hl7
import pytest

from isocenter.gateways.hl7.encode_oru import StatusNotTaken, encode_oru
from isocenter.gateways.hl7.envelope import Envelope
from isocenter.gateways.hl7.report_pdf import report_pdf
from isocenter.readmodels.report_content import (
    ContentIdentifier,
    ContentProcedure,
    ContentVersion,
    ReportContent,
)

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FINAL = ContentVersion(
    version=1,
    kind="final",
    text="Normal (head).\nNo bleed \\ no fracture. Größe 5 mm.",
    signed_by="rita",
    signer_name="Reader^Rita^^Dr",
    signed_at=AT,
)
ADDED = replace(FINAL, version=2, kind="addendum", text="Compared with 2019.")
CONTENT = ReportContent(
    report_id="R1",
    version=1,
    accession_number="A1",
    accession_issuer="",
    placer_order_number="PL1",
    placer_namespace="EHR",
    filler_order_number=None,
    filler_namespace="",
    priority=None,
    ordering_provider_name="Order^Otto",
    referring_physician_name=None,
    clinical_information=None,
    reason_for_study="Headache",
    admission_id="V1",
    patient_class="O",
    location=None,
    ordered_at=AT,
    performed_at=AT,
    patient_key=1,
    patient_name="Phantom^Zoë",
    patient_birth_date=date(1960, 2, 29),
    patient_sex="F",
    study_instance_uids=["1.2.3"],
    order_key=1,
    identifiers=(ContentIdentifier(value="P1", assigning_authority="HOSP", type_code="MR"),),
    procedures=(
        ContentProcedure(
            requested_procedure_id="RP1",
            study_instance_uid="1.2.3",
            code_value="CTH",
            code_scheme="L",
            code_meaning="CT head",
            description="CT of the head",
            modality="CT",
        ),
    ),
    versions=(FINAL,),
)
ADDENDED = replace(CONTENT, version=2, versions=(FINAL, ADDED))


def message(content=CONTENT, **more) -> hl7.Message:
    envelope = Envelope(
        sending=("ISO", "RAD"), receiving=("EHR", "H"), control_id="1", made_at=AT, **more
    )
    return hl7.parse(encode_oru(content, envelope).decode())


def observations(read: hl7.Message) -> list[tuple[str, str]]:
    return [(str(each[2]), str(each[3][0][0])) for each in read.segments("OBX")]


def test_each_receiver_gets_the_forms_that_it_wants():
    assert observations(message()) == [("HD", "113014"), ("TX", "18748-4"), ("TX", "18748-4")]
    forms = frozenset({"pdf", "coded"})
    assert observations(message(report_forms=forms)) == [
        ("CE", "55111-9"),
        ("CE", "18785-6"),
        ("ED", "18748-4"),
    ]


def test_the_pdf_is_the_report_and_the_same_every_time():
    read = message(report_forms=frozenset({"pdf"}))
    (obx,) = read.segments("OBX")
    assert [str(obx[5][0][index]) for index in range(4)] == ["", "AP", "PDF", "Base64"]
    pdf = b64decode(str(obx[5][0][4]))
    assert pdf == report_pdf(CONTENT)
    assert pdf.startswith(b"%PDF-1.4")
    assert b"(Normal \\(head\\).) Tj" in pdf
    assert "Größe 5 mm.".encode("cp1252") in pdf
    assert b"Signed by Dr Rita Reader" in pdf


def test_the_pdf_points_at_its_objects_and_breaks_into_pages():
    words = " ".join(f"word{number}" for number in range(2000))
    pdf = report_pdf(replace(CONTENT, versions=(replace(FINAL, text=words),)))
    start = int(pdf.rsplit(b"startxref\n", 1)[1].split()[0])
    rows = pdf[start:].split(b"\n")[2:]
    offsets = [int(row[:10]) for row in rows if row.endswith(b" n ")]
    for number, offset in enumerate(offsets, 1):
        assert pdf[offset:].startswith(b"%d 0 obj" % number)
    count = int(pdf.split(b"/Count ")[1].split()[0])
    assert count > 2
    assert pdf.count(b"/Type /Page ") == count
    assert all(b"word%d" % number in pdf for number in (0, 999, 1999))
    # Every stream is as long as it says.
    for stream in pdf.split(b"<< /Length ")[1:]:
        length, body = stream.split(b" >>\nstream\n", 1)
        assert body[int(length) :].startswith(b"\nendstream")
    assert zlib.crc32(pdf) == zlib.crc32(
        report_pdf(replace(CONTENT, versions=(replace(FINAL, text=words),)))
    )


def test_letters_that_the_pdf_cannot_hold_go_as_text():
    greek = replace(CONTENT, versions=(replace(FINAL, text="Φυσιολογικό."),))
    assert report_pdf(greek) is None
    read = message(greek, report_forms=frozenset({"pdf"}))
    assert observations(read) == [("TX", "18748-4")]
    assert str(read.segment("OBX")[5]) == "Φυσιολογικό."


@pytest.mark.parametrize(
    ("content", "statuses", "status", "note"),
    [
        (CONTENT, "PFC", "F", None),
        (ADDENDED, "PFC", "C", None),
        (ADDENDED, "F", "F", "Corrected report, version 2: it replaces the earlier ones."),
        (CONTENT, "C", "C", "First report of this examination: it corrects none."),
    ],
)
def test_a_status_that_is_not_taken_is_told_in_words(content, statuses, status, note):
    read = message(content, statuses=frozenset(statuses))
    assert str(read.segment("OBR")[25]) == status
    notes = [str(each[3]) for each in read if str(each[0]) == "NTE"]
    assert notes == ([note] if note else [])
    observed = {str(each[11]) for each in read.segments("OBX")}
    assert observed <= {status, "F"}


def test_nothing_false_is_sent_to_who_takes_neither_final_nor_corrected():
    with pytest.raises(StatusNotTaken):
        message(statuses=frozenset({"P"}))


def test_versions_before_2_4_get_no_structure():
    assert str(message(version="2.3.1").segment("MSH")[9]) == "ORU^R01"
    assert str(message(version="2.5.1").segment("MSH")[9]) == "ORU^R01^ORU_R01"
