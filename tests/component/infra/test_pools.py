"""Coroutines that call synchronous services."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from isocenter.infra.db import Database, DatabaseUnavailable, StatementFailed, Tx, UniqueViolation
from isocenter.infra.pools import Pool


@pytest.fixture
def pool(database: Database) -> Iterator[Pool]:
    with database.transaction() as tx:
        tx.run("create table word (word text primary key)")
    made = Pool(database, threads=3)
    yield made
    made.close()


def add(tx: Tx, word: str, *, twice: bool = False) -> str:
    tx.run("insert into word values (%s)", (word,))
    if twice:
        tx.run("insert into word values (%s)", (word,))
    return word


def count(tx: Tx) -> int:
    return tx.value("select count(*) from word")


def test_a_call_is_one_committed_transaction(pool: Pool) -> None:
    async def story() -> tuple[str, int]:
        return await pool.run(add, "one"), await pool.read(count)

    assert asyncio.run(story()) == ("one", 1)


def test_an_error_reaches_the_caller_and_undoes_the_call(pool: Pool) -> None:
    with pytest.raises(UniqueViolation):
        asyncio.run(pool.run(add, "one", twice=True))
    assert asyncio.run(pool.read(count)) == 0


def test_reading_cannot_write(pool: Pool) -> None:
    with pytest.raises(StatementFailed):
        asyncio.run(pool.read(add, "one"))


def test_calls_run_beside_each_other_and_off_the_loop(pool: Pool) -> None:
    meeting = threading.Barrier(3, timeout=20)

    async def story() -> None:
        await asyncio.gather(*(pool.call(meeting.wait) for _ in range(3)))

    asyncio.run(story())
    assert not meeting.broken


def lose_connection(tx: Tx, times: list[int], how_often: int, database: Database) -> str:
    times.append(1)
    if len(times) <= how_often:
        mine = tx.value("select pg_backend_pid()")
        with database.transaction() as other:
            other.value("select pg_terminate_backend(%s)", (mine,))
    return add(tx, "kept")


def test_a_lost_connection_is_tried_once_more(pool: Pool, database: Database) -> None:
    times: list[int] = []
    assert asyncio.run(pool.run(lose_connection, times, 1, database)) == "kept"
    assert len(times) == 2
    assert asyncio.run(pool.read(count)) == 1


def test_but_not_for_ever(pool: Pool, database: Database) -> None:
    times: list[int] = []
    with pytest.raises(DatabaseUnavailable):
        asyncio.run(pool.run(lose_connection, times, 9, database))
    assert len(times) == 2
