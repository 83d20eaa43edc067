"""Who reacts to which event, how, and in which lane."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, Protocol

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.db import Route, Tx
from isocenter.infra.outbox.events import Event


class Handler(Protocol):
    """A reaction: a function of the stage's ``handlers.py``.

    It runs in a transaction of its own, perhaps more than once for the same event when it or its
    process failed, and raises when the event could not be handled.
    """

    def __call__(self, tx: Tx, event: Any, /, *, now: datetime) -> None:
        """React to ``event``."""
        ...


class BatchHandler(Protocol):
    """A reaction to several events of one kind at a time, each of a lane of its own.

    What it raises undoes all of it; then the handler of single events gets them one by one.
    """

    def __call__(self, tx: Tx, events: Sequence[Any], /, *, now: datetime) -> None:
        """React to ``events``, the oldest first."""
        ...


class GiveUp(IsocenterError):
    """Raised by a handler: trying again cannot help; a person must look at this delivery now."""

    kind: ClassVar[Kind] = Kind.CONFLICT


_subject: Callable[[Any], str] = attrgetter("subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One reaction to one kind of event.

    Attributes:
        event: class of the event.
        subscriber: name of the reaction, unique, stable over versions: 'reconcile.match'.
        handler: what to call.
        together: what to call instead when several deliveries are due; None: the handler for each.
        lane: the lane of an event; deliveries of one lane are handled one at a time, in order.
            The event's subject, unless the subscription is to have deliveries of its own.
        attempts_max: tries before the delivery is given up.
        backoff_first_s: wait after the first failure; doubles with each further one.
        backoff_max_s: the longest wait between two tries.
        blocks_lane: whether later deliveries of the lane wait for a person when one is given up.
        external: whether the handler acts outside the database (sends something). Its success is
            then on disk before the next is tried, there is never more than one delivery in a
            transaction, and it runs on threads of its own kind so that a
            slow peer does not hold up what is quick.
    """

    event: type[Any]
    subscriber: str
    handler: Handler
    together: BatchHandler | None = None
    lane: Callable[[Any], str] = field(default=_subject)
    attempts_max: int = 12
    backoff_first_s: float = 1.0
    backoff_max_s: float = 300.0
    blocks_lane: bool = False
    external: bool = False

    def lane_of(self, event: Any) -> str:
        """The lane of ``event`` for this subscriber."""
        return self.lane(event)


_JOINT_PREFIX = "+"


@dataclass(frozen=True, slots=True)
class Joint:
    """All reactions to one kind of event that stay inside the database, as one delivery.

    Nearly always all of them succeed, and one row to write and to settle is enough. When one does
    not, the delivery is divided: each of them gets its own, with its own tries.

    Attributes:
        members: the subscriptions, each of which keeps the order of the event's subject.
    """

    event_name: str
    members: Sequence[Subscription]

    @property
    def subscriber(self) -> str:
        """The name under which the delivery is on record: no subscription has such a name."""
        return f"{_JOINT_PREFIX}{self.event_name}"

    def lane_of(self, event: Any) -> str:
        """The lane of ``event`` for each of the members."""
        return _subject(event)


def _may_be_joint(subscription: Subscription) -> bool:
    return not subscription.external and subscription.lane is _subject


class Router:
    """All subscriptions of the program."""

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        """Raises ``ValueError`` when two subscriptions share a subscriber name."""
        self.subscriptions = tuple(subscriptions)
        self._by_event: defaultdict[str, list[Subscription]] = defaultdict(list)
        self._by_subscriber: dict[str, Subscription] = {}
        for each in self.subscriptions:
            if each.subscriber in self._by_subscriber:
                raise ValueError(f"two subscriptions are called {each.subscriber}")
            if each.subscriber.startswith(_JOINT_PREFIX):
                raise ValueError(f"a subscription cannot be called {each.subscriber}")
            self._by_subscriber[each.subscriber] = each
            self._by_event[each.event.name].append(each)
        joints = [
            Joint(name, [each for each in found if _may_be_joint(each)])
            for name, found in self._by_event.items()
        ]
        self._joints = {each.subscriber: each for each in joints}
        self._routes: dict[str, Sequence[Route]] = {
            each.event_name: [
                *([each] if each.members else []),
                *(own for own in self._by_event[each.event_name] if not _may_be_joint(own)),
            ]
            for each in joints
        }

    @property
    def joints(self) -> Sequence[str]:
        """The names of all deliveries that several subscriptions may share."""
        return list(self._joints)

    def joint(self, subscriber: str) -> Joint | None:
        """Whose delivery goes to ``subscriber``; None when it is a subscription's own."""
        return self._joints.get(subscriber)

    def for_event(self, name: str) -> Sequence[Route]:
        """Where the event called ``name`` goes."""
        return self._routes.get(name, ())

    def for_subscriber(self, subscriber: str) -> Subscription | None:
        """The subscription called ``subscriber``."""
        return self._by_subscriber.get(subscriber)

    def event_class(self, name: str) -> type[Event] | None:
        """The class of the event called ``name``; None when nobody subscribes to it."""
        found = self._by_event.get(name)
        return found[0].event if found else None
