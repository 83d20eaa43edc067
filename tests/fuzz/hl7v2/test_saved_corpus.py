"""HL7 fuzz target, replayed over the saved corpus and searched a little further each run.

``exercise`` takes any bytes: framing, parsing, reading every value, acknowledging. A finding is
saved in ``corpus/`` and stays there.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2 import ack, batch, datatypes, er7, mllp

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
_TOKENS = [
    b"MSH",
    b"|",
    b"^",
    b"~",
    b"\\",
    b"&",
    b"\r",
    b"\n",
    b"\x0b",
    b"\x1c",
    b"\x1c\r",
    b"\xef\xbb\xbf",
    b"\\X0D\\",
    b"\\X",
    b"\\F\\",
    b"\x1b$B",
    b"\x1b(B",
    b"\x1b$)C",
    b"UNICODE UTF-8",
    b"ISO IR87",
    b"8859/1",
    b"\xff",
    b"\x00",
    b'""',
    b"PID",
    b"BHS",
    b"BTS|9",
    b"2.3.1",
    b"ADT^A08",
    b"\xc3\xa9",
    b"MSH|^~\\&|",
]


def exercise(data: bytes) -> int:
    """How many messages were read; fails when reading does."""
    read = 0
    reader = mllp.BlockReader(message_bytes_max=4096)
    blocks = [event.data for event in reader.receive(data) if isinstance(event, mllp.Block)]
    if last := reader.end():
        blocks.append(last.data)
    for block in (*blocks, data):
        er7.body_digest(block)
        answer = ack.build_ack(
            ack.read_origin(block), ack.AckCode.AR, control_id="1", timestamp="2024",
            problems=[ack.Problem(ack.ErrorCode.APPLICATION_INTERNAL_ERROR, "MSH^1")],
        )  # fmt: skip
        assert ack.parse_ack(answer).code is ack.AckCode.AR
        messages = batch.split_batch(block).messages if batch.is_batch(block) else (block,)
        for message in messages:
            read += _read(message)
    return read


def _read(data: bytes) -> int:
    try:
        message = er7.parse(data)
    except RemoteProtocolError:
        return 0
    for segment in message.segments:
        for number in range(1, min(segment.field_count(), 40) + 2):
            for field in segment.fields(number):
                readings = (
                    datatypes.cx(field),
                    datatypes.xcn(field),
                    datatypes.xpn([field]),
                    field.text(2, 2),
                )
                assert all(reading is not None for reading in readings)
                datatypes.parse_dtm(field.text(), datatypes.UTC)
    return 1


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_saved_input(path):
    assert exercise(path.read_bytes()) >= 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_TOKENS) | st.binary(max_size=4), max_size=40).map(b"".join))
def test_new_input(data):
    assert exercise(data) >= 0
    assert exercise(b"\x0bMSH|^~\\&|" + data + b"\x1c\r") >= 0
