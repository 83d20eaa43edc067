"""What pages and API show of messages that tell others who is who; a map that is drafted."""

from isocenter.domain.access.model import Actor
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.model import PatientFacts, PatientIdentifier
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer

SYSTEM = Actor.system("test")


def test_a_merge_shows_who_was_told_and_a_map_is_drafted_on_the_page(hospital):
    admin = hospital.browser("root")

    def merged(tx):
        now = hospital.clock()
        pacs = Hl7Peer("pacs", "127.0.0.1", 2576, send=frozenset({"adt", "orm"}))
        peers.add_hl7_peer(tx, SYSTEM, pacs, now=now)
        first, second = (
            PatientFacts((PatientIdentifier(value, "HOSP"),), now, person_name=f"Told^{value}")
            for value in ("TA1", "TA2")
        )
        identity.register(tx, SYSTEM, first, now=now)
        identity.register(tx, SYSTEM, second, now=now)
        return identity.merge(tx, SYSTEM, first, second.identifiers, now=now).current_key

    key = hospital.pool.run_here(merged)
    hospital.dispatcher.run_once()
    found = admin.get(f"/api/patients/{key}").json()["told"]
    assert [(each["occasion"], each["recipient"], each["state"]) for each in found] == [
        ("A40", "pacs", "queued")
    ]
    page = admin.get(f"/patients/{key}").text
    assert "pacs:" in page
    assert "Queued" in page
    number = hospital.order(7)
    hospital.dispatcher.run_once()
    listed = admin.get("/api/deliveries", params={"accession_number": number}).json()
    assert {(each["kind"], each["occasion"]) for each in listed} == {("order", "SC SC")}
    deliveries = admin.get("/deliveries").text
    assert f'href="/patients/{found[0]["patient_key"]}"' in deliveries
    assert 'Order <span class="code">SC SC</span>' in deliveries
    assert "SC SC" in admin.get(f"/exams/{number}").text
    form = {"host": "127.0.0.1", "port": "2576", "send": ["adt"], "report_forms": ["pdf"]}
    form |= {"ack_timeout_s": "30", "rate_per_s_max": "0", "gap_s": "0", "ordering": "patient"}
    form |= {"version": "2.5.1", "character_set": "UNICODE UTF-8", "patient_update": "A08"}
    said = '"PID-18" = { copy = "PV1-19" }'
    drafted = admin.post("/interfaces/pacs/versions", data={**form, "field_map": said})
    assert drafted.status_code == 303
    assert "PV1-19" in admin.get("/interfaces/pacs").text
    wrong = admin.post("/interfaces/pacs/versions", data={**form, "field_map": '"PID" = "x"'})
    assert wrong.status_code == 422
    assert "a whole segment can only be empty" in wrong.text
