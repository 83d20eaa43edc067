"""States of orders, forms of numbers, and which facts are about which procedure."""

import itertools

import pytest

from isocenter.domain.orders.model import (
    CLOSED,
    TRANSITIONS,
    AccessionFormat,
    BadAccessionFormat,
    Code,
    OrderState,
    OrderVerb,
    Procedure,
    ProcedureFacts,
    StateForbids,
    StepFacts,
    after,
    joined,
    paired,
)


@pytest.mark.parametrize(
    ("state", "verb"), list(itertools.product(OrderState, OrderVerb)), ids=lambda each: each.value
)
def test_what_is_not_in_the_table_is_refused(state, verb):
    if (state, verb) in TRANSITIONS:
        assert after(state, verb) is TRANSITIONS[state, verb]
    else:
        with pytest.raises(StateForbids):
            after(state, verb)


def test_nothing_leads_out_of_a_closed_or_completed_order():
    for (state, _), following in TRANSITIONS.items():
        if state in {*CLOSED, OrderState.COMPLETED}:
            assert following is state


def test_a_repetition_never_changes_the_state():
    for (state, verb), following in TRANSITIONS.items():
        assert TRANSITIONS.get((following, verb), following) is following, (state, verb)


@pytest.mark.parametrize(("text", "prefix", "digits"), [("I%08d", "I", 8), ("RAD-%6d", "RAD-", 6)])
def test_a_form_of_accession_numbers(text, prefix, digits):
    assert AccessionFormat.parse(text) == AccessionFormat(prefix, digits)


@pytest.mark.parametrize("text", ["", "I", "%s", "I%017d", "A\\%08d", "A*%05d", "%08d%08d"])
def test_an_unusable_form_is_refused(text):
    with pytest.raises(BadAccessionFormat):
        AccessionFormat.parse(text)


def known(key, *, procedure_id=None, uid=None, code=None):
    said_at = {"requested_procedure_id": 1} if procedure_id else {}
    return Procedure(
        procedure_key=key,
        order_key=1,
        requested_procedure_id=procedure_id or f"RP{key}",
        study_instance_uid=uid or f"2.25.{key}",
        study_instance_uid_issued=uid is None,
        code_value=code,
        code_scheme="T" if code else None,
        code_meaning=None,
        description=None,
        laterality=None,
        state="placed",
        said_at=said_at,
    )


def said(*, procedure_id=None, uid=None, code=None):
    return ProcedureFacts(procedure_id, uid, Code(code, "T") if code else None)


@pytest.mark.parametrize(
    ("facts", "rows", "expected"),
    [
        ([said()], [known(1)], [1]),
        ([said(procedure_id="B"), said(procedure_id="A")],
         [known(1, procedure_id="A"), known(2, procedure_id="B")], [2, 1]),
        ([said(procedure_id="C")], [known(1, procedure_id="A")], [None]),
        ([said(procedure_id="C")], [known(1)], [1]),
        ([said(uid="1.2")], [known(1), known(2, uid="1.2")], [2]),
        ([said(code="y"), said(code="x")], [known(1, code="x"), known(2, code="y")], [2, 1]),
        ([said(code="z")], [known(1, code="x")], [1]),
        ([said(), said()], [known(1)], [1, None]),
    ],
)  # fmt: skip
def test_facts_find_their_procedure(facts, rows, expected):
    assert [each and each.procedure_key for each in paired(facts, rows)] == expected


def test_facts_of_a_guest_order_replace_nothing():
    assert paired([said(code="z")], [known(1, code="x")], in_order=False) == (None,)


def test_procedures_of_one_study_are_one_procedure():
    step = StepFacts(scheduled_procedure_step_id="S1")
    one = ProcedureFacts(study_instance_uid="1.2", steps=(step,))
    other = ProcedureFacts("RP1", "1.2", steps=(step, step))
    (both,) = joined([one, other])
    assert (both.requested_procedure_id, len(both.steps)) == ("RP1", 3)
