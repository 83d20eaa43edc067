"""Work that blocks, off the event loop."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from isocenter.infra.threads import Threads

WAIT_S = 30
R = TypeVar("R")


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(2, name="test")
    yield made
    made.close()


def done(threads: Threads, work: Callable[[], R]) -> R:
    async def story() -> R:
        return await threads.call(work)

    return asyncio.run(story())


def test_work_is_done_in_a_thread_and_its_result_comes_back(threads: Threads) -> None:
    assert done(threads, threading.get_ident) != threading.get_ident()


def test_a_failure_comes_back_too(threads: Threads) -> None:
    with pytest.raises(ZeroDivisionError):
        done(threads, lambda: 1 // 0)


def test_no_more_threads_than_allowed_and_the_rest_waits(threads: Threads) -> None:
    busy, most = 0, 0
    counting = threading.Lock()
    meeting = threading.Barrier(2, timeout=WAIT_S)

    def work() -> None:
        nonlocal busy, most
        with counting:
            busy += 1
            most = max(most, busy)
        meeting.wait()
        with counting:
            busy -= 1

    async def story() -> None:
        await asyncio.gather(*(threads.call(work) for _ in range(6)))

    asyncio.run(story())
    assert most == 2


def test_who_is_cancelled_does_not_stop_work_and_what_waits_is_left_out(threads: Threads) -> None:
    begun, go_on, left_out = threading.Event(), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait(WAIT_S)

    async def story() -> bool:
        first = threads.call(work)
        second = threads.call(lambda: go_on.wait(WAIT_S))
        third = threads.call(left_out.set)
        await asyncio.to_thread(begun.wait, WAIT_S)
        first.cancel()
        third.cancel()
        await asyncio.wait([first, third])
        go_on.set()
        return await second and await threads.call(lambda: not left_out.is_set())

    assert asyncio.run(story())


def test_closing_waits_for_what_is_under_way_and_cancels_the_rest() -> None:
    threads = Threads(1, name="test")
    begun, go_on = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait(WAIT_S)

    async def story() -> bool:
        first = threads.call(work)
        second = threads.call(lambda: True)
        await asyncio.to_thread(begun.wait, WAIT_S)
        closing = asyncio.create_task(asyncio.to_thread(threads.close))
        await asyncio.wait([second])
        go_on.set()
        await closing
        with pytest.raises(RuntimeError):
            await threads.call(lambda: True)
        return second.cancelled() and await first

    assert asyncio.run(story())


def test_who_has_gone_with_its_event_loop_harms_nobody(threads: Threads) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait(WAIT_S)

    async def story() -> None:
        threads.call(work)
        await asyncio.to_thread(begun.wait, WAIT_S)

    asyncio.run(story())
    go_on.set()
    assert done(threads, lambda: "here") == "here"
