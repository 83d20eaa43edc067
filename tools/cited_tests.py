"""Tests that documents name as proof, ``tests/path.py::test_name``: whether each exists.

A table whose last column is headed ``shown by`` makes claims: each of its rows must name a test.
What a test asserts is not looked at here.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_CITED: Final = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
_PROOF: Final = "shown by"


def unproven(root: Path, text: str) -> Iterator[str]:
    """What is wrong with the proofs of a document: tests that are not there, claims without one."""
    for path, name in dict.fromkeys(_CITED.findall(text)):
        if name not in _tests_of(root / path):
            yield f"{path}::{name} is no test"
    for row in _claims(text):
        if not _CITED.search(row[-1]):
            yield f"no test shows: {row[0]}"


def _claims(text: str) -> Iterator[list[str]]:
    """The rows of tables that name proofs."""
    claiming = False
    for line in text.splitlines():
        cells = [each.strip() for each in line.strip().strip("|").split(" | ")]
        if not line.startswith("|"):
            claiming = False
        elif cells[-1].strip("| ") == _PROOF:
            claiming = True
        elif claiming and set(line) - set("|- "):
            yield cells


@cache
def _tests_of(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = (
        each.name
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(each, functions)
    )
    return frozenset(name for name in names if name.startswith("test_"))
