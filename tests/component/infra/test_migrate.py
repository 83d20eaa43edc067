"""Migrations against a real server."""

import threading

import psycopg
import pytest

from isocenter.infra.db.migrate import (
    EditedMigration,
    Migration,
    MigrationFailed,
    SchemaOutdated,
    migrate,
    packaged_migrations,
    pending,
    require_current,
)

EXPAND = Migration(1, "pre", "0001_a.pre", "create table a (x int); select pg_sleep(0.2);")
CONTRACT = Migration(1, "post", "0001_a.post", "alter table a add constraint c check (x > 0);")
NEXT = Migration(2, "pre", "0002_b.pre", "create table b (y int);")
ALL = [NEXT, CONTRACT, EXPAND]


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {
            row[0]
            for row in connection.execute(
                "select tablename from pg_tables where schemaname = 'public'"
            )
        } - {"schema_migration"}


def test_all_are_applied_in_order_and_once(empty_database_url: str) -> None:
    names = ["0001_a.pre", "0001_a.post", "0002_b.pre"]
    assert pending(empty_database_url, migrations=ALL) == names
    assert migrate(empty_database_url, migrations=ALL) == names
    assert migrate(empty_database_url, migrations=ALL) == []
    assert pending(empty_database_url, migrations=ALL) == []
    assert tables(empty_database_url) == {"a", "b"}


def test_phases_are_applied_apart(empty_database_url: str) -> None:
    assert migrate(empty_database_url, phase="pre", migrations=ALL) == ["0001_a.pre", "0002_b.pre"]
    assert pending(empty_database_url, migrations=ALL) == ["0001_a.post"]
    assert migrate(empty_database_url, phase="post", migrations=ALL) == ["0001_a.post"]


def test_asking_what_is_pending_changes_nothing(empty_database_url: str) -> None:
    pending(empty_database_url, migrations=ALL)
    with psycopg.connect(empty_database_url) as connection:
        found = connection.execute("select to_regclass('public.schema_migration')").fetchone()
    assert found == (None,)


def test_two_at_once_apply_each_file_once(empty_database_url: str) -> None:
    applied: list[list[str]] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            applied.append(migrate(empty_database_url, migrations=ALL))
        except Exception as error:  # noqa: BLE001 - collected for the assertion
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    assert sorted(map(len, applied)) == [0, 0, 3]


def test_an_edited_file_is_refused_before_anything_changes(empty_database_url: str) -> None:
    migrate(empty_database_url, migrations=[EXPAND])
    edited = Migration(1, "pre", "0001_a.pre", EXPAND.text + " -- a later thought")
    with pytest.raises(EditedMigration, match=r"0001_a\.pre"):
        migrate(empty_database_url, migrations=[edited, NEXT])
    assert tables(empty_database_url) == {"a"}


def test_a_file_that_fails_leaves_nothing_of_itself(empty_database_url: str) -> None:
    bad = Migration(2, "pre", "0002_bad.pre", "create table half (x int); select 1 / 0;")
    with pytest.raises(MigrationFailed, match=r"0002_bad\.pre: division by zero"):
        migrate(empty_database_url, migrations=[EXPAND, bad])
    assert tables(empty_database_url) == {"a"}
    assert pending(empty_database_url, migrations=[EXPAND, bad]) == ["0002_bad.pre"]


def test_a_database_of_a_newer_version_is_accepted(empty_database_url: str) -> None:
    """While a release rolls out, old processes restart on the new schema."""
    migrate(empty_database_url, migrations=ALL)
    assert migrate(empty_database_url, migrations=[EXPAND, CONTRACT]) == []


def test_an_empty_database_is_outdated_and_a_migrated_one_is_not(empty_database_url: str) -> None:
    with pytest.raises(SchemaOutdated, match="isocenter migrate"):
        require_current(empty_database_url)
    assert migrate(empty_database_url) == [each.name for each in packaged_migrations()]
    require_current(empty_database_url)
