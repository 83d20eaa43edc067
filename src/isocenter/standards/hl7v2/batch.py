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
from isocenter.standards.hl7v2.er7 import UTF_8_BYTE_ORDER_MARK, parse
from isocenter.standards.hl7v2.escapes import DEFAULT_SYNTAX, Syntax

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_ENVELOPE: Final = frozenset({b"FHS", b"BHS", b"BTS", b"FTS"})


@dataclass(frozen=True, slots=True)
class Batch:
    """The content of one batch or file.

    Attributes:
        header: the first FHS or BHS segment, as received.
        batch_header: the first BHS segment; empty when there is none.
        messages: the messages, each as its own bytes.
        counts_declared: BTS-1 of each batch that has one.
        counts_found: messages found in each of those batches.
    """

    header: bytes
    batch_header: bytes
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
    batch_header = next((line for line in lines if line[:3] == b"BHS"), b"")
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
    return Batch(lines[0], batch_header, joined, tuple(declared), tuple(found))


def encode_answer(
    batch: Batch,
    acknowledgements: Sequence[bytes],
    *,
    control_ids: tuple[str, str],
    timestamp: str,
) -> bytes:
    """Return the answer to a batch: as a file to whoever sent a file, else as a batch.

    Its headers say whom it answers (BHS-12, FHS-12: their control ids) in the sender's delimiters.
    A count that is not the one of the trailer is said in BHS-10.

    Args:
        batch: what was received.
        acknowledgements: of its messages, in their order.
        control_ids: BHS-11 and FHS-11 of the answer.
        timestamp: BHS-7 and FHS-7, a DTM value.

    Standard: HL7 v2.5.1 2.10.3.3, 2.15.2 (BHS), 2.15.6 (FHS).
    """
    comment = "" if batch.is_complete else "count of messages differs from BTS-1"
    more: dict[int, writer.Field] = {7: timestamp, 10: comment, 11: control_ids[0]}
    header, syntax = _answering(batch.batch_header or batch.header)
    body = encode_batch(acknowledgements, header | more, syntax)
    if not batch.header.startswith(b"FHS"):
        return body
    header, syntax = _answering(batch.header)
    return encode_file([body], header | {7: timestamp, 11: control_ids[1]}, syntax)


def _answering(header: bytes) -> tuple[dict[int, writer.Field], Syntax]:
    """The header of an answer: receiver and sender change places, and it refers to what came."""
    try:
        message = parse(header)
    except RemoteProtocolError:
        return {}, DEFAULT_SYNTAX
    places = {3: 5, 4: 6, 5: 3, 6: 4, 12: 11}
    said = {to: writer.Verbatim(message.header.raw_field(of)) for to, of in places.items()}
    return {**said}, message.syntax


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
