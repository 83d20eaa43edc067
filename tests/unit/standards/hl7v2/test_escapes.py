import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards.hl7v2.escapes import Syntax, escape, unescape


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"one\.br\two\.BR\three", "one\ntwo\nthree"),
        (r"\X41\\X4243\\X0D\ ", "ABC\r "),
        (r"\XC3\\X9F\ ", "ß "),
        (r"\XC39F\ ", "ß "),
        (r"\H\bold\N\ ", r"\H\bold\N\ "),
        (r"\C2842\ \M2442\ \M244344\ ", r"\C2842\ \M2442\ \M244344\ "),
        (r"\Zlocal\F\ ", r"\Zlocal\F\ "),
        (r"\.sp+2\F\F", r"\.sp+2\F\F"),
        (r"\XC7\\XC3\ ", r"\XC7\\XC3\ "),
        (r"\XC7\\XC3", r"\XC7\\XC3"),
        (r"\X4\ \XGG\ \X00\ ", r"\X4\ \XGG\ \X00\ "),
        ("C:\\dir\\file", "C:\\dir\\file"),
        ("trailing\\", "trailing\\"),
        ("", ""),
    ],
)
def test_unescapes(escaped, text):
    assert unescape(escaped) == text


def test_unescapes_with_the_delimiters_of_the_message():
    syntax = Syntax("#", "@", "*", "!", "$")
    assert unescape("a!F!b!S!c!R!d!E!e!T!f\\F\\", syntax) == "a#b@c*d!e$f\\F\\"


def test_no_escape_character_means_no_escapes():
    assert unescape("\\F\\", Syntax(escape="", subcomponent="")) == "\\F\\"


@given(st.text())
def test_escaping_loses_nothing_but_nul(text):
    escaped = escape(text)
    assert unescape(escaped) == text.replace("\x00", "")
    assert not set("|^~&\r\n\x0b\x1c") & set(escaped)


@given(st.text(alphabet=st.sampled_from("|^~&\\ABXZH.br0\n€")))
def test_python_hl7_reads_what_we_escape(text):
    message = hl7.parse("MSH|^~\\&|\rOBX|1\r")
    # python-hl7 leaves hexadecimal and .br to its caller: compare the delimiters.
    theirs = message.unescape(escape(text.replace("\n", "")))
    assert theirs == text.replace("\n", "")


@given(st.text(alphabet=st.sampled_from("|^~&ab cE")))
def test_we_read_what_python_hl7_escapes(text):
    message = hl7.parse("MSH|^~\\&|\rOBX|1\r")
    assert unescape(message.escape(text)) == text
