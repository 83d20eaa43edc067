"""Deliveries through the service: order, leases, crashes, refusals, replays, many senders."""

import itertools
import threading
from collections import defaultdict
from datetime import timedelta

import pytest

from isocenter.domain.access.model import Action, Actor, NotAuthorized, Role, Viewer
from isocenter.domain.distribution import service
from isocenter.domain.distribution.model import (
    ClaimLost,
    DeliveryInProgress,
    NothingToSkip,
    Superseded,
    UnknownDelivery,
    UnknownDestination,
)
from tests.exam_story import SYSTEM, a_user
from tests.image_builders import NOW

VIEWER = Viewer.of(SYSTEM, Action.DELIVERY_READ)
LEASE_S = 30.0


def route(tx, report: str, *recipients: str, version: int = 1, exam: str = "A1") -> int:
    return service.route(
        tx, recipients, report_id=report, version=version, accession_number=exam, now=NOW
    )


def at(**later: float):
    return NOW + timedelta(**later)


def claim(tx, recipient: str = "EHR", **later: float):
    return service.claim(tx, recipient, lease_s=LEASE_S, now=at(**later))


def states(tx) -> list[tuple[str, str, str]]:
    found = service.deliveries(tx, VIEWER)
    return [(each.report_id, each.recipient, each.state) for each in reversed(found)]


def deliver(tx, recipient: str = "EHR", **later: float) -> str:
    claimed = claim(tx, recipient, **later)
    assert claimed is not None
    claimed = service.set_message(tx, claimed, control_id=claimed.report_id, message=b"MSH|")
    service.mark_sent(tx, claimed, now=at(**later))
    service.acknowledge(tx, claimed, acknowledgement=b"MSA|AA", now=at(**later))
    return claimed.report_id


def event_names(tx) -> list[str]:
    return tx.values("select split_part(name, '.', 2) from outbox.event order by id")


def test_each_recipient_gets_its_reports_in_order(tx):
    assert route(tx, "R1", "EHR", "GP") == 2
    assert route(tx, "R2", "EHR") == 1
    assert route(tx, "R1", "EHR", "GP") == 0  # the reaction ran twice
    assert service.recipients_due(tx, now=NOW) == ["EHR", "GP"]
    assert [deliver(tx), deliver(tx)] == ["R1", "R2"]
    assert claim(tx) is None
    assert service.recipients_due(tx, now=NOW) == ["GP"]
    assert states(tx) == [
        ("R1", "EHR", "acknowledged"),
        ("R1", "GP", "queued"),
        ("R2", "EHR", "acknowledged"),
    ]


def test_what_cannot_be_sent_holds_back_what_is_behind_it_and_nobody_else(tx):
    route(tx, "R1", "EHR", "GP")
    route(tx, "R2", "EHR")
    claimed = claim(tx)
    assert claimed is not None
    service.retry_later(tx, claimed, reason="timed out", due_at=at(minutes=1), now=NOW)
    assert claim(tx, seconds=59) is None
    assert service.recipients_due(tx, now=NOW) == ["GP"]
    assert deliver(tx, "GP") == "R1"
    lane = service.destinations(tx, VIEWER)[0]
    assert (lane.recipient, lane.waiting, lane.failing_since) == ("EHR", 2, NOW)
    assert (lane.oldest_queued_at, lane.last_error) == (NOW, "timed out")
    assert [deliver(tx, minutes=1), deliver(tx, minutes=1)] == ["R1", "R2"]


def test_every_attempt_sends_the_same_bytes_under_the_same_control_id(tx):
    route(tx, "R1", "EHR")
    first = claim(tx)
    assert first is not None
    first = service.set_message(tx, first, control_id="C1", message=b"one")
    service.mark_sent(tx, first, now=NOW)
    service.retry_later(tx, first, reason="no answer", due_at=at(seconds=5), now=NOW)
    again = claim(tx, seconds=5)
    assert again is not None
    assert (again.control_id, again.message) == ("C1", b"one")
    kept = service.set_message(tx, again, control_id="C2", message=b"two")
    assert (kept.control_id, kept.message) == ("C1", b"one")
    assert again.attempt == first.attempt + 1


