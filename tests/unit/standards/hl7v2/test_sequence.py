"""MSH-13: what is next, what starts the link, what is out of order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards.hl7v2.sequence import Sequence, judge, stated


@pytest.mark.parametrize(
    ("number", "last", "sequence", "expected"),
    [
        (0, None, Sequence.START, -1),
        (0, 41, Sequence.START, 42),
        (-1, 41, Sequence.RESET, -1),
        (42, 41, Sequence.NEXT, 43),
        (7, None, Sequence.NEXT, 8),
        (44, 41, Sequence.OUT_OF_ORDER, 42),
        (41, 41, Sequence.OUT_OF_ORDER, 42),
    ],
)
def test_what_a_message_is(number, last, sequence, expected):
    verdict = judge(number, last)
    assert (verdict.sequence, verdict.expected) == (sequence, expected)


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("0", 0), ("-1", -1), ("-2", None), ("", None), ("x", None), ("9" * 12, None)],
)
def test_what_is_stated(text, number):
    assert stated(text) == number


@given(st.lists(st.integers(-1, 9), max_size=30))
def test_what_is_taken_is_in_order_since_the_last_reset(numbers):
    taken, last = [], None
    for number in numbers:
        verdict = judge(number, last)
        last = verdict.last
        if verdict.sequence is Sequence.RESET:
            taken = []
        if verdict.sequence is Sequence.NEXT:
            taken.append(number)
    assert taken == list(range(taken[0], taken[0] + len(taken))) if taken else True
