"""What is held behind a refused message, on the page and in the API: sent again, or skipped."""

from isocenter.domain.access.model import Actor
from isocenter.domain.distribution import service as distribution
from tests.hospital import Hospital

SYSTEM = Actor.system("test")


def refuse_next(hospital: Hospital) -> int:
    with hospital.database.transaction() as tx:
        claimed = distribution.claim(tx, "ehr", lease_s=30, now=hospital.clock())
        distribution.refuse(
            tx, claimed, reason="AE 204", acknowledgement=None, now=hospital.clock()
        )
        return claimed.delivery_key


def queue(hospital: Hospital, report_id: str, exam: str) -> None:
    with hospital.database.transaction() as tx:
        distribution.route(
            tx, ["ehr"], report_id=report_id, version=1, accession_number=exam, now=hospital.clock()
        )


def test_what_is_held_is_shown_sent_again_or_skipped(hospital: Hospital):
    hospital.recipient()
    for report, exam in (("R1", "A1"), ("R2", "A1"), ("R3", "A3")):
        queue(hospital, report, exam)
    first, third = refuse_next(hospital), refuse_next(hospital)
    browser = hospital.browser("root")
    held = browser.get("/api/quarantines", params={"recipient": "ehr"}).json()
    assert [(each["delivery_key"], each["waiting"]) for each in held] == [(first, 1), (third, 0)]
    (ehr,) = browser.get("/api/destinations").json()
    assert (ehr["quarantined"], ehr["waiting"], ehr["refused"]) == (2, 1, 2)
    page = browser.get("/deliveries").text
    assert "2 patients or exams held" in page
    assert page.count("AE 204") >= 2

    assert browser.post(f"/api/deliveries/{first}/skip", json={"reason": ""}).status_code == 422
    assert hospital.browser("ada").post(
        f"/api/deliveries/{first}/skip", json={"reason": "no"}
    ).status_code in {403, 404}
    answer = browser.post(f"/deliveries/{first}/skip", data={"reason": "told by telephone"})
    assert "what waited behind it goes on" in browser.get(answer.headers["location"]).text
    assert browser.post(f"/api/deliveries/{first}/skip", json={"reason": "x"}).status_code == 409
    replayed = browser.post("/api/destinations/ehr/replay", json={"rate_per_s": 5})
    assert replayed.json() == {"replayed": 1}
    assert browser.get("/api/quarantines").json() == []
    (ehr,) = browser.get("/api/destinations").json()
    assert (ehr["waiting"], ehr["refused"]) == (2, 1)
    assert hospital.audited("delivery.skip")
