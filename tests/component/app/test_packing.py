"""Small objects of a series share a blob; nothing that reads, checks or loses blobs is misled."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from isocenter.app.keeping import Keeper
from isocenter.app.packing import Packer, PackLimits
from isocenter.app.rebuilding import Rebuilder, RebuildReport
from isocenter.app.subscriptions import router
from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive.model_integrity import Fault
from isocenter.domain.archive.model_packs import PackTotals
from isocenter.domain.archive.service import location, packing, placing, rejection, sweeping
from isocenter.domain.archive.service.completion import complete_quiet_studies
from isocenter.domain.archive.service.description import describe_file
from isocenter.infra.blobs import BlobStore, StorageUnavailable, StoredBlob, key_ring, open_store
from isocenter.infra.blobs.encrypted import EncryptedStore
from isocenter.infra.blobs.packs import part_of
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.blobs.store import is_pack
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from isocenter.infra.db.errors import StatementFailed
from isocenter.infra.ids import made_at
from isocenter.infra.outbox import Dispatcher
from tests.component.app.test_rebuilding import tables
from tests.component.app.test_scrubbing import SEES, STUDY, WORKER, Archive
from tests.conftest import Stock
from tests.fakes.blobs import ObservedStore

READS = Viewer.of(WORKER, Action.STUDY_READ)
ADMIN = Actor.system("console:test")
LIMITS = PackLimits(object_bytes=4 << 20, pack_bytes=1 << 30)


class Crash(BaseException):
    """The process ends here."""


class Packing(Archive):
    """An archive whose worker packs what is in its first store."""

    def __init__(
        self, database: Database, folder: Path, main: BlobStore, second: BlobStore
    ) -> None:
        super().__init__(database, folder)
        self.main = ObservedStore(main)
        self.blobs = SeveralStores({"main": self.main, "second": second})
        self.packer = self.make_packer("main")

    def make_packer(self, *stores: str, limits: PackLimits = LIMITS) -> Packer:
        return Packer(
            self.database, self.blobs, WORKER, self.clock, stores, limits, lambda: self.stopped
        )

    def complete(self, *, copy_store: str = "") -> None:
        self.clock.advance(minutes=5)
        with self.database.transaction() as tx:
            complete_quiet_studies(tx, WORKER, quiet_s=60, now=self.clock())
        self.dispatch(copy_store)

    def dispatch(self, copy_store: str = "") -> None:
        keeper = Keeper(self.database, self.blobs, WORKER, self.clock, copy_store, packs=True)
        table = router(
            build_metadata=lambda tx, event, *, now: None,
            carry_objects=keeper,
            want_renditions=lambda tx, event, *, now: None,
            want_packs=self.packer.on_study_completed,
        )
        Dispatcher(self.database, table, clock=self.clock).run_once()

    def packed(self, *indices: int) -> list[str]:
        self.receive(*indices)
        self.complete()
        assert self.packer.run() == len(indices)
        return self.blob_keys()

    def contents(self) -> dict[str, bytes]:
        """Every image that the archive shows, as it is read, and compared with its digest."""
        with self.database.read() as tx:
            found = location.locate(tx, READS, STUDY)
            digests = tx.values("select sha256 from archive.instance order by sop_instance_uid")
        contents = {each.sop_instance_uid: self.blobs.read(each.blob_key) for each in found}
        read = [hashlib.sha256(contents[uid]).digest() for uid in sorted(contents)]
        assert read == [bytes(each) for each in digests]
        return contents

    def totals(self) -> PackTotals:
        with self.database.read() as tx:
            return packing.pack_totals(tx, SEES)

    def all_keys(self) -> list[str]:
        return list(self.blobs.keys())

    def sweep(self) -> int:
        self.clock.advance(days=4000)  # blobs have the time of the machine
        return self.sweep_at(self.clock())

    def sweep_at(self, older_than: datetime) -> int:
        with self.database.transaction() as tx:
            sweeping.forget_spared(tx, WORKER, older_than=older_than)
        with self.database.transaction() as tx:
            return sweeping.sweep(tx, WORKER, self.blobs, older_than=older_than, now=self.clock())

    def orphans(self) -> int:
        with self.database.read() as tx:
            return sweeping.count_orphans(tx, WORKER)

    def rebuild(self) -> RebuildReport:
        return Rebuilder(
            self.database,
            self.blobs,
            WORKER,
            self.clock,
            "second",
            lambda report: None,
            lambda key, reason: None,
        ).rebuild()


@pytest.fixture(params=["plain", "encrypted"])
def make_packing(
    request: pytest.FixtureRequest, make_database: Callable[..., Database], tmp_path: Path
) -> Callable[[], Packing]:
    return lambda: _packing(make_database, tmp_path, encrypted=request.param == "encrypted")


@pytest.fixture
def other_database(database_stock: Stock) -> Iterator[Database]:
    """A second database: of a backup, or an empty one."""
    url = database_stock.take()
    database = Database(url, router=router(), connections_max=6)
    yield database
    database.close()
    database_stock.give_back(url)


@pytest.fixture
def kept(make_database: Callable[..., Database], tmp_path: Path) -> Packing:
    return _packing(make_database, tmp_path, encrypted=False)


def _packing(make_database: Callable[..., Database], folder: Path, *, encrypted: bool) -> Packing:
    stores = [open_store(f"file://{folder}/{name}") for name in ("main", "second")]
    if encrypted:
        key = key_ring.key_encryption_key(key_ring.new_key_text())
        for each in stores:
            key_ring.create(each, key, now=utc_now())
        stores = [EncryptedStore(each, key, plain_allowed=False) for each in stores]
    return Packing(make_database(router=router()), folder, *stores)


def flip_in_member(kept: Packing, key: str, at: int = 1000) -> None:
    part = part_of(key)
    assert part is not None
    kept.flip(part.pack, part.offset + at)


def ends_at(operation: str, *, after: int = 0) -> Callable[[str], None]:
    """A ``before`` with which the process ends at an operation, not at its first so many."""
    left = after

    def check(name: str) -> None:
        nonlocal left
        if name == operation:
            if left == 0:
                raise Crash
            left -= 1

    return check


def end() -> None:
    raise Crash


def test_a_complete_series_shares_a_blob_and_reads_as_before(make_packing: Callable[[], Packing]):
    kept = make_packing()
    originals = kept.receive(1, 2, 3)
    assert kept.packer.run() == 0  # images may still be arriving
    before = kept.contents()
    kept.clock.advance(days=4000)  # blobs have the time of the machine
    kept.complete()
    assert kept.packer.run() == 3
    assert kept.packer.run() == 0
    parts = [part_of(each) for each in kept.blob_keys()]
    assert len({part.pack for part in parts if part}) == 1
    assert kept.contents() == before
    # Frames are ranges of the object: they are ranges of its place in the pack.
    for key, original in zip(kept.blob_keys(), originals, strict=True):
        whole = before[original.attributes[0x0008_0018]]
        with kept.blobs.open(key) as stream:
            stream.seek(-100, 2)
            assert stream.read() == whole[-100:]
        assert kept.blobs.size_bytes(key) == len(whole)
        assert kept.blobs.read(key, 1000, 50) == whole[1000:1050]
        assert kept.blobs.read(key, len(whole) - 5, 50) == whole[-5:]
        assert kept.blobs.read(key, len(whole)) == b""
        described = describe_file(
            kept.blobs,
            StoredBlob(key, len(whole), hashlib.sha256(whole).digest()),
            calling_ae_title="CT1",
            received_at=original.received_at,
        )
        assert replace(described, blob_key=original.blob_key) == original
    totals = kept.totals()
    assert (totals.packs, totals.members, totals.series_due) == (1, 3, 0)
    # Whoever was reading the single blobs goes on; then one object is left, and it stays.
    assert len(kept.all_keys()) == 4
    assert all(kept.blobs.read(each.blob_key) for each in originals)
    kept.blobs.delete(kept.blob_keys()[0])  # of a member: the pack stays
    assert kept.sweep_at(utc_now() + timedelta(minutes=1)) == 0
    assert kept.sweep() == 3
    assert kept.sweep() == 0
    assert [is_pack(each) for each in kept.all_keys()] == [True]
    assert kept.contents() == before
    assert kept.orphans() == 0


@pytest.mark.parametrize(
    ("step", "after"), [("write", 1), ("commit_all", 0), ("read", 3), ("open", 0)]
)
def test_ending_at_any_step_of_the_store_loses_nothing(kept: Packing, step: str, after: int):
    kept.receive(1, 2, 3)
    kept.complete()
    kept.main.before = ends_at(step, after=after)
    assert_ends_without_loss(kept)
    assert kept.totals().packs == 1


def test_ending_between_the_pack_and_its_note_loses_nothing(kept: Packing):
    kept.receive(1, 2, 3)
    kept.complete()
    kept.main.after_commit = end
    assert_ends_without_loss(kept)
    assert kept.totals().packs == 1


def assert_ends_without_loss(kept: Packing) -> None:
    before, keys = kept.contents(), kept.blob_keys()
    with pytest.raises(Crash):
        kept.packer.run()
    kept.main.before, kept.main.after_commit = lambda name: None, lambda: None
    assert_starts_again(kept, before, keys)


def assert_starts_again(kept: Packing, before: dict[str, bytes], keys: list[str]) -> None:
    assert kept.blob_keys() == keys
    assert kept.contents() == before
    kept.sweep()  # what was left over goes; the single blobs are named and stay
    assert sorted(kept.all_keys()) == sorted(keys)
    assert kept.packer.run() == 3
    assert kept.contents() == before
    kept.sweep()
    assert [is_pack(each) for each in kept.all_keys()] == [True]
    assert kept.contents() == before
    assert kept.orphans() == 0
    assert kept.totals().packs == 1


# The database refuses a step in the middle of the last transaction, and one behind it.
REFUSE = """
create function archive.refuse() returns trigger language plpgsql as
    'begin raise exception ''the connection is lost''; end'
