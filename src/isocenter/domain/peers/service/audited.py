"""What administrators do to peers, on record."""

from datetime import datetime

from isocenter.domain.access.model import Actor
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.infra.db import Tx


def record(tx: Tx, by: Actor, action: str, name: str, *, now: datetime) -> None:
    """Put on record what was done to the peer of a name."""
    entry = AuditEntry(
        action=action,
        actor=by.name,
        actor_kind=by.kind,
        source=by.source,
        object_type="peer",
        object_id=name,
    )
    audit.record(tx, entry, now=now)
