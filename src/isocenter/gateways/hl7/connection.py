"""One MLLP connection: bytes to messages, one answer for each, in order.

Messages are answered one after the other; while one is worked on, the next ones wait here up to a
limit, and beyond it in the peer's socket. What a message means is decided by ``answer``.

Standard: HL7 Transport Specification: MLLP, Release 1; IHE ITI TF-2 Appendix C.2.1.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Final, cast

from isocenter.infra.log import get_logger
from isocenter.standards.hl7v2.mllp import (
    MESSAGE_BYTES_MAX,
    Block,
    BlockReader,
    Oversized,
    encode_block,
)

_log = get_logger(__name__)

KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4
_PROMPT_S: Final = 0.025  # from an answer to the next message
_PROMPT_IN_A_ROW: Final = 2


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may ask of us.

    Attributes:
        idle_timeout_s: silence after which it is closed; peers keep connections for hours.
        stall_timeout_s: silence inside a message, or while our answer is not taken.
        missing_end_grace_s: after this the final ``<CR>`` that some peers leave out is not awaited.
        waiting_max: pipelined messages that wait here.
        linger_timeout_s: how long a peer may go on sending after its message was rejected.
        junk_bytes_max: bytes outside messages, after which it is no MLLP peer.
    """

    message_bytes_max: int = MESSAGE_BYTES_MAX
    idle_timeout_s: float = 3600.0
    stall_timeout_s: float = 60.0
    missing_end_grace_s: float = 1.0
    waiting_max: int = 64
    linger_timeout_s: float = 5.0
    junk_bytes_max: int = 65536


@dataclass(frozen=True, slots=True)
class Handlers:
    """What a connection calls.

    Attributes:
        admit: whether the address may talk to us; decides once.
        answer: the acknowledgement of a message, empty for none; never raises.
        reject: the acknowledgement of a message above the limit.
        closed: told at the end.
    """

    admit: Callable[["Connection"], Awaitable[bool]]
    answer: Callable[["Connection", bytes], Awaitable[bytes]]
    reject: Callable[["Connection", Oversized], bytes]
    closed: Callable[["Connection"], None]


