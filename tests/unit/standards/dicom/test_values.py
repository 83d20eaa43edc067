"""Data sets as values: round trips, tolerances, strict writing; dates and names."""

# DT values without offset have no time zone: their moments are naive.
# ruff: noqa: DTZ001

import struct
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom import dictionary, uids
from isocenter.standards.dicom.part10_elements import TruncatedError
from isocenter.standards.dicom.values import (
    DataSet,
    Element,
    decimal_string,
    decode_dataset,
    encode_dataset,
    name_components,
    name_groups,
)
from isocenter.standards.dicom.values_temporal import (
    combine,
    format_date_time,
    parse_date,
    parse_date_time,
    parse_time,
)

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
IMPLICIT = uids.IMPLICIT_VR_LITTLE_ENDIAN
WORDS = st.text(st.sampled_from("ABcé山 -_.1"), max_size=10).map(str.strip)
UNSIGNED = st.integers(0, 65535)
# One public tag for each kind of VR, so that implicit VR finds the same VR again.
FIELDS = {
    "LO": (0x00100020, WORDS),
    "PN": (0x00100010, WORDS),
    "LT": (0x00104000, WORDS),
    "US": (0x00280010, UNSIGNED),
    "FD": (0x00189073, st.floats(allow_nan=False)),
    "SL": (0x00186020, st.integers(-(2**31), 2**31 - 1)),
    "AT": (0x00280009, st.integers(0, 2**32 - 1)),
    "UI": (0x0020000D, st.from_regex(r"1(\.[1-9][0-9]{0,3}){1,5}", fullmatch=True)),
    "OB": (0x00420011, st.binary(min_size=1, max_size=9).map(lambda b: b + b"\0" * (len(b) % 2))),
    "IS": (0x00200013, st.integers(-99, 99).map(str)),
}


def elements(vr: str):
    tag, values = FIELDS[vr]
    return st.tuples(
        st.just(tag), values.filter(lambda v: v != "").map(lambda v: Element(vr, (v,)))
    )


FLAT = st.lists(st.one_of([elements(vr) for vr in FIELDS]), max_size=6).map(DataSet)
NESTED = st.recursive(
    FLAT,
    lambda inner: st.lists(inner, min_size=1, max_size=2).map(
        lambda found: DataSet({0x00081140: Element("SQ", tuple(found))})
    ),
    max_leaves=5,
)


@given(NESTED, st.sampled_from([EXPLICIT, IMPLICIT, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN]))
def test_what_is_encoded_is_decoded(dataset, syntax):
    dataset[0x00080005] = Element("CS", ("ISO_IR 192",))
    assert decode_dataset(encode_dataset(dataset, syntax), syntax) == dataset


@given(FLAT, st.data())
def test_a_truncated_data_set_is_never_more_than_the_whole(dataset, data):
    dataset[0x00080005] = Element("CS", ("ISO_IR 192",))
    encoded = encode_dataset(dataset, EXPLICIT)
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        found = decode_dataset(encoded[:cut], EXPLICIT)
    except TruncatedError:
        return
    assert found.items() <= dataset.items()


def test_elements_come_in_ascending_order_with_even_lengths():
    dataset = DataSet()
    dataset.put("PatientID", "ABC")
    dataset.put("StudyInstanceUID", "1.2.3")
    dataset.put("AccessionNumber")
    encoded = encode_dataset(dataset, EXPLICIT)
    assert encoded == (
        b"\x08\x00\x50\x00SH\x00\x00"
        b"\x10\x00\x20\x00LO\x04\x00ABC "
        b"\x20\x00\x0d\x00UI\x06\x001.2.3\x00"
    )


def test_nested_items_may_have_a_character_set_of_their_own():
    outer, inner = DataSet(), DataSet()
    inner.put("SpecificCharacterSet", "ISO_IR 144")
    inner.put("PatientName", "Ж")
    outer.put("SpecificCharacterSet", "ISO_IR 100")
    outer.put("PatientName", "é")
    outer.put(0x00081140, inner)
    encoded = encode_dataset(outer, EXPLICIT)
    assert b"\xb6 " in encoded
    assert b"\xe9 " in encoded
    assert decode_dataset(encoded, EXPLICIT) == outer


def test_values_that_do_not_fit_are_refused():
    for keyword, value in [
        ("Rows", 70000),
        ("Rows", "x"),
        ("PatientID", "A\\B"),
        ("StudyInstanceUID", "é"),
        ("PatientName", "山"),
        ("PatientID", b"x"),
        ("ReferencedImageSequence", "x"),
        ("ExaminedBodyThickness", 1e300),
    ]:
        dataset = DataSet()
        dataset.put(keyword, value, vr="FL" if value == 1e300 else "")
        with pytest.raises(LocalProtocolError):
            encode_dataset(dataset, EXPLICIT)
    with pytest.raises(LocalProtocolError):
        encode_dataset(DataSet(), uids.EXPLICIT_VR_BIG_ENDIAN)
    with pytest.raises(LocalProtocolError):
        DataSet().put("NoSuchKeyword", 1)


def test_signed_pixels_make_ambiguous_elements_signed_in_implicit_vr():
    def implicit(tag, value):
        return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value

    smallest = implicit(0x00280106, struct.pack("<h", -5))
    signed = decode_dataset(implicit(0x00280103, b"\1\0") + smallest, IMPLICIT)
    assert signed[0x00280106] == Element("SS", (-5,))
    unsigned = decode_dataset(implicit(0x00280103, b"\0\0") + smallest, IMPLICIT)
    assert unsigned[0x00280106] == Element("US", (65531,))


