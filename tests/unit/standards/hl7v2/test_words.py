"""Words of a message, and what two messages say differently."""

import pytest

from isocenter.standards.hl7v2.difference import differences
from isocenter.standards.hl7v2.er7 import parse
from isocenter.standards.hl7v2.words import WORDS_MAX, sought_words, words_in, words_of

ORDER = (
    b"MSH|^~\\&|EHR|GH|ISO|RAD|20261122101500||ORM^O01|17|P|2.5.1\r"
    b"PID|1||P1^^^GH||PHANTOM^ADA\r"
    b"ORC|NW|PLC-2026-001^EHR|F9\r"
    b"OBR|1|PLC-2026-001||CT1^CT Head \\T\\ neck|||||||||||||||||||||||||||fall\\.br\\pain\r"
)


def test_an_order_is_found_by_its_parts_and_as_a_whole():
    found = words_of(parse(ORDER))

    assert {"phantom", "ada", "p1", "plc-2026-001", "plc", "2026", "head", "neck"} <= set(found)
    assert {"order:plc-2026-001", "order:f9"} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Phantom", ["phantom"]),
        ("Straße-ÄÖ", ["strasse-äö", "strasse", "äö"]),
        ("(1.2.840)", ["1.2.840", "1", "2", "840"]),
        ("--- \t", []),
        ("x" * 65, []),
        ("QUJD" * 100, []),
    ],
)
def test_words_in_a_text(text, words):
    assert words_in(text) == words


def test_what_is_typed_is_looked_for_as_it_is_written():
    assert sought_words(" PLC-2026-001  Ada ") == ["plc-2026-001", "ada"]


def test_a_message_has_a_limited_number_of_words():
    many = b"~".join(b"w%d" % number for number in range(WORDS_MAX + 500))

    assert len(words_of(parse(ORDER + b"NTE|1||" + many + b"\r"))) <= WORDS_MAX + 2


def test_fields_that_differ_are_told_by_their_place():
    other = ORDER.replace(b"PHANTOM^ADA", b"PHANTOM^EVE").replace(b"NW|", b"XO|") + b"NTE|1||late\r"

    found = [
        (each.place, each.before, each.after) for each in differences(parse(ORDER), parse(other))
    ]

    assert found == [
        ("PID-5", "PHANTOM^ADA", "PHANTOM^EVE"),
        ("ORC-1", "NW", "XO"),
        ("NTE", "", "NTE|1||late"),
    ]


def test_other_delimiters_and_escapes_make_no_difference():
    said = b"MSH|^~\\&|A|B|C|D|1||ADT^A08|1|P|2.5\rPID|1||P1||A\\T\\B^C\r"
    same = b"MSH|^~\\&|A|B|C|D|1||ADT^A08|1|P|2.5\rPID|1||P1||A\\X26\\B^C^\r"

    assert differences(parse(said), parse(same)) == []


def test_repeated_segments_are_paired_in_their_turn():
    said = b"MSH|^~\\&|A|B|C|D|1||ORU^R01|1|P|2.5\rOBX|1|TX|||one\rOBX|2|TX|||two\r"

    found = differences(parse(said), parse(said.replace(b"two", b"three")))

    assert [(each.place, each.after) for each in found] == [("OBX[2]-5", "three")]
