"""Every gate of `make check` has a control that plants a violation and expects the gate to fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent

IMPORTS_THAT_MUST_BREAK = {
    "layers": ("isocenter/infra/planted.py", "import isocenter.domain.orders.model\n"),
    "stages": ("isocenter/domain/identity/handlers.py", "import isocenter.domain.orders.model\n"),
    "stage-shape": ("isocenter/domain/orders/planted.py", "VALUE = 1\n"),
    "gateways": ("isocenter/gateways/hl7/planted.py", "import isocenter.gateways.dimse\n"),
    "private": ("isocenter/gateways/hl7/planted2.py", "import isocenter.domain.orders._store\n"),
    "pure-models": ("isocenter/domain/orders/events.py", "import socket\n"),
    "sans-io": ("isocenter/standards/planted.py", "import asyncio\n"),
    "web-at-the-edge": ("isocenter/domain/reporting/events.py", "import fastapi\n"),
    "database-behind-tx": ("isocenter/domain/peers/events.py", "import psycopg\n"),
    "datasets-at-the-edge": ("isocenter/domain/archive/events.py", "import pydicom\n"),
    "readmodels-read": (
        "isocenter/readmodels/planted.py",
        "import isocenter.domain.orders.service\n",
    ),
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the sources with the gates' settings, to plant violations in."""
    for name in ("src", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "ruff.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(house: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{house}/src:{house}", "PATH": f"{BIN}:/usr/bin:/bin"}
    return subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True)


def test_each_import_contract_breaks_on_its_planted_import(house: Path):
    for path, text in IMPORTS_THAT_MUST_BREAK.values():
        with (house / "src" / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")
    for contract in IMPORTS_THAT_MUST_BREAK:
        result = run(house, str(BIN / "lint-imports"), "--no-cache", "--contract", contract)
        assert result.returncode == 1, f"{contract} did not break:\n{result.stdout}"
        assert "BROKEN" in result.stdout, f"{contract}:\n{result.stdout}{result.stderr}"


def test_every_import_contract_has_a_control():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ids = {line.split('"')[1] for line in text.splitlines() if line.startswith("id = ")}
    assert ids == set(IMPORTS_THAT_MUST_BREAK)


@pytest.mark.parametrize(
    "planted",
    [
        "import datetime\n\nNOW = datetime.datetime.now()\n",
        "import os\n\nHOME = os.environ['HOME']\n",
        "import uuid\n\nID = uuid.uuid4()\n",
        "import time\n\nNOW = time.time()\n",
        "def f(x):\n    return x\n",
        "from isocenter.domain.orders import _store\n",
    ],
    ids=["clock", "environment", "ids", "time", "untyped", "private"],
)
def test_the_linter_refuses(house: Path, planted: str):
    (house / "src/isocenter/gateways/planted.py").write_text('"""Planted."""\n\n' + planted)
    result = run(
        house, str(BIN / "ruff"), "check", "--no-cache", "src/isocenter/gateways/planted.py"
    )
    assert result.returncode == 1, result.stdout


def test_the_type_checker_refuses_sql_built_from_strings(house: Path):
    planted = house / "src/isocenter/domain/orders/planted.py"
    planted.write_text(
        '"""Planted."""\n\n'
        "from isocenter.infra.db import Tx\n\n\n"
        "def find(tx: Tx, name: str) -> object:\n"
        '    """Return it."""\n'
        '    return tx.value("select \'" + name + "\'")\n'
    )
    (house / ".venv").symlink_to(ROOT / ".venv")
    result = run(house, str(BIN / "basedpyright"), str(planted))
    assert result.returncode == 1, result.stdout
    assert "reportArgumentType" in result.stdout
