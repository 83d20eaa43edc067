"""Routes of images on their page and in the API, up to the delivery on the exam's page."""

from isocenter.domain.access.model import Actor
from isocenter.domain.distribution import service as distribution

ROUTE = {
    "name": "night",
    "recipient": "PACS2",
    "modalities": ["CT"],
    "study_descriptions": ["*head*", "*BRAIN*"],
    "time_from": "20:00:00",
    "time_to": "07:00:00",
    "compression": "htj2k",
    "wants_commitment": True,
}


def add_peer(hospital, name="PACS2"):
    peer = {"name": name, "ae_title": name, "host": "192.0.2.9", "port": 104}
    assert hospital.browser("root").post("/api/peers/dicom", json=peer).status_code == 201


def test_a_route_is_typed_in_shown_switched_and_removed(hospital):
    browser = hospital.browser("root")
    assert "Add the destination as a DICOM peer" in browser.get("/routes").text
    add_peer(hospital)
    form = {
        "name": "night",
        "recipient": "PACS2",
        "modalities": "CT, MR",
        "time_from": "20:00",
        "time_to": "07:00",
        "compression": "htj2k",
        "what": ["images", "commitment"],
    }
    assert browser.post("/routes", data=form).headers["location"] == "/routes?done=route_added"
    page = browser.get("/routes").text
    assert "Modality: CT, MR" in page
    assert "Arriving: 20:00 to 07:00" in page
    assert "Compressed with htj2k" in page
    assert "Storage commitment asked for" in page
    browser.post("/routes/night/disable")
    assert "Switch on" in browser.get("/routes").text
    browser.post("/routes/night/remove")
    assert "Images stay here." in browser.get("/routes").text
    assert [each[1] for each in hospital.audited("route.add")] == ["night"]
    assert hospital.browser("ada").get("/routes").status_code == 403


def test_the_api_takes_routes_and_says_what_is_wrong_with_them(hospital):
    program = hospital.browser("root")
    assert program.post("/api/routes", json=ROUTE).status_code == 404  # no such peer yet
    add_peer(hospital)
    assert program.post("/api/routes", json=ROUTE).status_code == 201
    (route,) = program.get("/api/routes").json()
    assert {name: route[name] for name in ROUTE} == ROUTE
    assert program.post("/api/routes", json=ROUTE).status_code == 409
    for wrong in (
        {"name": "a b"},
        {"compression": "zip"},
        {"time_to": None},
        {"sends_images": False, "wants_commitment": False},
        {"modalities": [" "]},
    ):
        answer = program.post("/api/routes", json={**ROUTE, "name": "other", **wrong})
        assert answer.status_code == 422, (wrong, answer.text)
    assert program.post("/api/routes/night/disable").status_code == 204
    assert program.get("/api/routes").json()[0]["enabled"] is False
    assert program.delete("/api/routes/night").status_code == 204
    assert program.delete("/api/routes/night").status_code == 404


def test_images_that_a_route_takes_are_seen_on_the_way(hospital):
    add_peer(hospital)
    browser = hospital.browser("root")
    browser.post("/api/routes", json={"name": "all", "recipient": "PACS2", "notifies": True})
    number = hospital.order(1)
    study_uid = hospital.scan(number, 1)
    hospital.dispatcher.run_once()
    hospital.quiet()
    found = browser.get("/api/deliveries", params={"accession_number": number}).json()
    assert [(each["kind"], each["recipient"], each["state"]) for each in found] == [
        ("availability", "PACS2", "queued"),
        ("images", "PACS2", "queued"),
    ]
    assert (found[1]["instances"], found[1]["study_instance_uid"]) == (3, study_uid)
    page = browser.get("/deliveries").text
    assert "0 of 3 images" in page
    assert "by route all" in page
    ledger = browser.get(f"/api/exams/{number}").json()
    assert {each["kind"] for each in ledger["deliveries"]} == {"images", "availability"}
    assert "0 of 3 images" in browser.get(f"/exams/{number}").text
    assert browser.post("/api/destinations/PACS2/pause", json={"reason": "why"}).status_code == 204
    (lane,) = browser.get("/api/destinations").json()
    assert (lane["protocol"], lane["waiting"], lane["pause_reason"]) == ("dicom", 2, "why")
    assert "why" in browser.get("/routes").text
    assert browser.post("/api/destinations/PACS2/resume").status_code == 204


def test_a_person_sends_a_study_and_everybody_may_see_that(hospital):
    add_peer(hospital)
    study_uid = hospital.scan(hospital.order(1), 1)
    browser = hospital.browser("root")
    wanted = {"study_instance_uid": study_uid, "recipient": "PACS2", "wants_commitment": True}
    key = browser.post("/api/deliveries", json=wanted).json()["delivery_key"]
    (delivery,) = hospital.browser("ada").get("/api/deliveries").json()
    assert (delivery["delivery_key"], delivery["instances"]) == (key, 3)
    unknown = {**wanted, "study_instance_uid": "1.2.3"}
    assert browser.post("/api/deliveries", json=unknown).status_code == 404
    assert hospital.browser("ada").post("/api/deliveries", json=wanted).status_code == 403


def test_requests_for_commitment_are_shown_and_answered_again(hospital):
    asked = distribution.CommitmentRequest("1.2.3.4", [("1.2.840.10008.5.1.4.1.1.2", "1.2.3")])
    modality = Actor.dicom_peer("CT1", "192.0.2.20", ("store",))
    with hospital.database.transaction() as tx:
        now = tx.value("select now()")
        key = distribution.request_commitment(tx, modality, asked, hold_s=0, now=now)
        claimed = distribution.claim_commitment(tx, lease_s=9, now=now)
        distribution.decide_commitment(tx, claimed, [0x0112], now=now)
        claimed = distribution.claim_answer(tx, key, lease_s=9, now=now)
        distribution.mark_reported(tx, claimed, now=now)
    browser = hospital.browser("root")
    (shown,) = browser.get("/api/commitments").json()
    assert (shown["peer"], shown["state"], shown["instances"], shown["failed"]) == (
        "CT1",
        "reported",
        1,
        1,
    )
    assert "Answer again" in browser.get("/routes").text
    assert browser.post(f"/api/commitments/{key}/replay").status_code == 202
    assert browser.get("/api/commitments").json()[0]["state"] == "requested"
    assert browser.post(f"/api/commitments/{key}/replay").status_code == 409
