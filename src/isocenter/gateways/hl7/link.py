"""A connection to one receiver: send a message, wait for its answer, trust nothing late.

A connection on which anything unexpected happened is closed. An answer that is still under way on
it would otherwise be taken for the answer to the next message. One that repeats what was answered
on the same connection before is nobody's and is passed over.

Standard: HL7 Transport Specification: MLLP, Release 1; HL7 v2.5.1 2.9.2.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final, cast

from isocenter.gateways.hl7 import metrics
from isocenter.gateways.hl7.connection import keep_alive
from isocenter.infra.log import get_logger
from isocenter.infra.unreachable import no_answer, unreachable
from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.ack import Ack, parse_ack
from isocenter.standards.hl7v2.decision import Outcome, decide, outcome_of
from isocenter.standards.hl7v2.mllp import BlockReader, Oversized, encode_block

_log = get_logger(__name__)
_ANSWER_BYTES_MAX: Final = 2**20
_MISSING_END_GRACE_S: Final = 0.3
# Some receivers close after each answer: we look before the next message, until a connection has
# shown that its receiver does not.
_LOOK_S: Final = 0.001
_LOOKS: Final = 3
_ANSWERED_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Address:
    """Where a receiver listens."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        acknowledgement: the answer as received, if there was one.
        reason: one line for the person who looks after the interface.
    """

    outcome: Outcome
    acknowledgement: bytes | None = None
    ack: Ack | None = None
    reason: str = ""


class Link:
    """One connection at a time to one receiver. Not for concurrent use.

    Attributes:
        is_fresh: nothing was written on the connection yet.
    """

    def __init__(self, address: Address, *, connect_timeout_s: float) -> None:
        self.address = address
        self._connect_timeout_s = connect_timeout_s
        self._wire: _Wire | None = None
        self.is_fresh = True
        self._answered: deque[str] = deque(maxlen=_ANSWERED_KEPT)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._wire is not None

    async def open(self) -> str:
        """Be connected; return why not, or nothing."""
        if self._wire is not None:
            await asyncio.sleep(_LOOK_S if len(self._answered) < _LOOKS else 0)
            if self._is_spoilt(self._wire):
                self.close()
        if self._wire is not None:
            return ""
        address = self.address
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, wire = await asyncio.get_running_loop().create_connection(
                    _Wire, address.host, address.port, ssl=address.tls
                )
        except TimeoutError:
            return no_answer(address.host, address.port, within_s=self._connect_timeout_s)
        except OSError as error:
            return unreachable(error, address.host, address.port)
        self._wire = wire
        self.is_fresh = True
        self._answered.clear()
        return ""

    async def send(self, message: bytes, *, timeout_s: float) -> str:
        """Write the message to the open connection; return why not, or nothing."""
        if self._wire is None or self._wire.has_ended:
            return "not connected"
        self.is_fresh = False
        self._wire.write(encode_block(message))
        if self._wire.writable.is_set():  # nearly always
            return ""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wire.writable.wait()
        except TimeoutError:
            return f"the message was not taken within {timeout_s:g} s"
        return "the connection broke" if self._wire.has_ended else ""

    async def answer(self, control_id: str, *, timeout_s: float) -> Answer:
        """Wait for the answer to the message with that MSH-10."""
        if self._wire is None:
            return Answer(Outcome.NO_ANSWER, reason="not connected")
        try:
            async with asyncio.timeout(timeout_s):
                while (block := await self._wire.next_block()) is not None:
                    answer = self._judged(block, control_id)
                    if answer.outcome is not Outcome.DUPLICATE:
                        return answer
                    self._pass_over(answer)
        except TimeoutError:
            return Answer(Outcome.NO_ANSWER, reason=f"no acknowledgement within {timeout_s:g} s")
        return Answer(Outcome.NO_ANSWER, reason="the connection ended without acknowledgement")

    def close(self) -> None:
        """Close at once: what may still come on this connection is nobody's answer."""
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    def _judged(self, block: bytes, control_id: str | None) -> Answer:
        """What a block says about the message that is awaited, if any is."""
        try:
            ack = parse_ack(block)
        except RemoteProtocolError as error:
            outcome = Outcome.LATE if control_id is None else Outcome.WRONG_ANSWER
            return Answer(outcome, block, reason=str(error))
        outcome = outcome_of(ack, sent_control_id=control_id, answered=self._answered)
        if outcome is Outcome.WRONG_ANSWER:
            return Answer(outcome, block, ack, "the acknowledgement is for another message")
        if control_id is not None and outcome is not Outcome.DUPLICATE:
            self._answered.append(control_id)
        codes = " ".join(map(str, ack.error_codes))
        return Answer(
            outcome, block, ack, " ".join(filter(None, (ack.code.value, codes, ack.text)))
        )

    def _is_spoilt(self, wire: "_Wire") -> bool:
        """Whether the receiver closed, or says something that nobody waits for."""
        while wire.blocks:
            answer = self._judged(wire.blocks.popleft(), None)
            self._pass_over(answer)
            if decide(answer.outcome).close_connection:
                return True
        return wire.has_ended or wire.is_speaking

    @staticmethod
    def _pass_over(answer: Answer) -> None:
        metrics.TRANSMISSIONS.labels(answer.outcome.value).inc()
        _log.warning("hl7_answer_is_nobodys", result=answer.outcome.value)


class _Wire(asyncio.Protocol):
    """The bytes of a connection, as blocks."""

    def __init__(self) -> None:
        self.blocks: deque[bytes] = deque()
        self.has_ended = False
        self.writable = asyncio.Event()
        self.writable.set()
        self._reader = BlockReader(message_bytes_max=_ANSWER_BYTES_MAX)
        self._changed = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    @property
    def is_speaking(self) -> bool:
        """Whether a block has begun and not ended."""
        return self._reader.buffered_bytes > 0

    def write(self, data: bytes) -> None:
        """Have ``data`` sent."""
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def next_block(self) -> bytes | None:
        """The next block; None when the connection ended without one."""
        while not self.blocks:
            if self.has_ended:
                return None
            self._changed.clear()
            # Some receivers never send the final <CR>: wait for it, but not long.
            if not self._reader.awaits_carriage_return:
                await self._changed.wait()
                continue
            try:
                async with asyncio.timeout(_MISSING_END_GRACE_S):
                    await self._changed.wait()
            except TimeoutError:
                block = self._reader.take_unterminated()
                return block.data if block else None
        return self.blocks.popleft()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)
        keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Some of an answer came."""
        for event in self._reader.receive(data):
            self.blocks.append(b"" if isinstance(event, Oversized) else event.data)
        self._changed.set()

    def eof_received(self) -> None:
        """The receiver says no more; the connection is closed."""
        last = self._reader.end()
        if last is not None and not last.cut:
            self.blocks.append(last.data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        del exc
        self.has_ended = True
        self._changed.set()
        self.writable.set()

    def pause_writing(self) -> None:
        """The receiver does not read as fast as we write."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self.writable.set()
