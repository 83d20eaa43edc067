from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from isocenter.gateways.web import formats

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=40), "40 s ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=2, minutes=3), "2 h 3 min ago"),
        (timedelta(hours=11, minutes=3), "11 h ago"),
        (timedelta(days=3, hours=5), "3 d ago"),
        (-timedelta(minutes=20), "in 20 min"),
    ],
)
def test_relative_time_names_the_largest_sensible_unit(before, text):
    assert formats.relative(NOW - before, NOW) == text


def test_absolute_time_leaves_out_what_now_makes_obvious():
    zone = timezone(timedelta(hours=2))
    assert formats.absolute(NOW, NOW, zone) == "14:00"
    assert formats.absolute(NOW - timedelta(days=2), NOW, zone) == "27 Feb 14:00"
    assert formats.absolute(NOW - timedelta(days=366), NOW, zone) == "28 Feb 2025 14:00"


def test_today_is_the_day_of_the_hospital_and_not_of_utc():
    zone = timezone(timedelta(hours=13))
    late_evening = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)  # 23:30 there
    past_midnight = datetime(2026, 3, 1, 11, 30, tzinfo=UTC)  # 00:30 of the next day there
    assert formats.absolute(late_evening, past_midnight, zone) == "1 Mar 23:30"


def test_when_shows_both_times_and_is_machine_readable():
    shown = formats.when(NOW - timedelta(minutes=3), NOW, UTC)
    assert shown == (
        '<time datetime="2026-03-01T11:57:00+00:00" title="2026-03-01 11:57:00 UTC">'
        '11:57 <span class="rel">3 min ago</span></time>'
    )
    assert "&ndash;" in formats.when(None, NOW, UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Phantom^Ada", "Phantom, Ada"),
        ("Phantom^Ada^Maria^Dr.^MD", "Phantom, Dr. Ada Maria MD"),
        ("Phantom", "Phantom"),
        ("^Ada", "Ada"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎 · やまだ, たろう)"),
        ("=山田^太郎", "山田, 太郎"),
        ("", ""),
        (None, ""),
        ("^^^^", ""),
    ],
)
def test_person_name(value, shown):
    assert formats.person_name(value) == shown


@pytest.mark.parametrize(
    ("born", "shown"),
    [
        (date(1961, 3, 2), "64 y"),
        (date(1961, 3, 1), "65 y"),
        (date(2025, 2, 28), "12 mo"),
        (date(2026, 2, 20), "9 d"),
        (date(2030, 1, 1), ""),
        (None, ""),
    ],
)
def test_age_changes_on_the_birthday(born, shown):
    assert formats.age(born, NOW) == shown


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (36_800_000, "37 MB"), (2 * 10**15, "2000 TB")],
)
def test_size(size_bytes, shown):
    assert formats.size(size_bytes) == shown


def test_plural_groups_thousands():
    assert formats.plural(1, "image") == "1 image"
    assert formats.plural(12345, "image") == "12\u202f345 images"
    assert formats.plural(2, "series", "series") == "2 series"
