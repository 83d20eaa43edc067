"""Different bytes under one UID: both kept, a person sees both digests and chooses."""

import hashlib

from tests.hospital import Hospital, a_slice

STUDY = "2.25.10001"


def send(hospital: Hospital, content: bytes) -> None:
    answer = hospital.program("tom").post(
        "/dicomweb/studies",
        content=b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b--",
        headers={"content-type": 'multipart/related; type="application/dicom"; boundary=b'},
    )
    assert answer.status_code == 200, answer.text
    hospital.dispatcher.run_once()


def retrieved(hospital: Hospital) -> bytes:
    answer = hospital.program("ada").get(
        f"/dicomweb/studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.1",
        headers={"accept": 'application/dicom; transfer-syntax="*"'},
    )
    assert answer.status_code == 200, answer.text
    return answer.content


def described(hospital: Hospital) -> str:
    path = f"/dicomweb/studies/{STUDY}/series/{STUDY}.1/metadata"
    (instance,) = hospital.program("ada").get(path).json()
    return instance["00081030"]["Value"][0]


def test_both_digests_are_shown_and_a_person_chooses_and_chooses_back(hospital: Hospital):
    number = hospital.order(1)
    first = a_slice(number, 1, 1, name="Phantom^Ada", study_uid=STUDY)
    other = first.replace(b"CT chest", b"CT other")
    assert len(other) == len(first)
    send(hospital, first)
    send(hospital, other)
    send(hospital, other)
    digests = [hashlib.sha256(each).hexdigest() for each in (first, other)]
    program, browser = hospital.program("ada"), hospital.browser("ada")
    (case,) = program.get("/api/reconciliation").json()
    assert case["kind"] == "conflicting_instance"
    page = browser.get(f"/reconciliation/{STUDY}").text
    assert all(each in page for each in digests)
    exam = program.get(f"/api/exams/{number}").json()
    hops = {each["name"]: each for each in exam["hops"]}
    assert "different content" in hops["reconciled"]["reason"]
    (contents,) = program.get(f"/api/reconciliation/{STUDY}/contents").json()
    assert contents["shown"]["sha256"] == digests[0]
    assert [each["sha256"] for each in contents["kept"]] == [digests[1]]
    assert retrieved(hospital) == first
    assert described(hospital) == "CT chest"

    key = contents["kept"][0]["conflict_key"]
    path = f"/reconciliation/contents/{key}/show"
    assert hospital.browser("fay").post(path, data={"reason": "x"}).status_code == 403
    done = browser.post(path, data={"reason": "the first was cut"})
    assert done.status_code == 303
    assert "Both are kept" in browser.get(done.headers["location"]).text
    assert retrieved(hospital) == other
    assert described(hospital) == "CT other"
    (contents,) = program.get(f"/api/reconciliation/{STUDY}/contents").json()
    assert contents["shown"]["sha256"] == digests[1]
    assert [each["sha256"] for each in contents["kept"]] == [digests[0]]
    assert hospital.audited("study.show_other_content") == [("ada", STUDY, "PH0001")]
    # Neither of the two is news when it comes again.
    send(hospital, first)
    send(hospital, other)
    (contents,) = program.get(f"/api/reconciliation/{STUDY}/contents").json()
    assert len(contents["kept"]) == 1
    assert program.post(f"/api{path}", json={"reason": "after all"}).status_code == 204
    assert retrieved(hospital) == first


def test_a_content_of_another_series_cannot_stand_in(hospital: Hospital):
    number = hospital.order(1)
    first = a_slice(number, 1, 1, name="Phantom^Ada", study_uid=STUDY)
    series = b"\x20\x00\x0e\x00UI\x0c\x00" + f"{STUDY}.1".encode()  # (0020,000E)
    moved = first.replace(series, series[:-1] + b"7")
    assert moved != first
    send(hospital, first)
    send(hospital, moved)
    program = hospital.program("ada")
    (contents,) = program.get(f"/api/reconciliation/{STUDY}/contents").json()
    key = contents["kept"][0]["conflict_key"]
    answer = program.post(f"/api/reconciliation/contents/{key}/show", json={"reason": "x"})
    assert answer.status_code == 409
    assert program.post("/api/reconciliation/contents/999/show", json={}).status_code == 404
    assert "cannot stand in" in hospital.browser("ada").get(f"/reconciliation/{STUDY}").text
