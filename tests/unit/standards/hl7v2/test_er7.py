import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.er7 import Flaw, body_digest, parse

HEADER = b"MSH|^~\\&|EHR|MAIN|RIS|RAD|20240102||ADT^A08^ADT_A01|42|P|2.5.1"
PID = b'PID|1||111^^^MAIN&1.2.3&ISO^MR~222^^^CITY||Phantom^Ada^M~Alias^A||""|F|||'
PID += b'1 Main\\T\\Side^""^Town'
EXAMPLE = HEADER + b"\r" + PID + b"\rOBX|1|TX|A||one\rOBX|2|TX|B||two&half~three\r"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-3", "EHR"),
        ("MSH-9.2", "A08"),
        ("PID-3.1", "111"),
        ("PID-3[1].4", "MAIN"),
        ("PID-3[1].4.2", "1.2.3"),
        ("PID-3[2].4", "CITY"),
        ("PID-3[3].4", None),
        ("PID-5.2", "Ada"),
        ("PID-5[2].1", "Alias"),
        ("PID-6", None),
        ("PID-7", ""),
        ("PID-7.1.1", ""),
        ("PID-11", "1 Main&Side"),
        ("PID-11.2", ""),
        ("PID-11.3", "Town"),
        ("PID-99", None),
        ("OBX[2]-5.1.2", "half"),
        ("OBX[2]-5[2]", "three"),
        ("OBX[3]-5", None),
        ("ZZZ-1", None),
    ],
)
def test_reads_a_path(path, value):
    assert parse(EXAMPLE).get(path) == value


@pytest.mark.parametrize("path", ["PID", "PID-", "PID-3[", "pid-3", "PID-3.1.2.3", ""])
def test_refuses_a_path_it_cannot_read(path):
    with pytest.raises(ValueError, match="path"):
        parse(EXAMPLE).get(path)


def test_null_is_not_empty():
    pid = parse(EXAMPLE).first("PID")
    assert (pid.is_null(7), pid.is_null(6), pid.get(7), pid.get(6)) == (True, False, "", None)
    assert not pid.field(7)


@pytest.mark.parametrize(
    ("end", "flaws"), [(b"\r", ()), (b"\n", (Flaw.SEGMENT_END,)), (b"\r\n", (Flaw.SEGMENT_END,))]
)
def test_segment_ends(end, flaws):
    message = parse(EXAMPLE.replace(b"\r", end))
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "OBX", "OBX"]
    assert message.flaws == flaws
    assert message.text("PID-5") == "Phantom"


def test_byte_order_mark_is_skipped_and_means_utf_8():
    message = parse(b"\xef\xbb\xbf" + HEADER + "\rPID|||1||Zoë\r".encode())
    assert (message.text("PID-5"), message.flaws) == ("Zoë", (Flaw.BYTE_ORDER_MARK,))


def test_a_line_that_is_no_segment_belongs_to_the_value_before():
    message = parse(HEADER + b"\rOBX|1|ED|||first\nsecond part\n\nthird|x\rNTE|1\r")
    assert message.get("OBX-5") == "first\nsecond part\nthird"
    assert message.first("NTE") is not None
    assert message.flaws == (Flaw.SEGMENT_END, Flaw.LINE_BREAK_IN_VALUE)


def test_nul_is_dropped_and_flagged():
    message = parse(HEADER + b"\rPID|1||1\x002")
    assert (message.text("PID-3"), message.flaws) == ("12", (Flaw.NUL,))


def test_custom_delimiters():
    message = parse(b"MSH#@*!$#EHR#MAIN\rPID###1@2*3!F!4@5$6\r")
    assert [field.components() for field in message.first("PID").fields(3)] == [
        ["1", "2"],
        ["3!F!4", "5$6"],
    ]
    assert message.get("PID-3[2].1") == "3#4"
    assert message.get("PID-3[2].2.2") == "6"
    assert message.get("MSH-2") == "@*!$"
    assert message.get("MSH-3") == "EHR"


