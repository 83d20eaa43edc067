from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isocenter.app.subscriptions import router
from isocenter.infra.db import Database
from tests.hospital import Hospital


@pytest.fixture
def hospital(make_database: Callable[..., Database], tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(make_database(router=router()), tmp_path / "objects")
    yield made
    made.pool.close()
