from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards.hl7v2 import datatypes
from isocenter.standards.hl7v2.datatypes import (
    AssigningAuthority,
    Code,
    Identifier,
    Person,
    Precision,
)
from isocenter.standards.hl7v2.er7 import Composite, parse
from isocenter.standards.hl7v2.escapes import DEFAULT_SYNTAX

BERLIN = ZoneInfo("Europe/Berlin")
EARLIEST, LATEST = (
    d.replace(tzinfo=None)
    for d in (datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 28, tzinfo=UTC))
)


def field(raw: str) -> Composite:
    return Composite(raw, DEFAULT_SYNTAX)


def names(raw: str) -> list[Composite]:
    return parse(b"MSH|^~\\&|\rPID|||||" + raw.encode()).first("PID").fields(5)


@pytest.mark.parametrize(
    ("text", "value", "precision", "has_offset"),
    [
        ("2024", datetime(2024, 1, 1, tzinfo=BERLIN), Precision.YEAR, False),
        ("202403", datetime(2024, 3, 1, tzinfo=BERLIN), Precision.MONTH, False),
        ("20240317", datetime(2024, 3, 17, tzinfo=BERLIN), Precision.DAY, False),
        ("2024031708", datetime(2024, 3, 17, 8, tzinfo=BERLIN), Precision.HOUR, False),
        ("202403170815", datetime(2024, 3, 17, 8, 15, tzinfo=BERLIN), Precision.MINUTE, False),
        (
            "20240317081530",
            datetime(2024, 3, 17, 8, 15, 30, tzinfo=BERLIN),
            Precision.SECOND,
            False,
        ),
        (
            "20240317081530.25",
            datetime(2024, 3, 17, 8, 15, 30, 250000, tzinfo=BERLIN),
            Precision.FRACTION,
            False,
        ),
        (
            "20210817151943.4+0200",
            datetime(2021, 8, 17, 13, 19, 43, 400000, tzinfo=UTC),
            Precision.FRACTION,
            True,
        ),
        ("198808181126+0215", datetime(1988, 8, 18, 9, 11, tzinfo=UTC), Precision.MINUTE, True),
        ("20240317-0500", datetime(2024, 3, 17, 5, tzinfo=UTC), Precision.DAY, True),
    ],
)
def test_reads_dates_and_times(text, value, precision, has_offset):
    moment = datatypes.parse_dtm(text, BERLIN)
    assert (moment.value, moment.precision, moment.has_offset) == (value, precision, has_offset)


def test_default_zone_follows_summer_time():
    assert datatypes.parse_dtm("20240701120000", BERLIN).value.astimezone(UTC).hour == 10
    assert datatypes.parse_dtm("20240101120000", BERLIN).value.astimezone(UTC).hour == 11


def test_birth_date_is_the_stated_day_whatever_the_offset():
    assert datatypes.parse_dtm("198808182330-0800", UTC).date == date(1988, 8, 18)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "20241301",
        "20240230",
        "2024010125",
        "x",
        "٢٠٢٤",
        "20240101+9999",
        "00000101",
        "0001010100+1400",
    ],
)
def test_what_is_no_date_is_none(text):
    assert datatypes.parse_dtm(text, UTC) is None


@given(
    st.datetimes(min_value=EARLIEST, max_value=LATEST),
    st.integers(-14 * 60, 14 * 60),
)
def test_formats_what_it_reads(value, minutes):
    aware = value.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    assert datatypes.parse_dtm(datatypes.format_dtm(aware), BERLIN).value == aware


def test_cx():
    raw = "1234567^4^M11^test&1.2.3&ISO^MR^University Hospital"
    assert datatypes.cx(field(raw)) == Identifier(
        "1234567", AssigningAuthority("test", "1.2.3", "ISO"), "MR"
    )
    assert datatypes.cx(field("77")) == Identifier("77")
    assert not datatypes.cx(field("77")).authority


def test_ei():
    authority = datatypes.ei(field("1101^GHHPlacer^1.2^ISO")).authority
    assert authority == AssigningAuthority("GHHPlacer", "1.2", "ISO")


def test_codes():
    assert datatypes.ce(field("24725-4^CT Head^LN")) == Code("24725-4", "CT Head", "LN")
    assert datatypes.ce(field("^^^A1^Local^L")) == Code("A1", "Local", "L")
    assert datatypes.ce_alternate(field("a^b^c^d^e^f")) == Code("d", "e", "f")


def test_xcn():
    raw = "0310^REFER^LINDA^C^Jr^Dr^MD"
    assert datatypes.xcn(field(raw)) == Person("0310", "REFER^LINDA^C^Dr^Jr MD")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Phantom^Ada", "Phantom^Ada"),
        ("Phantom^Ada^M^III^Dr^PhD", "Phantom^Ada^M^Dr^III PhD"),
        ("van Test&van&Test^Ada", "van Test^Ada"),
        ("Phantom", "Phantom"),
        ("Alias^A^^^^^A~Phantom^Ada^^^^^L", "Phantom^Ada"),
        (
            "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        ("A\\S\\B=C^D\\E\\E", "A B C^D E"),
        ('""', ""),
        ("", ""),
    ],
)
def test_person_names(raw, name):
    assert datatypes.xpn(names(raw)) == name


def test_person_name_back_to_xpn():
    assert datatypes.xpn_of("Phantom^Ada^M^Dr^III=X^Y") == ("Phantom", "Ada", "M", "III", "Dr")


def test_address():
    assert datatypes.xad(field("1 Main St^Apt 2^Town^ST^12345^DEU")).postal_code == "12345"
