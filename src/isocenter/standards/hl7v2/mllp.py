"""MLLP block framing, without I/O.

A block is ``<VT> message <FS><CR>``. ``BlockReader`` turns received bytes into messages; the caller
owns the socket, the clock and every timeout. Tolerated from peers, because receivers that do not
lose messages in practice: bytes between blocks (skipped and counted), a missing final ``<CR>`` when
the next block or the end of the stream follows, and an ``<FS>`` inside a message. Release 2 (commit
bytes) is not spoken.

Standard: HL7 Transport Specification: MLLP, Release 1, section 2.
"""

import re
from dataclasses import dataclass
from typing import Final

from isocenter.standards import LocalProtocolError

START_BLOCK: Final = b"\x0b"
END_BLOCK: Final = b"\x1c"
CARRIAGE_RETURN: Final = b"\x0d"
MESSAGE_BYTES_MAX: Final = 64 * 2**20
OVERSIZED_HEAD_BYTES: Final = 4096

# <FS> ends a block before <CR>; before <VT> the peer forgot the <CR>. Before anything else it is
# data.
_BLOCK_END: Final = re.compile(rb"\x1c[\x0d\x0b]")


@dataclass(frozen=True, slots=True)
class Block:
    """One complete message, framing removed.

    Attributes:
        data: the bytes between ``<VT>`` and ``<FS>``.
        cut: ended without ``<FS>`` because the stream ended; the message may be incomplete.
    """

    data: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Oversized:
    """A message larger than the limit: answer it from ``head``, then close the connection.

    Attributes:
        head: the first bytes of the message: enough for its MSH segment.
        received_bytes: how much of it had arrived when it was given up.
    """

    head: bytes
    received_bytes: int


def is_sendable(message: bytes) -> bool:
    """Whether a block can hold the message: no end of a block is in it."""
    return _BLOCK_END.search(message) is None


def encode_block(message: bytes) -> bytes:
    """Return ``message`` as one MLLP block.

    Raises:
        LocalProtocolError: the message holds ``<FS>`` before ``<CR>`` or ``<VT>``, or ends a block
        by itself.

    Standard: HL7 Transport Specification: MLLP, Release 1, section 2.
    """
    if not is_sendable(message):
        msg = "an HL7 message cannot hold the MLLP end of block"
        raise LocalProtocolError(msg)
    return START_BLOCK + message + END_BLOCK + CARRIAGE_RETURN


class BlockReader:
    """Collects received bytes and hands back complete messages, oldest first.

    Attributes:
        message_bytes_max: largest accepted message, framing excluded.
        junk_bytes: bytes seen outside blocks so far; the line ends some peers add are among them.
        closed: an oversized message was met; everything after it is ignored.
    """

    __slots__ = ("_buffer", "_inside", "_searched", "closed", "junk_bytes", "message_bytes_max")

    def __init__(self, *, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self.message_bytes_max = message_bytes_max
        self.junk_bytes = 0
        self.closed = False
        self._buffer = bytearray()
        self._inside = False
        self._searched = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the block that has begun but not ended."""
        return len(self._buffer)

    @property
    def awaits_carriage_return(self) -> bool:
        """Whether only the final ``<CR>`` of the current block seems to be missing."""
        return self._inside and self._buffer.endswith(END_BLOCK)

    def receive(self, data: bytes | bytearray | memoryview) -> list[Block | Oversized]:
        """Add ``data`` and return what it completed. Splits never matter."""
        if self.closed:
            return []
        self._buffer += data
        events: list[Block | Oversized] = []
        while (event := self._take()) is not None:
            events.append(event)
        return events

    def take_unterminated(self) -> Block | None:
        """Return the current block if only its ``<CR>`` is missing, as if that had arrived.

        For peers that never send it: call this when nothing has followed the ``<FS>`` for a while.
        """
        if not self.awaits_carriage_return:
            return None
        message = bytes(self._buffer[:-1])
        self._reset(len(self._buffer))
        return Block(message)

    def end(self) -> Block | None:
        """Return what the end of the stream completes: a block without ``<CR>``, or a cut one."""
        block = self.take_unterminated()
        if block is None and self._inside and not self.closed:
            block = Block(bytes(self._buffer), cut=True)
            self._reset(len(self._buffer))
        return block

    def _take(self) -> Block | Oversized | None:
        if not self._inside and not self._enter():
            return None
        found = _BLOCK_END.search(self._buffer, self._searched)
        size = found.start() if found else len(self._buffer)
        if size > self.message_bytes_max + (not found and self.awaits_carriage_return):
            self.closed = True
            event = Oversized(bytes(self._buffer[:OVERSIZED_HEAD_BYTES]), size)
            self._buffer = bytearray()
            self._inside = False
            return event
        if found is None:
            # <FS> may be the last byte that is here: look at it again with its successor.
            self._searched = max(len(self._buffer) - 1, 0)
            return None
        message = bytes(self._buffer[:size])
        # A <VT> in place of <CR> already opens the next block: leave it for _enter.
        self._reset(size + 1 if self._buffer[size + 1] == START_BLOCK[0] else size + 2)
        return Block(message)

    def _enter(self) -> bool:
        start = self._buffer.find(START_BLOCK)
        skipped = len(self._buffer) if start < 0 else start
        self.junk_bytes += skipped
        del self._buffer[: skipped + (start >= 0)]
        self._inside = start >= 0
        return self._inside

    def _reset(self, consumed: int) -> None:
        del self._buffer[:consumed]
        self._inside = False
        self._searched = 0
