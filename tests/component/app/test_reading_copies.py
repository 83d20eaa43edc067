"""Images whose first copy is lost or away are served from another, which is told and mended."""

from collections.abc import Callable
from pathlib import Path

import pytest

from isocenter.app.reading_copies import reading_copies
from isocenter.app.scrubbing import repair_all
from isocenter.domain.archive.model_integrity import Fault
from isocenter.domain.archive.service import integrity
from isocenter.gateways.dimse.outgoing import Outgoing, prepare
from isocenter.imaging.transcode import transcode_file
from isocenter.infra.blobs import BlobMissing, StorageUnavailable
from isocenter.infra.blobs.several import SeveralStores, store_of
from isocenter.infra.db import Database
from tests.component.app.test_scrubbing import SEES, WORKER, Archive
from tests.component.infra.test_elsewhere import Broken


@pytest.fixture
def stored(make_database: Callable[..., Database], tmp_path: Path) -> Archive:
    return Archive(make_database(), tmp_path)


def faults(stored: Archive) -> dict[Fault, int]:
    with stored.database.read() as tx:
        return integrity.integrity_state(tx, SEES, limit=50).open_faults


def test_a_lost_object_is_served_told_and_mended(stored: Archive):
    lost, kept, alone = stored.receive(1, 2, 3)
    for each in (lost, kept):
        stored.copy(each)
    content = stored.blobs.read(lost.blob_key)
    stored.path(lost.blob_key).unlink()
    stored.path(alone.blob_key).unlink()
    images = reading_copies(stored.database, stored.blobs, stored.clock)
    assert images.read(lost.blob_key) == content
    assert images.read(lost.blob_key, 132, 8) == content[132:140]
    assert images.size_bytes(lost.blob_key) == len(content)
    with images.open(lost.blob_key) as stream:
        assert stream.read() == content
    assert images.read(kept.blob_key)
    with pytest.raises(BlobMissing):
        images.read(alone.blob_key)  # there is no other
    outgoing = Outgoing(
        study_instance_uid="2.25.77",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="2.25.77.1.1",
        transfer_syntax_uid=lost.transfer_syntax_uid,
        blob_key=lost.blob_key,
        size_bytes=lost.size_bytes,
        dataset_offset=lost.dataset_offset,
        pixel_data_offset=lost.pixel_data_offset,
    )
    sent = prepare(images, outgoing, lost.transfer_syntax_uid, transcode=transcode_file)
    assert b"".join(sent.pieces) == content[lost.dataset_offset :]
    assert faults(stored) == {Fault.MISSING: 1}
    assert repair_all(stored.database, stored.blobs, WORKER, clock=stored.clock) == 1
    assert faults(stored) == {}


def test_a_store_that_is_away_or_not_mounted_accuses_no_object(stored: Archive):
    received = stored.receive(*range(1, 26))
    for each in received:
        stored.copy(each)
    stores = {name: stored.blobs.named(name) for name in stored.blobs.names}
    away = SeveralStores({**stores, "main": Broken(StorageUnavailable("no route to it"))})
    images = reading_copies(stored.database, away, stored.clock)
    assert images.read(received[0].blob_key)
    assert faults(stored) == {}
    for each in received:
        stored.path(each.blob_key).unlink()
    images = reading_copies(stored.database, stored.blobs, stored.clock)
    for each in received:
        assert store_of(each.blob_key) == "main"
        assert images.read(each.blob_key)
    assert faults(stored) == {Fault.MISSING: 20}  # the rest is rather the store's
    stored.clock.advance(minutes=11)
    images.read(received[0].blob_key)
    assert faults(stored) == {Fault.MISSING: 20}
