import asyncio
import json

import pytest


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    return body


def test_the_ledger_of_an_exam(hospital):
    number = hospital.order(1)
    program = hospital.program("fay")
    answer = program.get(f"/api/exams/{number}").json()
    assert answer["accession_number"] == number
    assert answer["state"] == "scheduled"
    assert [hop["name"] for hop in answer["hops"]] == [
        "ordered", "scheduled", "on_worklist", "queried", "started", "images_received", "complete",
        "reconciled", "on_reading_list", "read", "signed", "sent", "acknowledged",
    ]  # fmt: skip
    assert answer["hops"][0] == {
        "name": "ordered",
        "at": "2026-03-02T08:00:00Z",
        "state": "done",
        "late": False,
        "reason": None,
        "since": None,
        "count": None,
    }
    hospital.clock.advance(hours=2)
    late = program.get(f"/api/exams/{number}").json()["hops"][3]
    assert late["late"]
    assert late["state"] == "late"
    assert "No scanner has asked" in late["reason"]


def test_exams_are_found_and_paged(hospital):
    numbers = [hospital.order(number) for number in range(1, 6)]
    program = hospital.program("fay")
    first = program.get("/api/exams", params={"limit": 3}).json()
    second = program.get("/api/exams", params={"limit": 3, "after": first["next"]}).json()
    listed = [each["accession_number"] for each in first["items"] + second["items"]]
    assert listed == numbers[::-1]
    assert second["next"] is None
    one = program.get("/api/exams", params={"patient_id": "PH0003"}).json()["items"]
    assert [each["accession_number"] for each in one] == [numbers[2]]
    assert program.get("/api/exams", params={"state": "delivered"}).json()["items"] == []
    problem(program.get("/api/exams", params={"state": "nonsense"}), 422)
    problem(program.get("/api/exams/nothing"), 404)


def test_a_report_is_drafted_signed_and_added_to(hospital):
    number = hospital.order(1)
    hospital.recipient()
    program = hospital.program("ada")
    made = program.post("/api/reports", json={"accession_number": number, "text": "Draft."})
    assert made.status_code == 201
    report_id, revision = made.json()["report_id"], made.json()["draft_revision"]
    saved = program.put(
        f"/api/reports/{report_id}", json={"text": "Better.", "draft_revision": revision}
    )
    assert saved.json()["draft_text"] == "Better."
    stale = {"text": "Old.", "draft_revision": revision}
    assert problem(program.put(f"/api/reports/{report_id}", json=stale), 409)["kind"] == "conflict"
    signed = program.post(f"/api/reports/{report_id}/sign").json()
    assert (signed["state"], signed["version"], signed["draft_text"]) == ("signed", 1, None)
    problem(program.put(f"/api/reports/{report_id}", json={"text": "Changed."}), 409)
    added = program.post(f"/api/reports/{report_id}/addenda", json={"text": "And more."})
    assert (added.status_code, added.json()["version"]) == (201, 2)
    texts = program.get(f"/api/reports/{report_id}/versions").json()
    assert [(each["kind"], each["text"]) for each in texts] == [
        ("final", "Better."),
        ("addendum", "And more."),
    ]
    hospital.dispatcher.run_once()
    deliveries = program.get("/api/deliveries", params={"accession_number": number}).json()
    assert {(each["recipient"], each["state"]) for each in deliveries} == {("ehr", "queued")}
    assert len(deliveries) == 2


@pytest.mark.parametrize("user", ["fay", "tom", "root"])
def test_only_radiologists_write_reports(hospital, user):
    number = hospital.order(1)
    body = {"accession_number": number, "text": "x"}
    answer = hospital.program(user).post("/api/reports", json=body)
    assert problem(answer, 403)["kind"] == "forbidden"


def test_a_study_is_matched_by_a_person(hospital):
    number = hospital.order(1)
    study_uid = hospital.scan("I0000OO1", 1)
    program = hospital.program("tom")
    (case,) = program.get("/api/reconciliation").json()
    assert (case["study_instance_uid"], case["kind"]) == (study_uid, "unmatched")
    assert number in [each["accession_number"] for each in case["candidates"]]
    link = program.post(
        f"/api/reconciliation/{study_uid}/match",
        json={"accession_number": number, "reason": "called the scanner"},
    ).json()
    assert (link["accession_number"], link["method"]) == (number, "person")
    assert program.get("/api/reconciliation").json() == []
    unknown = {"accession_number": "nothing", "reason": "x"}
    problem(program.post(f"/api/reconciliation/{study_uid}/match", json=unknown), 404)


def test_frames_are_in_order_and_lead_to_pictures(hospital):
    number = hospital.order(1)
    study_uid = hospital.scan(number, 1)
    program = hospital.program("ada")
    answer = program.get(f"/api/studies/{study_uid}/series/{study_uid}.1/frames").json()
    assert [frame.split("/")[-2] for frame in answer["frames"]] == [
        f"{study_uid}.1.{index}" for index in (1, 2, 3)
    ]
    for frame in answer["frames"]:
        picture = program.get(frame, params={"window": "40,400,linear"})
        assert picture.status_code == 200
        assert picture.headers["content-type"].startswith("image/")


