"""Transactions against a real server."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from isocenter.errors import Kind
from isocenter.infra.db import (
    ConstraintViolation,
    Database,
    DatabaseBusy,
    DatabaseUnavailable,
    NoRow,
    StatementFailed,
    Tx,
    UniqueViolation,
    UnstorableValue,
    jsonb,
)


@dataclass(frozen=True, slots=True)
class Pair:
    id: int
    word: str


@pytest.fixture
def table(database: Database) -> Database:
    with database.transaction() as tx:
        tx.run(
            "create table pair (id int primary key,"
            " word text not null constraint short check (length(word) < 9))"
        )
        tx.run_many("insert into pair values (%s, %s)", [(1, "one"), (2, "two"), (3, "three")])
    return database


def test_rows_come_back_as_dataclasses_by_column_name(table: Database) -> None:
    with table.read() as tx:
        assert tx.one(Pair, "select word, id from pair where id = %s", (2,)) == Pair(2, "two")
        assert tx.maybe(Pair, "select * from pair where id = %(id)s", {"id": 9}) is None
        assert [each.word for each in tx.all(Pair, "select * from pair order by id")] == [
            "one",
            "two",
            "three",
        ]
        assert tx.values("select id from pair order by id desc") == [3, 2, 1]
        assert tx.value("select word from pair where id = 9") is None


def test_a_missing_row_is_an_error_only_for_one(table: Database) -> None:
    with table.read() as tx, pytest.raises(NoRow):
        tx.one(Pair, "select * from pair where id = 9")


def test_a_stream_gives_rows_as_they_are_taken_and_may_be_left(database: Database) -> None:
    endless = "select generate_series(1, 1000000000) as id, 'word' as word"
    with database.read() as tx:
        rows = tx.stream(Pair, endless, rows_at_once=100)
        assert [next(rows).id for _ in range(250)] == list(range(1, 251))
        rows.close()
    with database.read() as tx:
        few = "select n as id, n::text as word from generate_series(1, %s) n"
        assert [each.id for each in tx.stream(Pair, few, (3,))] == [1, 2, 3]
        assert tx.value("select 1") == 1


def test_an_exception_rolls_back(table: Database) -> None:
    with pytest.raises(ZeroDivisionError), table.transaction() as tx:
        tx.run("delete from pair")
        raise ZeroDivisionError
    with table.read() as tx:
        assert tx.value("select count(*) from pair") == 3


def test_run_gives_the_number_of_changed_rows(table: Database) -> None:
    with table.transaction() as tx:
        assert tx.run("update pair set word = 'x' where id < 3") == 2


def test_a_savepoint_undoes_its_part_alone(table: Database) -> None:
    with table.transaction() as tx:
        tx.run("insert into pair values (4, 'four')")
        with pytest.raises(UniqueViolation) as raised, tx.savepoint():
            tx.run("insert into pair values (5, 'five')")
            tx.run("insert into pair values (4, 'again')")
        assert raised.value.constraint_name == "pair_pkey"
    with table.read() as tx:
        assert tx.values("select id from pair where id > 3") == [4]


def insert_pairs(tx: Tx, rows: Sequence[tuple[int, str]]) -> None:
    tx.run(
        "insert into pair select * from unnest(%s::int[], %s::text[])",
        ([number for number, _ in rows], [word for _, word in rows]),
    )


def test_what_is_added_in_a_gathered_part_is_written_at_its_end(table: Database) -> None:
    with table.transaction() as tx:
        with tx.gathered():
            tx.add(insert_pairs, (4, "four"))
            with tx.gathered():
                tx.add(insert_pairs, (5, "five"))
            with pytest.raises(ZeroDivisionError), tx.savepoint():
                tx.add(insert_pairs, (6, "six"))
                raise ZeroDivisionError
            tx.add(insert_pairs, (7, "seven"))
            assert tx.values("select id from pair where id > 3") == []
        assert tx.values("select id from pair where id > 3 order by ctid") == [4, 5, 7]
        with pytest.raises(ZeroDivisionError), tx.gathered():
            tx.add(insert_pairs, (8, "eight"))
            raise ZeroDivisionError
        tx.add(insert_pairs, (9, "nine"))
        assert tx.values("select id from pair where id > 7") == [9]


def test_a_swallowed_error_does_not_pass_for_a_commit(table: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="rolled back"), table.transaction() as tx:
        tx.run("insert into pair values (4, 'four')")
        with pytest.raises(UniqueViolation):
            tx.run("insert into pair values (4, 'again')")


@pytest.mark.parametrize(
    ("statement", "params", "error", "kind"),
    [
        ("insert into pair values (1, 'x')", (), UniqueViolation, Kind.CONFLICT),
        ("insert into pair values (7, 'much too long')", (), ConstraintViolation, Kind.CONFLICT),
        ("insert into pair values (7, null)", (), ConstraintViolation, Kind.CONFLICT),
        ("insert into pair values (7, %s)", ("nul \0 here",), UnstorableValue, Kind.INCORRECT),
        ("insert into pair values (%s, 'x')", (1 << 40,), UnstorableValue, Kind.INCORRECT),
        ("select %s::jsonb", (jsonb({"a": "nul \0"}),), UnstorableValue, Kind.INCORRECT),
        ("select nothing from nowhere", (), StatementFailed, Kind.FAULT),
    ],
)
def test_errors_are_ours(
    table: Database, statement: str, params: tuple, error: type, kind: Kind
) -> None:
    with pytest.raises(error) as raised, table.transaction() as tx:
        tx.run(statement, params)
    assert raised.value.kind is kind


def test_error_texts_do_not_quote_values(table: Database) -> None:
    with pytest.raises(ConstraintViolation) as raised, table.transaction() as tx:
        tx.run("insert into pair values (7, 'Phantom^Ada')")
    assert "Phantom" not in str(raised.value)


def test_json_survives(tx: Tx) -> None:
    value = {"text": 'äß\\"', "list": [1, 2.5, None, True], "nested": {"a": []}}
    assert tx.value("select %s", (jsonb(value),)) == value


def test_times_are_utc(tx: Tx) -> None:
    found = tx.value("select timestamptz '2026-03-02 10:00+02'")
    assert found.isoformat() == "2026-03-02T08:00:00+00:00"


def test_reading_transactions_cannot_write_and_see_one_moment(table: Database) -> None:
    with table.read() as reader:
        assert reader.value("select count(*) from pair") == 3
        with table.transaction() as writer:
            writer.run("insert into pair values (4, 'four')")
        assert reader.value("select count(*) from pair") == 3
    with pytest.raises(StatementFailed, match="read-only"), table.read() as reader:
        reader.run("insert into pair values (5, 'five')")
    with table.transaction() as tx:  # the same connection writes again
        tx.run("insert into pair values (5, 'five')")


def test_reading_keeps_what_is_prepared_on_the_connection(database_url: str) -> None:
    database = Database(database_url, connections_max=1, plans_once=True)
    try:
        for _ in range(2):
            with database.read() as tx:
                tx.value("select 'kept'")
        with database.read() as tx:
            prepared = "select count(*) from pg_prepared_statements where statement = %s"
            assert tx.value(prepared, ("select 'kept'",)) == 1
    finally:
        database.close()


def test_a_lost_connection_is_repeatable_and_heals(table: Database) -> None:
    with pytest.raises(DatabaseUnavailable) as raised, table.transaction() as tx:
        mine = tx.value("select pg_backend_pid()")
        with table.transaction() as other:
            other.value("select pg_terminate_backend(%s)", (mine,))
        tx.run("insert into pair values (4, 'four')")
    assert raised.value.repeatable
    with table.read() as tx:
        assert tx.value("select count(*) from pair") == 3


def test_a_deadlock_is_repeatable(table: Database) -> None:
    barrier = threading.Barrier(2, timeout=30)
    errors: list[DatabaseUnavailable] = []

    def cross(first: int, second: int) -> None:
        try:
            with table.transaction() as tx:
                tx.run("update pair set word = 'x' where id = %s", (first,))
                barrier.wait()
                tx.run("update pair set word = 'x' where id = %s", (second,))
        except DatabaseUnavailable as error:
            errors.append(error)

    threads = [threading.Thread(target=cross, args=pair) for pair in [(1, 2), (2, 1)]]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.repeatable for each in errors] == [True]


def test_no_free_connection_is_busy_and_says_so(database_url: str) -> None:
    database = Database(database_url, connections_max=1, wait_timeout_s=0.2)
    try:
        with database.transaction() as tx:
            tx.value("select 1")
            with pytest.raises(DatabaseBusy), database.transaction():
                pytest.fail("there is one connection only")
    finally:
        database.close()


def test_the_connection_that_came_back_last_is_lent_next(database_url: str) -> None:
    """Plans and caches are a connection's own."""
    database = Database(database_url, connections_max=2)
    try:
        for _ in range(2):
            with database.transaction() as first, database.transaction() as second:
                last = first.value("select pg_backend_pid()")
                assert second.value("select pg_backend_pid()") != last
            for _ in range(3):
                with database.statement() as tx:
                    assert tx.value("select pg_backend_pid()") == last
    finally:
        database.close()


def test_a_server_that_is_away_is_unavailable(tmp_path) -> None:
    database = Database(f"postgresql:///nothing?host={tmp_path}", wait_timeout_s=0.5)
    try:
        with pytest.raises(DatabaseUnavailable), database.transaction():
            pytest.fail("there is no server")
    finally:
        database.close()


def test_waiting_for_a_lock_has_an_end(table: Database, database_url: str) -> None:
    impatient = Database(database_url, wait_timeout_s=0.2)
    try:
        with table.transaction() as tx:
            tx.run("update pair set word = 'held' where id = 1")
            with pytest.raises(DatabaseBusy), impatient.transaction() as other:
                other.run("update pair set word = 'wanted' where id = 1")
    finally:
        impatient.close()
