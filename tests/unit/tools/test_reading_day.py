"""What makes a rehearsed day fail."""

import pytest

pytest.importorskip("playwright")

from tools.reading_day import Day, told


def test_a_quiet_day_has_no_faults():
    assert told(Day(heaps=[14, 13, 10, 12, 13])) == []


def test_a_heap_that_grows_after_the_third_case_is_a_fault():
    (fault,) = told(Day(heaps=[5, 9, 10, 12, 14]))
    assert fault == "the heap grew to 1.40 of what it was"


def test_errors_and_what_was_not_kept_are_faults():
    day = Day(heaps=[10], complaints=["TypeError"], unsaved=["DAY0001"])
    assert told(day) == ["console: TypeError", "not on the server: DAY0001"]
