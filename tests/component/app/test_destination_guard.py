"""A destination of images that stays away: one alarm, which ends when it is back."""

from collections.abc import Callable
from datetime import time, timedelta

from isocenter.app.destination_guard import destinations_away
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Progress, Route
from isocenter.domain.monitoring import service as monitoring
from isocenter.domain.monitoring.model import ConditionKind
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.infra.db import Database
from tests.exam_story import SYSTEM
from tests.image_builders import NOW, an_instance

AWAY = [ConditionKind.DESTINATION_AWAY]
SEES = Viewer.of(SYSTEM, Action.DELIVERY_READ)
ALARMED = Viewer.of(SYSTEM, Action.EXAM_READ)


def settle(database: Database, hours: float) -> tuple[int, int]:
    now = NOW + timedelta(hours=hours)
    with database.transaction() as tx:
        found = destinations_away(tx, SEES, after_s=3600, now=now)
        return monitoring.settle_conditions(tx, found, kinds=AWAY, now=now)


def raised(database: Database) -> list[tuple[str, str]]:
    with database.read() as tx:
        return [(each.subject, each.reason) for each in monitoring.raised_conditions(tx, ALARMED)]


def test_it_alarms_once_and_clears_once(make_database: Callable[..., Database]):
    database = make_database()
    with database.transaction() as tx:
        for name in ("PACS", "OTHER", "IDLE"):
            peer = DicomPeer(name, name, "192.0.2.1", 104, frozenset())
            peers.add_dicom_peer(tx, SYSTEM, peer, now=NOW)
            distribution.add_route(tx, SYSTEM, Route(name=name, recipient=name), now=NOW)
        distribution.enable_route(tx, SYSTEM, "IDLE", enabled=False, now=NOW)
        archive.admit(tx, SYSTEM, [an_instance()], now=NOW)
        distribution.route_images(tx, "1.2.3", complete=False, local_time=time(9), now=NOW)
        claimed = distribution.claim_transfer(tx, "PACS", lease_s=30, now=NOW)
        distribution.retry_transfer_later(tx, claimed, reason="nobody answers", due_at=NOW, now=NOW)
        distribution.pause(tx, SYSTEM, "OTHER", reason="new disks", now=NOW)
    assert settle(database, 0.9) == (0, 0)
    assert settle(database, 1.1) == (2, 0)
    assert settle(database, 30) == (0, 0)  # no new alarm for an old trouble
    assert sorted(raised(database)) == [
        ("OTHER", "1 delivery waits: test paused it."),
        ("PACS", "1 delivery waits: nobody answers."),
    ]
    with database.transaction() as tx:
        claimed = distribution.claim_transfer(tx, "PACS", lease_s=30, now=NOW)
        progress = Progress(claimed.through_key, 1, ())
        distribution.note_progress(tx, claimed, progress, lease_s=30, now=NOW)
        distribution.finish_transfer(tx, claimed, now=NOW)
    assert settle(database, 31) == (0, 1)
    assert settle(database, 32) == (0, 0)
    assert [subject for subject, _ in raised(database)] == ["OTHER"]


def test_what_only_a_person_mends_alarms_at_once(make_database: Callable[..., Database]):
    database = make_database()

    def away() -> list[str]:
        with database.transaction() as tx:
            return [each.reason for each in destinations_away(tx, SEES, after_s=3600, now=NOW)]

    with database.transaction() as tx:
        for report in ("R1", "R2"):
            distribution.route(
                tx, ["EHR"], report_id=report, version=1, accession_number="A1", now=NOW
            )
        claimed = distribution.claim(tx, "EHR", lease_s=30, now=NOW)
    assert away() == []
    with database.transaction() as tx:
        distribution.refuse(tx, claimed, reason="AE 204", acknowledgement=None, now=NOW)
    assert away() == ["1 message was refused (AE 204), 1 wait behind: send again, or skip."]
    with database.transaction() as tx:
        distribution.pause_for_fault(tx, SYSTEM, "EHR", reason="AR 203", now=NOW)
    assert away() == ["It was paused: AR 203."]
    with database.transaction() as tx:
        distribution.skip(tx, SYSTEM, claimed.delivery_key, reason="old", now=NOW)
        distribution.resume(tx, SYSTEM, "EHR", now=NOW)
    assert away() == []
