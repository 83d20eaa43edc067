import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import RemoteProtocolError
from isocenter.standards.hl7v2.ack import (
    ERROR_TEXT,
    Ack,
    AckCode,
    ErrorCode,
    Problem,
    build_ack,
    is_wanted,
    origin_of,
    parse_ack,
    read_origin,
)
from isocenter.standards.hl7v2.er7 import parse

MESSAGE = b"MSH|^~\\&|EHR|MAIN^1.2^ISO|RIS|RAD|2024||ADT^A08^ADT_A01|42|T|2.5.1^DEU\rPID|1\r"


def ack(data=MESSAGE, code=AckCode.AA, **options):
    answer = build_ack(
        origin_of(parse(data)), code, control_id="R1", timestamp="20240102", **options
    )
    return answer.decode().split("\r")


def test_answers_with_the_ends_swapped():
    assert ack() == [
        "MSH|^~\\&|RIS|RAD|EHR|MAIN^1.2^ISO|20240102||ACK^A08^ACK|R1|T|2.5.1^DEU",
        "MSA|AA|42",
        "",
    ]


@pytest.mark.parametrize(
    ("version", "message_type"),
    [
        ("2.1", "ACK"),
        ("2.2", "ACK"),
        ("2.3", "ACK^A08"),
        ("2.3.1", "ACK^A08^ACK"),
        ("2.8", "ACK^A08^ACK"),
        ("", "ACK^A08^ACK"),
        ("x", "ACK^A08^ACK"),
    ],
)
def test_message_type_by_version(version, message_type):
    header = ack(MESSAGE.replace(b"2.5.1^DEU", version.encode()))[0]
    assert header.split("|")[8] == message_type


PROBLEM = Problem(ErrorCode.REQUIRED_FIELD_MISSING, "PID^1^3^1^1", "no patient id")


@pytest.mark.parametrize("version", ["2.5", "2.5.1", "2.8"])
def test_err_since_2_5(version):
    lines = ack(
        MESSAGE.replace(b"2.5.1^DEU", version.encode()), AckCode.AE, problems=[PROBLEM, PROBLEM]
    )
    assert lines[1] == "MSA|AE|42|no patient id"
    assert lines[2] == "ERR||PID^1^3^1^1|101^Required field missing^HL70357|E||||no patient id"
    assert lines[3] == lines[2]


@pytest.mark.parametrize("version", ["2.2", "2.3.1", "2.4"])
def test_err_before_2_5(version):
    lines = ack(MESSAGE.replace(b"2.5.1^DEU", version.encode()), AckCode.AE, problems=[PROBLEM])
    assert lines[2:] == ["ERR|PID^1^3^101&Required field missing&HL70357", ""]


def test_location_is_left_out_when_the_fault_is_in_no_field():
    lines = ack(code=AckCode.AE, problems=[Problem(ErrorCode.APPLICATION_INTERNAL_ERROR)])
    assert lines[1:3] == [
        "MSA|AE|42|Application internal error",
        "ERR|||207^Application internal error^HL70357|E",
    ]


def test_answers_in_the_senders_delimiters_and_character_set():
    data = "MSH#@*!$#Zoë#A@1#RIS#RAD#2024##ADT@A08#4!F!2#P#2.5######8859/1\r".encode("latin-1")
    answer = build_ack(
        origin_of(parse(data)),
        AckCode.AR,
        control_id="R",
        timestamp="1",
        problems=[Problem(ErrorCode.DATA_TYPE_ERROR, "", "a#b")],
    )
    header, msa, _, _ = answer.split(b"\r")
    assert header == "MSH#@*!$#RIS#RAD#Zoë#A@1#1##ACK@A08@ACK#R#P#2.5######8859/1".encode("latin-1")
    assert msa == b"MSA#AR#4!F!2#a!F!b"


@pytest.mark.parametrize("head", [b"", b"garbage", b"MSH"])
def test_what_cannot_be_read_still_has_an_answer(head):
    answer = build_ack(read_origin(head), AckCode.AR, control_id="R", timestamp="1")
    assert answer == b"MSH|^~\\&|||||1||ACK|R|P|2.5.1\rMSA|AR\r"


def test_origin_of_a_cut_header():
    head = b"\xef\xbb\xbf\r\nMSH|^~\\&|A|B|C|D|1||ORU^R01|99|P|2.3\nPI"
    assert read_origin(head).control_id == "99"


@pytest.mark.parametrize(
    ("condition", "ok", "failed"),
    [
        ("AL", True, True),
        ("NE", False, False),
        ("ER", False, True),
        ("SU", True, False),
        ("", False, False),
        ("??", True, True),
    ],
)
def test_table_0155(condition, ok, failed):
    assert is_wanted(condition, succeeded=True) is ok
    assert is_wanted(condition, succeeded=False) is failed


@pytest.mark.parametrize(("tail", "enhanced"), [(b"", False), (b"|||AL", True), (b"||||NE", True)])
def test_mode(tail, enhanced):
    assert origin_of(parse(MESSAGE.replace(b"\rPID", tail + b"\rPID"))).is_enhanced is enhanced


def test_every_error_code_has_its_text():
    assert set(ERROR_TEXT) == set(ErrorCode)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"MSH|^~\\&|A||||||ACK|9|P|2.5.1\rMSA|AA|42\r", Ack(AckCode.AA, "42", "", (), "9")),
        (
            b"MSH|^~\\&|A||||||ACK|9|P|2.3.1\nMSA|AR|42|no\nERR|MSH^1^9^200&x&y\n",
            Ack(AckCode.AR, "42", "no", (200,), "9"),
        ),
        (
            b"MSH|^~\\&|A||||||ORR^O02|9\rMSA|ae|42\rERR||PID^1^3|101^x^HL70357|E||||why\rERR|||207",
            Ack(AckCode.AE, "42", "why", (101, 207), "9"),
        ),
    ],
)
def test_reads_acknowledgements(data, expected):
    assert parse_ack(data) == expected


@pytest.mark.parametrize("data", [b"", b"MSH|^~\\&|A\r", b"MSH|^~\\&|A\rMSA|XX|1\r"])
def test_refuses_what_is_no_acknowledgement(data):
    with pytest.raises(RemoteProtocolError):
        parse_ack(data)


@given(st.sampled_from(list(AckCode)), st.sampled_from(list(ErrorCode)), st.text(max_size=20))
def test_reads_what_it_builds_and_so_does_python_hl7(code, error, text):
    data = build_ack(
        origin_of(parse(MESSAGE)),
        code,
        control_id="R1",
        timestamp="1",
        problems=[Problem(error, "", text)],
    )
    assert parse_ack(data).code is code
    assert parse_ack(data).error_codes == (error.value,)
    theirs = hl7.parse(data.decode())
    assert str(theirs.segment("MSA")[1]) == code.value
    assert str(theirs.segment("MSA")[2]) == "42"
    assert str(theirs.segment("ERR")[3][0][0]) == str(error.value)
