"""Reads that fall back to a copy: how often the failing store is asked, and who is told."""

from pathlib import Path
from typing import Any, NoReturn

import pytest

from isocenter.infra.blobs import BlobMissing, StorageUnavailable, open_store
from isocenter.infra.blobs.elsewhere import ReadsElsewhere
from isocenter.infra.blobs.several import SeveralStores


class Broken:
    """A store that fails in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def _fail(self, *_: Any) -> NoReturn:
        self.asked += 1
        raise self.error

    read = open = size_bytes = _fail


class Copies:
    """Knows one copy of everything."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.failure: Exception | None = None
        self.told: list[str] = []

    def copies(self, key: str) -> list[str]:
        if self.failure is not None:
            raise self.failure
        return [self.key]

    def noticed(self, key: str, copy: str, error: Exception) -> None:
        self.told.append(key)


class Watch:
    """Time that a test moves."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def second(tmp_path: Path):
    return open_store(f"file://{tmp_path}")


def test_a_store_that_is_away_is_asked_once_in_a_while(second):
    key = second.put(b"the bytes").key
    copies, watch = Copies(f"second:{key}"), Watch()
    broken = Broken(StorageUnavailable("away"))
    stores = SeveralStores({"main": broken, "second": second})
    reads = ReadsElsewhere(stores, copies, monotonic=watch)
    for name in ("a", "a", "b", "c"):
        assert reads.read(name) == b"the bytes"
    assert (broken.asked, copies.told) == (1, ["a"])
    watch.now_s += 61
    assert reads.read("a", 4) == b"bytes"
    assert (broken.asked, copies.told) == (2, ["a", "a"])
    watch.now_s += 61
    broken.error = BlobMissing("gone")
    assert reads.size_bytes("a") == 9
    assert reads.size_bytes("b") == 9  # it answers: each object is asked for
    assert (broken.asked, copies.told) == (4, ["a", "a", "a", "b"])


def test_the_first_error_is_raised_when_no_copy_helps(second):
    broken = Broken(StorageUnavailable("away"))
    stores = SeveralStores({"main": broken, "second": second})
    copies = Copies("second:2026/01/01/00/0123456789abcdef0123456789abcdef")
    reads = ReadsElsewhere(stores, copies)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            reads.open("a")
    copies.failure = StorageUnavailable("no database")
    with pytest.raises(StorageUnavailable, match="away"):
        reads.read("a")
    assert copies.told == []


def test_a_copy_that_fails_later_is_given_up(second):
    key = second.put(b"the bytes").key
    copies = Copies(f"second:{key}")
    broken = Broken(BlobMissing("gone"))
    reads = ReadsElsewhere(SeveralStores({"main": broken, "second": second}), copies)
    assert reads.read("a") == b"the bytes"
    second.delete(key)
    with pytest.raises(BlobMissing, match="gone"):
        reads.read("a")
    assert broken.asked == 2
