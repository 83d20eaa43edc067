"""Tells on the terminal what the demonstration hospital does, one line per event.

Colour on a terminal, plain text elsewhere. The patients are invented, so their names may be shown.
"""

import threading
from datetime import datetime

from rich.console import Console
from rich.text import Text

_STYLES = {
    "EHR": "cyan",
    "CT": "green",
    "MR": "green",
    "DX": "green",
    "US": "green",
    "Reader": "magenta",
    "Mishap": "yellow",
    "Isocenter": "bold",
}
_WHO_WIDTH = 10


class Narrator:
    """A voice that several threads may use."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._lock = threading.Lock()

    def say(self, who: str, what: str, now: datetime) -> None:
        """Print one line: local time, who, what."""
        line = Text(f"{now.astimezone():%H:%M:%S}  ", style="dim")
        line.append(who.ljust(_WHO_WIDTH), style=_STYLES.get(who, ""))
        line.append(what)
        with self._lock:
            self._console.print(line)
