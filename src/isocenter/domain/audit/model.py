"""What an audit record says, and how records are chained so that tampering shows.

Each sealed record's digest covers the digest before it, so changing, removing or inserting a record
breaks every digest after it. Pure: reading and writing are in ``service``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Outcome = Literal["success", "refused", "failure"]

CHAIN_START = bytes(32)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act to be recorded.

    Attributes:
        action: ``stage.verb``, as ``patient.register``.
        actor: name of the user or peer.
        source: network address acted from, or ``local``.
        object_type: what was acted on: ``patient``, ``order``, ``study``, ``report``, ``user``…
        object_id: its identifier as people know it.
        patient_id: whom it concerns, where it concerns a patient.
        detail: further facts, JSON values only.
    """

    action: str
    actor: str
    actor_kind: str
    source: str
    object_type: str
    object_id: str
    patient_id: str | None = None
    outcome: Outcome = "success"
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One recorded act. ``chain_position`` is None until it is sealed."""

    record_key: int
    recorded_at: datetime
    action: str
    outcome: str
    actor: str
    actor_kind: str
    source: str
    object_type: str
    object_id: str
    patient_id: str | None
    detail: dict[str, Any]
    chain_position: int | None
    previous_digest: bytes | None
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records to list; None does not restrict. ``before`` is the key to page from."""

    patient_id: str | None = None
    actor: str | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None
    before: int | None = None


def seal_of(record: AuditRecord, chain_position: int, previous_digest: bytes) -> bytes:
    """The digest that seals ``record`` at its place in the chain: 32 bytes."""
    facts: list[Any] = [
        chain_position,
        record.record_key,
        record.recorded_at.astimezone(UTC).isoformat(timespec="microseconds"),
        record.action,
        record.outcome,
        record.actor,
        record.actor_kind,
        record.source,
        record.object_type,
        record.object_id,
        record.patient_id,
        record.detail,
    ]
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(previous_digest + text.encode("ascii")).digest()
