"""What other systems found out is on the exam's page and in the API, for who may read reports."""

from isocenter.domain.access.model import Actor
from isocenter.domain.identity.model_visits import VisitFacts, VisitNumber, VisitState
from isocenter.domain.identity.service import record_visits
from isocenter.domain.orders import service as orders
from isocenter.domain.orders.model import OrderReference
from isocenter.domain.reporting import service_external as external
from isocenter.domain.reporting.model_external import DocumentFacts, ObservationFacts
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model_appointments import AppointmentFacts
from isocenter.standards.statuses import Result
from tests.hospital import Hospital

LAB = Actor.hl7_peer("LAB", "192.0.2.9", ["oru", "adt", "siu"])


def test_values_documents_visit_and_appointment_of_an_exam(hospital: Hospital):
    number = hospital.order(1)
    now = hospital.clock()
    with hospital.database.transaction() as tx:
        order = orders.exam(tx, number).order
        key = order.patient_key
        tx.run("update orders.imaging_order set admission_id = 'V1'")
        code = ("33914-3", "LN", "eGFR")
        values = [ObservationFacts("L1", code, now, Result.FINAL, now, "44", "mL/min")]
        external.keep_observations(tx, LAB, key, values, now=now)
        letter = DocumentFacts("D1", now, "<b>Letter</b>", Result.FINAL, b"<i>Well.</i>")
        external.file_document(tx, LAB, key, letter, now=now)
        visit = VisitFacts(VisitNumber("V1"), now, VisitState.PRESENT, location="WARD 7")
        record_visits(tx, [(LAB, key, visit)], now=now)
        appointment = AppointmentFacts(
            now,
            "A1",
            status="noshow",
            reason="asleep",
            orders=(OrderReference(order.placer_order_number, order.placer_namespace),),
        )
        scheduling.keep_appointment(tx, LAB, appointment, key, may_be_new=True, now=now)
    page = hospital.browser("ada").get(f"/exams/{number}").text
    for shown in ("eGFR", "44 mL/min", "&lt;b&gt;Letter", "WARD 7", "Did not show up", "asleep"):
        assert shown in page
    for reading in ("?plain=1", ""):  # beside the report that is written
        assert "44 mL/min" in hospital.browser("ada").get(f"/exams/{number}/read{reading}").text
    found = hospital.program("ada").get(f"/api/external-results?accession_number={number}").json()
    assert [(e["code_value"], e["value"]) for e in found["observations"]] == [("33914-3", "44")]
    (document,) = found["documents"]
    path = f"/api/external-results/documents/{document['document_key']}"
    answer = hospital.program("ada").get(path)
    assert answer.content == b"<i>Well.</i>"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    missing = hospital.program("ada").get("/api/external-results/documents/99999")
    assert missing.status_code == 404