def test_peers_are_added_and_pending_callers_approved(hospital):
    from isocenter.domain.peers import service as peers  # noqa: PLC0415 - only here

    with hospital.database.transaction() as tx:
        peers.decide_association(
            tx,
            calling_ae_title="CT01",
            address="10.0.0.7",
            resolve=lambda _host: frozenset(),
            now=hospital.clock(),
        )
    program = hospital.program("root")
    (pending,) = program.get("/api/peers/pending").json()
    approved = program.post(
        f"/api/peers/pending/{pending['pending_key']}/approve-dicom",
        json={"name": "ct01", "allow": ["store", "worklist"]},
    ).json()
    assert (approved["ae_title"], approved["host"]) == ("CT01", "10.0.0.7")
    assert program.get("/api/peers/pending").json() == []
    again = {"name": "ct01", "ae_title": "CT02", "host": "10.0.0.8", "port": 104}
    problem(program.post("/api/peers/dicom", json=again), 409)
    odd = "/api/peers/dicom/ct01/quirks"
    assert program.put(odd, json=["assume-latin-2", "plain-pending"]).status_code == 204
    (peer,) = program.get("/api/peers/dicom").json()
    assert (
        set(peer["quirks"])
        == {"assume-latin-2", "plain-pending"}
        < set(program.get("/api/peers/quirks").json())
    )
    problem(program.put(odd, json=["assume-latin-1", "assume-latin-2"]), 422)
    problem(program.put("/api/peers/dicom/ct09/quirks", json=[]), 404)
    problem(hospital.program("ada").put(odd, json=[]), 403)
    assert program.delete("/api/peers/dicom/ct01").status_code == 204
    problem(program.delete("/api/peers/dicom/ct01"), 404)
    problem(hospital.program("ada").get("/api/peers/dicom"), 403)


def test_a_token_is_limited_and_revoked(hospital):
    hospital.user("ada")
    root = hospital.program("root")
    wanted = {"user_name": "ada", "scope": ["exam.read"], "ttl_s": 60}
    secret = root.post("/api/tokens", json=wanted).json()["token"]
    headers = {"authorization": f"Bearer {secret}"}
    browser = hospital.stranger()
    assert browser.get("/api/exams", headers=headers).status_code == 200
    problem(browser.get("/api/deliveries", headers=headers), 403)
    assert browser.get("/api/me", headers=headers).json()["actions"] == ["exam.read"]
    hospital.clock.advance(seconds=61)
    problem(browser.get("/api/exams", headers=headers), 401)
    token = root.get("/api/tokens").json()[0]
    assert secret not in json.dumps(token)


def test_a_body_that_does_not_fit_is_not_repeated_in_the_answer(hospital):
    body = {"accession_number": "A1", "text": {"patient": "Phantom^Ada"}}
    answer = hospital.program("ada").post("/api/reports", json=body)
    problem(answer, 422)
    assert "Phantom" not in answer.text
    assert "body.text" in answer.json()["detail"]


def test_every_api_path_is_described_and_closed_to_strangers(hospital):
    description = hospital.program("ada").get("/api/openapi.json").json()
    stranger = hospital.stranger()
    checked = 0
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            address = path.replace("{", "").replace("}", "").replace(":path", "")
            answer = stranger.request(method, address, headers={"accept": "*/*"})
            assert answer.status_code == 401, (method, path)
            checked += 1
    assert checked > 30


def test_the_stream_tells_what_happens_without_patient_data(hospital):
    number = hospital.order(1)
    frames = asyncio.run(_first_frames(hospital, count=3))
    events = [json.loads(frame.split(b"data: ", 1)[1]) for frame in frames[1:]]
    assert all(set(event) == {"id", "name", "subject", "occurred_at", "ids"} for event in events)
    assert b"Phantom" not in b"".join(frames)
    assert number not in {event["name"] for event in events}


async def _first_frames(hospital, count):
    """From the start of the log, straight from the application: the test client cannot stream."""
    stream = hospital.program("ada").headers["authorization"].encode()
    frames: list[bytes] = []
    enough = asyncio.Event()
    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        for message in asked:
            return message
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.body" and message["body"]:
            frames.append(message["body"])
            if len(frames) == count:
                enough.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": "/api/events", "raw_path": b"/api/events", "root_path": "",
        "query_string": b"after=0", "headers": [(b"authorization", stream), (b"host", b"x")],
        "client": ("127.0.0.1", 1), "server": ("x", 80),
    }  # fmt: skip
    await asyncio.wait_for(hospital.application(scope, receive, send), 20)
    return frames[:count]
