"""A connection to one receiver: send a message, wait for its answer, trust nothing late.

A connection on which anything unexpected happened is closed. An answer that is still under way on
it would otherwise be taken for the answer to the next message.

Standard: HL7 Transport Specification: MLLP, Release 1; HL7 v2.5.1 2.9.2.
"""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.ack import Ack, parse_ack
from isocenter.standards.hl7v2.decision import Outcome, outcome_of
from isocenter.standards.hl7v2.mllp import BlockReader, Oversized, encode_block

_READ_BYTES = 65536
_ANSWER_BYTES_MAX = 2**20
_MISSING_END_GRACE_S = 0.3
_LOOK_S = 0.001


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
    """One connection at a time to one receiver. Not for concurrent use."""

    def __init__(self, address: Address, *, connect_timeout_s: float) -> None:
        self.address = address
        self._connect_timeout_s = connect_timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._blocks = BlockReader(message_bytes_max=_ANSWER_BYTES_MAX)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._streams is not None

    async def open(self) -> str:
        """Be connected; return why not, or nothing."""
        if self._streams is not None and await self._has_spoken(self._streams[0]):
            # Either the end of the stream, or an answer that nobody waits for any more.
            self.close()
        if self._streams is not None:
            return ""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                self._streams = await asyncio.open_connection(
                    self.address.host, self.address.port, ssl=self.address.tls
                )
        except TimeoutError:
            return f"no connection within {self._connect_timeout_s:g} s"
        except (OSError, ssl.SSLError) as error:
            return f"no connection: {type(error).__name__}"
        self._blocks = BlockReader(message_bytes_max=_ANSWER_BYTES_MAX)
        return ""

    async def send(self, message: bytes, *, timeout_s: float) -> str:
        """Write the message to the open connection; return why not, or nothing."""
        if self._streams is None:
            return "not connected"
        try:
            async with asyncio.timeout(timeout_s):
                self._streams[1].write(encode_block(message))
                await self._streams[1].drain()
        except TimeoutError:
            return f"the message was not taken within {timeout_s:g} s"
        except OSError as error:
            return f"the connection broke: {type(error).__name__}"
        return ""

    async def answer(self, control_id: str, *, timeout_s: float) -> Answer:
        """Wait for the answer to the message with that MSH-10."""
        try:
            async with asyncio.timeout(timeout_s):
                block = await self._read_block()
        except TimeoutError:
            return Answer(Outcome.NO_ANSWER, reason=f"no acknowledgement within {timeout_s:g} s")
        except OSError as error:
            return Answer(Outcome.NO_ANSWER, reason=f"the connection broke: {type(error).__name__}")
        if block is None:
            return Answer(Outcome.NO_ANSWER, reason="the connection ended without acknowledgement")
        try:
            ack = parse_ack(block)
        except RemoteProtocolError as error:
            return Answer(Outcome.WRONG_ANSWER, block, reason=str(error))
        outcome = outcome_of(ack, sent_control_id=control_id)
        if outcome is Outcome.WRONG_ANSWER:
            return Answer(outcome, block, ack, "the acknowledgement is for another message")
        codes = " ".join(map(str, ack.error_codes))
        return Answer(
            outcome, block, ack, " ".join(filter(None, (ack.code.value, codes, ack.text)))
        )

    def close(self) -> None:
        """Close at once: what may still come on this connection is nobody's answer."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _read_block(self) -> bytes | None:
        if self._streams is None:
            return None
        reader = self._streams[0]
        while True:
            # Some receivers never send the final <CR>: wait for it, but not long.
            grace_s = _MISSING_END_GRACE_S if self._blocks.awaits_carriage_return else None
            try:
                async with asyncio.timeout(grace_s):
                    data = await reader.read(_READ_BYTES)
            except TimeoutError:
                block = self._blocks.take_unterminated()
                return block.data if block else None
            if not data:
                last = self._blocks.end()
                return last.data if last is not None and not last.cut else None
            for event in self._blocks.receive(data):
                return b"" if isinstance(event, Oversized) else event.data

    @staticmethod
    async def _has_spoken(reader: asyncio.StreamReader) -> bool:
        """Whether the other end closed, or sent something, since the last answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                # A line end after the block is a habit of some receivers and nobody's answer.
                while data := await reader.read(_READ_BYTES):
                    if data.strip(b"\r\n"):
                        return True
            return True
        return False
