"""The messages of others as they are: byte order marks, <LF> segment ends, missing last ends."""

import hl7
import pytest

from isocenter.standards.hl7v2.ack import AckCode, build_ack, origin_of, parse_ack
from isocenter.standards.hl7v2.er7 import Flaw, body_digest, parse
from isocenter.standards.hl7v2.mllp import Block, BlockReader, encode_block


@pytest.fixture(scope="module")
def files(third_party):
    found = sorted((third_party / "hl7").glob("**/*.hl7"))
    assert len(found) == 61
    return {path.name: path.read_bytes() for path in found}


def test_python_hl7_finds_the_same_values(files):
    compared = 0
    for name, data in files.items():
        ours = parse(data)
        text = data.decode("utf-8-sig").replace("\r\n", "\r").replace("\n", "\r")
        theirs = hl7.parse(text)
        assert [segment.name for segment in ours.segments] == [str(s[0]) for s in theirs], name
        for mine, other in zip(ours.segments, theirs, strict=True):
            for number in range(3, len(other)):
                assert mine.raw_field(number).strip() == str(other[number]).strip(), (name, mine)
                compared += 1
    assert compared > 5000


def test_each_is_acknowledged_so_that_python_hl7_understands(files):
    for name, data in files.items():
        origin = origin_of(parse(data))
        answer = build_ack(origin, AckCode.AA, control_id="R1", timestamp="20240101")
        theirs = hl7.parse(answer.decode())
        sent = hl7.parse(data.decode("utf-8-sig").replace("\r\n", "\r").replace("\n", "\r"))
        assert str(theirs.segment("MSA")[2]) == str(sent.segment("MSH")[10]), name
        assert str(theirs.segment("MSH")[5]) == str(sent.segment("MSH")[3]), name
        assert str(theirs.segment("MSH")[4]) == str(sent.segment("MSH")[6]), name
        assert parse_ack(answer).control_id == origin.control_id


def test_only_known_tolerances_are_needed(files):
    flaws = {flaw for data in files.values() for flaw in parse(data).flaws}
    assert flaws <= {Flaw.BYTE_ORDER_MARK, Flaw.SEGMENT_END, Flaw.CHARSET_ASSUMED}
    marked = [name for name, data in files.items() if Flaw.BYTE_ORDER_MARK in parse(data).flaws]
    assert len(marked) == 7


def test_all_in_one_stream_survive_framing(files):
    reader = BlockReader()
    stream = b"".join(map(encode_block, files.values()))
    events = [
        event
        for start in range(0, len(stream), 997)
        for event in reader.receive(stream[start : start + 997])
    ]
    assert events == [Block(data) for data in files.values()]


def test_different_messages_have_different_digests(files):
    distinct = {body_digest(data) for data in files.values()}
    assert len(distinct) == len({data.partition(b"MSH")[2] for data in files.values()})
