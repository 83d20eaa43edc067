import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from isocenter.domain.access.model import Actor, ActorKind, Role, actions_of
from isocenter.gateways.web.feed import Feed, TooManySubscribers, announcement
from isocenter.gateways.web.options import WebOptions

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Event:
    id: int
    name: str = "orders.order_placed"
    subject: str = "study/1.2.3"
    occurred_at: datetime = NOW
    data: dict = field(default_factory=dict)


class Log:
    """A pool and an event log in memory: reading waits for nothing."""

    def __init__(self):
        self.events = []

    async def run(self, function, *arguments):
        await asyncio.sleep(0)
        return function(None, *arguments)

    def feed(self, _tx, after, limit):
        return [event for event in self.events if event.id > after][:limit]

    def head(self, _tx):
        return self.events[-1].id if self.events else 0


def feed_of(log, **changed):
    settings = {"feed_poll_s": 0, "feed_subscribers_max": 3, **changed}
    return Feed(log, WebOptions(**settings), read=log.feed, head=log.head)


def actor(*roles):
    return Actor(ActorKind.USER, "ada", actions_of(roles), "local")


def parsed(frame):
    return json.loads(frame.decode().split("data: ", 1)[1])


def test_an_announcement_identifies_and_says_nothing_about_the_patient():
    event = Event(
        7,
        "identity.patient_updated",
        "patient/12",
        data={"patient_key": 12, "person_name": "Phantom^Ada", "changed": ["person_name"]},
    )
    body = parsed(announcement(event).frame)
    assert body == {
        "id": 7,
        "name": "identity.patient_updated",
        "subject": "12",
        "occurred_at": "2026-03-01T00:00:00Z",
        "ids": {"patient_key": 12},
    }


def test_a_stage_nobody_thought_of_is_only_for_those_who_see_the_system():
    told = announcement(Event(1, "billing.charged"))
    assert told.action not in actor(Role.RADIOLOGIST).actions
    assert told.action in actor(Role.ADMINISTRATOR).actions


async def collect(stream, count):
    return [await anext(stream) for _ in range(count)]


def test_a_new_reader_hears_only_what_is_new():
    async def play():
        log = Log()
        log.events.append(Event(1))
        feed = feed_of(log)
        stream = await feed.stream(actor(Role.RADIOLOGIST), None)
        (hello,) = await collect(stream, 1)
        assert b"id: 1" in hello
        log.events.append(Event(2))
        (frame,) = await collect(stream, 1)
        assert parsed(frame)["id"] == 2
        await stream.aclose()
        assert feed.subscriber_count == 0

    asyncio.run(play())


def test_a_returning_reader_hears_what_it_missed_once():
    async def play():
        log = Log()
        log.events.extend(Event(number) for number in range(1, 6))
        feed = feed_of(log)
        stream = await feed.stream(actor(Role.RADIOLOGIST), 2)
        await collect(stream, 1)
        log.events.append(Event(6))
        frames = await collect(stream, 4)
        assert [parsed(frame)["id"] for frame in frames] == [3, 4, 5, 6]
        await stream.aclose()

    asyncio.run(play())


def test_a_reader_hears_only_what_it_may_know():
    async def play():
        log = Log()
        feed = feed_of(log)
        stream = await feed.stream(actor(Role.FRONT_DESK), None)
        await collect(stream, 1)
        log.events += [Event(1, "peers.caller_pending"), Event(2, "reporting.report_signed")]
        (frame,) = await collect(stream, 1)
        assert parsed(frame)["name"] == "reporting.report_signed"
        await stream.aclose()

    asyncio.run(play())


def test_a_reader_that_is_too_slow_is_told_to_look_again():
    async def play():
        log = Log()
        feed = feed_of(log)
        stream = await feed.stream(actor(Role.RADIOLOGIST), None)
        await collect(stream, 1)
        log.events.extend(Event(number) for number in range(1, 400))
        for _ in range(20):
            await asyncio.sleep(0)
        frames = await collect(stream, 1)
        assert frames[0].startswith(b"event: reset")
        assert b"id: 399" in frames[0]
        log.events.append(Event(400))
        (frame,) = await collect(stream, 1)
        assert parsed(frame)["id"] == 400
        await stream.aclose()

    asyncio.run(play())


def test_silence_is_filled_with_heartbeats_and_the_stream_ends_in_time():
    async def play():
        feed = feed_of(Log(), feed_heartbeat_s=0.01, feed_lifetime_s=0.035)
        stream = await feed.stream(actor(Role.RADIOLOGIST), None)
        frames = [frame async for frame in stream]
        assert frames[1:]
        assert set(frames[1:]) == {b": still here\n\n"}

    asyncio.run(play())


def test_streams_end_when_the_process_stops():
    async def play():
        feed = feed_of(Log())
        streams = [await feed.stream(actor(Role.RADIOLOGIST), None) for _ in range(2)]
        for stream in streams:
            await anext(stream)
        feed.close()
        for stream in streams:
            assert [frame async for frame in stream] == []
        assert feed.subscriber_count == 0

    asyncio.run(play())


def test_streams_are_limited():
    async def play():
        feed = feed_of(Log(), feed_subscribers_max=1)
        stream = await feed.stream(actor(Role.RADIOLOGIST), None)
        with pytest.raises(TooManySubscribers):
            await feed.stream(actor(Role.RADIOLOGIST), None)
        await anext(stream)
        await stream.aclose()
        again = await feed.stream(actor(Role.RADIOLOGIST), None)
        await anext(again)
        await again.aclose()

    asyncio.run(play())
