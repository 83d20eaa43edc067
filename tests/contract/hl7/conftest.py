"""Where the third-party messages are."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def third_party() -> Path:
    beside = Path(__file__).parents[4] / "shared" / "testdata"
    root = Path(os.environ.get("ISOCENTER_TESTDATA", beside))  # noqa: TID251 - tests have no settings
    if not (root / "hl7").is_dir():
        pytest.skip(f"third-party HL7 messages are not at {root}")
    return root
