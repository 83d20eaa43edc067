"""Transfers of images through the service: what is queued, in which order, and by whom."""

import threading
from datetime import time, timedelta

import pytest

from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.distribution import service
from isocenter.domain.distribution.model import (
    ClaimLost,
    Conditions,
    DeliveryInProgress,
    Failure,
    Moment,
    Priority,
    Progress,
    Route,
    UnknownDestination,
)
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer, PeerUnknown
from tests.exam_story import SYSTEM
from tests.image_builders import NOW, an_instance

VIEWER = Viewer.of(SYSTEM, Action.DELIVERY_READ)


@pytest.fixture
def pacs(database):
    with database.transaction() as tx:
        for name in ("PACS", "OTHER"):
            peer = DicomPeer(name, name, "192.0.2.1", 104, frozenset({"store"}))
            peers.add_dicom_peer(tx, SYSTEM, peer, now=NOW)
    return database


def add_route(tx, name="all", recipient="PACS", **said):
    service.add_route(tx, SYSTEM, Route(name=name, recipient=recipient, **said), now=NOW)


def admit(tx, count=1, *, study="1.2.3", series="1.2.3.1", **said):
    batch = [an_instance(study=study, series=series, **said) for _ in range(count)]
    archive.admit(tx, SYSTEM, batch, now=NOW)


def route(tx, *studies, complete=False, at=time(12, 0)):
    return sum(
        service.route_images(tx, each, complete=complete, local_time=at, now=NOW)
        for each in studies or ("1.2.3",)
    )


def claim(tx, recipient="PACS", **later):
    now = NOW + timedelta(**later)
    return service.claim_transfer(tx, recipient, lease_s=30, now=now)


def instances(tx, claimed, limit=100):
    return service.instances_to_send(tx, claimed, not_from="", limit=limit)


def finish(tx, claimed):
    found = instances(tx, claimed)
    done = Progress(found[-1].instance_key, len(found), ())
    service.note_progress(tx, claimed, done, lease_s=30, now=NOW)
    service.finish_transfer(tx, claimed, now=NOW)
    return [each.series_instance_uid for each in found]


def shown(tx):
    return [
        (each.recipient, each.state.value, each.instances)
        for each in reversed(service.deliveries(tx, VIEWER))
    ]


def test_images_wait_together_until_somebody_begins_and_late_ones_follow(pacs):
    with pacs.transaction() as tx:
        add_route(tx)
        admit(tx, 2)
        assert (route(tx), route(tx)) == (1, 0)
        admit(tx, series="1.2.3.2")
        assert route(tx) == 1
        assert shown(tx) == [("PACS", "queued", 3)]
        claimed = claim(tx)
        assert claimed is not None
        admit(tx, 2)
        assert (route(tx), route(tx, complete=True)) == (1, 0)
        assert shown(tx) == [("PACS", "queued", 3), ("PACS", "queued", 2)]
        assert finish(tx, claimed) == ["1.2.3.1"] * 2 + ["1.2.3.2"]
        assert len(instances(tx, claim(tx))) == 2


def test_conditions_are_of_series_and_completion_is_waited_for(pacs):
    with pacs.transaction() as tx:
        add_route(tx, "mr", conditions=Conditions(modalities=("MR",)))
        add_route(tx, "later", "OTHER", moment=Moment.COMPLETE)
        admit(tx)
        assert route(tx) == 0
        admit(tx, series="1.2.3.2", modality="MR")
        assert route(tx) == 1
        assert route(tx, complete=True) == 1
        assert finish(tx, claim(tx)) == ["1.2.3.2"]
        assert len(instances(tx, claim(tx, "OTHER"))) == 2


def test_what_is_urgent_goes_first_and_the_rest_in_order(pacs):
    with pacs.transaction() as tx:
        add_route(tx, "usual", conditions=Conditions(modalities=("CT",)))
        add_route(tx, "hot", conditions=Conditions(modalities=("XA",)), priority=Priority.HIGH)
        for number, modality in enumerate(("CT", "CT", "XA")):
            admit(tx, study=f"1.{number}", series=f"1.{number}.1", modality=modality)
            route(tx, f"1.{number}")
        order = []
        while (claimed := claim(tx)) is not None:
            order.append(claimed.study_instance_uid)
            finish(tx, claimed)
        assert order == ["1.2", "1.0", "1.1"]


def test_a_claim_that_is_lost_says_nothing_and_a_replay_begins_anew(pacs):
    with pacs.transaction() as tx:
        add_route(tx)
        admit(tx, 3)
        route(tx)
        first = claim(tx)
        found = instances(tx, first)
        done = Progress(found[0].instance_key, 1, ())
        service.note_progress(tx, first, done, lease_s=30, now=NOW)
        assert claim(tx, seconds=29) is None
        second = claim(tx, seconds=31)
        assert [each.instance_key for each in instances(tx, second)] == [
            each.instance_key for each in found[1:]
        ]
        with pytest.raises(ClaimLost):
            service.finish_transfer(tx, first, now=NOW)
        with pytest.raises(DeliveryInProgress):
            service.replay(tx, SYSTEM, second.delivery_key, now=NOW)
        refused = Failure(found[1].sop_instance_uid, "status C000H")
        done = Progress(found[2].instance_key, 1, [refused])
        service.note_progress(tx, second, done, lease_s=30, now=NOW)
        service.finish_transfer(tx, second, now=NOW)
        (delivery,) = service.deliveries(tx, VIEWER)
        assert delivery.last_error == "1 of 3 instances were not taken"
        service.replay(tx, SYSTEM, second.delivery_key, now=NOW)
        assert len(instances(tx, claim(tx))) == 3


def test_only_what_exists_is_routed_to_and_paused(pacs):
    with pacs.transaction() as tx:
        with pytest.raises(PeerUnknown):
            add_route(tx, recipient="NOBODY")
        with pytest.raises(UnknownDestination):
            service.pause(tx, SYSTEM, "PACS", reason="why", now=NOW)
        add_route(tx)
        service.pause(tx, SYSTEM, "PACS", reason="why", now=NOW)
        admit(tx)
        assert route(tx) == 1
        assert service.image_destinations_due(tx, now=NOW) == []
        assert claim(tx) is None
        service.resume(tx, SYSTEM, "PACS", now=NOW)
        assert service.image_destinations_due(tx, now=NOW) == ["PACS"]
        peers.remove_peer(tx, SYSTEM, "dicom", "PACS", now=NOW)
        admit(tx, study="1.9", series="1.9.1")
        assert route(tx, "1.9") == 0


def test_reactions_at_the_same_moment_queue_each_image_once(pacs):
    with pacs.transaction() as tx:
        add_route(tx)
        admit(tx, 5)
    start = threading.Barrier(4)

    def react(complete):
        start.wait()
        with pacs.transaction() as tx:
            route(tx, complete=complete)

    threads = [threading.Thread(target=react, args=(each % 2 == 0,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with pacs.read() as tx:
        assert shown(tx) == [("PACS", "queued", 5)]
