"""Who looks after a study that needs a person, and until when it may rest."""

from datetime import datetime, timedelta
from typing import ClassVar, Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.reconcile._store import attention, decisions
from isocenter.domain.reconcile._store.decisions import NewDecision
from isocenter.domain.reconcile.service.evidence import audit_study, facts_of, locked
from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db import Tx

HOLD_MAX: Final = timedelta(days=14)


class HoldTooLong(IsocenterError):
    """Images do not rest for longer than two weeks, nor into the past."""

    kind: ClassVar[Kind] = Kind.INCORRECT


def claim(
    tx: Tx, actor: Actor, study_instance_uid: str, *, taken: bool = True, now: datetime
) -> None:
    """Have ``actor`` look after the study, or nobody. Raises ``UnknownStudy``."""
    authorize(actor, Action.STUDY_RECONCILE)
    locked(tx, [study_instance_uid], now=now)
    facts = facts_of(tx, study_instance_uid)
    attention.own(tx, study_instance_uid, actor.name if taken else None, now=now)
    audit_study(tx, actor, "study.claim_case", facts, {"taken": str(taken).lower()}, now)


def hold(
    tx: Tx, actor: Actor, study_instance_uid: str, *, until: datetime, reason: str, now: datetime
) -> None:
    """Let the study rest: it alarms nobody until then. Raises ``UnknownStudy``, ``HoldTooLong``."""
    authorize(actor, Action.STUDY_RECONCILE)
    if not now < until <= now + HOLD_MAX:
        raise HoldTooLong(f"images rest for at most {HOLD_MAX.days} days")
    locked(tx, [study_instance_uid], now=now)
    facts = facts_of(tx, study_instance_uid)
    attention.hold(tx, study_instance_uid, until, by=actor.name, reason=reason)
    decision = NewDecision(
        study_instance_uid=study_instance_uid, kind="hold", reason=reason, by=actor.name
    )
    decisions.mark_undone(tx, study_instance_uid, "hold", by=actor.name, now=now)
    decisions.add(tx, decision, now=now)
    detail = {"until": until.isoformat(), "reason": reason}
    audit_study(tx, actor, "study.hold_case", facts, detail, now)


def release(tx: Tx, actor: Actor, study_instance_uid: str, *, now: datetime) -> None:
    """Let the study rest no longer. Raises ``UnknownStudy``."""
    authorize(actor, Action.STUDY_RECONCILE)
    locked(tx, [study_instance_uid], now=now)
    facts = facts_of(tx, study_instance_uid)
    attention.hold(tx, study_instance_uid, None, by=None, reason=None)
    decisions.mark_undone(tx, study_instance_uid, "hold", by=actor.name, now=now)
    audit_study(tx, actor, "study.release_case", facts, {}, now)
