"""The schema changes only when somebody means it to."""

from tests.component.infra.schema_snapshot import FILE, describe


def test_the_migrations_make_the_committed_schema(database_url: str) -> None:
    """To accept a change: python -m tests.component.infra.schema_snapshot"""
    assert describe(database_url).splitlines() == FILE.read_text("utf-8").splitlines()
