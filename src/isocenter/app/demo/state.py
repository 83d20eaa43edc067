"""What the demonstration keeps between runs: how far it got, and the secrets of its own users.

One file in the home, readable by its owner only. It exists only in homes that the demonstration
made.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

_FOLDER, _FILE = "demo", "hospital.json"


@dataclass
class DemoState:
    """Everything that a later run needs to go on.

    Attributes:
        next_serial: running number of the next patient and exam.
        run: counts starts, so that control ids never repeat.
        administrator_password: shown at each start; this installation holds no real patients.
        radiologist_token: with which the played radiologist uses the API.
    """

    next_serial: int = 1
    run: int = 0
    administrator_password: str = ""
    radiologist_token: str = ""


def is_demo_home(home: Path) -> bool:
    """Whether the demonstration made this home."""
    return (home / _FOLDER / _FILE).is_file()


def load(home: Path) -> DemoState:
    """The state kept in a home; a new one when there is none."""
    file = home / _FOLDER / _FILE
    if not file.is_file():
        return DemoState()
    return DemoState(**json.loads(file.read_text("utf-8")))


def save(home: Path, state: DemoState) -> None:
    """Keep the state, replacing the file as a whole."""
    folder = home / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{_FILE}.new"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(state), indent=1), "utf-8")
    fresh.replace(folder / _FILE)
