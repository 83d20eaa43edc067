"""The embedded server: durable, shared, and not to be killed for good."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from isocenter.infra import embedded_postgres
from isocenter.infra.embedded_postgres import EmbeddedPostgres, HomeInUse

START = """
import sys, time
from pathlib import Path
from isocenter.infra.embedded_postgres import start
server = start(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that all tests here start and stop their servers in: making one takes the longest."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def home(made_home: Path) -> Iterator[Path]:
    """The home, without a running server before and after."""
    yield made_home
    leftover = embedded_postgres.start(made_home, share=True)
    with psycopg.connect(leftover.url) as connection:
        connection.execute("drop table if exists kept, person")
    leftover.stop()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
        return row[0] if row else None


def is_alive(pid: int) -> bool:
    return (
        subprocess.run(["kill", "-0", str(pid)], check=False, capture_output=True).returncode == 0
    )


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(pid)


def write(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("create table kept as select 42 as answer")


def test_what_was_committed_is_there_after_a_restart(home: Path) -> None:
    server = embedded_postgres.start(home)
    write(server)
    server.stop()
    assert not server.is_running()
    again = embedded_postgres.start(home)
    assert ask(again.url, "select answer from kept") == 42
    again.stop()


def test_it_is_durable_and_reachable_by_its_user_only(home: Path) -> None:
    server = embedded_postgres.start(home)
    for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
        assert ask(server.url, f"show {setting}") == "on"
    assert ask(server.url, "show listen_addresses") == ""
    assert ask(server.url, "select usesuper from pg_user where usename = current_user") is False
    assert ask(server.url, "show server_encoding") == "UTF8"
    sockets = Path(str(ask(server.admin_url, "show unix_socket_directories")))
    assert sockets.stat().st_mode & 0o777 == 0o700
    server.stop()


def test_kill_of_server_and_owner_loses_nothing(home: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", START, home], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    write(embedded_postgres.start(home, share=True))
    owner.kill()
    owner.communicate()
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    server = embedded_postgres.start(home)
    assert server.pid != pid
    assert ask(server.url, "select answer from kept") == 42
    server.stop()


def test_a_server_whose_owner_was_killed_is_taken_over(home: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", START, home], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.communicate()
    server = embedded_postgres.start(home)
    assert (server.pid, server.owned) == (pid, True)
    server.stop()
    wait_until_gone(pid)


def test_one_owner_at_a_time_and_sharers_stop_nothing(home: Path) -> None:
    server = embedded_postgres.start(home)
    with pytest.raises(HomeInUse):
        embedded_postgres.start(home, wait_timeout_s=0.1)
    shared = embedded_postgres.start(home, share=True)
    assert (shared.pid, shared.url, shared.owned) == (server.pid, server.url, False)
    shared.stop()
    assert server.is_running()
    server.stop()
    alone = embedded_postgres.start(home, share=True)
    assert alone.owned
    alone.stop()


def test_a_stale_lock_file_with_the_number_of_another_process_is_no_obstacle(home: Path) -> None:
    server = embedded_postgres.start(home)
    server.stop()
    lock_file = home / "postgres" / "data" / "postmaster.pid"
    lock_file.write_text(f"{os.getpid()}\n")
    again = embedded_postgres.start(home)
    assert again.is_running()
    again.stop()


def test_an_interrupted_first_start_is_begun_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres" / "data.incomplete"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server = embedded_postgres.start(tmp_path)
    assert ask(server.url, "select 1") == 1
    server.stop()


def test_a_long_home_gets_a_short_socket(home: Path) -> None:
    deep = home / ("a-rather-long-name-of-a-directory" * 3) / ("and-another" * 5)
    server = embedded_postgres.start(deep)
    try:
        assert ask(server.url, "select 1") == 1
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets directories closed to the server")
def test_root_may_keep_its_home_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = embedded_postgres.start(closed / "home")
    try:
        assert ask(server.url, "select 1") == 1
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_runs_it_too(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    reach = [f"--{which}-caps=-all,+dac_read_search" for which in ("inh", "ambient")]
    program = START.replace("time.sleep(60)", "server.stop()")
    done = subprocess.run(
        [*become, *reach, sys.executable, "-c", program, own], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (own / "postgres" / "data").stat().st_uid == 65534


def test_its_log_quotes_no_rows(home: Path) -> None:
    server = embedded_postgres.start(home)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("create table person (name text primary key)")
        for _ in range(2):
            try:
                connection.execute("insert into person values (%s)", ("Phantom^Ada",))
            except psycopg.errors.UniqueViolation:
                refused = True
    server.stop()
    assert refused
    assert "Phantom" not in (home / "postgres" / "postgres.log").read_text()