def test_a_sender_that_died_is_succeeded_when_its_lease_ends(tx):
    route(tx, "R1", "EHR")
    lost = claim(tx)
    assert lost is not None
    lost = service.set_message(tx, lost, control_id="C1", message=b"one")
    assert claim(tx, seconds=LEASE_S - 1) is None
    successor = claim(tx, seconds=LEASE_S + 1)
    assert successor is not None
    assert (successor.control_id, successor.message) == ("C1", b"one")
    # It was only slow: what it says of its own attempt does not count any more …
    with pytest.raises(ClaimLost):
        service.mark_sent(tx, lost, now=NOW)
    with pytest.raises(ClaimLost):
        service.retry_later(tx, lost, reason="timed out", due_at=NOW, now=NOW)
    with pytest.raises(ClaimLost):
        service.refuse(tx, lost, reason="AR", acknowledgement=None, now=NOW)
    # … except that the recipient has the report, which is true whoever heard it.
    service.acknowledge(tx, lost, acknowledgement=b"MSA|AA", now=NOW)
    service.acknowledge(tx, successor, acknowledgement=b"MSA|AA", now=NOW)
    assert states(tx) == [("R1", "EHR", "acknowledged")]
    assert event_names(tx).count("delivery_acknowledged") == 1


def refuse(tx, claimed, reason: str = "AE 204") -> None:
    service.refuse(tx, claimed, reason=reason, acknowledgement=b"MSA|AE", now=NOW)


def test_a_refused_report_holds_its_lane_and_no_other(tx):
    route(tx, "R1", "EHR", "GP")
    route(tx, "R2", "EHR")
    route(tx, "R3", "EHR", exam="A2")
    refuse(tx, claim(tx))
    assert deliver(tx) == "R3"
    assert deliver(tx, "GP") == "R1"
    assert claim(tx, days=100) is None
    assert service.recipients_due(tx, now=at(days=100)) == []
    (held,) = service.quarantines(tx, VIEWER)
    assert (held.recipient, held.lane, held.waiting) == ("EHR", "exam/A1", 1)
    assert held.last_error == "AE 204"
    ehr, gp = service.destinations(tx, VIEWER)
    assert (ehr.quarantined, gp.quarantined) == (1, 0)


def test_a_person_skips_what_holds_a_lane(tx):
    route(tx, "R1", "EHR")
    route(tx, "R2", "EHR")
    first = claim(tx)
    with pytest.raises(DeliveryInProgress):
        service.skip(tx, SYSTEM, first.delivery_key, reason="no", now=NOW)
    refuse(tx, first)
    service.skip(tx, SYSTEM, first.delivery_key, reason="told by telephone", now=NOW)
    with pytest.raises(NothingToSkip):
        service.skip(tx, SYSTEM, first.delivery_key, reason="again", now=NOW)
    assert deliver(tx) == "R2"
    assert states(tx) == [("R1", "EHR", "refused"), ("R2", "EHR", "acknowledged")]
    assert service.quarantines(tx, VIEWER) == []
    assert tx.values("select detail ->> 'reason' from audit.record") == ["told by telephone"]


def test_a_person_skips_what_is_tried_again_for_ever(tx):
    route(tx, "R1", "EHR")
    route(tx, "R2", "EHR")
    poison = claim(tx)
    service.retry_later(tx, poison, reason="AR 207", due_at=at(minutes=5), now=NOW)
    assert claim(tx, seconds=1) is None
    service.skip(tx, SYSTEM, poison.delivery_key, reason="never taken", now=NOW)
    assert deliver(tx, seconds=1) == "R2"
    skipped = service.deliveries(tx, VIEWER, state="refused")[0]
    assert skipped.last_error == "skipped by test: never taken"


