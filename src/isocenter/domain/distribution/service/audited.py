"""The audit's word for what people do with routes, deliveries and destinations."""

from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra.db import Tx


def audit(tx: Tx, by: Actor, action: str, object_type: str, object_id: str, now: datetime) -> None:
    """Put on record that ``by`` did ``action``. Call it after permission was checked."""
    audit_with_reason(tx, by, action, (object_type, object_id, ""), now)


def audit_with_reason(
    tx: Tx, by: Actor, action: str, what: tuple[str, str, str], now: datetime
) -> None:
    """As ``audit``; ``what`` is the type of the object, its identifier, and why it was done."""
    object_type, object_id, reason = what
    entry = AuditEntry(
        action=action,
        actor=by.name,
        actor_kind=by.kind.value,
        source=by.source,
        object_type=object_type,
        object_id=object_id,
        detail={"reason": reason} if reason else {},
    )
    record(tx, entry, now=now)
