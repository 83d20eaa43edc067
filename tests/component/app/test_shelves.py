"""What a receiver that is gone left on its shelf is taken in, once, and nothing else is."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from isocenter.app.shelves import ShelfClearer
from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.service import shelving
from isocenter.domain.archive.service.description import describe_file
from isocenter.infra.blobs import open_store
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.db import Database
from tests.fakes.clock import FixedClock
from tests.hospital import a_slice

DIMSE = Actor.system("dimse")
STUDY = "2.25.78"


class Receiver:
    """A shelf with objects on it, and the archive."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder, self.clock = database, folder, FixedClock()
        self.blobs = SeveralStores({"main": open_store(folder.as_uri())})
        self.shelf = self.blobs.new_shelf()
        with database.transaction() as tx:
            shelving.open_shelf(tx, DIMSE, self.shelf.directory, self.shelf.mark, now=self.clock())

    def keep(self, *numbers: int) -> list[str]:
        keys = [self.shelf.new_key() for _ in numbers]
        writers = [self.blobs.writer() for _ in numbers]
        for writer, number in zip(writers, numbers, strict=True):
            writer.write(a_slice("A7", 7, number, name="Phantom^Ada", study_uid=STUDY))
        self.blobs.make_durable(writers, keys)
        self.stored = [writer.stored(key) for writer, key in zip(writers, keys, strict=True)]
        return keys

    def admit(self) -> None:
        received = [
            describe_file(self.blobs, each, calling_ae_title="CT1", received_at=self.clock())
            for each in self.stored
        ]
        with self.database.transaction() as tx:
            archive.admit(tx, DIMSE, received, now=self.clock())

    def clear(self) -> int:
        return ShelfClearer(self.database, self.blobs, self.clock).run()

    def named(self) -> list[str]:
        with self.database.read() as tx:
            return tx.values("select blob_key from archive.instance order by blob_key")

    def shelves(self) -> int:
        with self.database.read() as tx:
            return tx.value("select count(*) from archive.shelf")


@pytest.fixture
def receiver(make_database: Callable[..., Database], tmp_path: Path) -> Receiver:
    return Receiver(make_database(), tmp_path)


def test_what_was_left_is_taken_in_when_nobody_renews_the_shelf(receiver: Receiver):
    receiver.keep(1, 2)
    receiver.admit()
    known = receiver.named()
    left = receiver.keep(3, 4, 5)
    receiver.clock.advance(seconds=9)
    assert receiver.clear() == 0, "its owner may be alive"
    receiver.clock.advance(seconds=9)
    with receiver.database.transaction() as tx:
        shelving.renew_shelves(tx, DIMSE, [receiver.shelf.mark], now=receiver.clock())
    assert receiver.clear() == 0, "its owner is alive"
    receiver.clock.advance(seconds=11)
    assert receiver.clear() == 3
    assert receiver.named() == sorted([*known, *left])
    assert receiver.shelves() == 0
    assert receiver.clear() == 0


def test_an_owner_that_was_only_slow_finds_its_objects_there(receiver: Receiver):
    keys = receiver.keep(1, 2)
    receiver.clock.advance(seconds=11)
    assert receiver.clear() == 2
    receiver.admit()
    assert receiver.named() == keys
    assert [receiver.blobs.size_bytes(key) > 0 for key in keys] == [True, True]


def test_a_repeated_object_leaves_no_second_blob(receiver: Receiver):
    [first] = receiver.keep(1)
    receiver.admit()
    [again] = receiver.keep(1)
    receiver.clock.advance(seconds=11)
    receiver.clear()
    assert receiver.named() == [first]
    assert receiver.blobs.keys_on(receiver.shelf) == [first]
    assert again != first


@pytest.mark.parametrize("size", [0, 100, 2_000, -1])
def test_a_file_that_a_power_cut_left_unfinished_is_no_image(receiver: Receiver, size: int):
    whole, cut = receiver.keep(1, 2)
    path = receiver.folder / cut
    path.write_bytes(path.read_bytes()[:size])
    receiver.clock.advance(seconds=11)
    assert receiver.clear() == 1
    assert receiver.named() == [whole]
    assert receiver.shelves() == 0


def test_one_that_another_worker_has_claimed_is_left_to_it(receiver: Receiver):
    receiver.keep(1)
    receiver.clock.advance(seconds=11)
    now = receiver.clock()
    with receiver.database.transaction() as tx:
        claimed = shelving.claim_shelf(tx, DIMSE, before=now - timedelta(seconds=10), now=now)
    assert claimed is not None
    assert claimed.mark == receiver.shelf.mark
    assert receiver.clear() == 0
    receiver.clock.advance(seconds=11)  # that worker died as well
    assert receiver.clear() == 1