def test_a_replay_goes_before_what_waits_behind_it(tx):
    route(tx, "R1", "EHR")
    route(tx, "R2", "EHR")
    first = claim(tx)
    refuse(tx, first)
    service.replay(tx, SYSTEM, first.delivery_key, now=NOW)
    assert [deliver(tx), deliver(tx)] == ["R1", "R2"]


def test_batches_hold_one_of_each_lane_and_end_as_a_whole(tx):
    for number in range(6):
        route(tx, f"R{number}", "EHR", exam=f"A{number % 3}")
    batch = service.claim_batch(tx, "EHR", most=10, lease_s=LEASE_S, now=NOW)
    assert [each.report_id for each in batch] == ["R0", "R1", "R2"]
    assert claim(tx) is None  # one sender at a time
    service.retry_later(tx, batch[0], reason="AR 207", due_at=at(minutes=5), now=NOW)
    service.give_back(tx, batch[1:])
    again = service.claim_batch(tx, "EHR", most=10, lease_s=LEASE_S, now=at(seconds=1))
    assert [(each.report_id, each.attempt) for each in again] == [("R1", 1), ("R2", 1)]


def test_whoever_sends_a_batch_takes_the_next_of_other_lanes_and_nobody_else_does(tx):
    for number in range(7):
        route(tx, f"R{number}", "EHR", exam=f"A{number % 5}")

    def besides(claims, most=2):
        return service.claim_besides(tx, "EHR", claims, most=most, lease_s=LEASE_S, now=NOW)

    batch = service.claim_batch(tx, "EHR", most=2, lease_s=LEASE_S, now=NOW)
    ahead = besides(batch)
    assert [each.report_id for each in (*batch, *ahead)] == ["R0", "R1", "R2", "R3"]
    assert {each.attempt for each in (*batch, *ahead)} == {1}
    assert besides(batch) == []  # what was taken ahead is leased, too
    assert claim(tx) is None
    assert [each.report_id for each in besides([*batch, *ahead], 10)] == ["R4"]


def test_strict_order_waits_for_retries_but_not_for_people(tx):
    for number in range(5):
        route(tx, f"R{number}", "EHR", exam=f"A{number % 4}")

    def batch(**later: float):
        claims = service.claim_batch(
            tx, "EHR", most=10, lease_s=LEASE_S, strict=True, now=at(**later)
        )
        return claims, [each.report_id for each in claims]

    first, names = batch()
    assert names == ["R0", "R1", "R2", "R3", "R4"]
    refuse(tx, first[0])
    service.retry_later(tx, first[1], reason="AR 207", due_at=at(minutes=5), now=NOW)
    service.give_back(tx, first[2:])
    assert batch(minutes=4)[1] == []
    assert batch(minutes=5)[1] == ["R1", "R2", "R3"]  # R4 is behind R0, which a person must see


def test_a_bulk_replay_goes_slowly_and_after_live_traffic(tx):
    for number in range(3):
        route(tx, f"R{number}", "EHR", exam=f"A{number}")
    for each in service.claim_batch(tx, "EHR", most=10, lease_s=LEASE_S, now=NOW):
        refuse(tx, each)
    route(tx, "R0", "EHR", exam="A0", version=2)
    route(tx, "R9", "EHR", exam="A9")
    assert service.replay_refused(tx, SYSTEM, "EHR", rate_per_s=0.5, now=NOW) == 2
    # R0 is not sent after its newer version; that one goes at once, as other live traffic does.
    assert [deliver(tx) for _ in range(3)] == ["R0", "R9", "R1"]
    assert claim(tx, seconds=1) is None
    assert deliver(tx, seconds=2) == "R2"
    with pytest.raises(UnknownDestination):
        service.replay_refused(tx, SYSTEM, "nobody", now=NOW)