def test_a_value_whose_length_does_not_fit_is_kept_as_bytes():
    data = struct.pack("<HH2sH", 0x0028, 0x0010, b"US", 3) + b"abc"
    assert decode_dataset(data, EXPLICIT)[0x00280010] == Element("UN", (b"abc",))


def test_a_value_too_long_for_its_vr_goes_as_un():
    dataset = DataSet()
    dataset.put("DoseReferencePointCoordinates", *["1.25"] * 20000)
    found = decode_dataset(encode_dataset(dataset, EXPLICIT), EXPLICIT)
    assert found == dataset


def test_encapsulated_icons_survive():
    icon = DataSet({0x7FE00010: Element("OB", (b"\xfe\xff\0\xe0\0\0\0\0",), encapsulated=True)})
    dataset = DataSet({0x00880200: Element("SQ", (icon,))})
    encoded = encode_dataset(dataset, EXPLICIT)
    assert encoded.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert decode_dataset(encoded, EXPLICIT) == dataset


@given(st.floats(-1e300, 1e300))
def test_decimal_strings_fit_in_sixteen_characters(value):
    text = decimal_string(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-8, abs=0)


def test_names_fall_into_groups_and_components():
    groups = name_groups("Phantom^Ada^^Dr^^=山田^太郎=やまだ^たろう")
    assert groups == ("Phantom^Ada^^Dr", "山田^太郎", "やまだ^たろう")
    assert name_components(groups.alphabetic) == ("Phantom", "Ada", "", "Dr", "")
    assert name_groups("") == ("", "", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260228", date(2026, 2, 28)),
        ("2026.02.28", date(2026, 2, 28)),
        ("2026-02-28", date(2026, 2, 28)),
        ("20260229", None),
        ("2026022", None),
        ("202602281", None),
        ("", None),
    ],
)
def test_dates(text, expected):
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        ("14", time(14), time(14, 59, 59, 999999)),
        ("1430", time(14, 30), time(14, 30, 59, 999999)),
        ("143015", time(14, 30, 15), time(14, 30, 15, 999999)),
        ("14:30:15", time(14, 30, 15), time(14, 30, 15, 999999)),
        ("143015.5", time(14, 30, 15, 500000), time(14, 30, 15, 599999)),
        ("143015.123456", time(14, 30, 15, 123456), time(14, 30, 15, 123456)),
        ("235960", time(23, 59, 59), time(23, 59, 59, 999999)),
    ],
)
def test_times_are_spans(text, earliest, latest):
    assert parse_time(text) == (earliest, latest)


@pytest.mark.parametrize("text", ["25", "1", "143", "146000", "abc", ""])
def test_what_is_no_time(text):
    assert parse_time(text) is None


def test_date_times_are_spans_with_their_zone():
    assert parse_date_time("2024") == (
        datetime(2024, 1, 1),
        datetime(2024, 12, 31, 23, 59, 59, 999999),
    )
    assert parse_date_time("202402").latest.day == 29
    zone = timezone(timedelta(hours=-5))
    assert parse_date_time("2024021510-0500").earliest == datetime(2024, 2, 15, 10, tzinfo=zone)
    assert parse_date_time("20240215+0000").earliest.tzinfo is UTC
    for text in ("20241301", "2024+9900", "24", "2024021510-05"):
        assert parse_date_time(text) is None


@given(st.datetimes(min_value=datetime(1000, 1, 1)))
def test_moments_round_trip(moment):
    aware = moment.replace(tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert parse_date_time(format_date_time(aware)).earliest == aware
    assert parse_date_time(format_date_time(moment)).earliest == moment


def test_a_date_without_a_time_is_its_beginning():
    assert combine("20260101", "") == datetime(2026, 1, 1)
    assert combine("", "12") is None


def test_dictionary_facts():
    assert dictionary.tag_of("PatientID") == 0x00100020
    assert dictionary.keyword_of(0x60023000) == "OverlayData"
    assert dictionary.vr_of(0x60023000) == "OW"
    assert dictionary.vr_of(0x00090010) == "LO"
    assert dictionary.vr_of(0x00091010) == "UN"
    assert dictionary.vr_of(0x00200000) == "UL"
    assert dictionary.entry(0x00280106).vrs == ("US", "SS")
    assert dictionary.keyword_of(0x00091010) is None
    with pytest.raises(KeyError):
        dictionary.tag_of("NoSuchKeyword")


def test_uid_facts():
    assert uids.transfer_syntax(uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN).deflated
    assert not uids.transfer_syntax(uids.EXPLICIT_VR_BIG_ENDIAN).little_endian
    assert uids.transfer_syntax(uids.JPEG_BASELINE).may_lose_detail
    assert not uids.transfer_syntax(uids.HTJ2K_LOSSLESS_RPCL).may_lose_detail
    assert uids.transfer_syntax("1.2.3.4").encapsulated
    assert "1.2.840.10008.5.1.4.1.1.2" in uids.storage_classes()
    assert uids.STORAGE_COMMITMENT_PUSH_MODEL not in uids.storage_classes()
    assert len(uids.storage_classes()) > 150


@pytest.mark.parametrize(
    ("uid", "valid"),
    [
        ("1.2.840.10008.1.1", True),
        ("0", True),
        ("1.02", False),
        ("1..2", False),
        ("1.2.", False),
        ("", False),
        ("1." + "2" * 62, True),
        ("1." + "2" * 63, False),
    ],
)
def test_the_form_of_uids(uid, valid):
    assert uids.is_valid(uid) is valid
