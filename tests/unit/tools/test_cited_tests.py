from pathlib import Path

import pytest

from tools.cited_tests import unproven

CLAIMS = """\
| claim | shown by |
| --- | --- |
| water is wet | `tests/test_water.py::test_wet` |
| so is rain | `tests/test_water.py::test_rain`<br>`tests/test_water.py::test_wet` |
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_water.py").write_text(
        "def test_wet(): ...\nclass TestMore:\n    async def test_rain(self): ...\n"
        "def helper(): ...\n"
    )
    return tmp_path


def test_claims_with_proofs_are_accepted(house):
    assert list(unproven(house, CLAIMS)) == []


@pytest.mark.parametrize("name", ["test_gone", "helper"])
def test_a_proof_that_is_no_test_is_named_wherever_it_stands(house, name):
    found = unproven(house, f"As `tests/test_water.py::{name}` shows.")
    assert list(found) == [f"tests/test_water.py::{name} is no test"]


def test_a_file_that_is_gone_holds_no_tests(house):
    assert list(unproven(house, "`tests/gone.py::test_wet`")) == [
        "tests/gone.py::test_wet is no test"
    ]


@pytest.mark.parametrize("cell", ["", "everybody knows", "`tests/test_water.py`"])
def test_a_claim_without_proof_is_named(house, cell):
    text = f"{CLAIMS}| fire is cold | {cell} |\n"
    assert list(unproven(house, text)) == ["no test shows: fire is cold"]


def test_tables_that_claim_nothing_need_no_proof(house):
    assert list(unproven(house, f"{CLAIMS}\n| name | value |\n| --- | --- |\n| a | b |\n")) == []
