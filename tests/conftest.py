"""Fixtures for everybody: a real PostgreSQL, and a fresh migrated database for each test.

The server is the embedded one; with ISOCENTER_TEST_POSTGRES=system it is that of the system's
packages. Each pytest process (each xdist worker) has its own server in a temporary directory, which
ends with it even when it is killed.
"""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from isocenter.infra import embedded_postgres
from isocenter.infra.db import Database, Router, Tx
from isocenter.infra.db.migrate import migrate
from tests import pynetdicom_pause, system_postgres

# Tests are about what the server does, not about what survives a power cut.
FAST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
}
# A test's database is a copy of a thousand files: in memory that takes a fifth of the time.
_MEMORY = Path("/dev/shm")
_MEMORY_FREE_BYTES = 3 * 1024**3
_numbers = itertools.count(1)
# A busy machine is no finding: pytest's own timeout ends what hangs. New examples are looked for
# where somebody can look at what they find; a change is judged by the same ones each time.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    derandomize="CI" in os.environ,  # noqa: TID251 - a switch of the tests
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")
pynetdicom_pause.apply()


@dataclass(frozen=True)
class Server:
    """A server that tests may make databases on. ``admin_url`` is a superuser's."""

    admin_url: str

    def create(self, *, template: str = "template1") -> str:
        """The URL of a new database."""
        name = f"test_{next(_numbers)}"
        self._run(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return make_conninfo(self.admin_url, dbname=name)

    def drop(self, url: str) -> None:
        """Remove the database, with whatever is still connected to it."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self._run(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(str(name)))
        )

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The PostgreSQL server of this test session."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_FREE_BYTES
    home = Path(tempfile.mkdtemp(prefix="iso-pg-", dir=_MEMORY if roomy else None))
    home.chmod(0o755)
    start: Callable[..., embedded_postgres.EmbeddedPostgres] = embedded_postgres.start
    if os.environ.get("ISOCENTER_TEST_POSTGRES") == "system":  # noqa: TID251 - a test's own switch
        start = system_postgres.start
    running = start(home, settings=FAST_SETTINGS)
    guard = _stop_when_we_die(running.pid, home)
    try:
        yield Server(running.admin_url)
    finally:
        running.stop()
        guard.terminate()
        guard.communicate()
        shutil.rmtree(home, ignore_errors=True)


def _stop_when_we_die(pid: int, home: Path) -> subprocess.Popen[bytes]:
    """A shell that ends the server once our end of its input closes, however we ended."""
    script = 'read -r line; kill -QUIT "$1"; sleep 1; rm -rf "$2"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", str(pid), str(home)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def migrated_template(postgres_server: Server) -> str:
    """The name of a database with all migrations applied and no rows."""
    url = postgres_server.create()
    migrate(url)
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


@pytest.fixture(scope="session")
def database_stock(postgres_server: Server, migrated_template: str) -> Iterator["Stock"]:
    """Migrated databases made ahead, while the test before still runs: one takes 0.2 s."""
    stock = Stock(postgres_server, migrated_template)
    yield stock
    stock.close()


class Stock:
    """One fresh database in stock, the next being made by a thread."""

    def __init__(self, server: Server, template: str) -> None:
        self._server = server
        self._template = template
        self._thread = ThreadPoolExecutor(1)
        self._next = self._order()

    def _order(self) -> Future[str]:
        return self._thread.submit(self._server.create, template=self._template)

    def take(self) -> str:
        """The URL of a fresh database."""
        url = self._next.result()
        self._next = self._order()
        return url

    def give_back(self, url: str) -> None:
        """Have the database removed, soon."""
        self._thread.submit(self._server.drop, url)

    def close(self) -> None:
        self._thread.shutdown()


@pytest.fixture
def empty_database_url(postgres_server: Server) -> Iterator[str]:
    """A database without any of our tables."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def database_url(database_stock: Stock) -> Iterator[str]:
    """A fresh migrated database of this test's own."""
    url = database_stock.take()
    yield url
    database_stock.give_back(url)


@pytest.fixture
def make_database(database_url: str) -> Iterator[Callable[..., Database]]:
    """Make ``Database`` objects on this test's database: ``make_database(router=…)``."""
    made: list[Database] = []

    def make(*, router: Router | None = None, connections_max: int = 8) -> Database:
        made.append(Database(database_url, router=router, connections_max=connections_max))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def database(make_database: Callable[..., Database]) -> Database:
    """This test's database, without subscriptions."""
    return make_database()


@pytest.fixture
def tx(database: Database) -> Iterator[Tx]:
    """One open transaction, committed when the test ends."""
    with database.transaction() as transaction:
        yield transaction


# How a test says that something independent of us is missing; everything else that is skipped does
# not apply to its case (a file without pixels, a value that the peer itself refuses).
_MISSING = re.compile(r"\b(not installed|is not here|are not at|no system PostgreSQL|missing)\b")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was not judged by its peer; in CI nothing may be."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    missing = [reason for reason in reasons if _MISSING.search(reason)]
    terminalreporter.write_line(f"missing peers or data: {len(missing)} tests")
    for reason in sorted(set(missing)):
        terminalreporter.write_line(f"  {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI every peer and every file is there, or the run fails."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):  # noqa: TID251 - a test's own switch
        return
    reasons = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    if any(_MISSING.search(reason) for reason in reasons) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
