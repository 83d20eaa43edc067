"""Which ways of straying from the standard a peer can have."""

import pytest

from isocenter.domain.peers.model import BadPeer
from isocenter.domain.peers.model_quirks import (
    QUIRKS,
    AnswerForm,
    answer_form_of,
    check_quirks,
    reading_of,
)
from isocenter.standards.dicom.character_sets import can_encode, is_known
from isocenter.standards.dicom.text_reading import AS_DECLARED
from isocenter.standards.dicom.transliteration import nearest


def test_every_policy_does_something():
    for name in QUIRKS:
        check_quirks([name])
        changes_reading = reading_of([name]) != AS_DECLARED
        changes_answers = answer_form_of([name]) != AnswerForm()
        elsewhere = name in {"names-begin", "not-told-again"}
        assert changes_reading or changes_answers or elsewhere, name
        assert is_known(reading_of([name]).assumed)


@pytest.mark.parametrize(
    "quirks",
    [["assume-klingon"], ["assume-latin-1", "assume-latin-2"], list(QUIRKS)],
)
def test_what_cannot_be_true_is_refused(quirks):
    with pytest.raises(BadPeer):
        check_quirks(quirks)


@pytest.mark.parametrize(
    ("quirk", "data", "declared", "text"),
    [
        ("assume-latin-1", b"M\xfcller", (), "Müller"),
        ("assume-latin-2", b"\xa3ukasz", (), "Łukasz"),
        ("assume-latin-2", b"\xa3ukasz", ("ISO_IR 100",), "£ukasz"),
        ("assume-cyrillic", b"\xb8\xd2\xd0\xdd\xde\xd2", (), "Иванов"),
        ("assume-greek", b"\xc4\xe9\xef\xed", (), "Διον"),
        ("assume-turkish", b"\xddnci", (), "İnci"),
        ("assume-hebrew", b"\xf9\xf8\xe5\xef", (), "שרון"),
        ("assume-arabic", b"\xe2\xc8\xc7\xe6\xea", (), "قباني"),
        ("assume-thai", b"\xca\xc1\xaa\xd2\xc2", (), "สมชาย"),
        ("assume-japanese", b"\xd4\xcf\xc0\xde", (), "ﾔﾏﾀﾞ"),
        ("assume-chinese", b"\xcd\xf5", (), "王"),
        ("utf-8-mislabelled", "Müller^Ł".encode(), ("ISO_IR 100",), "Müller^Ł"),
        ("utf-8-mislabelled", b"M\xfcller", ("ISO_IR 100",), "Müller"),
    ],
)
def test_text_is_read_as_the_device_means_it(quirk, data, declared, text):
    read = reading_of([quirk]).decode(data, declared, vr="PN").text
    assert read == text


@pytest.mark.parametrize(
    ("text", "terms", "expected"),
    [
        ("Łukasz^Żółć", (), "Lukasz^Zolc"),
        ("Müller", ("ISO_IR 100",), "Müller"),
        ("Łukasz^Müller", ("ISO_IR 100",), "Lukasz^Müller"),
        ("Straße", (), "Strasse"),
        ("Mu\u0308ller", (), "Muller"),
        ("山田", ("ISO_IR 100",), "??"),
    ],
)
def test_text_is_brought_into_what_a_reader_has(text, terms, expected):
    assert nearest(text, terms) == expected
    assert can_encode(expected, terms)
