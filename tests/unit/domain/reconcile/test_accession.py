"""Whether two accession numbers are the same: what sites do to numbers on their way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.domain.reconcile.model import (
    NumberAgreement,
    accession_key,
    accession_keys,
    compare_accession_numbers,
)

SAME, FORM = NumberAgreement.SAME, NumberAgreement.SAME_IN_ANOTHER_FORM
OTHER, UNKNOWN = NumberAgreement.DIFFERENT, NumberAgreement.UNKNOWN

TABLE = {
    "equal": ("A123", "A123", (), SAME),
    "padded": (" A123 ", "A123", (), SAME),
    "padded with NUL": ("A123\0", "A123", (), SAME),
    "case": ("a123", "A123", (), SAME),
    "full-width digits of a Japanese keyboard": ("\uff11\uff12\uff13", "123", (), SAME),
    "leading zeros": ("000123", "123", (), FORM),
    "leading zeros behind letters": ("RAD000123", "RAD123", (), FORM),
    "separators": ("2026-000-17", "202600017", (), FORM),
    "zeros inside count": ("1023", "123", (), OTHER),
    "trailing zeros count": ("1230", "123", (), OTHER),
    "only zeros are not nothing": ("000", "0", (), FORM),
    "a prefix that the site uses": ("RAD123", "123", ("RAD",), FORM),
    "the order has the prefix": ("123", "rad-00123", ("RAD",), FORM),
    "a prefix that the site does not use": ("RAD123", "123", ("CT",), OTHER),
    "an asterisk is no wildcard": ("A12*", "A123", (), OTHER),
    "a question mark is no wildcard": ("A12?", "A123", (), OTHER),
    "an asterisk is not even itself": ("A12*", "A12*", (), OTHER),
    "none": ("", "A123", (), UNKNOWN),
    "blank": ("  ", "A123", (), UNKNOWN),
    "absent": (None, "A123", (), UNKNOWN),
}


@pytest.mark.parametrize(("said", "ordered", "prefixes", "expected"), TABLE.values(), ids=TABLE)
def test_numbers_are_compared_by_what_they_mean(said, ordered, prefixes, expected):
    assert compare_accession_numbers(said, ordered, prefixes=prefixes) is expected


@pytest.mark.parametrize(
    ("issuers", "expected"),
    [
        (("HOSP", "HOSP"), SAME),
        (("hosp ", "HOSP"), SAME),
        (("HOSP", "CLINIC"), NumberAgreement.OTHER_ISSUER),
        ((None, "CLINIC"), SAME),
        (("HOSP", ""), SAME),
    ],
)
def test_a_number_of_another_issuer_is_another_number(issuers, expected):
    assert compare_accession_numbers("A1", "A1", issuers=issuers) is expected


numbers = st.text(alphabet="0123456789ABab-_ ./*?", min_size=1, max_size=16)
prefixes = st.lists(st.sampled_from(["RAD", "A", "B", "CT-"]), max_size=2)


@given(said=numbers, ordered=numbers, known=prefixes)
def test_numbers_that_agree_are_found_by_their_keys(said, ordered, known):
    if compare_accession_numbers(said, ordered, prefixes=known) in {SAME, FORM}:
        assert accession_key(ordered) in accession_keys(said, known)


@given(said=numbers, zeros=st.integers(0, 4))
def test_leading_zeros_never_matter(said, zeros):
    digits = "".join(each for each in said if each.isdigit()) or "1"
    assert accession_key("0" * zeros + digits) == accession_key(digits)