def test_who_is_away_is_left_alone_as_a_whole(tx):
    for number in range(3):
        route(tx, f"R{number}", "EHR", exam=f"A{number}")
    waits: list[int] = []
    for attempt in range(3):
        first, *rest = service.claim_batch(
            tx, "EHR", most=10, lease_s=LEASE_S, now=at(minutes=attempt)
        )
        service.retry_later(
            tx, first, reason="no connection", due_at=at(minutes=attempt), now=at(minutes=attempt)
        )
        service.give_back(tx, rest)
        service.note_away(
            tx, "EHR", wait_s=lambda failures: waits.append(failures) or 60, now=at(minutes=attempt)
        )
        assert service.recipients_due(tx, now=at(minutes=attempt, seconds=59)) == []
        assert claim(tx, minutes=attempt, seconds=59) is None
    assert waits == [1, 2, 3]
    service.note_reached(tx, "EHR")
    assert service.recipients_due(tx, now=at(minutes=2)) == ["EHR"]


def test_who_takes_no_such_message_is_paused_until_a_person_resumes(tx):
    route(tx, "R1", "EHR")
    route(tx, "R2", "EHR", exam="A2")
    refuse(tx, claim(tx))
    service.pause_for_fault(tx, SYSTEM, "EHR", reason="AR 203 Unsupported version id", now=NOW)
    assert claim(tx, days=1) is None
    (ehr,) = service.destinations(tx, VIEWER)
    assert (ehr.fault_at, ehr.pause_reason) == (NOW, "AR 203 Unsupported version id")
    service.resume(tx, SYSTEM, "EHR", now=NOW)
    assert service.destinations(tx, VIEWER)[0].fault_at is None
    assert deliver(tx) == "R2"


def test_a_replay_is_a_new_message(tx):
    route(tx, "R1", "EHR")
    claimed = claim(tx)
    assert claimed is not None
    claimed = service.set_message(tx, claimed, control_id="C1", message=b"one")
    service.refuse(tx, claimed, reason="AR 204", acknowledgement=b"MSA|AR", now=NOW)
    service.replay(tx, SYSTEM, claimed.delivery_key, now=at(hours=1))
    with pytest.raises(DeliveryInProgress):
        service.replay(tx, SYSTEM, claimed.delivery_key, now=at(hours=1))
    again = claim(tx, hours=1)
    assert again is not None
    assert (again.control_id, again.message) == (None, None)
    again = service.set_message(tx, again, control_id="C2", message=b"two")
    # The answer to the message that was replaced comes late and is not taken for this one's.
    with pytest.raises(ClaimLost):
        service.acknowledge(tx, claimed, acknowledgement=b"MSA|AA|C1", now=at(hours=1))
    service.acknowledge(tx, again, acknowledgement=b"MSA|AA|C2", now=at(hours=1))
    assert states(tx) == [("R1", "EHR", "acknowledged")]
    assert tx.values("select action from audit.record") == ["delivery.replay"]


def test_an_old_version_is_not_replayed_after_a_newer_one(tx):
    route(tx, "R1", "EHR", "GP")
    deliver(tx)
    route(tx, "R1", "EHR", version=2)
    keys = {
        (each.recipient, each.version): each.delivery_key for each in service.deliveries(tx, VIEWER)
    }
    with pytest.raises(Superseded):
        service.replay(tx, SYSTEM, keys["EHR", 1], now=NOW)
    with pytest.raises(UnknownDelivery):
        service.replay(tx, SYSTEM, 999, now=NOW)


def test_a_replayed_head_waits_for_the_lease_behind_it(tx):
    route(tx, "R1", "EHR")
    route(tx, "R2", "EHR", exam="A2")
    first = claim(tx)
    assert first is not None
    service.refuse(tx, first, reason="AR", acknowledgement=None, now=NOW)
    second = claim(tx)
    assert second is not None
    assert second.report_id == "R2"
    service.replay(tx, SYSTEM, first.delivery_key, now=NOW)
    assert claim(tx, seconds=1) is None  # never two at once to one recipient
    service.retry_later(tx, second, reason="later", due_at=at(minutes=5), now=NOW)
    following = claim(tx, seconds=1)
    assert following is not None
    assert following.report_id == "R1"


