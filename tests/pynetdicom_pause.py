"""pynetdicom's requestor and its reactor, kept from taking each other's answers.

``send_*`` clears the checkpoint and waits until ``_is_paused``. The reactor says that it is
paused before it waits there, and takes it back some time after it has passed: in between,
which on a busy machine is long, ``send_*`` goes on, the reactor takes the response off the
queue as "unexpected", and ``send_*`` waits for it until its timeout. Here the reactor takes it
back in the moment in which it passes.
"""

import threading
from typing import Any

from pynetdicom.association import Association


class _Checkpoint(threading.Event):
    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        with self._cond:  # type: ignore[attr-defined]
            while not self.is_set():
                self._cond.wait()  # type: ignore[attr-defined]
            self._association._is_paused = False
        return True


def apply() -> None:
    """Associations made from now on pause when they say so; called once."""
    original = Association.__init__

    def made(self: Association, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self._reactor_checkpoint = _Checkpoint(self)

    Association.__init__ = made
