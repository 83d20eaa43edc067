"""Patients' pages and API: the review queue, a decision with its preview, and every undoing."""

import re
from datetime import date

import pytest

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier

SYSTEM = Actor.system("test")
ADA = {
    "person_name": "Double^Ada",
    "birth_date": date(1980, 3, 2),
    "sex": "F",
    "address": "Kernel Street 7, 12345 Voxelton",
    "phone": "030 1234567",
}


@pytest.fixture
def pair(hospital):
    """The keys of two records that look like one person, and of the question about them."""

    def registered(tx):
        found = []
        for value, name in (("DA1", "Double^Ada"), ("DA2", "Double^Adah")):
            facts = PatientFacts(
                (PatientIdentifier(value, "HOSP"),),
                hospital.clock(),
                **(ADA | {"person_name": name}),
            )
            found.append(identity.register(tx, SYSTEM, facts, now=hospital.clock()).patient_key)
        return found

    keys = hospital.pool.run_here(registered)
    hospital.dispatcher.run_once()
    [question] = hospital.browser("fay").get("/api/patients/pairs").json()
    return (*keys, question["pair_key"])


def test_a_question_is_listed_explained_and_decided(hospital, pair):
    one, other, key = pair
    desk = hospital.browser("fay")
    queue = desk.get("/patients").text
    assert "Double, Ada" in queue
    assert f'href="/patients/pairs/{key}"' in queue
    page = desk.get(f"/patients/pairs/{key}").text
    for text in ("Are these one person?", "Birth date", "Exact", "Link them", "differs"):
        assert text in page
    linked = desk.post(f"/patients/pairs/{key}/link", data={"reason": "passport"})
    assert linked.status_code == 303
    assert "No two records look like one person." in desk.get("/patients").text
    assert "linked with" in desk.get(f"/patients/{one}").text
    undone = desk.post(f"/patients/pairs/{key}/undo", data={"reason": "another passport"})
    assert undone.headers["location"].startswith(f"/patients/pairs/{key}")
    merged = desk.post(
        f"/patients/pairs/{key}/merge", data={"survivor_key": other, "reason": "passport"}
    )
    page = desk.get(merged.headers["location"]).text
    assert "Merged. This record stands for both" in page
    assert re.search(r">DA1 \(HOSP\)</a> merged into <a [^>]+>DA2 \(HOSP\)</a>", page)
    merge_key = hospital.pool.run_here(lambda tx: identity.merges(tx, SYSTEM, one)[-1].merge_key)
    desk.post(f"/patients/{other}/merges/{merge_key}/undo")
    assert "Undone" in desk.get(f"/patients/{other}").text
    assert hospital.audited("patient.decide_duplicate")


def test_a_decision_shows_what_it_touches(hospital, pair):
    one, _, key = pair
    accession_number = hospital.order(1)
    hospital.pool.run_here(
        lambda tx: tx.run("update orders.imaging_order set patient_key = %s", (one,))
    )
    report = {"accession_number": accession_number, "text": "Begun."}
    hospital.program("ada").post("/api/reports", json=report)
    detail = hospital.browser("fay").get(f"/api/patients/pairs/{key}").json()
    [exam] = detail["exams"]
    assert (exam["accession_number"], exam["patient_key"]) == (accession_number, one)
    assert (exam["on_worklist"], exam["report_state"]) == (True, "draft")
    assert "is asked to look again" in hospital.browser("fay").get(f"/patients/pairs/{key}").text


def test_programs_decide_as_people_do(hospital, pair):
    one, other, key = pair
    program = hospital.program("fay")
    path = f"/api/patients/pairs/{key}"
    assert program.post(f"{path}/part", json={"reason": "twins"}).status_code == 204
    assert program.post(f"{path}/link", json={"reason": "passport"}).status_code == 409
    assert program.post(f"{path}/undo", json={"reason": "mistake"}).status_code == 204
    merge = {"reason": "passport", "survivor_key": one}
    assert program.post(f"{path}/merge", json=merge).status_code == 204
    detail = program.get(f"/api/patients/{other}").json()
    assert detail["patient"]["patient_key"] == one
    assert [each["value"] for each in detail["patient"]["alias_identifiers"]] == ["DA2"]
    [merge] = detail["merges"]
    assert program.post(f"/api/patients/merges/{merge['merge_key']}/undo").status_code == 204
    assert program.get("/api/patients/pairs/999").status_code == 404
    assert program.post(f"{path}/undo", json={}).status_code == 422


