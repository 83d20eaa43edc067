"""Sweeping removes what is needless, and never the only blob of an image."""

from datetime import timedelta
from pathlib import Path

from isocenter.domain.access.model import Actor
from isocenter.domain.archive.service import sweeping
from isocenter.domain.archive.service.admission import admit
from isocenter.domain.archive.service.description import describe_file
from isocenter.infra.blobs import open_store
from isocenter.infra.blobs.sealed_header import HEAD_BYTES, MARK
from isocenter.infra.clock import utc_now
from tests.hospital import a_slice

WORKER = Actor.system("worker")


def a_file(index: int, name: str = "Phantom^Ada") -> bytes:
    return a_slice("A1", 1, index, name=name, study_uid="2.25.9")


def test_sweeping_removes_what_is_needless_and_keeps_every_image(tx, tmp_path: Path):
    blobs = open_store(f"file://{tmp_path}")
    stored, other = blobs.put(a_file(1)), blobs.put(a_file(1, "Phantom^Eva"))
    received = [
        describe_file(blobs, blob, calling_ae_title="CT1", received_at=utc_now())
        for blob in (stored, other)
    ]
    assert [each.outcome.value for each in admit(tx, WORKER, received, now=utc_now())] == [
        "stored",
        "conflicting",
    ]
    current, old = blobs.put(b'[{"new": 1}]'), blobs.put(b'[{"old": 1}]')
    tx.run("update archive.series set metadata_blob_key = %s", (current.key,))
    twice = blobs.put(a_file(1))  # the same bytes again: a crash before the answer
    empty = blobs.put(bytes(5000))  # a power cut
    lost = blobs.put(a_file(2))  # an image that no row knows
    sealed = blobs.put(MARK + bytes(HEAD_BYTES))
    young = blobs.put(b"[]")
    later = utc_now() + timedelta(seconds=5)
    assert (
        sweeping.sweep(tx, WORKER, blobs, older_than=later - timedelta(days=1), now=utc_now()) == 0
    )
    assert sweeping.sweep(tx, WORKER, blobs, older_than=later, now=utc_now()) == 4
    kept = {stored.key, other.key, current.key, lost.key, sealed.key}
    assert set(blobs.keys()) == kept
    assert not {old.key, twice.key, empty.key, young.key} & kept
    assert sweeping.count_orphans(tx, WORKER) == 2
    # An orphan that is taken in is none any more; the other is not looked at again.
    adopted = describe_file(blobs, lost, calling_ae_title="", received_at=utc_now())
    admit(tx, WORKER, [adopted], now=utc_now())
    assert sweeping.sweep(tx, WORKER, blobs, older_than=later, now=utc_now()) == 0
    assert sweeping.count_orphans(tx, WORKER) == 1


def test_a_database_that_is_new_or_restored_from_an_old_backup_loses_no_image(tx, tmp_path: Path):
    blobs = open_store(f"file://{tmp_path}")
    keys = {blobs.put(a_file(index)).key for index in range(1, 6)}
    later = utc_now() + timedelta(days=400)
    assert sweeping.sweep(tx, WORKER, blobs, older_than=later, now=utc_now()) == 0
    assert set(blobs.keys()) == keys
    assert sweeping.count_orphans(tx, WORKER) == 5
