"""Objects that are answered before they are visible, to pynetdicom: durable and awaited."""

import threading
import time

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from isocenter.domain.archive.model import Outcome
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse.limits import Limits
from isocenter.infra.blobs.store import Shelf
from tests.contract.dimse.test_pynetdicom import CT, STUDY_ROOT_FIND, connect, ct

__all__ = ["connect"]  # the fixture
pytestmark = pytest.mark.peer("pynetdicom")


class _Away(IsocenterError):
    kind = Kind.UNAVAILABLE


class _Broken(IsocenterError):
    kind = Kind.FAULT


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def numbered(number: int):
    return ct(SOPInstanceUID=f"1.2.3.{number}")


@pytest.fixture
def stocked(start, connect):
    """A server with a shelf, and an association that has stored its first object."""

    def begin(limits=None):
        running = start(limits or Limits(free_bytes_min=0))
        contexts = [(CT, [ExplicitVRLittleEndian]), (STUDY_ROOT_FIND, [ExplicitVRLittleEndian])]
        association = connect(running, *contexts)
        assert association.send_c_store(numbered(0)).Status == 0
        until(lambda: running.register.known)
        return running, association

    return begin


def on_shelves(running):
    return {
        key
        for mark, directory in running.register.known.items()
        for key in running.store.keys_on(Shelf(directory, mark))
    }


def test_an_object_is_answered_when_its_bytes_are_durable_and_release_waits_for_the_rest(stocked):
    running, association = stocked()
    gate = threading.Event()
    running.archive.before = lambda batch: gate.wait(20) and None
    assert [association.send_c_store(numbered(each)).Status for each in range(1, 6)] == [0] * 5
    assert len(running.archive.arrivals) == 1
    assert len(on_shelves(running)) == 5
    threading.Timer(0.3, gate.set).start()
    association.release()
    assert association.is_released
    assert len(running.archive.arrivals) == 6
    for each in running.archive.arrivals[1:]:
        assert each.instance.blob_key in on_shelves(running)
        assert running.store.size_bytes(each.instance.blob_key) == each.instance.size_bytes


def test_what_an_association_asks_next_sees_what_it_stored(stocked):
    running, association = stocked()
    running.archive.before = lambda batch: time.sleep(0.1)
    assert association.send_c_store(numbered(1)).Status == 0
    seen = []
    running.answers.matches = lambda request: seen.append(len(running.archive.arrivals)) or iter(())
    identifier = ct()
    identifier.clear()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", ""
    list(association.send_c_find(identifier, STUDY_ROOT_FIND))
    assert seen == [2]


def test_what_was_answered_is_tried_until_the_database_is_back(stocked):
    running, association = stocked()

    def fail(batch):
        raise _Away("not now")

    running.archive.before = fail
    assert association.send_c_store(numbered(1)).Status == 0
    time.sleep(0.1)
    running.archive.before = lambda batch: None
    until(lambda: len(running.archive.arrivals) == 2)
    association.release()
    assert association.is_released


def test_a_release_does_not_wait_for_ever(stocked):
    limits = Limits(free_bytes_min=0, settle_timeout_s=0.2)
    running, association = stocked(limits)

    def fail(batch):
        raise _Away("not now")

    running.archive.before = fail
    assert association.send_c_store(numbered(1)).Status == 0
    association.release()
    assert association.is_released
    running.archive.before = lambda batch: None
    until(lambda: len(running.archive.arrivals) == 2)


def test_what_cannot_be_made_visible_stays_on_a_known_shelf(stocked):
    running, association = stocked(Limits(free_bytes_min=0, settle_timeout_s=0.1))

    def fail(batch):
        raise _Away("not now")

    running.archive.before = fail
    assert association.send_c_store(numbered(1)).Status == 0
    association.release()
    running.do(running.server.drain(0.1))
    assert len(on_shelves(running)) == 1


def test_a_server_that_ends_in_good_order_leaves_no_shelf(stocked):
    running, association = stocked()
    assert association.send_c_store(numbered(1)).Status == 0
    association.release()
    running.do(running.server.drain(0.1))
    assert running.register.known == {}
    assert len(running.archive.arrivals) == 2


def test_one_that_is_refused_after_all_harms_no_other(stocked):
    running, association = stocked()

    def fail(batch):
        if any(each.instance.attributes[0x00080018] == "1.2.3.2" for each in batch):
            raise _Broken("a defect")

    running.archive.before = fail
    assert [association.send_c_store(numbered(each)).Status for each in range(1, 4)] == [0] * 3
    until(lambda: len(running.archive.arrivals) == 3)
    assert len(on_shelves(running)) == 3, "its bytes stay where somebody will look for them"


def test_without_a_shelf_success_waits_for_the_commit(start, connect):
    running = start()
    running.register.failure = _Away("not now")
    association = connect(running, (CT, [ExplicitVRLittleEndian]))
    for each in range(3):
        assert association.send_c_store(numbered(each)).Status == 0
        assert len(running.archive.arrivals) == each + 1


def test_only_so_many_may_be_answered_and_not_visible(stocked):
    running, association = stocked(Limits(free_bytes_min=0, unsettled_instances_max=2))
    gate = threading.Event()
    running.archive.before = lambda batch: gate.wait(20) and None
    assert [association.send_c_store(numbered(each)).Status for each in (1, 2)] == [0, 0]
    threading.Timer(0.2, gate.set).start()
    assert association.send_c_store(numbered(3)).Status == 0
    assert len(running.archive.arrivals) == 4


def test_a_repeated_object_leaves_no_second_blob(stocked):
    running, association = stocked()
    running.archive.outcome = lambda arrival: Outcome.DUPLICATE
    assert association.send_c_store(numbered(0)).Status == 0
    association.release()
    assert len(running.files()) == 1


def test_nothing_is_performed_for_a_peer_that_is_gone(stocked):
    running, association = stocked()
    gate = threading.Event()
    running.archive.before = lambda batch: gate.wait(20) and None
    assert association.send_c_store(numbered(1)).Status == 0
    identifier = ct()
    identifier.clear()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", ""
    asking = threading.Thread(
        target=lambda: list(association.send_c_find(identifier, STUDY_ROOT_FIND))
    )
    asking.start()
    time.sleep(0.2)
    association.abort()
    until(lambda: running.server.associations == 0)
    gate.set()
    until(lambda: len(running.archive.arrivals) == 2)
    asking.join(20)
    assert running.answers.requests == []