def test_truncation_character_is_part_of_msh_2():
    message = parse(b"MSH|^~\\&#|EHR\rNTE|1||a\\P\\b\r")
    assert (message.text("MSH-3"), message.text("NTE-3")) == ("EHR", "a#b")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PID|1",
        b"MSH",
        b"MSH|",
        b"MSH||||",
        b"MSH|^^^^|A",
        b"MSHA^~\\&A",
        b"hello",
        b"\x00" * 40,
    ],
)
def test_refuses_what_has_no_header(data):
    with pytest.raises(RemoteProtocolError):
        parse(data)


def test_groups():
    message = parse(HEADER + b"\rPID|1\rORC|NW\rOBR|1\rZDS|1\rORC|CA\rOBR|2\r")
    assert [[s.name for s in group] for group in message.groups("ORC")] == [
        ["ORC", "OBR", "ZDS"],
        ["ORC", "OBR"],
    ]


def test_digest_ignores_time_and_control_id_only():
    again = EXAMPLE.replace(b"20240102", b"20250102").replace(b"|42|", b"|43|")
    assert body_digest(again) == body_digest(EXAMPLE)
    assert body_digest(EXAMPLE.replace(b"Ada", b"Eve")) != body_digest(EXAMPLE)
    assert body_digest(EXAMPLE.replace(b"EHR", b"EMR")) != body_digest(EXAMPLE)
    assert body_digest(b"\xef\xbb\xbf" + EXAMPLE) == body_digest(EXAMPLE)


value = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
fields = st.dictionaries(
    st.integers(1, 8),
    st.lists(
        st.lists(st.lists(value, min_size=1, max_size=3), min_size=1, max_size=4),
        min_size=1,
        max_size=3,
    ),
    max_size=5,
)


@given(fields)
def test_reads_what_the_writer_wrote(content):
    segment = writer.segment(
        "ZAB",
        {n: [tuple(tuple(sub) for sub in rep) for rep in reps] for n, reps in content.items()},
    )
    message = parse(writer.message({9: ("ADT", "A08"), 10: "1"}, [segment]))
    # Text that is not valid as UTF-8 cannot be drawn; whatever is drawn comes back.
    assert message.flaws == ()
    read = message.first("ZAB")
    for number, repetitions in content.items():
        for r, components in enumerate(repetitions, 1):
            for c, subcomponents in enumerate(components, 1):
                for s, text in enumerate(subcomponents, 1):
                    assert (read.get(number, c, s, repetition=r) or "") == text


plain = st.text(alphabet=st.sampled_from("abcXYZ012.-€é"), max_size=6)
tree = st.lists(
    st.lists(st.lists(plain, min_size=1, max_size=3), min_size=1, max_size=3),
    min_size=1,
    max_size=3,
)


@given(tree)
def test_python_hl7_reads_the_same(content):
    raw = "~".join("^".join("&".join(sub) for sub in rep) for rep in content)
    data = HEADER + b"||||||UNICODE UTF-8\rZAB|1|" + raw.encode() + b"\r"
    theirs, ours = hl7.parse(data.decode()), parse(data).first("ZAB")
    for r, components in enumerate(content, 1):
        for c, subcomponents in enumerate(components, 1):
            for s in range(1, len(subcomponents) + 1):
                expected = theirs.segment("ZAB").extract_field(1, 2, r, c, s)
                assert (ours.get(2, c, s, repetition=r) or "") == (expected or "")


@given(tree)
def test_we_read_what_python_hl7_writes(content):
    message = hl7.parse("MSH|^~\\&|A\rZAB|1|x\r")
    message.segment("ZAB")[2] = hl7.Field(
        "~",
        [
            hl7.Repetition("^", [hl7.Component("&", component) for component in repetition])
            for repetition in content
        ],
    )
    ours = parse(str(message).encode()).first("ZAB")
    for r, components in enumerate(content, 1):
        for c, subcomponents in enumerate(components, 1):
            for s, text in enumerate(subcomponents, 1):
                assert (ours.get(2, c, s, repetition=r) or "") == text


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(data):
    for candidate in (data, b"MSH|^~\\&|" + data):
        try:
            message = parse(candidate)
        except RemoteProtocolError:
            continue
        for segment in message.segments:
            for number in range(segment.field_count() + 2):
                for field in segment.fields(number):
                    assert "\x00" not in field.text(1, 1)
