"""The SQL that stops and starts a destination's queue, of reports and of images alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, LiteralString

from isocenter.infra.db import Tx

Protocol = Literal["hl7", "dicom"]


@dataclass(frozen=True, slots=True)
class _Tables:
    """Where destinations of a protocol are, what is on its way to them, and what is forgotten.

    Attributes:
        troubles: columns of a destination that say what kept it from getting anything.
    """

    destination: LiteralString
    delivery: LiteralString
    troubles: LiteralString = "paused_at = null"


_TABLES: Final[Mapping[Protocol, _Tables]] = {
    "hl7": _Tables(
        "distribution.destination",
        "distribution.delivery",
        "due_at = null, failures = 0, fault_at = null",
    ),
    "dicom": _Tables("distribution.image_destination", "distribution.transfer"),
}


def pause(
    tx: Tx, protocol: Protocol, recipient: str, *, by: str, reason: str, now: datetime
) -> bool:
    """Whether the queue was running and is paused now."""
    statement: LiteralString = "".join((
        "update ",
        _TABLES[protocol].destination,
        " set paused_at = %(now)s, paused_by = %(by)s, pause_reason = %(reason)s",
        " where recipient = %(recipient)s and paused_at is null",
    ))
    params = {"recipient": recipient, "by": by, "reason": reason, "now": now}
    return tx.run(statement, params) > 0


def resume(tx: Tx, protocol: Protocol, recipient: str) -> bool:
    """Whether the queue was paused and is running now."""
    statement: LiteralString = "".join((
        "update ",
        _TABLES[protocol].destination,
        " set paused_at = null, paused_by = null, pause_reason = null",
        " where recipient = %s and paused_at is not null",
    ))
    return tx.run(statement, (recipient,)) > 0


def hurry(tx: Tx, protocol: Protocol, recipient: str, *, now: datetime) -> None:
    """Have what waits for its next attempt tried now."""
    tables = _TABLES[protocol]
    statement: LiteralString = "".join((
        "update ",
        tables.delivery,
        " set due_at = %(now)s where recipient = %(recipient)s",
        " and state in ('queued', 'sent') and due_at > %(now)s",
    ))
    tx.run(statement, {"recipient": recipient, "now": now})
    forget: LiteralString = "".join((
        "update ",
        tables.destination,
        " set ",
        tables.troubles,
        " where recipient = %s",
    ))
    tx.run(forget, (recipient,))


def destination_exists(tx: Tx, protocol: Protocol, recipient: str) -> bool:
    """Whether there is a queue for the recipient."""
    statement: LiteralString = "".join((
        "select exists (select from ",
        _TABLES[protocol].destination,
        " where recipient = %s)",
    ))
    return bool(tx.value(statement, (recipient,)))
