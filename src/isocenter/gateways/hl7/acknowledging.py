"""Sends application acknowledgements of enhanced mode on our own connections to their peers.

Who listens does not initiate: what became of a message that a peer sent on its connection is told
on ours, as a message with a commit acknowledgement of its own. One after the other for each peer.

Standard: HL7 v2.5.1 2.9.3; IHE ITI TF-2 Appendix C.2.1.
"""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Message, PeerUnknown
from isocenter.gateways.hl7 import metrics
from isocenter.gateways.hl7.link import Address, Answer, Link
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.infra.waiting import repeat
from isocenter.standards.hl7v2.decision import Outcome
from isocenter.standards.hl7v2.er7 import body_digest

_log = get_logger(__name__)
_CONNECT_TIMEOUT_S: Final = 10.0
_LEASE_MARGIN_S: Final = 30.0
_LEASE_S: Final = 120.0
# Seconds after each attempt; after the last one a person is told.
_WAITS_S: Final = (2.0, 10.0, 60.0, 300.0, 900.0, 3600.0)


@dataclass(frozen=True, slots=True)
class AcknowledgerOptions:
    """How acknowledgements are sent. Attributes: poll_s: how often new ones are looked for."""

    poll_s: float = 0.25


class Acknowledger:
    """Sends until ``stop`` is set."""

    def __init__(
        self,
        pool: Pool,
        options: AcknowledgerOptions,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` is used for the peers that want TLS."""
        self._pool = pool
        self._options = options
        self._clock = clock
        self._tls = tls

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until ``stop`` is set."""
        await repeat(
            self._send_next,
            stop,
            poll_s=self._options.poll_s,
            failed="hl7_acknowledgements_unknown",
        )

    async def _send_next(self) -> bool:
        now = self._clock()
        until = now + timedelta(seconds=_LEASE_S)
        claimed = await self._pool.run(peers.claim_acknowledgement, until=until, now=now)
        if claimed is None:
            return False
        answer = await self._exchange(claimed)
        await self._pool.run(self._settle, claimed, answer)
        return True

    async def _exchange(self, claimed: peers.WaitingAcknowledgement) -> Answer:
        try:
            peer = await self._pool.read(peers.hl7_peer, claimed.peer)
        except PeerUnknown:
            return Answer(Outcome.NOT_SENT, reason="there is no such peer any more")
        if not peer.enabled or peer.port is None:
            return Answer(Outcome.NOT_SENT, reason="the peer has no port")
        timeout_s = min(peer.ack_timeout_s, _LEASE_S - _LEASE_MARGIN_S)
        link = Link(
            Address(peer.host, peer.port, self._tls if peer.tls else None),
            connect_timeout_s=_CONNECT_TIMEOUT_S,
        )
        try:
            failed = await link.open() or await link.send(claimed.message, timeout_s=timeout_s)
            if failed:
                return Answer(Outcome.NOT_SENT, reason=failed)
            return await link.answer(claimed.control_id, timeout_s=timeout_s)
        finally:
            link.close()

    def _settle(self, tx: Tx, claimed: peers.WaitingAcknowledgement, answer: Answer) -> None:
        now = self._clock()
        taken = answer.outcome is Outcome.ACCEPTED
        metrics.TRANSMISSIONS.labels(answer.outcome.value).inc()
        refused = answer.outcome in {Outcome.ERROR, Outcome.REJECTED_FOR_GOOD}
        more = claimed.attempts <= len(_WAITS_S) and not refused
        due_at = now + timedelta(seconds=_WAITS_S[claimed.attempts - 1]) if more else None
        attempt = peers.Attempt() if taken else peers.Attempt(answer.reason, due_at)
        peers.settle_acknowledgement(tx, claimed, attempt, now=now)
        if taken or not more:
            _record(tx, claimed, answer, now)
        if not taken:
            _log.warning(
                "hl7_acknowledgement_not_taken",
                peer=claimed.peer,
                control_id=claimed.control_id,
                attempt=claimed.attempts,
                result=answer.outcome.value,
            )


def _record(tx: Tx, claimed: peers.WaitingAcknowledgement, answer: Answer, now: datetime) -> None:
    """Put the acknowledgement into the log that people search."""
    peers.record_message(
        tx,
        Hl7Message(
            direction="out",
            peer=claimed.peer,
            control_id=claimed.control_id,
            message_type="ACK",
            body_digest=body_digest(claimed.message),
            raw=claimed.message,
            acknowledgement=answer.acknowledgement,
            acknowledgement_code=answer.ack.code.value if answer.ack else None,
            effect="application acknowledgement",
            error=None if answer.outcome is Outcome.ACCEPTED else answer.reason,
        ),
        now=now,
    )
