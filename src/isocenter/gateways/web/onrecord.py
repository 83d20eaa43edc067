"""Puts on record what people and programs were shown, together with showing it.

Pages that stay open refresh themselves; that is one reading and not hundreds, so the same reading
by the same actor from the same place is recorded once in a few minutes by each process.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from isocenter.domain.access.model import Actor
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.monitoring.model import Expectations
from isocenter.infra.db import Tx

ONE_READING = timedelta(minutes=5)
_REMEMBERED_MAX = 10_000


class Readings:
    """What this process put on record lately."""

    def __init__(self) -> None:
        self._noted: OrderedDict[tuple[str, ...], datetime] = OrderedDict()

    def note(
        self,
        tx: Tx,
        actor: Actor,
        what: tuple[str, str, str],
        *,
        patient_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
        now: datetime,
    ) -> None:
        """Record that ``actor`` was shown ``what``: (action, object type, object id)."""
        action, object_type, object_id = what
        reading = (actor.kind.value, actor.name, actor.source, *what, patient_id or "")
        noted_at = self._noted.get(reading)
        if noted_at is not None and now - noted_at < ONE_READING:
            return
        entry = AuditEntry(
            action=action,
            actor=actor.name,
            actor_kind=actor.kind.value,
            source=actor.source,
            object_type=object_type,
            object_id=object_id,
            patient_id=patient_id,
            detail=detail or {},
        )
        audit.record(tx, entry, now=now)
        self._noted[reading] = now
        self._noted.move_to_end(reading)
        if len(self._noted) > _REMEMBERED_MAX:
            self._noted.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at exams: when, by which expectations, and where it is put on record."""

    now: datetime
    expectations: Expectations
    readings: Readings
