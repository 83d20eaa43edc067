"""What is done after what came back: each row of the table by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards.hl7v2.ack import Ack, AckCode
from isocenter.standards.hl7v2.decision import (
    DECISIONS,
    Action,
    Decision,
    Held,
    Outcome,
    decide,
    outcome_of,
)


def after(code: AckCode, *errors: int, about: str = "42", awaited: str | None = "42", answered=()):
    """The outcome of an acknowledgement, and what is done."""
    ack = Ack(code, about, "", errors)
    outcome = outcome_of(ack, sent_control_id=awaited, answered=answered)
    return outcome, decide(outcome)


@pytest.mark.parametrize("code", [AckCode.AA, AckCode.CA])
def test_an_accepted_message_is_delivered_and_nothing_waits(code):
    assert after(code) == (Outcome.ACCEPTED, Decision(Action.DELIVERED))


@pytest.mark.parametrize("code", [AckCode.AE, AckCode.CE])
@pytest.mark.parametrize("errors", [(), (101,), (207,), (203,)])
def test_an_error_is_never_repeated_by_itself_and_holds_its_lane(code, errors):
    assert after(code, *errors) == (Outcome.ERROR, Decision(Action.PARK, Held.LANE))


@pytest.mark.parametrize("code", [AckCode.AR, AckCode.CR])
@pytest.mark.parametrize("errors", [(200,), (201,), (202,), (203,), (101, 203)])
def test_a_permanent_rejection_pauses_the_destination(code, errors):
    outcome, decision = after(code, *errors)
    assert outcome is Outcome.REJECTED_FOR_GOOD
    assert decision.action is Action.PARK
    assert decision.pauses


@pytest.mark.parametrize("code", [AckCode.AR, AckCode.CR])
@pytest.mark.parametrize("errors", [(), (207,), (206,), (100,)])
def test_a_transient_rejection_is_tried_again_and_holds_its_lane(code, errors):
    assert after(code, *errors) == (Outcome.REJECTED, Decision(Action.RETRY, Held.LANE))


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.NO_ANSWER])
def test_transport_failure_and_silence_spare_the_destination_and_close_the_connection(outcome):
    expected = Decision(Action.RETRY, Held.DESTINATION, close_connection=True)
    assert decide(outcome) == expected


@pytest.mark.parametrize("code", list(AckCode))
@pytest.mark.parametrize("about", ["41", ""])
def test_a_mismatch_counts_as_no_answer_and_closes_the_connection(code, about):
    expected = Decision(Action.RETRY, Held.LANE, close_connection=True)
    assert after(code, 200, about=about) == (Outcome.WRONG_ANSWER, expected)


@pytest.mark.parametrize("awaited", ["42", None])
def test_a_duplicate_is_passed_over_and_whoever_waits_waits_on(awaited):
    found = after(AckCode.AE, about="41", awaited=awaited, answered=("40", "41"))
    assert found == (Outcome.DUPLICATE, Decision(Action.WAIT_ON))


def test_a_late_answer_is_nobodys_and_closes_the_connection():
    found = after(AckCode.AA, about="41", awaited=None, answered=("40",))
    assert found == (Outcome.LATE, Decision(Action.WAIT_ON, close_connection=True))


def test_every_outcome_has_a_row_and_every_word_of_the_table_is_used():
    assert set(DECISIONS) == set(Outcome)
    assert {each.action for each in DECISIONS.values()} == set(Action)
    assert {each.held for each in DECISIONS.values()} == set(Held)


@given(
    st.sampled_from(list(AckCode)),
    st.lists(st.integers(0, 999), max_size=3),
    st.sampled_from(["41", "42", ""]),
    st.sampled_from(["42", None]),
    st.sets(st.sampled_from(["40", "41", "42"])),
)
def test_only_its_own_acceptance_delivers_a_message(code, errors, about, awaited, answered):
    outcome, decision = after(code, *errors, about=about, awaited=awaited, answered=answered)
    delivered = code in {AckCode.AA, AckCode.CA} and about == awaited
    assert (decision.action is Action.DELIVERED) == delivered
    # Unless a connection is closed, nothing on it can be about a message that was given up.
    if outcome in {Outcome.LATE, Outcome.WRONG_ANSWER}:
        assert decision.close_connection
