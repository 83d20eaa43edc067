"""Reading everything back: what is damaged is found, shown, alarmed and mended."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from isocenter.app.scrubbing import Pace, Scrubber, repair_all
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import ReceivedInstance
from isocenter.domain.archive.model_integrity import Fault, IntegrityState, UnknownFinding
from isocenter.domain.archive.service import integrity
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.monitoring import service as monitoring
from isocenter.infra.blobs import StorageUnavailable, key_ring, open_store
from isocenter.infra.blobs.encrypted import EncryptedStore
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.db import Database
from isocenter.readmodels import exam_ledger
from tests.fakes.clock import FixedClock
from tests.hospital import a_slice

WORKER = Actor.system("worker")
SEES = Viewer.of(WORKER, Action.SYSTEM_READ)
STUDY = "2.25.77"


class Archive:
    """Files in two stores, admitted, and what can go wrong with them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.clock = FixedClock()
        self.blobs = SeveralStores({
            name: open_store(f"file://{folder}/{name}") for name in ("main", "second")
        })
        self.stopped = False

    def receive(self, *indices: int) -> list[ReceivedInstance]:
        received = [
            describe_file(
                self.blobs,
                self.blobs.put(a_slice("A7", 7, index, name="Phantom^Ada", study_uid=STUDY)),
                calling_ae_title="CT1",
                received_at=self.clock(),
            )
            for index in indices
        ]
        with self.database.transaction() as tx:
            archive.admit(tx, WORKER, received, now=self.clock())
        return received

    def path(self, key: str) -> Path:
        return self.folder / store_of(key) / key.rpartition(":")[2]

    def flip(self, key: str, at: int = -1) -> None:
        path = self.path(key)
        content = bytearray(path.read_bytes())
        content[at] ^= 0x10
        path.write_bytes(content)

    def copy(self, received: ReceivedInstance) -> str:
        writer = self.blobs.writer_in("second")
        writer.write(self.blobs.read(received.blob_key))
        key = writer.commit().key
        with self.database.transaction() as tx:
            tx.run(
                "insert into archive.object_copy (blob_key, store, copy_blob_key, copied_at)"
                " values (%s, 'second', %s, %s)",
                (received.blob_key, key, self.clock()),
            )
        return key

    def scrubber(self, **changed: object) -> Scrubber:
        given = {
            "interval": timedelta(days=30),
            "bytes_per_s": 1 << 40,
            "wait": lambda seconds: None,
            "stopped": lambda: self.stopped,
        }
        return Scrubber(self.database, self.blobs, WORKER, self.clock, **(given | changed))

    def state(self) -> IntegrityState:
        with self.database.read() as tx:
            return integrity.integrity_state(tx, SEES, limit=50)

    def blob_keys(self) -> list[str]:
        with self.database.read() as tx:
            return tx.values("select blob_key from archive.stored_object order by kind, object_key")


@pytest.fixture
def stored(make_database: Callable[..., Database], tmp_path: Path) -> Archive:
    return Archive(make_database(), tmp_path)


def test_what_is_sound_gives_no_finding_and_one_pass_per_interval(stored: Archive):
    stored.receive(1, 2, 3)
    assert stored.scrubber().run() == 3
    state = stored.state()
    assert state.current is None
    assert state.last is not None
    assert (state.last.objects, state.last.faults) == (3, 0)
    assert state.findings == []
    stored.clock.advance(days=29)
    assert stored.scrubber().run() == 0
    stored.clock.advance(days=1)
    assert stored.scrubber().run() == 3


def test_flipped_cut_and_missing_objects_are_found_and_alarm(stored: Archive):
    flipped, cut, missing, sound = stored.receive(1, 2, 3, 4)
    stored.flip(flipped.blob_key)
    stored.path(cut.blob_key).write_bytes(stored.blobs.read(cut.blob_key)[:-100])
    stored.path(missing.blob_key).unlink()
    stored.scrubber().run()
    state = stored.state()
    assert state.open_faults == {Fault.DAMAGED: 2, Fault.MISSING: 1}
    found = {each.blob_key: each for each in state.findings}
    assert set(found) == {flipped.blob_key, cut.blob_key, missing.blob_key}
    assert "instead of" in found[cut.blob_key].detail
    viewer = Viewer.of(WORKER, Action.EXAM_READ)
    with stored.database.transaction() as tx:
        late = exam_ledger.late_hops(tx, viewer, now=stored.clock())
        monitoring.settle_alarms(tx, late, now=stored.clock())
        reasons = [each.reason for each in monitoring.raised_alarms(tx, viewer)]
        stuck = exam_ledger.stuck(tx, viewer, now=stored.clock())
    assert any(each.startswith("3 images are damaged or missing") for each in reasons)
    assert [each.accession_number for each in stuck] == ["A7"]
    # The next pass finds the same again: one finding for each, none of them twice.
    stored.clock.advance(days=31)
    stored.scrubber().run()
    assert stored.state().open_faults == {Fault.DAMAGED: 2, Fault.MISSING: 1}
    # Restored by hand from a tape: found sound, settled, and the alarm ends.
    content = a_slice("A7", 7, 3, name="Phantom^Ada", study_uid=STUDY)
    stored.path(missing.blob_key).write_bytes(content)
    stored.flip(flipped.blob_key)
    stored.path(cut.blob_key).write_bytes(a_slice("A7", 7, 2, name="Phantom^Ada", study_uid=STUDY))
    stored.clock.advance(days=31)
    stored.scrubber().run()
    assert stored.state().open_faults == {}
    assert {each.settlement for each in stored.state().findings} == {"found sound again"}
    assert sound.blob_key not in found


