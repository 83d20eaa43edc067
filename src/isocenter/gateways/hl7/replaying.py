"""Processes messages again when a person asked for it: as they came, or edited.

What happens is what would have happened had the peer sent them now, but for the acknowledgement,
which is recorded and sent to nobody. Each message is a transaction of its own; one that is refused
is recorded as refused and done with.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, PeerUnknown, RecordedMessage
from isocenter.domain.peers.model_replay import Replay
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.hl7.apply import Effect, ReceiveOptions, apply
from isocenter.gateways.hl7.receive import Caller, understand
from isocenter.gateways.hl7.refusal import answer_to
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.ack import ERROR_TEXT, AckCode

_log = get_logger(__name__)
_AWAY = frozenset({Kind.UNAVAILABLE, Kind.BUSY})
_ADDRESS = "replay"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of processing a message: ``code`` is what its sender would have been answered."""

    code: str
    effect: Effect
    error: str | None = None


class Replayer:
    """Takes what is due, one message after the other.

    Args:
        pool: where the transactions come from.
        options: how messages are understood.
        clock: tells the time.
    """

    def __init__(self, pool: Pool, options: ReceiveOptions, clock: Clock) -> None:
        self._pool = pool
        self._options = options
        self._clock = clock

    def __call__(self) -> int:
        """How many messages were processed."""
        count = 0
        while self._next():
            count += 1
        return count

    def _next(self) -> bool:
        now = self._clock()
        return self._pool.run_here(lambda tx: self._process(tx, now))

    def _process(self, tx: Tx, now: datetime) -> bool:
        claimed = peers.claim_replay(tx, now=now)
        if claimed is None:
            return False
        replay, message = claimed
        try:
            with tx.savepoint():
                outcome = self._apply(tx, replay, message, now)
        except (IsocenterError, RemoteProtocolError) as error:
            if isinstance(error, IsocenterError) and error.kind in _AWAY:
                raise
            outcome = _refused(error)
        key = peers.record_message(tx, _record_of(replay, message, outcome), now=now)
        peers.finish_replay(tx, replay, key, now=now)
        _log.info("hl7_message_replayed", result=outcome.code, peer=message.peer)
        return True

    def _apply(self, tx: Tx, replay: Replay, message: RecordedMessage, now: datetime) -> _Outcome:
        try:
            peer = peers.hl7_peer(tx, message.peer)
        except PeerUnknown:
            return _Outcome(AckCode.AR.value, Effect("refused"), "there is no such peer any more")
        data = message.raw if replay.edited is None else replay.edited
        caller = Caller(_ADDRESS, (peer,))
        understood = understand(data, caller, self._options, now=now)
        with tx.gathered():
            effect = apply(tx, understood.intent, self._options, now=now)
        return _Outcome(AckCode.AA.value, effect)


def _refused(error: IsocenterError | RemoteProtocolError) -> _Outcome:
    if not isinstance(error, IsocenterError):
        return _Outcome(AckCode.AR.value, Effect("refused"), str(error))
    code, problem = answer_to(error)
    text = problem.user_text or ERROR_TEXT[problem.code]
    return _Outcome(code.value, Effect("refused"), text)


def _record_of(replay: Replay, message: RecordedMessage, outcome: _Outcome) -> Hl7Message:
    return Hl7Message(
        direction="in",
        peer=message.peer,
        control_id=message.control_id,
        message_type=message.message_type,
        # Never the digest of a message that a peer sent: it must not pass for one.
        body_digest=secrets.token_bytes(32),
        raw=message.raw if replay.edited is None else replay.edited,
        acknowledgement_code=outcome.code,
        patient_id=outcome.effect.patient_id or message.patient_id,
        accession_number=outcome.effect.accession_number or message.accession_number,
        effect=outcome.effect.text,
        error=outcome.error,
        replay_of=message.message_key,
        reason=replay.reason,
        requested_by=replay.requested_by,
    )
