"""Renditions are made of what is complete, follow their originals, and are never taken for one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from isocenter.app.keeping import Keeper
from isocenter.app.rebuilding import Rebuilder
from isocenter.app.renditions import ProcessorShare, RenditionMaker
from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model_renditions import Rendition, RenditionTotals
from isocenter.domain.archive.service import placing, renditions, sweeping
from isocenter.domain.archive.service.completion import complete_quiet_studies
from isocenter.infra.blobs import open_store
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.db import Database
from isocenter.infra.outbox import Dispatcher
from tests.component.app.test_scrubbing import SEES, STUDY, WORKER, Archive
from tests.fakes.blobs import ObservedStore, full_at

READS = Viewer.of(WORKER, Action.STUDY_READ)


class Rendered(Archive):
    """An archive whose worker makes renditions."""

    def __init__(self, database: Database, folder: Path, modalities: tuple[str, ...]) -> None:
        super().__init__(database, folder)
        self.main = ObservedStore(open_store(f"file://{folder}/main"))
        self.blobs = SeveralStores({
            "main": self.main,
            "second": open_store(f"file://{folder}/second"),
        })
        self.waited: list[float] = []
        self.stop_after = 10**6
        self.maker = RenditionMaker(
            database,
            self.blobs,
            WORKER,
            self.clock,
            modalities,
            ProcessorShare(25, self.waited.append),
            lambda: len(self.waited) >= self.stop_after,
        )
        keeper = Keeper(database, self.blobs, WORKER, self.clock, "")
        self.dispatcher = Dispatcher(
            database,
            router(
                build_metadata=lambda tx, event, *, now: None,
                carry_objects=keeper,
                want_renditions=self.maker.on_study_completed,
            ),
            clock=self.clock,
        )

    def complete(self) -> None:
        self.clock.advance(minutes=5)
        with self.database.transaction() as tx:
            complete_quiet_studies(tx, WORKER, quiet_s=60, now=self.clock())
        self.dispatcher.run_once()

    def renditions(self) -> list[Rendition]:
        with self.database.read() as tx:
            uids = [each.sop_instance_uid for each in archive.locate(tx, READS, STUDY)]
            found = renditions.renditions_of(tx, READS, uids)
        return [found[uid] for uid in uids if uid in found]

    def whole_series(self) -> int:
        """How many series have a rendition of every image."""
        with self.database.read() as tx:
            return len(renditions.rendered_series(tx, READS, STUDY))

    def totals(self) -> RenditionTotals:
        with self.database.read() as tx:
            return renditions.rendition_totals(tx, SEES)

    def sweep(self) -> int:
        self.clock.advance(days=4000)
        with self.database.transaction() as tx:
            return sweeping.sweep(tx, WORKER, self.blobs, older_than=self.clock(), now=self.clock())


@pytest.fixture
def make_rendered(
    make_database: Callable[..., Database], tmp_path: Path
) -> Callable[..., Rendered]:
    return lambda *modalities: Rendered(make_database(router=router()), tmp_path, modalities)


def test_complete_studies_of_these_modalities_get_renditions_once(
    make_rendered: Callable[..., Rendered],
):
    kept = make_rendered("MR", "CT")
    originals = kept.receive(1, 2, 3)
    assert kept.maker.run() == 0  # images may still be arriving
    kept.complete()
    assert kept.totals().series_due == 1
    assert kept.maker.run() == 3
    assert kept.maker.run() == 0
    totals = kept.totals()
    assert (totals.renditions, totals.impossible, totals.series_due) == (3, 0, 0)
    assert totals.size_bytes == sum(kept.blobs.size_bytes(r.blob_key) for r in kept.renditions())
    # A quarter of a processor: for each second of work three seconds of rest.
    assert len(kept.waited) == 3
    assert min(kept.waited) > 0
    assert kept.whole_series() == 1
    kept.receive(4)  # the study grows: only the new one is made
    assert kept.whole_series() == 0
    kept.complete()
    assert kept.maker.run() == 1
    assert kept.whole_series() == 1
    assert {each.blob_key for each in originals} < set(kept.blob_keys())  # untouched


def test_other_modalities_get_none(make_rendered: Callable[..., Rendered]):
    kept = make_rendered("US")
    kept.receive(1)
    kept.complete()
    assert kept.maker.run() == 0
    assert kept.totals().series_due == 0


def test_work_that_is_ended_or_finds_no_room_is_taken_up_again(
    make_rendered: Callable[..., Rendered],
):
    kept = make_rendered("CT")
    kept.receive(*range(1, 6))
    kept.complete()
    kept.stop_after = 3  # the process is to end in the middle of the third
    assert kept.maker.run() == 2
    kept.stop_after = 10**6
    kept.main.before = full_at("writer")
    assert kept.maker.run() == 0
    kept.main.before = lambda name: None
    assert kept.maker.run() == 0  # not before an hour has gone by
    kept.clock.advance(hours=1, seconds=1)
    assert kept.maker.run() == 3
    assert kept.totals().series_due == 0
    named = {each.blob_key for each in kept.renditions()} | set(kept.blob_keys())
    assert set(kept.blobs.keys()) == named  # nothing half made lies about


def test_the_sweeper_keeps_what_is_named_and_removes_what_is_not_without_calling_it_an_orphan(
    make_rendered: Callable[..., Rendered],
):
    kept = make_rendered("CT")
    kept.receive(1, 2)
    kept.complete()
    kept.maker.run()
    assert kept.sweep() == 0
    first, second = kept.renditions()
    with kept.database.transaction() as tx:
        tx.run(
            "delete from archive.instance where sop_instance_uid = %s", (first.sop_instance_uid,)
        )
    assert [each.blob_key for each in kept.renditions()] == [second.blob_key]
    assert kept.sweep() == 1  # the rendition goes, the image stays as an orphan
    with kept.database.transaction() as tx:
        assert sweeping.count_orphans(tx, WORKER) == 1
        assert renditions.discard_all_renditions(tx, WORKER, now=kept.clock()) == 1
    assert kept.sweep() == 1
    with kept.database.read() as tx:
        assert sweeping.count_orphans(tx, WORKER) == 1
    assert len(set(kept.blobs.keys())) == 2


def test_a_damaged_rendition_is_noticed_and_made_again(make_rendered: Callable[..., Rendered]):
    kept = make_rendered("CT")
    kept.receive(1, 2)
    kept.complete()
    kept.maker.run()
    damaged, sound = kept.renditions()
    kept.flip(damaged.blob_key)
    assert kept.scrubber().run() == 2
    assert kept.state().open_faults == {}  # no image is damaged
    assert [each.blob_key for each in kept.renditions()] == [sound.blob_key]
    assert kept.maker.run() == 1
    again, _ = kept.renditions()
    assert again.sha256 == damaged.sha256
    assert kept.scrubber().run() == 0


def test_other_bytes_of_an_instance_have_no_rendition_until_one_is_made_of_them(
    make_rendered: Callable[..., Rendered],
):
    kept = make_rendered("CT")
    kept.receive(1)
    kept.complete()
    kept.maker.run()
    with kept.database.transaction() as tx:
        tx.run("update archive.instance set sha256 = sha256 || '\\x00'::bytea")
    assert kept.renditions() == []


def test_renditions_follow_their_originals_to_another_store(
    make_rendered: Callable[..., Rendered],
):
    kept = make_rendered("CT")
    kept.receive(1, 2)
    kept.complete()
    kept.maker.run()
    with kept.database.transaction() as tx:
        placing.place_study(tx, WORKER, STUDY, "second", now=kept.clock())
    kept.dispatcher.run_once()
    assert kept.renditions() == []
    assert kept.maker.run() == 2
    assert {store_of(each.blob_key) for each in kept.renditions()} == {"second"}


def test_a_rebuilt_archive_takes_no_rendition_for_an_image(
    make_rendered: Callable[..., Rendered], database_stock, tmp_path: Path
):
    kept = make_rendered("CT")
    kept.receive(1, 2)
    kept.complete()
    kept.maker.run()
    url = database_stock.take()
    fresh = Database(url, router=router())
    try:
        report = Rebuilder(
            fresh, kept.blobs, WORKER, kept.clock, "", lambda report: None, lambda key, why: None
        ).rebuild()
    finally:
        fresh.close()
        database_stock.give_back(url)
    assert (report.seen, report.stored, report.derived, report.refused) == (4, 2, 2, [])
