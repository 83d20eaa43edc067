"""A few threads that do what they are handed, and that nobody waits for at the end."""

import queue
import threading
from collections.abc import Callable


class Crew:
    """Threads that take work from one queue in order; they end with the process."""

    def __init__(self, size: int) -> None:
        self._waiting: queue.Queue[Callable[[], object]] = queue.Queue()
        for number in range(size):
            threading.Thread(target=self._work, name=f"crew-{number}", daemon=True).start()

    def submit(self, work: Callable[[], object]) -> None:
        """Have ``work`` done; it must not raise."""
        self._waiting.put(work)

    def _work(self) -> None:
        while True:
            self._waiting.get()()
