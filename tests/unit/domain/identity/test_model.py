"""Who survives merges, and which assertion holds: pure rules."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from isocenter.domain.identity.model import (
    Merge,
    PatientIdentifier,
    distinct,
    microseconds,
    revised,
    survivors,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def a_merge(key, survivor, prior, at, *, undone=False):
    moment = NOON + timedelta(minutes=at)
    return Merge(key, survivor, prior, moment, moment, NOON if undone else None, "EHR")


@st.composite
def merges(draw):
    """Any merges among five patients, no two asserted at the same moment, a pair once."""
    pairs = draw(
        st.lists(
            st.tuples(st.integers(1, 5), st.integers(1, 5)).filter(lambda p: p[0] != p[1]),
            unique=True,
            max_size=10,
        )
    )
    return [
        a_merge(number, *pair, number, undone=draw(st.booleans()))
        for number, pair in enumerate(pairs)
    ]


@given(merges())
def test_survivors_stand_for_themselves_and_nobody_goes_in_a_circle(said):
    leads_to = survivors(said)
    assert all(end not in leads_to for end in leads_to.values())


@given(merges(), st.randoms())
def test_the_order_of_arrival_does_not_matter(said, random):
    shuffled = list(said)
    random.shuffle(shuffled)
    assert survivors(shuffled) == survivors(said)


@given(merges())
def test_an_undone_merge_is_as_if_it_had_never_been_said(said):
    assert survivors(said) == survivors([each for each in said if each.undone_at is None])


@given(merges())
def test_nobody_is_merged_who_was_not_said_to_be(said):
    standing = {each.prior_key for each in said if each.undone_at is None}
    assert set(survivors(said)) <= standing


def test_a_prior_follows_its_newest_merge():
    assert survivors([a_merge(1, 1, 2, 1), a_merge(2, 3, 2, 2)]) == {2: 3}


FIELDS = ("a", "b", "c")
FACTS = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["x", "y", ""]))


@given(st.lists(FACTS, max_size=6), st.data())
def test_facts_converge_whatever_comes_first_or_twice(facts, data):
    said = [(NOON + timedelta(minutes=at), each) for at, each in enumerate(facts)]

    def play(messages):
        row, said_at = dict.fromkeys(FIELDS), {}
        for at, each in messages:
            after = revised(row, said_at, each, at)
            row, said_at = {**row, **after.values}, after.said_at
        return row, said_at

    repeated = data.draw(st.lists(st.sampled_from(said), max_size=3)) if said else []
    assert play(data.draw(st.permutations(said + repeated))) == play(said)


def test_of_two_assertions_of_one_moment_the_later_arrival_holds():
    row = {"a": "x"}
    assert revised(row, {"a": microseconds(NOON)}, {"a": "y"}, NOON).values == {"a": "y"}


def test_saying_the_same_later_counts_as_newer_without_a_change():
    later = revised({"a": "x"}, {"a": microseconds(NOON)}, {"a": "x"}, NOON + timedelta(1))
    assert (later.values, later.newer) == ({}, True)


def test_identifiers_are_counted_once_and_empty_ones_not_at_all():
    one, other = PatientIdentifier("1", "A"), PatientIdentifier("1", "B")
    assert distinct([one, PatientIdentifier("", "A"), other, one]) == (one, other)
