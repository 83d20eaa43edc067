"""What happened, who must be told, and what is due later: all in the caller's own transaction.

A service appends an event in the transaction that changes the state, so the fact and its
consequences are recorded together or not at all. A dispatcher later runs each subscriber's handler
in a transaction of its own, in order within a lane, again and again until it succeeds or is given
up for a person to see. The log of events is also a change feed. There is no broker and no delivery
to other programs here: handlers do that.

Order within a lane is guaranteed under one condition on the service that appends: it holds a row
lock on what the event is about, from before it appends until it commits.
"""

from isocenter.infra.outbox.append import append, append_all, prune
from isocenter.infra.outbox.deadletters import (
    DeadLetter,
    DeliveryNotFound,
    count_waiting,
    dead_letters,
    hurry,
    replay,
    skip,
)
from isocenter.infra.outbox.dispatch import Dispatcher
from isocenter.infra.outbox.events import Event, UndecodableEvent
from isocenter.infra.outbox.feed import RecordedEvent, feed, feed_end
from isocenter.infra.outbox.routing import BatchHandler, GiveUp, Handler, Router, Subscription
from isocenter.infra.outbox.timers import cancel_timer, set_timer

__all__ = [
    "BatchHandler",
    "DeadLetter",
    "DeliveryNotFound",
    "Dispatcher",
    "Event",
    "GiveUp",
    "Handler",
    "RecordedEvent",
    "Router",
    "Subscription",
    "UndecodableEvent",
    "append",
    "append_all",
    "cancel_timer",
    "count_waiting",
    "dead_letters",
    "feed",
    "feed_end",
    "hurry",
    "prune",
    "replay",
    "set_timer",
    "skip",
]
