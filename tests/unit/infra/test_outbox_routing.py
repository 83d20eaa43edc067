"""Subscriptions, back-off, and the form of events at rest: no database needed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar, NewType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.infra.db import Tx
from isocenter.infra.outbox import Router, Subscription, UndecodableEvent
from isocenter.infra.outbox.claim import backoff_s
from isocenter.infra.outbox.events import from_data, to_data

Uid = NewType("Uid", str)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Part:
    number: int


@dataclass(frozen=True, slots=True)
class Happened:
    name: ClassVar[str] = "test.happened"
    uid: Uid
    at: datetime
    colour: Colour
    parts: list[Part]
    note: str | None = None

    @property
    def subject(self) -> str:
        return f"thing/{self.uid}"


def ignore(tx: Tx, event: Happened, *, now: datetime) -> None:
    pass


def subscription(**changes: object) -> Subscription:
    return Subscription(**{"event": Happened, "subscriber": "a", "handler": ignore, **changes})


EVENT = Happened(Uid("1.2"), datetime(2026, 3, 2, tzinfo=UTC), Colour.RED, [Part(1)])


def test_an_event_survives_rest() -> None:
    assert from_data(Happened, msgspec.json.decode(to_data(EVENT))) == EVENT


def test_a_field_added_later_takes_its_default() -> None:
    data = msgspec.json.decode(to_data(EVENT))
    del data["note"]
    assert from_data(Happened, data) == EVENT


def test_what_does_not_fit_is_refused_without_quoting_it() -> None:
    with pytest.raises(UndecodableEvent) as raised:
        from_data(Happened, {"uid": 3, "note": "Phantom^Ada"})
    assert "Phantom" not in str(raised.value)


def test_the_lane_is_the_subject_unless_chosen() -> None:
    assert subscription().lane_of(EVENT) == "thing/1.2"
    assert subscription(lane=lambda event: event.colour).lane_of(EVENT) == "red"


def test_a_router_finds_by_event_and_by_name() -> None:
    first, second = subscription(), subscription(subscriber="b")
    router = Router([first, second])
    (route,) = router.for_event("test.happened")
    assert (route.subscriber, route.lane_of(EVENT)) == ("+test.happened", "thing/1.2")
    joint = router.joint("+test.happened")
    assert joint is not None
    assert list(joint.members) == [first, second]
    assert router.joint("b") is None
    assert list(router.for_event("test.other")) == []
    assert router.for_subscriber("b") is second
    assert router.event_class("test.happened") is Happened


def test_what_acts_outside_or_has_lanes_of_its_own_has_deliveries_of_its_own() -> None:
    outside = subscription(subscriber="b", external=True)
    elsewhere = subscription(subscriber="c", lane=lambda event: event.colour)
    router = Router([subscription(), outside, elsewhere])
    assert [each.subscriber for each in router.for_event("test.happened")] == [
        "+test.happened",
        "b",
        "c",
    ]
    assert [each.subscriber for each in Router([outside]).for_event("test.happened")] == ["b"]


def test_a_subscription_is_not_called_as_a_shared_delivery() -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        Router([subscription(subscriber="+test.happened")])


def test_two_subscriptions_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two subscriptions"):
        Router([subscription(), subscription()])


@given(failures=st.integers(1, 10_000))
def test_back_off_doubles_within_bounds_and_spreads_by_a_quarter(failures: int) -> None:
    chosen = subscription(backoff_first_s=2.0, backoff_max_s=60.0)
    middle = min(2.0 * 2.0 ** min(failures - 1, 60), 60.0)
    assert middle * 0.75 <= backoff_s(chosen, failures) <= middle * 1.25
