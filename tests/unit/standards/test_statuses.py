"""The one table of statuses: no illegal code goes out, and nothing goes backwards unsaid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.domain.orders.model import CLOSED, TRANSITIONS, OrderState, OrderVerb
from isocenter.domain.scheduling.model import StepStatus
from isocenter.standards import statuses
from isocenter.standards.statuses import Instruction, Result

RESULTS = st.sampled_from(Result)


def test_every_state_of_ours_has_a_row():
    assert set(statuses.ORDERS) == set(OrderState)
    assert set(statuses.STEPS) == set(StepStatus)
    assert set(statuses.RESULTS) == set(Result)
    assert set(statuses.RESPONSES) == set(Instruction)
    assert {each.value for each in OrderVerb} <= {each.value for each in Instruction}


def test_only_codes_of_the_standards_tables():
    assert {row.order_status for row in statuses.ORDERS.values()} <= statuses.ORDER_STATUSES
    assert {row.order_status for row in statuses.STEPS.values()} <= statuses.ORDER_STATUSES
    answers = {code for row in statuses.RESPONSES.values() for code in (row.followed, row.refused)}
    assert answers <= statuses.ORDER_CONTROLS
    assert {row.refused for row in statuses.RESPONSES.values()} == set(statuses.RESPONSE_TEXT)
    for row in statuses.RESULTS.values():
        assert set(row.result_statuses) <= statuses.RESULT_STATUSES
        assert row.observation_status in statuses.OBSERVATION_STATUSES
    assert set(statuses.RESULT_OF_OBR_25) == statuses.RESULT_STATUSES - {"Y", "Z"}
    assert set(statuses.RESULT_OF_OBX_11) == statuses.OBSERVATION_STATUSES
    # PS3.3 C.4.14: the statuses of a performed procedure step.
    performed = {row.performed for row in statuses.STEPS.values()} - {""}
    assert performed == {"IN PROGRESS", "COMPLETED", "DISCONTINUED"}


def test_withdrawn_is_for_observations_only():
    # ReportStream 15726: W in OBR-25 is refused by receivers, and rightly.
    assert all("W" not in row.result_statuses for row in statuses.RESULTS.values())
    assert statuses.RESULTS[Result.ENTERED_IN_ERROR].observation_status == "W"
    assert statuses.RESULT_OF_OBX_11["U"] is Result.FINAL


@given(RESULTS, st.frozensets(st.sampled_from([*sorted(statuses.RESULT_STATUSES), "W", "?"])))
def test_whatever_a_receiver_takes_it_gets_nothing_illegal_and_nothing_untrue(result, taken):
    code = statuses.result_status(result, taken)
    if code is None:
        return
    assert code in taken & statuses.RESULT_STATUSES
    finished = {Result.FINAL, Result.CORRECTED}
    assert (statuses.RESULT_OF_OBR_25[code] in finished) <= (
        result in finished | {Result.APPENDED, Result.ENTERED_IN_ERROR}
    )


@given(st.lists(RESULTS, min_size=1, max_size=12))
def test_a_result_goes_backwards_only_by_a_correction(said):
    rank = [Result.REGISTERED, Result.PARTIAL, Result.PRELIMINARY, Result.FINAL]
    state = said[0]
    was_corrected = state not in rank
    for each in said[1:]:
        if not statuses.may_follow(state, each):
            continue
        if each in rank:
            assert not was_corrected
            assert rank.index(each) >= rank.index(state)
        was_corrected = was_corrected or each not in rank
        state = each


@given(st.lists(st.sampled_from(OrderVerb), max_size=12))
def test_no_instruction_opens_an_order_that_has_ended(verbs):
    state = OrderState.PLACED
    ended = {*CLOSED, OrderState.COMPLETED}
    for verb in verbs:
        following = TRANSITIONS.get((state, verb), state)
        assert (state in ended) <= (following is state)
        assert statuses.ORDERS[following].order_status in statuses.ORDER_STATUSES
        state = following


@pytest.mark.parametrize("status", sorted(statuses.APPOINTMENT_OF_SCH_25.values()))
def test_each_appointment_status_is_told_in_fhir(status):
    assert status in statuses.APPOINTMENTS


def test_no_announcement_has_a_code_that_its_table_lacks():
    assert set(statuses.ANNOUNCEMENTS) == set(statuses.Announcement)
    for row in statuses.ANNOUNCEMENTS.values():
        assert row.placer in statuses.ORDER_CONTROLS
        assert {row.performer} <= statuses.ORDER_CONTROLS | {""}
        assert {row.order_status, row.performer_status} <= statuses.ORDER_STATUSES | {""}
        assert {row.result_status} <= statuses.RESULT_STATUSES | {""}
        # What is not told there has no status there either.
        assert bool(row.performer) or not row.performer_status


def test_every_state_of_an_appointment_is_told_as_it_is_read():
    assert set(statuses.SCH_25_OF) == set(statuses.APPOINTMENTS)
    for ours, written in statuses.SCH_25_OF.items():
        assert statuses.APPOINTMENT_OF_SCH_25[written.upper()] == ours
