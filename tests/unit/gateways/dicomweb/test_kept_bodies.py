"""Finished bodies stay for those who ask again, within the room there is."""

from isocenter.gateways.dicomweb.kept_bodies import Coded, KeptBodies


def test_a_kept_body_is_found_under_its_key_only() -> None:
    bodies = KeptBodies(1000)
    bodies.keep(("tag", "root"), Coded(b"body", "gzip"))
    assert bodies.find(("tag", "root")) == Coded(b"body", "gzip")
    assert bodies.find(("tag", "other root")) is None


def test_what_was_not_used_for_longest_goes_first() -> None:
    bodies = KeptBodies(300)
    for key in range(10):
        bodies.keep(key, Coded(bytes(30)))
    assert bodies.find(0) is not None
    bodies.keep("next", Coded(bytes(30)))
    assert bodies.find(1) is None
    assert bodies.find(0) is not None
    assert bodies.find("next") is not None


def test_a_body_kept_again_takes_its_room_once() -> None:
    bodies = KeptBodies(300)
    for _ in range(20):
        bodies.keep("same", Coded(bytes(30)))
    for key in range(9):
        bodies.keep(key, Coded(bytes(30)))
    assert bodies.find("same") is not None


def test_one_large_body_does_not_drive_out_the_others() -> None:
    bodies = KeptBodies(800)
    bodies.keep("small", Coded(bytes(50)))
    bodies.keep("large", Coded(bytes(101)))
    assert bodies.find("large") is None
    assert bodies.find("small") is not None
