"""Whether we can answer for instances: they are here, of the class that is meant, and read back.

Who asked, and how the answer reaches them, is not decided here.

Standard: PS3.4 Annex J
"""

from collections.abc import Mapping, Sequence

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store_outgoing as _store
from isocenter.domain.archive.model_outgoing import CommitmentFailure, StoredInstance
from isocenter.domain.archive.service.verification import ReadStore, damage
from isocenter.infra.db import Tx


def stored_instances(
    tx: Tx, actor: Actor, sop_instance_uids: Sequence[str]
) -> dict[str, StoredInstance]:
    """Those of the instances that are here, by UID."""
    authorize(actor, Action.STUDY_STORE)
    return {each.sop_instance_uid: each for each in _store.stored(tx, sop_instance_uids)}


def failure_of(
    blobs: ReadStore,
    stored: Mapping[str, StoredInstance],
    sop_class_uid: str,
    sop_instance_uid: str,
) -> CommitmentFailure:
    """Why we do not commit to the instance, after reading all of its bytes back.

    Raises:
        IsocenterError: the storage is away or busy: ask again later.
    """
    found = stored.get(sop_instance_uid)
    if found is None:
        return CommitmentFailure.NO_SUCH_OBJECT_INSTANCE
    if found.sop_class_uid != sop_class_uid:
        return CommitmentFailure.CLASS_INSTANCE_CONFLICT
    if damage(blobs, found):
        return CommitmentFailure.PROCESSING_FAILURE
    return CommitmentFailure.NONE