def test_pause_and_resume(tx):
    with pytest.raises(UnknownDestination):
        service.pause(tx, SYSTEM, "EHR", reason="", now=NOW)
    route(tx, "R1", "EHR")
    claimed = claim(tx)
    assert claimed is not None
    service.retry_later(tx, claimed, reason="away", due_at=at(hours=1), now=NOW)
    service.pause(tx, SYSTEM, "EHR", reason="maintenance", now=NOW)
    assert service.recipients_due(tx, now=at(hours=2)) == []
    assert claim(tx, hours=2) is None
    assert service.destinations(tx, VIEWER)[0].pause_reason == "maintenance"
    service.resume(tx, SYSTEM, "EHR", now=at(minutes=1))
    assert deliver(tx, minutes=1) == "R1"  # not an hour later


def test_who_may_replay(tx):
    route(tx, "R1", "EHR")
    for actor in (a_user(Role.RADIOLOGIST), Actor.dicom_peer("ct1", "10.0.0.1", ["store"])):
        with pytest.raises(NotAuthorized):
            service.replay(tx, actor, 1, now=NOW)


class Senders:
    """Sends everything that is due, as several processes would; every third attempt fails."""

    def __init__(self, database, deliveries: int) -> None:
        self.database = database
        self.deliveries = deliveries
        self.heard: dict[str, list[str]] = defaultdict(list)
        self.busy: dict[str, int] = defaultdict(int)
        self.overlaps: list[str] = []
        self.failures: list[BaseException] = []
        self.guard = threading.Lock()
        self.ticks = itertools.count()

    def now(self):
        return at(seconds=next(self.ticks))

    def work(self, number: int) -> None:
        try:
            while sum(len(each) for each in self.heard.values()) < self.deliveries:
                self.send(number)
        except BaseException as error:  # noqa: BLE001 - shown by the test's assertion
            self.failures.append(error)

    def send(self, number: int) -> None:
        with self.database.transaction() as tx:
            due = service.recipients_due(tx, now=self.now())
        if not due:
            return
        with self.database.transaction() as tx:
            # A second passes with each look at the clock: this lease outlasts the test.
            claimed = service.claim(tx, due[number % len(due)], lease_s=10**6, now=self.now())
        if claimed is not None:
            self.carry(claimed)

    def carry(self, claimed) -> None:
        recipient, succeeds = claimed.recipient, claimed.attempt % 3 != 0
        with self.guard:
            self.busy[recipient] += 1
            if self.busy[recipient] > 1:
                self.overlaps.append(recipient)
        with self.database.transaction() as tx:
            control_id = f"{recipient}{claimed.report_id}"
            claimed = service.set_message(tx, claimed, control_id=control_id, message=b"MSH|")
            service.mark_sent(tx, claimed, now=self.now())
        with self.guard:
            self.busy[recipient] -= 1
            if succeeds:
                self.heard[recipient].append(claimed.report_id)
        with self.database.transaction() as tx:
            now = self.now()
            if succeeds:
                service.acknowledge(tx, claimed, acknowledgement=b"MSA|AA", now=now)
            else:
                service.retry_later(tx, claimed, reason="x", due_at=now, now=now)


def test_many_senders_keep_the_order_of_each_recipient(make_database):
    database = make_database(connections_max=8)
    reports = [f"R{number:02}" for number in range(25)]
    with database.transaction() as tx:
        for each in reports:
            route(tx, each, "EHR", "GP")
        tx.run("update distribution.delivery set attempts = delivery_key %% 3")
    senders = Senders(database, 2 * len(reports))
    threads = [threading.Thread(target=senders.work, args=(n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert senders.failures == []
    assert senders.overlaps == []
    assert dict(senders.heard) == {"EHR": reports, "GP": reports}
