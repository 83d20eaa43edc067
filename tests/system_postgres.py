"""A throw-away cluster with the system's PostgreSQL, the other server that the tests run on."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

_START_TIMEOUT_S = 60


@dataclass
class SystemPostgres:
    """A running server, with as much of the embedded one's interface as the fixtures use."""

    admin_url: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def start(home: Path, *, settings: Mapping[str, str]) -> SystemPostgres:
    """A new cluster under ``home``; skips the test when the system has no PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no system PostgreSQL under /usr/lib/postgresql")
    programs = found[-1].parent
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(home, user.pw_uid, user.pw_gid)
    data = home / "data"
    subprocess.run(
        [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-A",
            "trust",
        ],
        **identity,
        cwd="/",
        check=True,
        capture_output=True,
    )
    options = {"listen_addresses": "", "unix_socket_directories": str(home), **settings}
    process = subprocess.Popen(
        [
            programs / "postgres",
            "-D",
            data,
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        **identity,
        cwd="/",
        stdout=(home / "log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"postgresql://postgres@/postgres?host={quote(str(home), safe='')}"
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return SystemPostgres(url, process)
