"""The batch protocol: many messages in one file or block, and back.

A batch is split by bytes before any character set is decoded: each message inside names its own.

Standard: HL7 v2.5.1 2.10.3.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.er7 import UTF_8_BYTE_ORDER_MARK
from isocenter.standards.hl7v2.escapes import DEFAULT_SYNTAX, Syntax

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_ENVELOPE: Final = frozenset({b"FHS", b"BHS", b"BTS", b"FTS"})


@dataclass(frozen=True, slots=True)
class Batch:
    """The content of one batch or file.

    Attributes:
        header: the first FHS or BHS segment, as received.
        messages: the messages, each as its own bytes.
        counts_declared: BTS-1 of each batch that has one.
        counts_found: messages found in each of those batches.
    """

    header: bytes
    messages: tuple[bytes, ...]
    counts_declared: tuple[int, ...]
    counts_found: tuple[int, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every batch holds as many messages as its trailer says."""
        return self.counts_declared == self.counts_found


def is_batch(data: bytes) -> bool:
    """Return whether ``data`` is a batch or file rather than one message."""
    start = data.removeprefix(UTF_8_BYTE_ORDER_MARK).lstrip(b"\r\n \t")[:3]
    return start in {b"FHS", b"BHS"}


def split_batch(data: bytes) -> Batch:
    """Return the messages of a batch.

    Raises:
        RemoteProtocolError: it does not begin with FHS or BHS.

    Standard: HL7 v2.5.1 2.10.3.1.
    """
    body = data.removeprefix(UTF_8_BYTE_ORDER_MARK).lstrip(b"\r\n \t")
    if not is_batch(body):
        msg = "a batch begins with an FHS or BHS segment"
        raise RemoteProtocolError(msg)
    lines = _LINE_END.split(body)
    separator = body[3:4]
    messages: list[list[bytes]] = []
    declared: list[int] = []
    found: list[int] = []
    in_batch = 0
    open_message = False
    for line in lines:
        name = line[:3]
        if name == b"MSH":
            messages.append([line])
            open_message = True
            in_batch += 1
        elif name in _ENVELOPE:
            open_message = False
            if name == b"BTS":
                count = _count(line, separator)
                declared.append(in_batch if count is None else count)
                found.append(in_batch)
                in_batch = 0
        elif line and open_message:
            messages[-1].append(line)
    joined = tuple(b"\r".join(message) + b"\r" for message in messages)
    return Batch(lines[0], joined, tuple(declared), tuple(found))


def encode_batch(
    messages: Sequence[bytes], header: Mapping[int, writer.Field], syntax: Syntax = DEFAULT_SYNTAX
) -> bytes:
    """Return one batch: BHS from ``header`` (positions from 3), ``messages``, BTS with their count.

    Standard: HL7 v2.5.1 2.10.3.2.
    """
    head = writer.segment("BHS", header, syntax).encode("ascii", "backslashreplace")
    tail = writer.segment("BTS", {1: str(len(messages))}, syntax).encode("ascii")
    body = b"".join(message if message.endswith(b"\r") else message + b"\r" for message in messages)
    return head + b"\r" + body + tail + b"\r"


def encode_file(
    batches: Sequence[bytes], header: Mapping[int, writer.Field], syntax: Syntax = DEFAULT_SYNTAX
) -> bytes:
    """Return one file: FHS from ``header`` (positions from 3), ``batches``, FTS with their count.

    Standard: HL7 v2.5.1 2.10.3.2.
    """
    head = writer.segment("FHS", header, syntax).encode("ascii", "backslashreplace")
    tail = writer.segment("FTS", {1: str(len(batches))}, syntax).encode("ascii")
    return head + b"\r" + b"".join(batches) + tail + b"\r"


def _count(line: bytes, separator: bytes) -> int | None:
    fields = line.split(separator) if separator else [line]
    text = fields[1].strip() if len(fields) > 1 else b""
    return int(text) if text.isdigit() else None
