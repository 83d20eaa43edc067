"""What the tests of the stages share."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest


@pytest.fixture
def count_statements(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], AbstractContextManager[list[str]]]:
    """A context manager that lists the statements sent to the database inside of it."""

    @contextmanager
    def counting() -> Iterator[list[str]]:
        sent: list[str] = []
        here = threading.get_ident()
        execute = psycopg.Cursor.execute

        def noted(self, statement, *arguments, **named):
            if threading.get_ident() == here:  # the pool opens connections in the background
                sent.append(str(statement))
            return execute(self, statement, *arguments, **named)

        with monkeypatch.context() as patched:
            patched.setattr(psycopg.Cursor, "execute", noted)
            yield sent

    return counting