def test_patients_are_found_however_they_are_spelt(hospital, pair):
    desk = hospital.browser("fay")
    for sought in ({"text": "DA1"}, {"text": "doub"}, {"text": "Duoble Ada", "born": "1980-03-02"}):
        assert f'href="/patients/{pair[0]}"' in desk.get("/patients", params=sought).text, sought
    assert "Nobody fits." in desk.get("/patients", params={"text": "Qwerty"}).text
    body = {"names": ["Ada^Double"], "birth_date": "1980-03-02", "phone": "+49 30 1234567"}
    [first, *_] = desk.post("/api/patients/match", json=body).json()
    assert first["patient"]["patient_key"] in pair[:2]
    assert first["grounds"][0]["level"] == "swapped"
    assert first["rule"] == ""


def test_a_number_alone_finds_its_patient(hospital, pair):
    desk = hospital.program("fay")
    mine = desk.get(f"/api/patients/{pair[0]}").json()["patient"]["identifiers"][0]
    number = [mine["value"], mine["assigning_authority"], mine["type_code"]]
    [found] = desk.post("/api/patients/match", json={"identifiers": [number]}).json()
    assert (found["patient"]["patient_key"], found["rule"]) == (pair[0], "identifier")
    assert (found["grounds"][0]["level"], found["vetoes"]) == ("exact", [])
    number[1] = ""
    [found] = desk.post("/api/patients/match", json={"identifiers": [number]}).json()
    assert (found["patient"]["patient_key"], found["rule"]) == (pair[0], "")
    assert found["grounds"][0]["level"] == "issuer_not_said"
    assert "who issued the number is not said" in found["vetoes"]


def test_who_reads_only_is_offered_no_decision(hospital, pair):
    reader = hospital.browser("ada")
    page = reader.get(f"/patients/pairs/{pair[2]}").text
    assert "Link them" not in page
    answer = reader.post(f"/patients/pairs/{pair[2]}/link", data={"reason": "x"})
    assert answer.status_code == 403


def test_a_report_in_progress_is_locked_until_its_writer_confirms_the_merged_patient(hospital):
    number = hospital.order(1)
    ada, page = hospital.program("ada"), hospital.browser("ada")
    draft = ada.post("/api/reports", json={"accession_number": number, "text": "Normal."}).json()
    assert not draft["patient_unconfirmed"]
    path = f"/api/reports/{draft['report_id']}"
    read = f"/exams/{number}/read?plain=true"
    assert "Sign…" in page.get(read).text

    def merged(tx):
        survivor = PatientFacts(
            (PatientIdentifier("SV1", "HOSPITAL"),),
            hospital.clock(),
            person_name="Survivor^Eve",
            birth_date=date(1955, 1, 2),
        )
        prior = [PatientIdentifier("PH0001", "HOSPITAL")]
        identity.merge(tx, SYSTEM, survivor, prior, now=hospital.clock())

    hospital.pool.run_here(merged)
    hospital.dispatcher.run_once()

    for body in ({}, {"draft_revision": 1}, {"draft_revision": 2}):
        refused = ada.post(f"{path}/sign", json=body)
        assert refused.status_code == 409, refused.text
        assert "merged or parted" in refused.json()["detail"]
    asked = page.get(read).text
    assert "This is the patient" in asked
    assert "Survivor, Eve" in asked.split('role="alert"')[1].split("</form>")[0]
    assert "Sign…" not in asked
    form = {"text": "Normal.", "report_id": draft["report_id"], "draft_revision": "2"}
    signing = page.post(f"/exams/{number}/read", data={**form, "action": "sign"})
    assert signing.status_code == 409
    assert ada.post(f"{path}/patient", json={"draft_revision": 1}).status_code == 409
    desk = hospital.program("fay")
    assert desk.post(f"{path}/patient", json={"draft_revision": 2}).status_code == 403

    said = {**form, "text": "Normal, compared with the priors.", "action": "confirm", "plain": True}
    assert page.post(f"/exams/{number}/read", data=said).status_code == 303
    assert "Sign…" in page.get(read).text
    assert hospital.audited("report.confirm_patient") == [("ada", draft["report_id"], None)]
    signed = ada.post(f"{path}/sign", json={"draft_revision": 3})
    assert signed.json()["state"] == "signed"
    versions = ada.get(f"{path}/versions").json()
    assert versions[0]["text"] == "Normal, compared with the priors."
