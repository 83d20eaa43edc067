"""Multipart bodies: a reader that is fed bytes and gives events, and the pieces of a writer.

Bodies of any size pass through with a bounded buffer. What the parts hold is not looked at; nested
multipart bodies are not unfolded.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from isocenter.standards import LocalProtocolError, RemoteProtocolError

HEADER_BYTES_MAX: Final = 16 * 1024
PARTS_MAX: Final = 100_000
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PADDING_BYTES_MAX: Final = 256


class MultipartError(RemoteProtocolError):
    """The body is not the multipart it is said to be, or exceeds a limit."""


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins; header names are in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """Some more bytes of the current part; never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The current part is complete."""


@dataclass(frozen=True, slots=True)
class BodyEnd:
    """The closing boundary has passed; what follows is ignored."""


Event = PartBegin | PartData | PartEnd | BodyEnd


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    BODY = auto()
    EPILOGUE = auto()


class MultipartReader:
    """Reads one multipart body.

    Feed bytes with ``receive`` in pieces of any size; call ``close`` when the body ends. Lines may
    end in LF alone within headers; boundary lines may carry trailing blanks.

    Standard: RFC 2046 5.1, RFC 2387, PS3.18 8.6.1.2
    """

    def __init__(
        self,
        boundary: str,
        *,
        header_bytes_max: int = HEADER_BYTES_MAX,
        parts_max: int = PARTS_MAX,
    ) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise MultipartError("the boundary parameter is missing or not well formed")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._header_bytes_max = header_bytes_max
        self._parts_max = parts_max
        self._parts = 0
        self._state = _State.PREAMBLE
        # The first boundary has no line before it: this one stands for it.
        self._buffer = bytearray(b"\r\n")
        self._added = 0

    def receive(self, data: bytes | memoryview) -> list[Event]:
        """The events that ``data`` completes.

        Raises:
            MultipartError: malformed headers or a limit is exceeded.
        """
        if self._state is _State.EPILOGUE:
            return []
        self._buffer += data
        events: list[Event] = []
        while self._step(events):
            pass
        return events

    def close(self) -> None:
        """Say that no more bytes come.

        Raises:
            MultipartError: the closing boundary has not been seen.
        """
        if self._state is not _State.EPILOGUE:
            raise MultipartError("the body ends before its closing boundary")

    def _step(self, events: list[Event]) -> bool:
        """Consume what can be consumed; whether another look is worthwhile."""
        if self._state is _State.HEADERS:
            return self._headers(events)
        if self._state is _State.EPILOGUE:
            self._buffer.clear()
            return False
        return self._content(events)

    def _content(self, events: list[Event]) -> bool:
        at = self._buffer.find(self._delimiter)
        if at < 0:
            # The end of the buffer may be the beginning of a boundary.
            self._emit(events, max(0, len(self._buffer) - len(self._delimiter) + 1))
            return False
        self._emit(events, at)
        closing, length = self._boundary_line()
        if length == 0:
            # Text that merely begins like the boundary: content.
            self._emit(events, len(self._delimiter))
            return True
        if length < 0:
            return False
        if self._state is _State.BODY:
            events.append(PartEnd())
            self._added = 0
        del self._buffer[:length]
        if closing:
            self._state = _State.EPILOGUE
            events.append(BodyEnd())
            return True
        self._parts += 1
        if self._parts > self._parts_max:
            raise MultipartError(f"more than {self._parts_max} parts")
        self._state = _State.HEADERS
        return True

    def _emit(self, events: list[Event], length: int) -> None:
        added = min(self._added, length)
        self._added -= added
        if self._state is _State.BODY and length > added:
            events.append(PartData(bytes(self._buffer[added:length])))
        del self._buffer[:length]

    def _boundary_line(self) -> tuple[bool, int]:
        """Whether the boundary at the head closes, and its length; 0: none, -1: not yet known."""
        end = len(self._delimiter)
        rest = bytes(self._buffer[end : end + _PADDING_BYTES_MAX])
        if rest.startswith(b"--"):
            return True, end + 2
        blank = rest.lstrip(b" \t")
        if blank.startswith(b"\r\n"):
            return False, end + len(rest) - len(blank) + 2
        undecided = blank in {b"", b"\r"} or rest == b"-"
        return False, -1 if undecided and len(rest) < _PADDING_BYTES_MAX else 0

    def _headers(self, events: list[Event]) -> bool:
        if self._buffer.startswith(b"\r\n"):
            head, end = b"", 2
        else:
            match = re.search(rb"\r?\n\r?\n", self._buffer[: self._header_bytes_max + 4])
            if match is None:
                if len(self._buffer) > self._header_bytes_max:
                    raise MultipartError(f"part headers exceed {self._header_bytes_max} bytes")
                return False
            head, end = bytes(self._buffer[: match.start()]), match.end()
        events.append(PartBegin(_parse_headers(head)))
        # In an empty part the line end before the boundary may be the one that ends the headers:
        # one of our own stands for it, and is taken off what the part holds.
        self._buffer[:end] = b"\r\n"
        self._added = 2
        self._state = _State.BODY
        return True


def _parse_headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    text = re.sub(rb"\r?\n[ \t]+", b" ", head).decode("latin-1")
    for line in filter(None, text.splitlines()):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise MultipartError("a part header line has no name")
        headers[name.strip().lower()] = value.strip()
    return headers


def stable_boundary(seed: str) -> str:
    """A boundary that is the same for the same seed, so that byte ranges of a response join.

    Standard: RFC 2046 5.1.1
    """
    return "boundary-" + hashlib.sha256(seed.encode("utf-8")).hexdigest()[:40]


def part_head(boundary: str, headers: Mapping[str, str], *, first: bool) -> bytes:
    """What goes before a part's bytes: the boundary line and the headers.

    Raises:
        LocalProtocolError: a header would break the line.

    Standard: RFC 2046 5.1.1
    """
    lines = ["" if first else "\r\n", f"--{boundary}\r\n"]
    for name, value in headers.items():
        if not (name + value).isascii() or any(c in name + value for c in "\r\n"):
            raise LocalProtocolError("a part header holds a line end or is not ASCII")
        lines.append(f"{name}: {value}\r\n")
    return ("".join(lines) + "\r\n").encode("ascii")


def closing(boundary: str) -> bytes:
    """What goes after the last part.

    Standard: RFC 2046 5.1.1
    """
    return f"\r\n--{boundary}--\r\n".encode("ascii")


def content_type(part_type: str, boundary: str) -> str:
    """The Content-Type of a multipart response whose parts are of ``part_type``.

    Standard: RFC 2387 3, PS3.18 8.7.3.3
    """
    return f'multipart/related; type="{part_type}"; boundary={boundary}'
