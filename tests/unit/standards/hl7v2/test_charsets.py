import pytest

from isocenter.standards.hl7v2 import charsets
from isocenter.standards.hl7v2.charsets import CharsetFlaw
from isocenter.standards.hl7v2.er7 import Flaw, parse


def message(body: bytes, charset: str = "") -> bytes:
    head = b"MSH|^~\\&|A|B|||2024||ADT^A08|1|P|2.5||||||" + charset.encode()
    return head + b"\rPID|1||7||" + body + b"^X\r"


@pytest.mark.parametrize(
    ("name", "codec", "text"),
    [
        ("8859/1", "iso8859-1", "Müller"),
        ("8859/2", "iso8859-2", "Dvořák"),
        ("8859/5", "iso8859-5", "Жизнь"),
        ("8859/7", "iso8859-7", "Διονυσιος"),
        ("8859/15", "iso8859-15", "Œuvre €"),
        ("UNICODE UTF-8", "utf-8", "Wang 王小东"),
        ("GB 18030-2000", "gb18030", "王小东"),
        ("KS X 1001", "euc_kr", "김희중"),
        ("BIG-5", "big5", "王小東"),
        ("ISO IR14", "shift_jis", "ﾔﾏﾀﾞ"),
        ("ISO-8859-1", "iso8859-1", "Müller"),
        ("utf8", "utf-8", "Müller"),
        ("windows-1252", "cp1252", "Müller €"),
    ],
)
def test_reads_the_set_that_msh_18_names(name, codec, text):
    read = parse(message(text.encode(codec), name))
    assert (read.text("PID-5.1"), read.text("PID-5.2"), read.flaws) == (text, "X", ())


@pytest.mark.parametrize(
    "names", ["ISO IR87", "~ISO IR87", "ASCII~ISO IR87~ISO IR159", "8859/1~ISO IR87"]
)
def test_reads_japanese_switched_to_with_escape_sequences(names):
    # 山 田 in JIS X 0208; bytes of this set may equal delimiters: 7C is one of them.
    read = parse(message(b"\x1b$B;3ED\x1b(B^\x1b$B;|\x1b(B", names))
    assert (read.text("PID-5.1"), read.text("PID-5.2"), read.text("PID-5.3")) == ("山田", "慈", "X")
    assert read.flaws == ()


def test_keeps_the_first_set_outside_escape_sequences():
    read = parse(message("Müller".encode("latin-1") + b" \x1b$B;3\x1b(B", "8859/1~ISO IR87"))
    assert read.text("PID-5.1") == "Müller 山"


def test_reads_korean_designated_to_g1():
    read = parse(message(b"\x1b$)C" + "김".encode("euc_kr"), "ASCII~KS X 1001"))
    assert read.text("PID-5.1") == "김"


@pytest.mark.parametrize(
    ("body", "name", "default", "text", "flaw"),
    [
        ("Zoë".encode(), "", None, "Zoë", Flaw.CHARSET_ASSUMED),
        ("Zoë".encode("latin-1"), "", None, "Zoë", Flaw.CHARSET_ASSUMED),
        ("Dvořák".encode("iso8859-2"), "", "8859/2", "Dvořák", None),
        ("Zoë".encode("latin-1"), "UNICODE UTF-8", None, "Zoë", Flaw.CHARSET_WRONG),
        ("Zoë".encode(), "ASCII", None, "Zoë", Flaw.CHARSET_WRONG),
        ("Zoë".encode(), "KLINGON", None, "Zoë", Flaw.CHARSET_UNKNOWN),
        ("Zoë".encode(), "base64", None, "Zoë", Flaw.CHARSET_UNKNOWN),
        (b"Zoe", "KLINGON", None, "Zoe", None),
    ],
)
def test_never_fails_on_a_wrong_set_and_says_so(body, name, default, text, flaw):
    data = message(body, name)
    read = parse(data, default_charset=default)
    assert (read.text("PID-5.1"), read.raw) == (text, data)
    assert read.flaws == ((flaw,) if flaw else ())


def test_table_0211_is_known():
    names = ["ASCII", *(f"8859/{n}" for n in range(1, 10)), "8859/15", "ISO IR6", "ISO IR14"]
    names += [
        "ISO IR87",
        "ISO IR159",
        "GB 18030-2000",
        "KS X 1001",
        "BIG-5",
        "UNICODE",
        "UNICODE UTF-8",
    ]
    assert [name for name in names if charsets.python_codec(name) is None] == []


@pytest.mark.parametrize(
    ("text", "preferred", "label"),
    [
        ("plain", "8859/1", ""),
        ("Müller", "8859/1", "8859/1"),
        ("Müller", "UNICODE UTF-8", "UNICODE UTF-8"),
        ("王", "8859/1", "UNICODE UTF-8"),
        ("Müller", "ASCII", "UNICODE UTF-8"),
        ("Müller", "KLINGON", "UNICODE UTF-8"),
    ],
)
def test_the_label_is_true(text, preferred, label):
    data, written = charsets.encode(text, preferred)
    assert written == label
    assert charsets.decode(data, [written])[0] == text
    assert charsets.decode(data, [written])[2] is None


def test_flaws_are_the_readers_flaws():
    assert {flaw.value for flaw in CharsetFlaw} <= {flaw.value for flaw in Flaw}
