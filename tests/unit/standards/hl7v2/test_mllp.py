import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import LocalProtocolError
from isocenter.standards.hl7v2.mllp import Block, BlockReader, Oversized, encode_block


def read(chunks, **options):
    reader = BlockReader(**options)
    events = [event for chunk in chunks for event in reader.receive(chunk)]
    return reader, [event.data if isinstance(event, Block) else event for event in events]


@pytest.mark.parametrize(
    ("received", "messages"),
    [
        ([], []),
        ([b"\x0bMSH|1\x1c\x0d"], [b"MSH|1"]),
        ([b"\x0bMSH|1\x1c", b"\x0d"], [b"MSH|1"]),
        ([b"\x0bA\x1c\x0d\x0bB\x1c\x0d"], [b"A", b"B"]),
        ([b"\x0bA\x1cB\x1c\x0d"], [b"A\x1cB"]),
        ([b"\x0bA\x1c\x1c\x0d"], [b"A\x1c"]),
        ([b"\x0b\x1c\x0d"], [b""]),
        ([b"\r\n\x0bA\x1c\x0d\n\x0bB\x1c\x0d"], [b"A", b"B"]),
        ([b"GET / HTTP/1.1\r\n\x0bA\x1c\x0d"], [b"A"]),
        ([b"\x0bA\x1c\x0bB\x1c\x0d"], [b"A", b"B"]),
        ([b"\x0bA\x1c", b"\x0bB\x1c\x0d"], [b"A", b"B"]),
        ([b"\x0bA\x0bB\x1c\x0d"], [b"A\x0bB"]),
        ([b"\x0bA\x0d\x1cB"], []),
    ],
    ids=[
        "nothing",
        "whole",
        "split-inside-terminator",
        "two-at-once",
        "lone-FS-is-data",
        "FS-before-terminator",
        "empty",
        "line-ends-between",
        "junk-before",
        "missing-CR",
        "missing-CR-split",
        "VT-inside-is-data",
        "unfinished",
    ],
)
def test_reads_blocks(received, messages):
    assert read(received)[1] == messages


def test_counts_junk():
    reader, _ = read([b"xyz\x0bA\x1c\x0d\n", b"\n\x0b"])
    assert reader.junk_bytes == 5


def test_end_of_stream_completes_a_block_without_carriage_return():
    reader, messages = read([b"\x0bA\x1c"])
    assert messages == []
    assert reader.awaits_carriage_return
    assert reader.end() == Block(b"A")
    assert reader.end() is None


def test_end_of_stream_hands_over_a_cut_block_as_cut():
    reader, _ = read([b"\x0bMSH|half"])
    assert reader.end() == Block(b"MSH|half", cut=True)


def test_block_taken_without_carriage_return_leaves_a_late_one_as_junk():
    reader, _ = read([b"\x0bA\x1c"])
    assert reader.take_unterminated() == Block(b"A")
    assert reader.receive(b"\x0d\x0bB\x1c\x0d") == [Block(b"B")]
    assert reader.junk_bytes == 1


@pytest.mark.parametrize("size", [10, 9])
def test_accepts_up_to_the_limit(size):
    assert read([b"\x0b" + b"A" * size, b"\x1c", b"\x0d"], message_bytes_max=10)[1] == [b"A" * size]


@pytest.mark.parametrize("tail", [b"", b"\x1c\x0d", b"\x1c"])
def test_gives_up_above_the_limit_once_and_for_all(tail):
    reader, events = read([b"\x0bMSH|^~", b"A" * 8 + tail, b"\x0bB\x1c\x0d"], message_bytes_max=10)
    [event] = events
    assert isinstance(event, Oversized)
    assert event.head.startswith(b"MSH|^~AAAAAAAA")
    assert reader.closed
    assert reader.end() is None


@pytest.mark.parametrize("message", [b"A\x1c\x0dB", b"A\x1c\x0bB"])
def test_refuses_to_write_a_message_that_ends_a_block(message):
    with pytest.raises(LocalProtocolError):
        encode_block(message)


pieces = st.sampled_from([b"A", b"\x1c", b"\x0d", b"\x0b", b"\n", b"MSH|"])
payload = (
    st
    .lists(pieces, max_size=12)
    .map(b"".join)
    .filter(lambda b: b"\x1c\x0d" not in b and b"\x1c\x0b" not in b)
)


@given(st.lists(payload, max_size=5), st.data())
def test_chunking_never_matters(messages, data):
    stream = b"".join(map(encode_block, messages))
    reader, out = BlockReader(), []
    while stream:
        n = data.draw(st.integers(1, len(stream)))
        out += [event.data for event in reader.receive(stream[:n])]
        stream = stream[n:]
    assert out == messages
    assert reader.junk_bytes == 0


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_any_bytes_give_the_same_events_whole_or_in_single_bytes(chunks):
    stream = b"".join(chunks)
    whole, split = BlockReader(), BlockReader()
    at_once = whole.receive(stream)
    one_by_one = [event for byte in stream for event in split.receive(bytes([byte]))]
    assert (at_once, whole.end()) == (one_by_one, split.end())
