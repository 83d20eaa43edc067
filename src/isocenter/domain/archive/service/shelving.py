"""Shelves: what was answered before the archive had it is taken in, whatever becomes of a process.

A receiver makes a shelf known before it puts the first object there, and renews it while it lives.
What lies on a shelf that nobody renews is taken in here. Both may happen at once, when a process
was only slow: an object that is taken in twice under one key is there once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store_blobs, _store_shelves
from isocenter.domain.archive.model import NotAnInstance, Outcome, ReceivedInstance
from isocenter.domain.archive.service.admission import admit
from isocenter.domain.archive.service.completeness import is_cut
from isocenter.domain.archive.service.rebuilding import describe_stored
from isocenter.infra.blobs import BlobMissing, BlobStore
from isocenter.infra.blobs.store import Shelf
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger
from isocenter.standards.dicom.text_reading import TextReading

_log = get_logger(__name__)


def open_shelf(tx: Tx, actor: Actor, directory: str, mark: str, *, now: datetime) -> None:
    """Make known where objects will be put. Commit it before the first is."""
    authorize(actor, Action.STUDY_STORE)
    _store_shelves.open_shelf(tx, mark, directory, now=now)


def renew_shelves(tx: Tx, actor: Actor, marks: Sequence[str], *, now: datetime) -> None:
    """Say that the owner of these shelves is alive."""
    authorize(actor, Action.STUDY_STORE)
    _store_shelves.renew(tx, marks, now=now)


def close_shelves(tx: Tx, actor: Actor, marks: Sequence[str]) -> None:
    """Say that nothing is left to be done on these shelves."""
    authorize(actor, Action.STUDY_STORE)
    _store_shelves.close(tx, marks)


def claim_shelf(tx: Tx, actor: Actor, *, before: datetime, now: datetime) -> Shelf | None:
    """A shelf that its owner has not renewed since ``before``; the caller has it from now on.

    Whoever claims it and does not close it leaves it to the next one.
    """
    authorize(actor, Action.STUDY_STORE)
    row = _store_shelves.claim(tx, before=before, now=now)
    return None if row is None else Shelf(row.directory, row.mark)


def left_on(tx: Tx, actor: Actor, blob_keys: Sequence[str]) -> list[str]:
    """Those of the keys of a shelf that the archive does not name."""
    authorize(actor, Action.STUDY_STORE)
    return _store_blobs.unreferenced(tx, blob_keys)


def describe_left(
    blobs: BlobStore, key: str, readings: Mapping[str, TextReading]
) -> ReceivedInstance | None:
    """What lies under ``key``, ready to be taken in; None of what was not answered with success.

    A power cut may leave a file behind that is not all there: nobody was told that it is safe.
    """
    try:
        received = describe_stored(blobs, key, readings, identifier=key.rpartition("/")[2])
        if received is not None and is_cut(blobs, received):
            raise NotAnInstance("ends inside its pixel data")
    except (NotAnInstance, BlobMissing) as error:
        _log.warning("shelf_object_passed_over", error_kind=error.kind.value)
        return None
    return received


def take_in(tx: Tx, actor: Actor, batch: Sequence[ReceivedInstance], *, now: datetime) -> list[str]:
    """Admit the objects of ``batch``; gives the keys of blobs that are not needed."""
    admissions = admit(tx, actor, batch, now=now)
    return [
        received.blob_key
        for received, admission in zip(batch, admissions, strict=True)
        if admission.outcome is Outcome.DUPLICATE
    ]
