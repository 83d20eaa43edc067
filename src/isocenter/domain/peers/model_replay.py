"""Messages that people have processed again: as they were, or edited, each with a reason."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from isocenter.errors import IsocenterError, Kind

REASON_LENGTH_MAX = 500
REPLAYS_AT_ONCE_MAX = 10_000
RATE_PER_S_MAX = 100.0


class ReasonMissing(IsocenterError):
    """Whoever has a message processed again says why."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class NotReplayable(IsocenterError):
    """Only messages that came in are processed again."""

    kind: ClassVar[Kind] = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class ReplayWish:
    """How messages are to be processed again.

    Attributes:
        reason: why; kept with the result.
        edited: what to process instead of the one message's bytes.
        rate_per_s: of many messages.
    """

    reason: str
    edited: bytes | None = None
    rate_per_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Replay:
    """A message that is to be processed again, or was.

    Attributes:
        edited: the bytes to process instead; None: as it came.
        result_key: the message that it became; None while it waits.
    """

    replay_key: int
    message_key: int
    edited: bytes | None
    reason: str
    requested_by: str
    requested_at: datetime
    due_at: datetime
    done_at: datetime | None
    canceled_at: datetime | None
    result_key: int | None


def checked_reason(reason: str) -> str:
    """The reason as it is kept. Raises ``ReasonMissing``."""
    kept = " ".join(reason.split())[:REASON_LENGTH_MAX]
    if not kept:
        raise ReasonMissing("say why: the reason is kept with the message")
    return kept
