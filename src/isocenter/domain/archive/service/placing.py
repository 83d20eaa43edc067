"""In which store a study's objects belong, and their copies in another.

Deciding is here; carrying bytes takes long and is the caller's, outside of transactions. The blob
that an object had before stays until the sweeper comes, so that whoever is reading it goes on.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store_blobs
from isocenter.domain.archive import _store_placement as _store
from isocenter.domain.archive.events import StudyPlaced
from isocenter.domain.archive.model import UnknownStudy
from isocenter.domain.archive.model_integrity import Misplaced, StoredObject
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def place_study(
    tx: Tx, actor: Actor, study_instance_uid: str, store: str, *, now: datetime
) -> None:
    """Have all objects of the study kept in ``store``, also those that are still to come.

    They are carried there afterwards. Raises ``UnknownStudy``.
    """
    authorize(actor, Action.PEER_WRITE)  # whoever answers for the installation
    if not _store.lock_study(tx, study_instance_uid):
        raise UnknownStudy("there is no such study")
    _store.place(tx, study_instance_uid, store, by=actor.name, now=now)
    outbox.append(tx, StudyPlaced(study_instance_uid, store), now=now)
    entry = AuditEntry(
        action="study.place",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=study_instance_uid,
        detail={"store": store},
    )
    record(tx, entry, now=now)


def misplaced(tx: Tx, actor: Actor, study_instance_uid: str, *, limit: int) -> Sequence[Misplaced]:
    """Objects of the study that are not in the store where it belongs."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.misplaced(tx, study_instance_uid, limit=limit)


def uncopied(
    tx: Tx, actor: Actor, store: str, *, study_instance_uid: str | None = None, limit: int
) -> Sequence[StoredObject]:
    """Objects that are not in ``store``, neither themselves nor as a copy; of one study or all."""
    authorize(actor, Action.SYSTEM_READ)
    return _store.uncopied(tx, store, study_instance_uid, limit=limit)


def record_move(tx: Tx, actor: Actor, moved: StoredObject, blob_key: str) -> bool:
    """Whether the object has its bytes under ``blob_key`` now; False when it was gone."""
    authorize(actor, Action.STUDY_STORE)
    return _store_blobs.replace_blob(tx, moved.blob_key, blob_key) > 0


def exchange_with_copy(tx: Tx, actor: Actor, moved: StoredObject, copy_blob_key: str) -> bool:
    """Whether the object and its copy have changed places."""
    authorize(actor, Action.STUDY_STORE)
    if not _store.turn_copy(tx, copy_blob_key, moved.blob_key):
        return False
    _store_blobs.name_instead(tx, moved.blob_key, copy_blob_key)
    return True


def record_copy(
    tx: Tx, actor: Actor, copied: StoredObject, copy_blob_key: str, store: str, *, now: datetime
) -> bool:
    """Whether the blob is the object's copy in ``store`` now; False when there was one already."""
    authorize(actor, Action.STUDY_STORE)
    return _store.note_copy(tx, copied.blob_key, store, copy_blob_key, now=now)
