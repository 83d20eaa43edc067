"""Recipients of reports are told who the patient is after a merge, and after its undoing."""

import pytest

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.distribution import handlers, service
from isocenter.domain.distribution.service import merges
from isocenter.domain.identity import service as identity
from isocenter.domain.identity.events import PatientMerged, PatientUnmerged
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.infra.outbox import Router, Subscription
from tests.builders import PERSON
from tests.exam_story import SYSTEM, Department, a_patient, an_order
from tests.image_builders import NOW

VIEWER = Viewer.of(SYSTEM, Action.DELIVERY_READ)


@pytest.fixture
def department(database) -> Department:
    made = Department(database)
    database.router = made.router = Router(
        Subscription(event=each, subscriber=each.name, handler=handlers.on_patient_merged)
        for each in (PatientMerged, PatientUnmerged)
    )
    with database.transaction() as tx:
        for name, sends in (("EHR", {"oru"}), ("HIS", {"oru", "adt"}), ("GP", {"oru"})):
            peer = Hl7Peer(name=name, host="192.0.2.1", port=2575, send=frozenset(sends))
            peers.add_hl7_peer(tx, SYSTEM, peer, now=NOW)
    made.order(a_patient("P-1"), an_order("A1"))
    made.order(a_patient("P-2"), an_order("A2"))
    with database.transaction() as tx:
        for report, version, exam in (("R1", 1, "A1"), ("R1", 2, "A1"), ("R2", 1, "A2")):
            service.route(
                tx, ["EHR", "HIS", "GP"], report_id=report, version=version,
                accession_number=exam, now=NOW,
            )  # fmt: skip
            if report == "R1":
                for each in ("EHR", "HIS", "GP"):
                    deliver(tx, each)
        merges.tell_of_merges(tx, SYSTEM, "GP", told=False, now=NOW)
    return made


def deliver(tx, recipient: str) -> tuple[str, int]:
    claimed = service.claim(tx, recipient, lease_s=30, now=NOW)
    assert claimed is not None
    claimed = service.set_message(tx, claimed, control_id=f"C{claimed.attempt}", message=b"MSH|")
    service.mark_sent(tx, claimed, now=NOW)
    service.acknowledge(tx, claimed, acknowledgement=b"MSA|AA", now=NOW)
    return claimed.report_id, claimed.version


def waiting(department: Department) -> set[tuple[str, str, int]]:
    department.drain()
    with department.database.read() as tx:
        return {
            (each.recipient, each.report_id, each.version)
            for each in service.deliveries(tx, VIEWER)
            if each.state == "queued"
        }


def test_the_newest_version_goes_again_to_who_does_not_hear_of_merges(department):
    before = waiting(department)
    assert {each[1] for each in before} == {"R2"}  # was never delivered, and says it anyway
    department.merge(a_patient("P-2"), "P-1")
    assert waiting(department) - before == {("EHR", "R1", 2)}
    with department.database.transaction() as tx:
        assert deliver(tx, "EHR") == ("R1", 2)
        assert merges.recipients_not_told(tx, VIEWER) == ["GP"]
    assert waiting(department) == before
    with department.database.transaction() as tx:
        merges.tell_of_merges(tx, SYSTEM, "GP", told=True, now=NOW)
        key = tx.value("select merge_key from identity.merge")
        identity.unmerge(tx, PERSON, key, now=department.now)
    assert waiting(department) - before == {("EHR", "R1", 2), ("GP", "R1", 2)}
