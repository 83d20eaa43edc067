"""Character sets: the standard's own examples, every term, strict writing, tolerant reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom import character_sets as cs

ESC = b"\x1b"
# PS3.5 Annexes H, I, J, K: names with their encodings, byte by byte.
EXAMPLES = [
    (
        ("", "ISO 2022 IR 87"),
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou="
        + ESC
        + b"$B;3ED"
        + ESC
        + b"(B^"
        + ESC
        + b"$BB@O:"
        + ESC
        + b"(B="
        + ESC
        + b"$B$d$^$@"
        + ESC
        + b"(B^"
        + ESC
        + b"$B$?$m$&"
        + ESC
        + b"(B",
    ),
    (
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3="
        + ESC
        + b"$B;3ED"
        + ESC
        + b"(J^"
        + ESC
        + b"$BB@O:"
        + ESC
        + b"(J="
        + ESC
        + b"$B$d$^$@"
        + ESC
        + b"(J^"
        + ESC
        + b"$B$?$m$&"
        + ESC
        + b"(J",
    ),
    (
        ("", "ISO 2022 IR 149"),
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong="
        + ESC
        + b"$)C\xfb\xf3^"
        + ESC
        + b"$)C\xd1\xce\xd4\xd7="
        + ESC
        + b"$)C\xc8\xab^"
        + ESC
        + b"$)C\xb1\xe6\xb5\xbf",
    ),
    (
        ("", "ISO 2022 IR 58"),
        "Zhang^XiaoDong=张^小东=",
        b"Zhang^XiaoDong=" + ESC + b"$)A\xd5\xc5^" + ESC + b"$)A\xd0\xa1\xb6\xab=",
    ),
    (("ISO_IR 192",), "Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东".encode()),
    (("GB18030",), "Wang^XiaoDong=王^小东", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab"),
    (("ISO_IR 144",), "Люксембург", b"\xbb\xee\xda\xe1\xd5\xdc\xd1\xe3\xe0\xd3"),
    (("ISO_IR 126",), "Διονυσιος", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2"),
    (("ISO_IR 127",), "قباني^لنزار", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1"),
    (("ISO_IR 138",), "שרון^דבורה", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4"),
    (("ISO_IR 100",), "Buc^Jérôme", b"Buc^J\xe9r\xf4me"),
]


@pytest.mark.parametrize(("terms", "text", "data"), EXAMPLES)
def test_examples_of_the_standard_both_ways(terms, text, data):
    assert cs.decode(data, terms, vr="PN") == (text, True)
    assert cs.encode(text, terms, vr="PN") == data


SAMPLES = {
    "100": "é", "101": "ł", "109": "ħ", "110": "ā", "144": "Ж", "127": "ع", "126": "Ω",
    "138": "א", "148": "ğ", "203": "€", "13": "ｱ", "166": "ก", "87": "山", "159": "丂",
    "149": "홍", "58": "张",
}  # fmt: skip


@pytest.mark.parametrize("number", SAMPLES)
def test_every_term_of_the_tables_with_code_extensions(number):
    text = f"A{SAMPLES[number]}B^{SAMPLES[number]}"
    for terms in ((f"ISO 2022 IR {number}",), ("ISO 2022 IR 6", f"ISO 2022 IR {number}")):
        encoded = cs.encode(text, terms, vr="PN")
        assert cs.decode(encoded, terms, vr="PN") == (text, True)


@pytest.mark.parametrize("number", [n for n in SAMPLES if n not in {"87", "159", "149", "58"}])
def test_every_single_byte_term_without_code_extensions(number):
    encoded = cs.encode(SAMPLES[number], (f"ISO_IR {number}",))
    assert len(encoded) == 1
    assert cs.decode(encoded, (f"ISO_IR {number}",)) == (SAMPLES[number], True)


def test_sets_are_switched_within_one_value_and_restored_at_delimiters():
    terms = ("ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 87")
    text = "éЖ山é\\Ж^é"
    encoded = cs.encode(text, terms, vr="PN")
    assert cs.decode(encoded, terms, vr="PN") == (text, True)
    # Before each delimiter the sets of value 1 are designated again (PS3.5 6.1.2.5.3).
    assert b"\x1b-A\xe9\x1b(B\\" in encoded
    assert b"\xb6\x1b-A^" in encoded


@pytest.mark.parametrize(
    "spelling",
    ["ISO_IR 144", "ISO-IR 144", "ISO IR 144", "iso_ir 144", "ISO 2022 IR 144", "ISO_IR_144"],
)
def test_misspelt_terms_are_understood(spelling):
    assert cs.decode(b"\xbb", (spelling,)).text == "Л"


def test_undeclared_bytes_are_guessed_and_flagged():
    assert cs.decode("Jérôme".encode(), ()) == ("Jérôme", False)
    assert cs.decode("Jérôme".encode("latin-1"), ()) == ("Jérôme", False)
    assert cs.decode(b"\xff\xff", ("ISO_IR 192",)) == ("\ufffd\ufffd", False)
    assert cs.decode(b"\xe9", ("NO SUCH SET",)) == ("é", False)


@given(
    st.binary(max_size=60),
    st.sampled_from([
        (),
        ("ISO_IR 100",),
        ("", "ISO 2022 IR 87"),
        ("ISO_IR 192",),
        ("GBK",),
        ("X",),
    ]),
    st.sampled_from(["PN", "LO", "LT"]),
)
def test_decoding_never_fails(data, terms, vr):
    assert isinstance(cs.decode(data, terms, vr=vr).text, str)


ALPHABET = st.text(st.sampled_from("Ab ^=\\éЖŁ山田ｱ홍洪张ก€Ωא"), max_size=24)
ALL_TERMS = ("", *(f"ISO 2022 IR {n}" for n in SAMPLES))


@given(
    ALPHABET,
    st.sampled_from([ALL_TERMS, ("ISO_IR 192",), ("GB18030",)]),
    st.sampled_from(["PN", "LO"]),
)
def test_what_is_written_is_read_back(text, terms, vr):
    assert cs.decode(cs.encode(text, terms, vr=vr), terms, vr=vr) == (text, True)


def test_writing_names_the_character_that_does_not_fit():
    with pytest.raises(cs.NotRepresentableError) as caught:
        cs.encode("Jér山", ("ISO_IR 100",))
    assert caught.value.character == "山"
    assert "U+5C71" in str(caught.value)
    with pytest.raises(LocalProtocolError):
        cs.encode("a", ("NO SUCH SET",))


def test_the_answer_comes_in_the_requested_set_or_in_utf_8():
    assert cs.choose(["Müller"], ("ISO_IR 100",)) == ("ISO_IR 100",)
    assert cs.choose(["山田"], ("ISO_IR 100",)) == ("ISO_IR 192",)
    assert cs.choose(["Doe"], ("NO SUCH SET",)) == ()
    assert cs.best_for(["Doe"]) == ()
    assert cs.best_for(["Müller"]) == ("ISO_IR 100",)
    assert cs.best_for(["Müller", "山"]) == ("ISO_IR 192",)


def test_an_empty_first_term_is_kept():
    assert cs.terms("\\ISO 2022 IR 87 ") == ("", "ISO 2022 IR 87")
    assert cs.terms(" ") == ()
