"""MSH-13: what is next, what starts the link, what is out of order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards.hl7v2.sequence import (
    Sent,
    Sequence,
    answered,
    is_in_step,
    judge,
    started,
    stated,
)


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


@given(st.lists(st.sampled_from(["fine", "lost", "unanswered"]), max_size=30), st.booleans())
def test_a_sender_and_a_receiver_pass_each_message_once_whatever_gets_lost(fates, echoes):
    taken, last, sent, fresh, message = [], None, Sent(), True, 0
    for fate in [*fates, "fine", "fine"]:
        if fresh:
            verdict = judge(sent.opening, last)
            before, sent = sent, started(sent, verdict.expected)
            fresh = False
            if before.under_way == str(message) and sent.accepted == before.next:
                message += 1  # it was taken; its answer was lost
        number = sent.next
        sent = replace(sent, under_way=str(message))
        if fate != "lost":
            verdict = judge(number, last)
            assert verdict.sequence is Sequence.NEXT
            last = verdict.last
            taken.append(message)
        if fate == "fine":
            expected = number if echoes else verdict.expected
            assert is_in_step(number, expected)
            sent = answered(sent, expected, accepted=True)
            message += 1
        else:
            fresh = True
    assert taken == list(range(len(taken)))


@pytest.mark.parametrize("expected", [1, 2, 3, 4, 7, 2**31 - 1])
def test_a_receiver_that_expects_what_cannot_be_sent_freezes_the_link(expected):
    assert started(Sent(4, "m5"), expected) is None
    frozen = Sent(4, "m5", is_frozen=True)
    assert (frozen.opening, started(frozen, -1)) == (-1, Sent(4))


def test_what_is_refused_has_a_number_only_if_the_receiver_says_so():
    assert answered(Sent(4), 6, accepted=False) == Sent(5)
    assert (
        answered(Sent(4), 5, accepted=False) == answered(Sent(4), None, accepted=False) == Sent(4)
    )
    assert not is_in_step(5, 3)
