"""How processes of one installation tell each other that they are ready: a file each, by role.

Connecting to the listeners would tell as well, but each connection is a caller to be refused and
noted.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager

from isocenter.app.settings import Settings


@contextmanager
def ready(settings: Settings, role: str) -> Generator[None]:
    """Say that this process is ready, for as long as the block lasts."""
    folder = settings.run_folder / "ready"
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"{role}-{os.getpid()}"
    mark.touch()
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def count_ready(settings: Settings, role: str) -> int:
    """How many living processes of a role are ready."""
    found = 0
    for mark in (settings.run_folder / "ready").glob(f"{role}-*"):
        if is_alive(int(mark.name.rpartition("-")[2])):
            found += 1
        else:
            mark.unlink(missing_ok=True)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
