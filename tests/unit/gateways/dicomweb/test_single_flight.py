"""Work that many ask for at once."""

import asyncio

import pytest

from isocenter.gateways.dicomweb.single_flight import SingleFlight


def test_those_who_come_together_share_one_run():
    async def story() -> tuple[list[int], int]:
        flight, started, gate = SingleFlight[int](), [], asyncio.Event()

        async def work() -> int:
            started.append(1)
            await gate.wait()
            return len(started)

        asked = [asyncio.ensure_future(flight.run("key", work)) for _ in range(5)]
        await asyncio.sleep(0)
        asked[0].cancel()
        gate.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        return found[1:], await flight.run("key", work)

    assert asyncio.run(story()) == ([1, 1, 1, 1], 2)


def test_a_failure_is_shared_and_then_forgotten():
    async def story() -> list[str]:
        flight, outcomes = SingleFlight[str](), []

        async def fail() -> str:
            await asyncio.sleep(0)
            raise ValueError("no")

        async def succeed() -> str:
            return "yes"

        asked = [flight.run("key", fail) for _ in range(2)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        outcomes += map(str, found)
        outcomes.append(await flight.run("key", succeed))
        return outcomes

    assert asyncio.run(story()) == ["no", "no", "yes"]


def test_other_keys_are_other_work():
    async def story() -> list[str]:
        flight = SingleFlight[str]()

        async def of(name: str) -> str:
            return name

        return await asyncio.gather(*[flight.run(k, lambda k=k: of(k)) for k in "ab"])

    assert asyncio.run(story()) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError])
def test_nobody_is_left_with_a_failure_that_was_not_looked_at(error, recwarn):
    async def story() -> None:
        flight = SingleFlight[None]()

        async def fail() -> None:
            await asyncio.sleep(0)
            raise error

        task = asyncio.ensure_future(flight.run("key", fail))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.01)

    asyncio.run(story())
    assert not recwarn.list
