"""Rejection notes on their way to those who hold the images that the notes are about.

Standard: IHE RAD TF-3 4.66 (Rejection Note Stored), 4.49.4.1.2.2 (availability)
"""

from datetime import datetime

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.distribution._store import transfers as _store
from isocenter.domain.distribution.events import ImagesQueued
from isocenter.domain.distribution.model import Priority, TransferKind
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import PeerUnknown
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.standards.dicom.key_object import Title

_ROUTER = Actor.system("distribution.router")


def route_note(
    tx: Tx, study_instance_uid: str, note_sop_instance_uid: str, code: str, *, now: datetime
) -> int:
    """How many destinations are sent the note: those that got images of its study from us.

    It goes before images: whoever shows what is unsafe must learn it first. Who sent us the note
    does not get it back. A note that revokes means something to us alone; the images themselves are
    on their way again. Who was told that the study is here is told what of it is no longer to be
    had. Repeating it adds nothing.
    """
    if code == Title.REVOKED.value:
        return 0
    viewer = Viewer.of(_ROUTER, Action.STUDY_READ)
    sender = archive.sender_of_note(tx, viewer, note_sop_instance_uid)
    queued = 0
    for recipient in _store.holders(tx, study_instance_uid):
        try:
            peer = peers.dicom_peer(tx, recipient)
        except PeerUnknown:
            continue  # removed since: there is nobody to send to
        if peer.ae_title == sender:
            continue
        _store.lock_destination(tx, recipient)
        key = _store.queue_note(
            tx,
            recipient,
            study_instance_uid,
            note_sop_instance_uid,
            urgency=Priority.HIGH.urgency,
            now=now,
        )
        if key is not None:
            queued += 1
            kind = TransferKind.REJECTION.value
            event = ImagesQueued(key, kind, study_instance_uid, "", recipient)
            outbox.append(tx, event, now=now)
    _store.queue_availability_again(tx, study_instance_uid, now=now)
    return queued
