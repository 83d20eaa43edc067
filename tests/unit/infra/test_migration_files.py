"""The migration files as a set."""

from collections import Counter

from isocenter.infra.db.migrate import Migration, in_order, packaged_migrations


def test_numbers_are_unique_per_phase_and_without_gaps() -> None:
    migrations = packaged_migrations()
    twice = [key for key, n in Counter((m.version, m.phase) for m in migrations).items() if n > 1]
    assert twice == []
    versions = sorted({each.version for each in migrations})
    assert versions == list(range(1, len(versions) + 1))


def test_at_one_number_what_expands_comes_first() -> None:
    given = [
        Migration(2, "post", "0002_b.post", ""),
        Migration(2, "pre", "0002_b.pre", ""),
        Migration(1, "post", "0001_a.post", ""),
    ]
    assert [each.name for each in in_order(given)] == ["0001_a.post", "0002_b.pre", "0002_b.post"]
