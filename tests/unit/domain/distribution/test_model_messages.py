"""What an exam is charged with, and what is to be posted of it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from isocenter.domain.distribution.model_messages import charges_due

LINES = st.lists(
    st.fixed_dictionaries({
        "transaction_id": st.sampled_from(["A1.RP1", "A1.RP2", "A1.RP3"]),
        "code": st.sampled_from(["CTH", "CTA"]),
    }),
    unique_by=lambda each: each["transaction_id"],
    max_size=3,
)


def line(code: str) -> dict[str, str]:
    return {"transaction_id": "A1.RP1", "code": code}


def test_what_was_posted_is_not_posted_again():
    posted = charges_due([line("CTH")], [])
    assert posted == [{**line("CTH"), "action": "CG"}]
    assert charges_due([line("CTH")], posted) == []


def test_another_code_credits_the_first():
    due = charges_due([line("CTA")], [{**line("CTH"), "action": "CG"}])
    assert due == [{**line("CTH"), "action": "CR"}, {**line("CTA"), "action": "CG"}]


@settings(max_examples=40)
@given(st.lists(LINES, max_size=6))
def test_whatever_the_exam_was_its_charges_are_those_that_it_has_last(history):
    posted: list[dict[str, str]] = []
    for lines in history:
        posted += charges_due(lines, posted)
    balance: list[dict[str, str]] = []
    for each in posted:
        plain = {name: value for name, value in each.items() if name != "action"}
        if each["action"] == "CG":
            balance.append(plain)
        else:
            balance.remove(plain)
    wanted = history[-1] if history else []
    assert sorted(sorted(each.items()) for each in balance) == sorted(
        sorted(each.items()) for each in wanted
    )