def test_damage_is_repaired_from_the_other_store_in_both_directions(stored: Archive):
    first, second = stored.receive(1, 2)
    before = {each.blob_key: stored.blobs.read(each.blob_key) for each in (first, second)}
    copies = [stored.copy(each) for each in (first, second)]
    stored.flip(first.blob_key, 2000)
    stored.path(copies[1]).unlink()
    stored.scrubber().run()
    assert stored.state().open_faults == {}
    assert {each.settlement for each in stored.state().findings} == {
        "repaired from the store second",
        "repaired from the store main",
    }
    keys = stored.blob_keys()
    assert keys[0] != first.blob_key
    assert store_of(keys[0]) == "main"
    assert stored.blobs.read(keys[0]) == before[first.blob_key]
    with stored.database.read() as tx:
        rows = tx.values("select copy_blob_key from archive.object_copy order by copy_key")
        originals = tx.values("select blob_key from archive.object_copy order by copy_key")
    assert rows[0] == copies[0]
    assert originals == keys  # the copy of the repaired object is known as that
    assert stored.blobs.read(rows[1]) == before[second.blob_key]
    assert stored.state().last.repaired == 2


def test_a_damaged_copy_repairs_nothing(stored: Archive):
    (first,) = stored.receive(1)
    copy = stored.copy(first)
    stored.flip(first.blob_key)
    stored.flip(copy)
    stored.scrubber().run()
    assert stored.state().open_faults == {Fault.DAMAGED: 2}
    assert repair_all(stored.database, stored.blobs, WORKER, clock=stored.clock) == 0
    assert len(list(stored.blobs.keys())) == 2  # no half repair is left behind


def test_a_person_may_give_up_what_cannot_be_repaired(stored: Archive):
    (first,) = stored.receive(1)
    stored.flip(first.blob_key)
    stored.scrubber().run()
    (finding,) = stored.state().findings
    with stored.database.transaction() as tx:
        integrity.give_up_object(
            tx, WORKER, finding.finding_key, reason="sent again", now=stored.clock()
        )
        with pytest.raises(UnknownFinding):
            integrity.give_up_object(
                tx, WORKER, finding.finding_key, reason="twice", now=stored.clock()
            )
    assert stored.state().findings[0].settlement == "given up: sent again"


def test_a_store_that_is_not_mounted_is_no_loss_of_all_images(stored: Archive):
    stored.receive(*range(1, 25))
    hidden = stored.folder / "main"
    hidden.rename(stored.folder / "elsewhere")
    hidden.mkdir()
    with pytest.raises(StorageUnavailable, match="mounted"):
        stored.scrubber().run()
    state = stored.state()
    assert state.findings == []
    assert "mounted" in state.current.trouble
    hidden.rmdir()
    (stored.folder / "elsewhere").rename(hidden)
    assert stored.scrubber().run() == 24
    assert stored.state().last.trouble is None


def test_encrypted_objects_are_no_damage_where_encryption_is_off(stored: Archive):
    key = key_ring.key_encryption_key(key_ring.new_key_text())
    plain = stored.blobs.named("main")
    key_ring.create(plain, key, now=stored.clock())
    sealed = SeveralStores({"main": EncryptedStore(plain, key)})
    both, stored.blobs = stored.blobs, sealed
    received = stored.receive(1, 2)
    assert stored.scrubber().run() == 2
    stored.flip(received[0].blob_key)
    stored.clock.advance(days=31)
    sealed = SeveralStores({"main": EncryptedStore(plain, key)})
    stored.blobs = sealed
    stored.scrubber().run()
    (finding,) = stored.state().findings
    assert (finding.fault, "changed or cut short" in finding.detail) == (Fault.UNREADABLE, True)
    stored.blobs = both
    stored.clock.advance(days=31)
    with pytest.raises(StorageUnavailable, match="store_encryption is off"):
        stored.scrubber().run()
    assert len(stored.state().findings) == 1


def test_two_workers_share_a_pass_and_a_killed_one_is_replaced(stored: Archive):
    stored.receive(1, 2, 3)
    with stored.database.transaction() as tx:
        portion = integrity.next_portion(
            tx, WORKER, interval=timedelta(days=1), bytes_per_s=1 << 20, now=stored.clock()
        )
    assert len(portion.objects) == 3
    assert stored.scrubber().run() == 0  # the other one is at it
    stored.clock.advance(minutes=3)  # and was killed
    assert stored.scrubber().run() == 3
    # Should the first one live after all, nothing is counted twice.
    readings = [integrity.Reading(each) for each in portion.objects]
    with stored.database.transaction() as tx:
        integrity.record_portion(tx, WORKER, portion, readings, now=stored.clock())
    assert stored.state().last.objects == 3


def test_a_worker_that_is_stopped_leaves_the_portion_to_the_next(stored: Archive):
    stored.receive(1, 2, 3)

    def stop_at_once(seconds: float) -> None:
        stored.stopped = True

    assert stored.scrubber(bytes_per_s=64, wait=stop_at_once).run() == 0
    stored.stopped = False
    stored.clock.advance(days=1)
    assert stored.scrubber().run() == 3


def test_reading_keeps_to_its_pace():
    waits: list[float] = []
    pace = Pace(1000, waits.append)
    for _ in range(4):
        pace.took(500)  # nothing really waits, so each is half a second further ahead
    assert [round(each, 1) for each in waits] == [0.5, 1.0, 1.5, 2.0]