class Connection(asyncio.Protocol):
    """One accepted connection."""

    def __init__(self, handlers: Handlers, limits: ConnectionLimits) -> None:
        self.address = ""
        self.port = 0
        self._handlers = handlers
        self._limits = limits
        self._reader = BlockReader(message_bytes_max=limits.message_bytes_max)
        self._waiting: deque[bytes | Oversized] = deque()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._eof = asyncio.Event()
        self._ended = False
        self._paused = False
        self._busy = False
        self._lost = False
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_received = 0.0
        self._answered_at = -inf
        self._prompt_in_a_row = 0

    @property
    def is_prompt(self) -> bool:
        """Whether the peer has more to send: its last messages came as soon as they might."""
        return self._prompt_in_a_row >= _PROMPT_IN_A_ROW

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to serve: reading begins when the address is admitted."""
        self._transport = cast("asyncio.Transport", transport)
        peer_name = transport.get_extra_info("peername") or ("", 0)
        self.address, self.port = str(peer_name[0]), int(peer_name[1])
        keep_alive(transport.get_extra_info("socket"))
        self._pause(wanted=True)
        self._last_received = self._loop_time()
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; complete messages line up."""
        self._last_received = self._loop_time()
        for event in self._reader.receive(data):
            self._waiting.append(event.data if isinstance(event, Block) else event)
        if self._reader.junk_bytes > self._limits.junk_bytes_max:
            _log.warning("hl7_not_mllp", remote_address=self.address)
            self.abort()
            return
        if self._reader.awaits_carriage_return:
            self._watch(self._limits.missing_end_grace_s)
        if len(self._waiting) > self._limits.waiting_max:
            self._pause(wanted=True)
        if self._waiting:
            self._arrived.set()

    def eof_received(self) -> bool:
        """Answer what is complete, then close. A half-closed peer still reads."""
        last = self._reader.end()
        if last is not None and last.cut:
            _log.warning("hl7_message_cut", remote_address=self.address)
        elif last is not None:
            self._waiting.append(last.data)
        self._ended = True
        self._eof.set()
        self._arrived.set()
        # TLS has no half-closed connections: there the transport closes now.
        return self._transport is not None and not self._transport.get_extra_info("sslcontext")

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what is not begun: without a connection there is nobody to acknowledge it to."""
        del exc
        self._lost = True
        self._ended = True
        self._waiting.clear()
        self._arrived.set()
        self._writable.set()
        self._eof.set()
        if self._timer:
            self._timer.cancel()
        self._handlers.closed(self)

    def pause_writing(self) -> None:
        """Wait with answers: the peer does not read them."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on answering."""
        self._writable.set()

    def finish(self) -> None:
        """Read no more; close when the message at work is answered."""
        self._pause(wanted=True)
        self._waiting.clear()
        self._ended = True
        self._arrived.set()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Return when the message at work is answered and nothing more will be."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        try:
            if not await self._handlers.admit(self):
                return
            self._pause(wanted=False)
            while await self._next_arrived():
                await self._answer(self._waiting.popleft())
        finally:
            if self._transport is not None:
                self._transport.close()

    async def _next_arrived(self) -> bool:
        while not self._waiting:
            if self._ended:
                return False
            self._arrived.clear()
            await self._arrived.wait()
        return True

    async def _answer(self, received: bytes | Oversized) -> None:
        if isinstance(received, Oversized):
            _log.warning("hl7_message_too_large", remote_address=self.address)
            self._write(self._handlers.reject(self, received))
            self._waiting.clear()
            self._ended = True
            await self._linger()
            return
        self._busy = True
        is_prompt = self._loop_time() - self._answered_at <= _PROMPT_S
        self._prompt_in_a_row = self._prompt_in_a_row + 1 if is_prompt else 0
        acknowledgement = await self._handlers.answer(self, received)
        self._busy = False
        self._last_received = self._answered_at = self._loop_time()
        if len(self._waiting) <= self._limits.waiting_max // 2:
            self._pause(wanted=self._ended)
        if acknowledgement:  # none is wanted of every message in enhanced mode
            self._write(acknowledgement)
        if self._writable.is_set():  # nearly always
            return
        try:
            async with asyncio.timeout(self._limits.stall_timeout_s):
                await self._writable.wait()
        except TimeoutError:
            _log.warning("hl7_answer_not_taken", remote_address=self.address)
            self.abort()

    async def _linger(self) -> None:
        """Let the peer finish sending into the void, then close.

        Closing a socket with unread bytes resets the connection, and the reset would overtake our
        answer.
        """
        if self._transport is not None and self._transport.can_write_eof() and not self._lost:
            self._transport.write_eof()
        self._pause(wanted=False)
        try:
            async with asyncio.timeout(self._limits.linger_timeout_s):
                await self._eof.wait()
        except TimeoutError:
            self.abort()

    def _write(self, message: bytes) -> None:
        if self._transport is not None and not self._lost:
            self._transport.write(encode_block(message))

    def _pause(self, *, wanted: bool) -> None:
        if self._transport is None or self._lost or wanted == self._paused:
            return
        self._paused = wanted
        if wanted:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _watch(self, after_s: float | None = None) -> None:
        if self._timer:
            self._timer.cancel()
        wait_s = self._silence_max_s() if after_s is None else after_s
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)

    def _silence_max_s(self) -> float:
        stalls = self._reader.buffered_bytes > 0 and not self._paused
        idle_s = self._limits.idle_timeout_s
        return min(self._limits.stall_timeout_s, idle_s) if stalls else idle_s

    def _look(self) -> None:
        """End a block whose <CR> never comes; close what has been silent for too long."""
        silent_s = self._loop_time() - self._last_received
        if self._reader.awaits_carriage_return and silent_s >= self._limits.missing_end_grace_s:
            block = self._reader.take_unterminated()
            if block is not None:
                self._waiting.append(block.data)
                self._arrived.set()
        elif silent_s >= self._silence_max_s() and not (self._busy or self._waiting):
            _log.info("hl7_connection_silent", remote_address=self.address, seconds=int(silent_s))
            self.abort()
            return
        self._watch(min(self._limits.stall_timeout_s, self._limits.idle_timeout_s))

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()


def keep_alive(raw: socket.socket | None) -> None:
    """Have the kernel find out that the other end is gone: nothing is sent on a quiet interface."""
    if raw is None:
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
