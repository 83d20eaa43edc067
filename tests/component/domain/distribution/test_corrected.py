"""Peers that hold a study are told what its images should say: the same images once more."""

from datetime import time

import pytest

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import service
from isocenter.domain.distribution.model import Moment, Progress, Route
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.domain.reconcile import service as reconcile
from isocenter.readmodels import reconciliation
from tests.builders import PERSON
from tests.exam_story import SYSTEM, Department, a_patient, an_order
from tests.image_builders import NOW, an_instance

STUDY = "1.2.3"


@pytest.fixture
def department(database) -> Department:
    made = Department(database)
    with database.transaction() as tx:
        for name in ("PACS", "OTHER"):
            peer = DicomPeer(name, name, "192.0.2.1", 104, frozenset({"store"}))
            peers.add_dicom_peer(tx, SYSTEM, peer, now=NOW)
        told = {"sends_images": True, "notifies": True, "moment": Moment.COMPLETE}
        service.add_route(tx, SYSTEM, Route(name="all", recipient="PACS", **told), now=NOW)
    made.receive(an_instance(accession_number="typo"), an_instance(series="1.2.3.2"))
    made.drain()
    return made


def route(department: Department) -> None:
    with department.database.transaction() as tx:
        service.route_images(tx, STUDY, complete=True, local_time=time(12, 0), now=department.now)


def send_all(department: Department) -> list[tuple[str, int]]:
    """What goes to PACS now: kind and number of instances."""
    sent: list[tuple[str, int]] = []
    with department.database.transaction() as tx:
        while claimed := service.claim_transfer(tx, "PACS", lease_s=30, now=department.now):
            found = service.instances_to_send(tx, claimed, not_from="", limit=100)
            if claimed.kind.value == "images":
                done = Progress(found[-1].instance_key, len(found), ())
                service.note_progress(tx, claimed, done, lease_s=30, now=department.now)
            service.finish_transfer(tx, claimed, now=department.now)
            sent.append((claimed.kind.value, len(found)))
    return sent


def test_who_holds_the_study_gets_it_again_with_proof_on_the_case(department):
    route(department)
    assert send_all(department)[0] == ("images", 2)
    department.advance(hours=1)
    department.order(a_patient("P-9", person_name="Phantom^Zoe"), an_order("A9"))
    with department.database.transaction() as tx:
        reconcile.match_by_person(tx, PERSON, STUDY, "A9", reason="called", now=department.now)
    department.drain()
    again = send_all(department)
    assert ("images", 2) in again
    assert [kind for kind, _ in again] == ["images", "availability"]
    with department.database.transaction() as tx:
        copies = reconciliation.copies(tx, Viewer.of(PERSON, Action.STUDY_READ), STUDY)
    assert {each.recipient for each in copies} == {"PACS"}
    assert [each.state for each in copies] == ["acknowledged"] * 4
    assert max(each.acknowledged_at for each in copies) == department.now


def test_what_waits_for_its_first_sending_says_it_anyway(department):
    route(department)
    department.order(a_patient("P-9", person_name="Phantom^Zoe"), an_order("A9"))
    with department.database.transaction() as tx:
        reconcile.match_by_person(tx, PERSON, STUDY, "A9", reason="called", now=department.now)
    department.drain()
    assert [kind for kind, _ in send_all(department)] == ["images", "availability"]


def test_corrections_that_follow_each_other_are_told_once(department):
    route(department)
    send_all(department)
    department.order(a_patient("P-9", person_name="Phantom^Zoe"), an_order("A9"))
    with department.database.transaction() as tx:
        reconcile.match_by_person(tx, PERSON, STUDY, "A9", reason="called", now=department.now)
    department.drain()
    department.advance(seconds=5)
    department.register(a_patient("P-9", person_name="Phantom^Zed", asserted_at=department.now))
    department.drain()
    assert [kind for kind, _ in send_all(department)] == ["images", "availability"]


def test_nobody_is_told_who_was_sent_nothing(department):
    with department.database.transaction() as tx:
        assert service.resend_corrected(tx, STUDY, now=department.now) == 0


def test_a_peer_that_takes_repetitions_for_news_is_not_told_again(department):
    route(department)
    send_all(department)
    department.advance(hours=1)
    with department.database.transaction() as tx:
        peers.set_quirks(tx, SYSTEM, "PACS", ["not-told-again"], now=department.now)
        assert service.resend_corrected(tx, STUDY, now=department.now) == 0
        peers.set_quirks(tx, SYSTEM, "PACS", [], now=department.now)
        assert service.resend_corrected(tx, STUDY, now=department.now) == 2
