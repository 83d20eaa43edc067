"""Replays every saved input of the Part 10 fuzzer, and its truncations."""

from pathlib import Path

import pytest

from tests.fuzz.part10.target import run as check_survival

INPUTS = sorted((Path(__file__).parent / "corpus").iterdir())


def test_there_is_a_corpus():
    assert len(INPUTS) >= 12


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_a_saved_input_breaks_nothing(path):
    check_survival(path.read_bytes())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_a_truncated_input_breaks_nothing(path):
    data = path.read_bytes()
    for length in range(0, len(data), max(1, len(data) // 60)):
        check_survival(data[:length])
