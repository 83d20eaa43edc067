"""What is said of a case, whatever it does."""

import pytest

from isocenter.app.conformance.verdicts import (
    Case,
    Failed,
    NotPossible,
    Verdict,
    expect,
    played,
    until,
)


def a_case(name: str, error: Exception | None) -> Case[list[str]]:
    def play(stage: list[str]) -> None:
        stage.append(name)
        if error is not None:
            raise error

    return Case(name, "something is true", play)


def test_every_case_is_played_and_says_how_it_ended():
    stage: list[str] = []
    outcomes = [None, Failed("3 instead of 2"), NotPossible("no token"), KeyError("state"), None]
    cases = [a_case(str(number), error) for number, error in enumerate(outcomes)]
    found = list(played(cases, stage))
    assert stage == ["0", "1", "2", "3", "4"]
    assert [(each.verdict, each.reason) for each in found] == [
        (Verdict.PASSED, ""),
        (Verdict.FAILED, "3 instead of 2"),
        (Verdict.NOT_POSSIBLE, "no token"),
        (Verdict.FAILED, "KeyError: 'state'"),
        (Verdict.PASSED, ""),
    ]


def test_an_expectation_that_is_not_met_says_what_was_found():
    expect("state", "placed", "placed")
    with pytest.raises(Failed, match="state: 'placed' instead of 'cancelled'"):
        expect("state", "placed", "cancelled")


def test_what_stays_away_is_said():
    assert until(lambda: "there", "it is there", timeout_s=0) == "there"
    with pytest.raises(Failed, match="not within 0 s: it is there"):
        until(lambda: "", "it is there", timeout_s=0)
