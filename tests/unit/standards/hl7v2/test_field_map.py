"""Field maps: what each rule does to which message, and what is no map."""

import pytest

from isocenter.standards.hl7v2 import writer
from isocenter.standards.hl7v2.er7 import parse
from isocenter.standards.hl7v2.field_map import (
    BadFieldMap,
    apply_map,
    parse_map,
    parse_received_map,
)

SEGMENTS = (
    r"MSH|^~\&|ISO|RAD|EHR|HOSP|20260301||ORU^R01^ORU_R01|1|P|2.5.1",
    "PID|1||123^^^HOSP^MR~9^^^OTHER^PI||Phantom^Ada",
    "PV1|1|||||||||||||||||V77",
    "OBR|1|P1|A1|CTHEAD^CT of the head^L||||||||||||||A1||||||CT|F",
    "OBX|1|HD|113014^DICOM Study^DCM||1.2.3||||||F",
    "OBX|2|TX|18748-4^^LN||Clear & dry||||||F|||20260301||u1^Reader",
)


def mapped(text, segments=SEGMENTS):
    return apply_map(parse_map(text), segments)


@pytest.mark.parametrize(
    ("rule", "line", "expected"),
    [
        ('"PID-18" = { copy = "PV1-18" }', 1, SEGMENTS[1] + "|" * 13 + "V77"),
        ('"MSH-6" = "RADIO|LOGY"', 0, SEGMENTS[0].replace("|HOSP|", r"|RADIO\F\LOGY|")),
        ('"PV1-2" = { default = "O" }', 2, SEGMENTS[2].replace("PV1|1||", "PV1|1|O|")),
        ('"PV1-18" = { default = "O" }', 2, SEGMENTS[2]),
        (
            '"OBR-4" = { codes = { CTHEAD = "70450" } }',
            3,
            SEGMENTS[3].replace("CTHEAD^", "70450^"),
        ),
        (
            '"OBR-24" = { codes = { MR = "2" }, otherwise = "9" }',
            3,
            SEGMENTS[3].replace("|CT|", "|9|"),
        ),
        (
            '"OBR-24" = { codes = { MR = "2" }, otherwise = "empty" }',
            3,
            SEGMENTS[3].replace("|CT|", "||"),
        ),
        ('"OBR-24" = { codes = { MR = "2" } }', 3, SEGMENTS[3]),
        ('"ORU:OBX-16" = { empty = true }', 5, SEGMENTS[5].removesuffix("||u1^Reader")),
        ('"ORU^R01:OBX[2]-11" = "C"', 5, SEGMENTS[5].replace("|F|", "|C|")),
        (
            '"PID-3.4.2" = "1.2"',
            1,
            SEGMENTS[1].replace("HOSP", "HOSP&1.2").replace("OTHER", "OTHER&1.2"),
        ),
        (
            '"PID-3.5" = { codes = { PI = "X", MR = "PT" } }',
            1,
            SEGMENTS[1].replace("^MR", "^PT").replace("^PI", "^X"),
        ),
        ('"OBR-2" = { copy = "OBR-3" }', 3, SEGMENTS[3].replace("|P1|A1|", "|A1|A1|")),
        ('"PID-2" = { copy = "OBX[2]-16.1" }', 1, SEGMENTS[1].replace("PID|1||", "PID|1|u1|")),
    ],
)
def test_each_kind_of_rule_changes_its_place_alone(rule, line, expected):
    after = mapped(rule)
    assert after[line] == expected
    assert [each for n, each in enumerate(after) if n != line] == [
        each for n, each in enumerate(SEGMENTS) if n != line
    ]


def test_rules_are_done_in_their_order_and_see_each_other():
    first, second = '"PID-18" = "7"', '"PID-19" = { copy = "PID-18" }'
    after = mapped(f'{first}\n{second}\n"ORU:PID-18" = {{ empty = true }}')
    assert after[1].endswith("||7")
    assert parse(writer.assembled(after)).first("PID").text(18) == ""


