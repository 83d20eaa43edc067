from pathlib import Path

import pytest

from tests.fuzz.ul.target import run as check_survival

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


def test_the_corpus_is_there():
    assert len(CORPUS) >= 10


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_nothing_in_the_corpus_breaks_anything(path):
    check_survival(path.read_bytes())
