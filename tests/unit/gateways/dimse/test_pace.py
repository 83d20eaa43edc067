"""When the storage counts as swift: after some quick objects, and no longer after a slow one."""

from isocenter.gateways.dimse.pace import Pace


def quick(pace: Pace, objects: int) -> Pace:
    for _ in range(objects):
        pace.took(0.0005, 1)
    return pace


def test_nothing_is_swift_before_it_was_seen():
    pace = Pace(0.002)
    assert not pace.is_swift
    assert not quick(pace, 1).is_swift
    assert quick(pace, 10).is_swift


def test_one_slow_object_takes_the_trust_away_and_some_quick_ones_bring_it_back():
    pace = quick(Pace(0.002), 20)
    pace.took(0.013, 1)
    assert not pace.is_swift
    assert quick(pace, 10).is_swift


def test_what_is_always_a_little_too_slow_is_never_swift():
    pace = Pace(0.002)
    for _ in range(100):
        pace.took(0.0021, 1)
        assert not pace.is_swift


def test_objects_of_a_batch_share_its_time():
    pace = Pace(0.002)
    for _ in range(20):
        pace.took(0.008, 8)
    assert pace.is_swift


def test_zero_means_never():
    pace = Pace(0.0)
    for _ in range(100):
        pace.took(0.0, 1)
    assert not pace.is_swift
