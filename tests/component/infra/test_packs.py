"""Packs in a real object store: one object, of which members are ranges."""

import random
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from isocenter.app.subscriptions import router
from isocenter.infra.blobs import BlobMissing, open_store
from isocenter.infra.blobs.packs import (
    PackDamaged,
    Packed,
    encode_index,
    laid_out,
    part_of,
    read_index,
)
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.blobs.store import is_pack
from isocenter.infra.db import Database
from isocenter.infra.ids import new_id
from tests.component.app.test_packing import Packing
from tests.component.infra.s3_server import S3Server


def test_an_s3_bucket_holds_one_object_of_a_series(
    s3_server: S3Server, make_database: Callable[..., Database], tmp_path: Path
):
    prefix = f"packs-{random.getrandbits(64):x}"
    bucket = open_store(s3_server.url(prefix), credentials=s3_server.credentials)
    second = open_store(f"file://{tmp_path}/second")
    kept = Packing(make_database(router=router()), tmp_path, bucket, second)
    kept.receive(1, 2, 3, 4, 5)
    kept.complete()
    before = kept.contents()
    assert kept.packer.run() == 5
    kept.sweep()
    assert [is_pack(each) for each in kept.all_keys()] == [True]
    kept.main.counts.clear()
    assert kept.contents() == before
    assert kept.main.counts == {"read": 5}  # one range each
    key = kept.blob_keys()[2]
    with kept.blobs.open(key) as stream:
        whole = stream.read()
    assert whole in before.values()
    assert kept.blobs.read(key, 700, 40) == whole[700:740]
    kept.scrubber().run()
    assert kept.state().open_faults == {}


def test_a_large_member_is_a_stream_of_its_own(tmp_path: Path):
    stores = SeveralStores({"main": open_store(f"file://{tmp_path}")})
    contents = [random.Random(size).randbytes(size) for size in (10, 9 << 20, 0, 20)]
    members = laid_out([Packed(new_id(), len(each), bytes(32)) for each in contents])
    writer = stores.writer_in("main", packs_of=date(2026, 2, 3))
    writer.write(encode_index(members))
    for each in contents:
        writer.write(each)
    pack = writer.commit().key
    assert pack.startswith("2026/02/03/pk/")
    assert read_index(lambda start, length: stores.read(pack, start, length)) == members
    for member, content in zip(members, contents, strict=True):
        key = member.key(pack)
        assert stores.read(key) == content
        assert stores.size_bytes(key) == len(content)
        with stores.open(key) as stream:
            assert stream.read() == content
            assert stream.seek(-5, 2) == max(len(content) - 5, 0)
            assert stream.read() == content[-5:]
            with pytest.raises(OSError, match="fileno"):
                stream.fileno()  # it would be that of the whole pack
    part = part_of(members[1].key(pack))
    assert part is not None
    path = tmp_path / pack
    path.write_bytes(path.read_bytes()[: part.offset + 100])
    assert stores.size_bytes(members[1].key(pack)) == 100
    assert stores.read(members[3].key(pack)) == b""
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(PackDamaged):
        read_index(lambda start, length: stores.read(pack, start, length))
    path.unlink()
    for member in members:
        with pytest.raises(BlobMissing):
            stores.size_bytes(member.key(pack))
        with pytest.raises(BlobMissing):
            stores.open(member.key(pack))


@pytest.mark.parametrize("end", ["@1", "@1+", "@-1+2", "@01+2", "@1+2@3+4", "@1+2/../x"])
def test_a_key_of_another_form_names_nothing(tmp_path: Path, end: str):
    stores = SeveralStores({"main": open_store(f"file://{tmp_path}")})
    key = stores.put(b"content").key
    for action in (stores.read, stores.open, stores.size_bytes, stores.delete):
        with pytest.raises(BlobMissing):
            action(key + end)
