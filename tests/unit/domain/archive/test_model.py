"""Values taken from received text, tolerantly."""

from datetime import date, time

import pytest

from isocenter.domain.archive import model
from isocenter.domain.archive.model import NotAnInstance

TAG = model.STUDY_DATE
WHOLE = {
    model.STUDY_INSTANCE_UID: "1.2",
    model.SERIES_INSTANCE_UID: "1.3 ",
    model.SOP_INSTANCE_UID: "1.4\0",
    model.SOP_CLASS_UID: "1.5",
}


def test_identity_without_padding():
    found = model.identify(WHOLE)
    assert (found.series_instance_uid, found.sop_instance_uid) == ("1.3", "1.4")


@pytest.mark.parametrize("tag", WHOLE)
@pytest.mark.parametrize("value", [None, "", " \0", "1.2.x", "1" * 65, "../etc", "1.2\n1.3"])
def test_no_identity(tag, value):
    attributes = dict(WHOLE)
    if value is None:
        del attributes[tag]
    else:
        attributes[tag] = value
    with pytest.raises(NotAnInstance):
        model.identify(attributes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260302", date(2026, 3, 2)),
        ("2026.03.02", date(2026, 3, 2)),
        ("20260302 ", date(2026, 3, 2)),
        ("20260231", None),
        ("2026", None),
        ("00000000", None),
        ("", None),
    ],
)
def test_dates(text, expected):
    assert model.date_of({TAG: text}, TAG) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("085959", time(8, 59, 59)),
        ("085959.5", time(8, 59, 59, 500_000)),
        ("08:59:59", time(8, 59, 59)),
        ("08", time(8)),
        ("0859", time(8, 59)),
        ("235960", time(23, 59, 59)),
        ("245959", None),
        ("noon", None),
    ],
)
def test_times(text, expected):
    assert model.time_of({TAG: text}, TAG) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7), (" +7 ", 7), ("-7", -7), ("7\\8", 7), ("7.0", None), ("9" * 12, None), ("", None)],
)
def test_integers(text, expected):
    assert model.integer_of({TAG: text}, TAG) == expected


def test_every_value_that_is_indexed_is_asked_for():
    tags = {
        value
        for name, value in vars(model).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    }
    assert tags == set(model.INDEXED_TAGS)
