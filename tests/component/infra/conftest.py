"""Fixtures of the technical layer only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.component.infra import s3_server as gateway


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gateway.S3Server]:
    """A real S3 server with one bucket and one user; a counted skip when not installed."""
    home: Path = tmp_path_factory.mktemp("s3")
    server = gateway.start(home)
    yield server
    server.stop()
