"""The storage page and its API: what a person sees of damaged objects, and can do about them."""

from datetime import timedelta

from isocenter.app.scrubbing import Scrubber
from isocenter.infra.blobs.several import MAIN, SeveralStores
from tests.hospital import SYSTEM, Hospital


def read_back(hospital: Hospital) -> None:
    Scrubber(
        hospital.database,
        SeveralStores({MAIN: hospital.blobs}),
        SYSTEM,
        hospital.clock,
        interval=timedelta(days=1),
        bytes_per_s=1 << 40,
        wait=lambda seconds: None,
        stopped=lambda: False,
    ).run()


def test_damage_is_shown_alarms_on_the_exam_and_can_be_given_up(hospital: Hospital):
    browser, program = hospital.browser("root"), hospital.program("root")
    page = browser.get("/storage")
    assert page.status_code == 200
    assert "Nothing is damaged." in page.text
    assert "HTJ2K renditions" in page.text
    assert program.get("/api/storage").json()["renditions"] == {
        "renditions": 0,
        "size_bytes": 0,
        "impossible": 0,
        "series_due": 0,
    }
    packs = {"packs": 0, "members": 0, "size_bytes": 0, "series_due": 0}
    assert program.get("/api/storage").json()["packs"] == packs
    assert "Packs" not in page.text  # nobody packs here
    number = hospital.order(1)
    hospital.scan(number, 1)
    hospital.quiet()
    read_back(hospital)
    assert program.get("/api/storage").json()["last"]["objects"] == 3
    victim = next(iter(hospital.blobs.keys()))
    (hospital.blobs.root / victim).write_bytes(b"overwritten by somebody")
    hospital.clock.advance(days=2)
    read_back(hospital)
    answer = program.get("/api/storage").json()
    assert answer["open_faults"] == {"damaged": 1}
    assert [each["name"] for each in answer["stores"]] == ["main"]
    assert answer["stores"][0]["free_bytes"] > 0
    finding = answer["findings"][0]
    assert (finding["blob_key"], finding["fault"]) == (victim, "damaged")
    browser = hospital.browser("root")  # two days are longer than a session
    page = browser.get("/storage").text
    assert "1 damaged" in page
    assert finding["sop_instance_uid"] in page
    hops = {each["name"]: each for each in program.get(f"/api/exams/{number}").json()["hops"]}
    assert hops["complete"]["state"] == "failed"
    assert "1 image is damaged or missing" in hops["complete"]["reason"]
    path = f"/storage/findings/{finding['finding_key']}/give-up"
    assert hospital.browser("tom").post(path, data={"reason": "x"}).status_code == 403
    done = browser.post(path, data={"reason": "acquired again"})
    assert done.status_code == 303
    page = browser.get(done.headers["location"]).text
    assert "It alarms no more" in page
    assert "given up: acquired again" in page
    again = program.post(f"/api{path}", json={"reason": "twice"})
    assert again.status_code == 404
    hops = {each["name"]: each for each in program.get(f"/api/exams/{number}").json()["hops"]}
    assert hops["complete"]["state"] == "done"
    assert hospital.audited("object.give_up")


def test_only_those_who_run_the_installation_see_the_storage(hospital: Hospital):
    assert hospital.program("tom").get("/api/storage").status_code == 403
