"""Objects carried to the store of their study, and copied to the store of copies."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from isocenter.app.keeping import Keeper
from isocenter.app.scrubbing import repair_all
from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive.model import UnknownStudy
from isocenter.domain.archive.service import location, placing, sweeping
from isocenter.domain.archive.service.completion import complete_quiet_studies
from isocenter.infra.blobs import StorageUnavailable, open_store
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from isocenter.infra.outbox import Dispatcher
from tests.component.app.test_scrubbing import STUDY, WORKER, Archive
from tests.fakes.blobs import ObservedStore, full_at

READS = Viewer.of(WORKER, Action.STUDY_READ)


class Kept(Archive):
    """An archive whose worker carries objects."""

    def __init__(self, database: Database, folder: Path, copy_store: str) -> None:
        super().__init__(database, folder)
        self.second = ObservedStore(open_store(f"file://{folder}/second"))
        stores = {"main": open_store(f"file://{folder}/main"), "second": self.second}
        self.blobs = SeveralStores(stores)
        self.keeper = Keeper(database, self.blobs, WORKER, self.clock, copy_store)
        self.dispatcher = Dispatcher(
            database,
            router(build_metadata=lambda tx, event, *, now: None, carry_objects=self.keeper),
            clock=self.clock,
        )

    def complete(self) -> None:
        self.clock.advance(minutes=5)
        with self.database.transaction() as tx:
            complete_quiet_studies(tx, WORKER, quiet_s=60, now=self.clock())
        self.dispatcher.run_once()

    def place(self, store: str) -> None:
        with self.database.transaction() as tx:
            placing.place_study(tx, WORKER, STUDY, store, now=self.clock())
        self.dispatcher.run_once()

    def located(self) -> dict[str, bytes]:
        with self.database.read() as tx:
            found = location.locate(tx, READS, STUDY)
        return {each.sop_instance_uid: self.blobs.read(each.blob_key) for each in found}

    def stores(self) -> list[str]:
        return [store_of(each) for each in self.blob_keys()]

    def copies(self) -> list[tuple[str, str]]:
        with self.database.read() as tx:
            keys = tx.values("select blob_key from archive.object_copy order by copy_key")
            copies = tx.values("select copy_blob_key from archive.object_copy order by copy_key")
        return list(zip(keys, copies, strict=True))


@pytest.fixture
def make_kept(make_database: Callable[..., Database], tmp_path: Path) -> Callable[[str], Kept]:
    return lambda copy_store: Kept(make_database(router=router()), tmp_path, copy_store)


def test_a_complete_study_is_copied_once_and_the_copy_mends_it(make_kept: Callable[[str], Kept]):
    kept = make_kept("second")
    kept.receive(1, 2)
    before = kept.located()
    kept.complete()
    copies = kept.copies()
    assert [key for key, _ in copies] == kept.blob_keys()
    assert [store_of(copy) for _, copy in copies] == ["second", "second"]
    assert all(kept.blobs.read(key) == kept.blobs.read(copy) for key, copy in copies)
    assert kept.keeper.copy() == 0
    kept.receive(3)  # the study grows
    kept.complete()
    assert len(kept.copies()) == 3
    kept.path(copies[0][0]).unlink()
    kept.scrubber().run()
    assert kept.state().open_faults == {}
    assert {uid: kept.located()[uid] for uid in before} == before


def test_a_store_of_copies_that_is_full_is_tried_again(make_kept: Callable[[str], Kept]):
    kept = make_kept("second")
    kept.receive(1, 2)
    kept.second.before = full_at("write")
    kept.complete()
    assert kept.copies() == []
    kept.second.before = lambda name: None
    kept.clock.advance(seconds=5)
    kept.dispatcher.run_once()
    assert len(kept.copies()) == 2


def test_a_study_is_carried_to_another_store_and_back(make_kept: Callable[[str], Kept]):
    kept = make_kept("")
    kept.receive(1, 2)
    before = kept.located()
    kept.place("second")
    assert kept.stores() == ["second", "second"]
    assert kept.located() == before
    kept.receive(3)  # lands in the current store, and follows when the study is complete
    assert kept.stores() == ["second", "second", "main"]
    kept.complete()
    assert kept.stores() == ["second"] * 3
    kept.place("main")
    assert kept.stores() == ["main"] * 3
    # What they were carried from is needless now, and nothing else is.
    with kept.database.transaction() as tx:
        removed = sweeping.sweep(
            tx, WORKER, kept.blobs, older_than=utc_now().replace(year=2090), now=utc_now()
        )
    assert removed == 6
    assert sorted(kept.blobs.keys()) == sorted(kept.blob_keys())
    assert before.items() <= kept.located().items()


def test_an_object_and_its_copy_change_places_without_a_byte_being_carried(
    make_kept: Callable[[str], Kept],
):
    kept = make_kept("second")
    kept.receive(1)
    kept.complete()
    ((original, copy),) = kept.copies()
    kept.second.counts.clear()
    kept.place("second")
    assert kept.blob_keys() == [copy]
    assert kept.copies() == [(copy, original)]
    assert kept.second.counts["writer"] == 0
    kept.path(copy).unlink()
    kept.scrubber().run()
    assert kept.state().open_faults == {}
    assert kept.stores() == ["second"]


def test_a_damaged_object_is_neither_copied_nor_moved(make_kept: Callable[[str], Kept]):
    kept = make_kept("second")
    (received,) = kept.receive(1)
    kept.flip(received.blob_key)
    with pytest.raises(StorageUnavailable, match="damaged itself"):
        kept.keeper.copy(STUDY)
    assert list(kept.second.keys()) == []
    kept.scrubber().run()
    assert kept.keeper.copy(STUDY) == 0  # known as damaged: left out until it is mended
    assert repair_all(kept.database, kept.blobs, WORKER, clock=kept.clock) == 0


def test_only_a_study_that_is_there_can_be_placed(make_kept: Callable[[str], Kept]):
    kept = make_kept("")
    with pytest.raises(UnknownStudy), kept.database.transaction() as tx:
        placing.place_study(tx, WORKER, "1.2.3.4", "second", now=kept.clock())
    assert replace(kept.keeper, copy_store="").move("1.2.3.4") == 0