ORDERS = (
    SEGMENTS[0].replace("ORU^R01^ORU_R01", "ORM^O01"),
    "PID|1||123",
    "PV1|1|I",
    "ORC|NW|1",
    "OBR|1|1",
    "ZBR|A1",
    "ORC|NW|2",
    "OBR|1|2",
    "ORC|NW|3",
    "OBR|1|3",
    "ZBR|A3",
)


def test_what_is_copied_into_a_group_is_its_own_and_never_anothers():
    after = mapped('"OBR-3" = { copy = "ZBR-1" }', ORDERS)
    assert [each for each in after if each[:3] == "OBR"] == ["OBR|1|1|A1", "OBR|1|2", "OBR|1|3|A3"]
    after = mapped('"OBR-3" = { copy = "PV1-2" }', ORDERS)  # what is said of all is said of each
    assert [each for each in after if each[:3] == "OBR"] == [f"OBR|1|{n}|I" for n in (1, 2, 3)]


def test_a_map_writes_the_delimiters_of_the_message():
    message = parse(b"MSH#*!\\%#A#B#C#D#20260302##ADT*A08#1#P#2.5\rPID#1##7*M!8*N##X*Y%Z\r")
    rules = parse_map('"ADT:PID-3.2" = { codes = { M = "a#b" } }\n"PID-5.2.2" = "Q"\n"PV1-2" = "O"')
    lines = apply_map(rules, [each.raw for each in message.segments], message.syntax)
    assert lines[1] == "PID#1##7*a\\F\\b!8*N##X*Y%Q"
    assert parse_map('"MSH-9.2" = "A08"') == parse_received_map('"MSH-9.2" = "A08"')


@pytest.mark.parametrize("number", [3, 4, 5, 6, 8, 13, 15, 16])
def test_who_speaks_and_how_it_is_answered_is_not_for_a_map_of_what_comes_in(number):
    parse_map(f'"MSH-{number}" = "x"')
    with pytest.raises(BadFieldMap, match=f"MSH-{number}"):
        parse_received_map(f'"MSH-{number}" = "x"')


def test_a_segment_is_left_out_and_nothing_else():
    assert mapped('"OBX[1]" = { empty = true }') == [*SEGMENTS[:4], SEGMENTS[5]]


@pytest.mark.parametrize("rule", ['"ADT:PID-5" = "x"', '"ORU^R03:PID-5" = "x"', '"ZDS-1" = "x"'])
def test_rules_of_other_messages_and_segments_do_nothing(rule):
    assert mapped(rule) == list(SEGMENTS)


@pytest.mark.parametrize(
    "text",
    [
        "PID-18 = ",
        '"PID" = "x"',
        '"PID-0" = "x"',
        '"PID-999" = "x"',
        '"MSH-18" = "UNICODE UTF-8"',
        '"MSH-10" = "1"',
        '"MSH" = { empty = true }',
        '"PID-18" = { copy = "PV1" }',
        '"PID-18" = { copy = "PV1-19", text = "x" }',
        '"PID-18" = { run = "x" }',
        '"PID-18" = { codes = { A = 1 } }',
        '"PID-18" = { codes = "A" }',
        '"PID-18" = { empty = false }',
        '"PID-18" = { text = "x", otherwise = "keep" }',
        '"PID-18" = 18',
        f'"PID-18" = "{"x" * 1001}"',
        "\n".join(f'"PID-18.{n}" = "x"' for n in range(1, 100)) + '\n"PID-1"="x"\n"PID-2"="x"',
    ],
)
def test_what_is_no_map_is_refused_with_a_reason(text):
    with pytest.raises(BadFieldMap):
        parse_map(text)


def test_the_character_set_of_what_a_map_says_is_labelled():
    message = parse(writer.assembled(mapped('"PID-5.1" = "Überall"'), charset="8859/1"))
    assert (message.header.text(18), message.first("PID").text(5, 1)) == ("8859/1", "Überall")
