"""The audit's word for what people do with routes, deliveries and destinations."""

from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.audit.service import record
from isocenter.infra.db import Tx


def audit(tx: Tx, by: Actor, action: str, object_type: str, object_id: str, now: datetime) -> None:
    """Put on record that ``by`` did ``action``. Call it after permission was checked."""
    entry = AuditEntry(
        action=action,
        actor=by.name,
        actor_kind=by.kind.value,
        source=by.source,
        object_type=object_type,
        object_id=object_id,
    )
    record(tx, entry, now=now)
