"""Numbers the messages to a peer that wants sequence numbers (MSH-13), one under way at a time.

Before the first message over a connection, the link is started: an empty message with number 0,
whose answer says which number is expected. So a message that was taken, and whose acknowledgement
was lost, is not sent again. A peer that expects what cannot be sent any more freezes the link: a
person looks, resumes the destination, and the sequence begins anew (number -1).

Which message has the next number is kept before it goes.

Standard: HL7 v2.5.1 2.10.1, 2.15.8.4 (MSA-4), 2.15.9.13 (MSH-13)
"""

from dataclasses import replace

from isocenter.domain.distribution.model import Claimed
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.link import Answer, Link
from isocenter.gateways.hl7.receive import new_control_id
from isocenter.infra.clock import Clock
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool
from isocenter.standards.hl7v2.datatypes import format_dtm
from isocenter.standards.hl7v2.decision import Outcome
from isocenter.standards.hl7v2.sequence import Sent, answered, is_in_step, started
from isocenter.standards.hl7v2.writer import stamped


class Numbering:
    """Where the sequence to one peer is, as far as this process knows."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._sent = Sent()

    async def numbered(self, peer: Hl7Peer, link: Link, claimed: Claimed) -> Claimed | Answer:
        """The message with its number, over a link that was started; or why it does not go.

        That may be its acceptance: the peer says that it took it before.
        """
        sent = await self._pool.read(peers.sent_sequence, peer.name)
        if link.is_fresh or sent.under_way:
            answer, sent = await self._start(peer, link, claimed, sent)
            if answer is not None:
                return answer
        self._sent = replace(sent, under_way=claimed.control_id or "")
        await self._pool.run(self.keep, peer)
        message = stamped(claimed.message or b"", {13: str(sent.next)})
        return replace(claimed, message=message)

    async def noted(self, peer: Hl7Peer, link: Link, answer: Answer) -> Answer:
        """What came back for the message that was numbered, as it is to be understood.

        Who notes that it was accepted calls ``keep`` in the same transaction.
        """
        sent, ack = self._sent, answer.ack
        refused = answer.outcome in {
            Outcome.ERROR,
            Outcome.REJECTED,
            Outcome.REJECTED_FOR_GOOD,
        }
        if ack is None or not (refused or answer.outcome is Outcome.ACCEPTED):
            return answer  # its fate is not known: the link will be started again
        self._sent = answered(sent, ack.expected, accepted=not refused)
        in_step = is_in_step(sent.next, ack.expected)
        if not in_step or (refused and ack.expected is None):
            link.close()  # the next start tells where we are
        if not refused:
            return answer
        await self._pool.run(self.keep, peer)
        if in_step:
            return answer
        reason = f"number {sent.next} was sent, {ack.expected} is expected: {answer.reason}"
        return replace(answer, outcome=Outcome.REJECTED, reason=reason)

    def keep(self, tx: Tx, peer: Hl7Peer) -> None:
        """Remember where the sequence is."""
        peers.keep_sent_sequence(tx, peer.name, self._sent, now=self._clock())

    async def _start(
        self, peer: Hl7Peer, link: Link, claimed: Claimed, sent: Sent
    ) -> tuple[Answer | None, Sent]:
        """Start the link; gives why the message does not go, and where the sequence is."""
        control_id = new_control_id()
        header = (claimed.message or b"").partition(b"\r")[0] + b"\r"
        told = {7: format_dtm(self._clock()), 10: control_id, 13: str(sent.opening)}
        timeout_s = peer.ack_timeout_s
        failed = await link.send(stamped(header, told), timeout_s=timeout_s)
        if failed:
            return Answer(Outcome.NOT_SENT, reason=failed), sent
        answer = await link.answer(control_id, timeout_s=timeout_s)
        if answer.ack is None or answer.outcome is not Outcome.ACCEPTED:
            link.close()
            reason = f"the link was not started: {answer.reason}"
            return Answer(Outcome.NOT_SENT, answer.acknowledgement, answer.ack, reason), sent
        expected = answer.ack.expected
        where = started(sent, expected)
        if where is None:
            self._sent = replace(sent, is_frozen=True)
            await self._pool.run(self.keep, peer)
            reason = f"it expects message number {expected}, and {sent.next} is the next"
            return replace(answer, outcome=Outcome.OUT_OF_STEP, reason=reason), sent
        if where.accepted == sent.next and sent.under_way == claimed.control_id:
            self._sent = where
            return replace(answer, reason="it was taken before"), where
        return None, where
