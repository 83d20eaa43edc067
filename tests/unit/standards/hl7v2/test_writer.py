import pytest

from isocenter.standards import LocalProtocolError
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.escapes import Syntax


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "PID"),
        ({1: "1", 3: "A|B"}, "PID|1||A\\F\\B"),
        ({3: [("1", "", "", ("MAIN", "1.2", "ISO"), "MR"), "2"]}, "PID|||1^^^MAIN&1.2&ISO^MR~2"),
        ({5: ("Phantom", "Ada", "", ""), 9: ""}, "PID|||||Phantom^Ada"),
        ({7: writer.NULL}, 'PID|||||||""'),
        ({3: writer.Verbatim("a^b&c")}, "PID|||a^b&c"),
        ({2: None, 3: [""]}, "PID"),
    ],
)
def test_segments(fields, expected):
    assert writer.segment("PID", fields) == expected


def test_header_holds_its_delimiters():
    syntax = Syntax("#", "@", "*", "!", "$")
    assert writer.segment("MSH", {3: "EHR", 9: ("ADT", "A08")}, syntax) == (
        "MSH#@*!$#EHR######ADT@A08"
    )


@pytest.mark.parametrize(("name", "fields"), [("PI", {}), ("P|D", {}), ("PID", {0: "x"})])
def test_refuses_what_is_no_segment(name, fields):
    with pytest.raises(LocalProtocolError):
        writer.segment(name, fields)


def test_every_segment_ends_with_carriage_return_and_nothing_else():
    data = writer.message({3: "A"}, ["OBX|1", writer.segment("OBX", {5: "two\r\nlines"})])
    assert data == b"MSH|^~\\&|A\rOBX|1\rOBX|||||two\\X0D\\\\.br\\lines\r"


def test_charset_is_named_only_when_needed_and_true():
    assert writer.message({3: "A", 18: "8859/1"}, ["OBX|1"]) == b"MSH|^~\\&|A\rOBX|1\r"
    data = writer.message(
        {3: "A", 12: "2.5.1"}, [writer.segment("OBX", {5: "ß"})], charset="8859/1"
    )
    assert data == b"MSH|^~\\&|A|||||||||2.5.1||||||8859/1\rOBX|||||\xdf\r"
    data = writer.message({3: "A"}, [writer.segment("OBX", {5: "王"})], charset="8859/1")
    assert data.split(b"\r")[0].endswith(b"|UNICODE UTF-8")
