"""Takes images out of circulation: they are kept, and neither searches nor retrieval show them.

Nothing is erased. The same object sent again stays rejected; other bytes under its UID are a
conflict, which a person decides.
"""

from datetime import datetime
from typing import ClassVar, Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.archive import _store, _store_rejection
from isocenter.domain.archive.events import InstancesRejected
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.errors import IsocenterError, Kind
from isocenter.infra import outbox
from isocenter.infra.db import Tx

REASON_LENGTH_MAX: Final = 400


class NothingToReject(IsocenterError):
    """No image has these UIDs."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class ReasonMissing(IsocenterError):
    """A rejection needs a reason, in a few words."""

    kind: ClassVar[Kind] = Kind.INCORRECT


def reject(
    tx: Tx,
    actor: Actor,
    path: tuple[str, str | None, str | None],
    *,
    reason: str,
    now: datetime,
) -> int:
    """How many instances nobody is shown from now on.

    Args:
        tx: the caller commits it.
        actor: who decides; administrators may.
        path: Study Instance UID; Series and SOP Instance UID where not all of the study is meant.
        reason: why, for the record.
        now: the time of the decision.

    Raises:
        NothingToReject: there are no such images, or they are rejected already.
        ReasonMissing: no reason is given, or a novel.

    Standard: IHE RAD TF-2 4.66 (what a rejection means to those who retrieve)
    """
    authorize(actor, Action.STUDY_REJECT)
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_LENGTH_MAX:
        raise ReasonMissing(f"give a reason of at most {REASON_LENGTH_MAX} characters")
    study_instance_uid, series_instance_uid, sop_instance_uid = path
    study_key = _store_rejection.lock_study(tx, study_instance_uid)
    if study_key is None:
        raise NothingToReject("there is no such study")
    known = _store.study(tx, study_instance_uid)
    key = _store_rejection.begin(tx, path, reason=reason, by=actor.name, now=now)
    count = _store_rejection.move(tx, path, study_key=study_key, rejection_key=key)
    if not count:
        raise NothingToReject("no image of the study has these UIDs")
    remaining = _store_rejection.recount(tx, study_key, now=now)
    event = InstancesRejected(
        study_instance_uid, series_instance_uid or "", sop_instance_uid or "", count, remaining
    )
    outbox.append(tx, event, now=now)
    entry = AuditEntry(
        action="study.reject",
        actor=actor.name,
        actor_kind=actor.kind.value,
        source=actor.source,
        object_type="study",
        object_id=study_instance_uid,
        patient_id=known.patient_id if known else None,
        detail={
            "series": series_instance_uid or "",
            "instance": sop_instance_uid or "",
            "reason": reason,
            "instances": count,
        },
    )
    record(tx, entry, now=now)
    return count
