"""The stream of what happens, to browsers and programs: one poller per process, fanned out.

An announcement names what happened and identifies it; it never carries patient data, and it reaches
only those who may read the kind of thing it is about. Who reads it asks for the details, which is
where access is checked and recorded. A reader that is too slow is told to look at everything anew.

Standard: HTML Living Standard 9.2 (server-sent events)
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

import msgspec

from isocenter.domain.access.model import Action, Actor
from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.web.options import WebOptions
from isocenter.infra.db import Tx
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool

_QUEUE_MAX = 256
_BATCH = 500
_RECONNECT_MS = 2000
_UNAVAILABLE_PAUSE_S = 2.0

# What one must be permitted to read to hear of an event, by the stage that it comes from.
STAGE_ACTIONS: Mapping[str, Action] = {
    "identity": Action.PATIENT_READ,
    "orders": Action.EXAM_READ,
    "scheduling": Action.EXAM_READ,
    "worklist": Action.EXAM_READ,
    "archive": Action.EXAM_READ,
    "reconcile": Action.EXAM_READ,
    "reporting": Action.REPORT_READ,
    "distribution": Action.DELIVERY_READ,
    "monitoring": Action.EXAM_READ,
    "peers": Action.PEER_READ,
}
# Fields of events that identify or count. Any other field stays here.
ANNOUNCED_FIELDS = frozenset({
    "accession_number", "study_instance_uid", "series_instance_uid", "report_id", "version",
    "order_key", "patient_key", "delivery_key", "step_key", "case_key", "alarm_key", "recipient",
    "kind", "hop", "count", "state", "modality", "method",
})  # fmt: skip

_log = get_logger(__name__)


class TooManySubscribers(IsocenterError):
    """The process follows as many streams as it may."""

    kind: ClassVar[Kind] = Kind.BUSY


class Recorded(Protocol):
    """An event of the log, as much of it as is announced."""

    @property
    def id(self) -> int:
        """Its place in the log."""
        ...

    @property
    def name(self) -> str:
        """What happened, ``orders.order_placed``."""
        ...

    @property
    def subject(self) -> str:
        """What it is about, ``study/1.2.3``."""
        ...

    @property
    def occurred_at(self) -> datetime:
        """When it happened."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """The event's fields."""
        ...


ReadFeed = Callable[[Tx, int, int], Sequence[Recorded]]
ReadHead = Callable[[Tx], int]


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event, ready for the wire."""

    event_id: int
    action: Action
    frame: bytes


@dataclass(eq=False, slots=True)
class _Subscriber:
    actor: Actor
    queue: asyncio.Queue[Announcement | None] = field(
        default_factory=lambda: asyncio.Queue(_QUEUE_MAX)
    )
    lost: bool = False


def announcement(event: Recorded) -> Announcement:
    """What subscribers hear of ``event``."""
    ids = {
        name: value
        for name, value in event.data.items()
        if name in ANNOUNCED_FIELDS and isinstance(value, str | int)
    }
    body = msgspec.json.encode({
        "id": event.id,
        "name": event.name,
        "subject": event.subject.partition("/")[2] or event.subject,
        "occurred_at": event.occurred_at,
        "ids": ids,
    })
    action = STAGE_ACTIONS.get(event.name.partition(".")[0], Action.SYSTEM_READ)
    return Announcement(event.id, action, b"id: %d\ndata: %s\n\n" % (event.id, body))


class Feed:
    """The process's poller and its subscribers. It polls only while somebody listens."""

    def __init__(self, pool: Pool, options: WebOptions, *, read: ReadFeed, head: ReadHead) -> None:
        self._pool = pool
        self._options = options
        self._read = read
        self._head = head
        self._subscribers: set[_Subscriber] = set()
        self._poller: asyncio.Task[None] | None = None
        self._position = 0

    @property
    def subscriber_count(self) -> int:
        """How many streams are open in this process."""
        return len(self._subscribers)

    async def stream(self, actor: Actor, after: int | None) -> AsyncGenerator[bytes, None]:
        """Frames for ``actor`` from now on, or from behind event ``after`` on; ends after a while.

        Ending lets the client reconnect, which checks its credential anew and loses nothing.
        """
        if len(self._subscribers) >= self._options.feed_subscribers_max:
            raise TooManySubscribers("too many event streams are open")
        subscriber = _Subscriber(actor)
        await self._follow(subscriber)
        return self._frames(subscriber, after)

    async def _follow(self, subscriber: _Subscriber) -> None:
        if self._poller is None or self._poller.done():
            self._position = await self._pool.run(self._head)
            self._poller = asyncio.create_task(self._poll())
        self._subscribers.add(subscriber)

    async def _frames(
        self, subscriber: _Subscriber, after: int | None
    ) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._options.feed_lifetime_s
        sent = self._position if after is None else after
        try:
            yield b"retry: %d\nid: %d\n\n" % (_RECONNECT_MS, sent)
            if after is not None and after < self._position:
                missed = await self._pool.run(self._read, after, _BATCH)
                for event in missed:
                    sent = event.id
                    told = announcement(event)
                    if told.action in subscriber.actor.actions:
                        yield told.frame
                if len(missed) == _BATCH:
                    subscriber.lost = True
            while (left := ends_at - loop.time()) > 0:
                if subscriber.lost:
                    subscriber.lost = False
                    yield b"event: reset\nid: %d\ndata: {}\n\n" % self._position
                    sent = self._position
                try:
                    told = await asyncio.wait_for(
                        subscriber.queue.get(), min(self._options.feed_heartbeat_s, left)
                    )
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if told is None:
                    return
                if told.event_id > sent:
                    sent = told.event_id
                    yield told.frame
        finally:
            self._leave(subscriber)

    def close(self) -> None:
        """End all streams: the process stops, and their readers reconnect to another one."""
        for subscriber in self._subscribers:
            _put(subscriber, None)

    def _leave(self, subscriber: _Subscriber) -> None:
        self._subscribers.discard(subscriber)
        if not self._subscribers and self._poller is not None:
            self._poller.cancel()
            self._poller = None

    async def _poll(self) -> None:
        while True:
            try:
                events = await self._pool.run(self._read, self._position, _BATCH)
            except IsocenterError as error:
                _log.warning("event_feed_unavailable", error_kind=error.kind.value)
                await asyncio.sleep(_UNAVAILABLE_PAUSE_S)
                continue
            for event in events:
                self._position = event.id
                self._announce(announcement(event))
            if len(events) < _BATCH:
                await asyncio.sleep(self._options.feed_poll_s)

    def _announce(self, told: Announcement) -> None:
        for subscriber in self._subscribers:
            if told.action not in subscriber.actor.actions:
                continue
            _put(subscriber, told)


def _put(subscriber: _Subscriber, told: Announcement | None) -> None:
    """Queue the announcement; a full queue is emptied, and the reader told to look anew."""
    if subscriber.queue.full():
        while not subscriber.queue.empty():
            subscriber.queue.get_nowait()
        subscriber.lost = True
    subscriber.queue.put_nowait(told)
