"""Two contents under one SOP Instance UID: which are there, and which one is shown.

Both stay, whatever is chosen: choosing exchanges them, and choosing again exchanges them back.
"""

from datetime import datetime
from typing import Final

from isocenter.domain.access.model import Action, Actor, Viewer, authorize
from isocenter.domain.archive import _store_contents as _store
from isocenter.domain.archive import model
from isocenter.domain.archive.events import InstanceExchanged
from isocenter.domain.archive.model import NotAnInstance, ReceivedInstance, identify
from isocenter.domain.archive.model_contents import (
    BelongsElsewhere,
    Content,
    Contents,
    UnknownContent,
    by_instance,
)
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra import outbox
from isocenter.infra.blobs import BlobStore, StoredBlob
from isocenter.infra.db import Tx

_CONTENTS_MAX: Final = 500
_NUMBERS: Final = {
    "instance_number": model.INSTANCE_NUMBER,
    "rows": model.ROWS,
    "columns": model.COLUMNS,
    "bits_allocated": model.BITS_ALLOCATED,
    "number_of_frames": model.NUMBER_OF_FRAMES,
}


def contents_of(tx: Tx, viewer: Viewer, study_instance_uid: str) -> list[Contents]:
    """The instances of the study of which different bytes were received."""
    viewer.require(Action.STUDY_READ)
    return by_instance(_store.contents(tx, study_instance_uid, limit=_CONTENTS_MAX))


def show_instead(
    tx: Tx, actor: Actor, blobs: BlobStore, conflict_key: int, *, reason: str, now: datetime
) -> str:
    """Show the kept content and keep the shown one; gives the study's UID.

    Raises ``UnknownContent``, ``BelongsElsewhere``.
    """
    authorize(actor, Action.STUDY_RECONCILE)
    before = _store.kept(tx, conflict_key)
    place = _store.locked_place(tx, before.sop_instance_uid) if before else None
    if before is None or place is None:
        raise UnknownContent("there is no such content")
    asserted = before.asserted_study_instance_uid, before.asserted_series_instance_uid
    if asserted != (place.study_instance_uid, place.series_instance_uid):
        raise BelongsElsewhere(
            "this content says that it is of another study or series: it cannot stand in here"
        )
    received = _described(blobs, before)
    identity = identify(received.attributes)
    numbers = {name: model.integer_of(received.attributes, tag) for name, tag in _NUMBERS.items()}
    _store.keep_shown(tx, conflict_key)
    _store.show(tx, identity, received, numbers)
    _store.forget_metadata(tx, before.sop_instance_uid)
    event = InstanceExchanged(place.study_instance_uid, before.sop_instance_uid)
    outbox.append(tx, event, now=now)
    entry = AuditEntry(
        action="study.show_other_content",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=place.study_instance_uid,
        patient_id=model.text_of(received.attributes, model.PATIENT_ID),
        detail={
            "sop_instance_uid": before.sop_instance_uid,
            "sha256": before.digest,
            "reason": reason,
        },
    )
    record(tx, entry, now=now)
    return place.study_instance_uid


def _described(blobs: BlobStore, content: Content) -> ReceivedInstance:
    try:
        received = describe_file(
            blobs,
            StoredBlob(content.blob_key, content.size_bytes, content.sha256),
            calling_ae_title=content.calling_ae_title,
            received_at=content.received_at,
        )
        identify(received.attributes)
    except NotAnInstance as error:
        raise UnknownContent(f"the bytes of this content are damaged: {error.message}") from error
    return received