"""


def test_the_exchange_is_all_or_nothing(kept: Packing):
    kept.receive(1, 2, 3)
    kept.complete()
    before, keys = kept.contents(), kept.blob_keys()
    refuse(kept, "insert on archive.packed_blob")
    assert kept.packer.run() == 0
    allow(kept, "archive.packed_blob")
    kept.clock.advance(hours=2)
    assert_starts_again(kept, before, keys)


def test_ending_behind_the_exchange_leaves_nothing_to_do(kept: Packing):
    kept.receive(1, 2, 3)
    kept.complete()
    before = kept.contents()
    refuse(kept, "delete on archive.pack_due")
    with pytest.raises(StatementFailed):
        kept.packer.run()
    allow(kept, "archive.pack_due")
    packed = kept.blob_keys()
    kept.clock.advance(hours=2)
    assert kept.totals().series_due == 1
    assert kept.packer.run() == 0
    assert kept.totals().series_due == 0
    assert kept.blob_keys() == packed
    assert kept.contents() == before


def refuse(kept: Packing, when: str) -> None:
    with kept.database.transaction() as tx:
        tx.run(REFUSE)
        tx.run(
            f"create trigger refuse before {when} for each row execute function archive.refuse()"
        )


def allow(kept: Packing, table: str) -> None:
    with kept.database.transaction() as tx:
        tx.run(f"drop trigger refuse on {table}")


def test_a_pack_that_the_sweeper_took_meanwhile_is_not_exchanged(kept: Packing):
    """A pack that took longer than unreferenced blobs are kept: the objects stay where they are."""
    kept.receive(1, 2, 3)
    kept.complete()
    before, keys = kept.contents(), kept.blob_keys()

    def sweep_during_check(name: str) -> None:
        if name == "open":
            kept.main.before = lambda name: None
            assert kept.sweep() == 1

    kept.main.before = sweep_during_check
    assert kept.packer.run() == 0
    kept.clock.advance(hours=2)
    assert_starts_again(kept, before, keys)


def test_a_pack_that_is_not_read_back_as_it_was_written_is_discarded(kept: Packing):
    kept.receive(1, 2, 3)
    kept.complete()
    before, keys = kept.contents(), kept.blob_keys()

    def spoil() -> None:
        pack = next(each for each in kept.all_keys() if is_pack(each))
        kept.flip(pack)

    kept.main.after_commit = spoil
    assert kept.packer.run() == 0
    kept.main.after_commit = lambda: None
    assert sorted(kept.all_keys()) == sorted(keys)
    kept.clock.advance(hours=2)
    assert_starts_again(kept, before, keys)


def test_what_is_damaged_large_or_alone_is_left_out(kept: Packing):
    received = kept.receive(1, 2, 3, 4)
    kept.complete()
    kept.flip(received[1].blob_key)
    size = received[0].size_bytes
    kept.packer = kept.make_packer("main", limits=PackLimits(size, size - 1))
    assert kept.packer.run() == 0  # each larger than a pack
    with kept.database.transaction() as tx:
        assert packing.want_all_packs(tx, WORKER, now=kept.clock()) == 1
    kept.packer = kept.make_packer("main", limits=PackLimits(4 * size, 2 * size + 100))
    # Of the first two only one is sound: it stays alone. The others share a pack.
    assert kept.packer.run() == 2
    assert [part_of(each) is None for each in kept.blob_keys()] == [True, True, False, False]


def test_reading_back_finds_one_damaged_member_and_repairs_it(kept: Packing):
    kept.receive(1, 2, 3)
    kept.complete(copy_store="second")
    before = kept.contents()
    assert kept.packer.run() == 3
    keys = kept.blob_keys()
    flip_in_member(kept, keys[-1])
    kept.scrubber().run()
    findings = kept.state().findings
    assert [each.blob_key for each in findings] == [keys[-1]]
    assert findings[0].settlement == "repaired from the store second"
    assert kept.state().open_faults == {}
    assert kept.blob_keys()[:-1] == keys[:-1]
    assert part_of(kept.blob_keys()[-1]) is None
    assert kept.contents() == before


def test_a_lost_pack_is_many_lost_images_and_no_lost_store(kept: Packing):
    keys = kept.packed(*range(1, 26))
    part = part_of(keys[0])
    assert part is not None
    kept.path(part.pack).unlink()
    assert kept.scrubber().run() == 25
    assert kept.state().open_faults == {Fault.MISSING: 25}


def test_an_encrypted_pack_without_its_key_is_no_damage(
    make_database: Callable[..., Database], tmp_path: Path
):
    kept = _packing(make_database, tmp_path, encrypted=True)
    kept.packed(1, 2)
    names = ("main", "second")
    kept.blobs = SeveralStores({name: open_store(f"file://{tmp_path}/{name}") for name in names})
    with pytest.raises(StorageUnavailable, match="store_encryption is off"):
        kept.scrubber().run()
    assert kept.state().findings == []


def test_a_pack_goes_when_nobody_needs_a_member_any_more(kept: Packing):
    keys = kept.packed(1, 2, 3)
    before = kept.contents()
    kept.sweep()
    with kept.database.transaction() as tx:
        uid = sorted(before)[0]
        series = tx.value("select series_instance_uid from archive.series")
        path = (STUDY, series, uid)
        rejection.reject(tx, ADMIN, path, reason="wrong side", now=kept.clock())
    assert kept.sweep() == 0  # a rejected image is kept
    assert sorted(kept.blob_keys()) == sorted(keys)
    with kept.database.transaction() as tx:
        placing.place_study(tx, WORKER, STUDY, "second", now=kept.clock())
    kept.dispatch()
    assert [store_of(each) for each in kept.blob_keys()] == ["second"] * 3
    assert kept.packer.run() == 0
    assert kept.sweep() == 1
    assert [store_of(each) for each in kept.all_keys()] == ["second"] * 3
    assert kept.totals().packs == 0
    assert len(kept.contents()) == 2


def test_copies_are_packed_in_their_store_and_take_the_place_of_a_pack(kept: Packing):
    kept.packer = kept.make_packer("main", "second")
    kept.receive(1, 2, 3)
    kept.complete(copy_store="second")
    before = kept.contents()
    assert kept.packer.run() == 6
    kept.sweep()
    assert [(store_of(each), is_pack(each)) for each in kept.all_keys()] == [
        ("main", True),
        ("second", True),
    ]
    kept.scrubber().run()
    last = kept.state().last
    assert last is not None
    assert (last.objects, last.faults) == (6, 0)
    flip_in_member(kept, kept.blob_keys()[1])
    kept.clock.advance(days=40)
    kept.scrubber().run()
    assert kept.state().open_faults == {}
    assert kept.contents() == before
    with kept.database.transaction() as tx:
        placing.place_study(tx, WORKER, STUDY, "second", now=kept.clock())
    kept.dispatch()
    assert [store_of(each) for each in kept.blob_keys()] == ["second"] * 3
    assert kept.contents() == before


@pytest.mark.parametrize(("encrypted", "swept"), [(True, True), (False, False)])
def test_the_tables_are_made_again_from_packs(
    make_database: Callable[..., Database],
    other_database: Database,
    tmp_path: Path,
    *,
    encrypted: bool,
    swept: bool,
):
    kept = _packing(make_database, tmp_path, encrypted=encrypted)
    kept.packer = kept.make_packer("main", "second")
    arrived = [made_at(each.blob_key.rpartition("/")[2]) for each in kept.receive(1, 2, 3)]
    kept.complete(copy_store="second")
    assert kept.packer.run() == 6
    kept.receive(4)
    if swept:
        kept.sweep()
    before, contents, totals = tables(kept.database), kept.contents(), kept.totals()
    kept.database = other_database
    report = kept.rebuild()
    assert report.refused == []
    assert report.stored == 4
    assert tables(kept.database) == before
    assert kept.contents() == contents
    assert kept.totals() == replace(totals, series_due=0)
    with kept.database.read() as tx:
        statement = "select received_at from archive.instance order by instance_key limit 3"
        assert tx.values(statement) == arrived
    again = kept.rebuild()
    assert (again.stored, again.refused) == (0, [])
    kept.sweep()
    assert kept.contents() == contents
    assert kept.orphans() == 0


def test_a_database_from_before_packing_finds_its_images_in_packs(
    kept: Packing, other_database: Database
):
    kept.receive(1, 2, 3)
    newer, older = kept.database, other_database
    kept.database = older
    kept.rebuild()
    before, singles = kept.contents(), kept.blob_keys()
    kept.database = newer
    kept.complete()
    assert kept.packer.run() == 3
    assert kept.sweep() == 3
    kept.database = older  # the backup
    assert kept.blob_keys() == singles  # they are gone
    assert kept.sweep() == 0
    assert kept.orphans() == 1  # the pack: it is the only place of these images
    assert kept.rebuild().duplicates == 3
    assert kept.contents() == before
    assert kept.sweep() == 0
    assert kept.orphans() == 0


def test_a_pack_whose_index_is_damaged_is_told_and_kept(kept: Packing, other_database: Database):
    keys = kept.packed(1, 2, 3)
    before = kept.contents()
    kept.sweep()
    part = part_of(keys[0])
    assert part is not None
    kept.flip(part.pack, 30)
    assert kept.contents() == before  # whoever has the keys reads on
    kept.database = other_database
    report = kept.rebuild()
    assert report.refused == [(part.pack, "is a pack whose index is damaged")]
    assert kept.sweep() == 0
    assert kept.orphans() == 1
