"""The product as an operator runs it: its command line, processes, ports. Nothing is imported."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.certificates import Identity

READY_S = 90.0
_ROLES = ("ISOCENTER_WEB_PROCESSES", "ISOCENTER_DIMSE_PROCESSES", "ISOCENTER_HL7_PROCESSES")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], *, timeout_s: float = 30.0, what: str = "") -> Any:
    """Return the first true value of ``condition``; fail loudly when it stays away."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {timeout_s} s: {what or condition!r}")
        time.sleep(0.1)


class Product:
    """One installation in a folder of its own; it speaks HTTPS when it has a certificate."""

    def __init__(self, folder: Path, identity: Identity | None = None, **settings: str) -> None:
        self.folder = folder
        self.identity = identity
        self.home = folder / "home"
        self.http_port, self.dicom_port, self.hl7_port = free_port(), free_port(), free_port()
        own = os.environ  # noqa: TID251 - the product gets the rest of ours
        inherited = {k: v for k, v in own.items() if not k.startswith("ISOCENTER_")}
        self.environment = {
            **inherited,
            "ISOCENTER_HOME": str(self.home),
            "ISOCENTER_HTTP_PORT": str(self.http_port),
            "ISOCENTER_DICOM_PORT": str(self.dicom_port),
            "ISOCENTER_HL7_PORT": str(self.hl7_port),
            **dict.fromkeys(_ROLES, "1"),  # each start takes a second
            **settings,
        }
        self.tls: ssl.SSLContext | None = None
        if identity is not None:
            self.environment["ISOCENTER_HTTP_TLS_CERTIFICATE"] = str(identity.certificate)
            self.environment["ISOCENTER_HTTP_TLS_KEY"] = str(identity.key)
            self.tls = ssl.create_default_context(cafile=str(identity.certificate))
        self.process: subprocess.Popen[bytes] | None = None
        self.tokens: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"{'https' if self.identity else 'http'}://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> str:
        path = self.folder / "serve.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def cli(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run the command line; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "isocenter", *arguments],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self) -> "Product":
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "isocenter", "serve"],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        until(self.ready, timeout_s=READY_S, what=f"readiness; log:\n{self.log[-3000:]}")
        return self

    def ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.log[-4000:]}")
        ports = (self.dicom_port, self.hl7_port)
        try:
            with urllib.request.urlopen(
                f"{self.url}/health/ready", timeout=5, context=self.tls
            ) as answer:
                return answer.status == 200 and all(map(_listens, ports))
        except (urllib.error.URLError, OSError):
            return False

    def takes_hl7(self) -> bool:
        """Whether a connection from here is left open: the sender is a known peer."""
        with socket.create_connection(("127.0.0.1", self.hl7_port), timeout=5) as probe:
            probe.settimeout(0.3)
            try:
                return probe.recv(1) != b""
            except TimeoutError:
                return True

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=45)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    def role_processes(self, role: str) -> list[int]:
        """Return the process ids of a role (web, dimse, hl7, worker)."""
        assert self.process is not None
        found: list[int] = []
        for child in _descendants(self.process.pid):
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if re.search(rf"\brun {role}\b", command):
                found.append(child)
        return found

    def kill(self, role: str) -> None:
        """Kill every process of a role without warning."""
        for process_id in self.role_processes(role):
            os.kill(process_id, signal.SIGKILL)

    def token(self, user: str) -> str:
        if user not in self.tokens:
            self.tokens[user] = self.cli("token", "create", "--user", user).strip()
        return self.tokens[user]

    def api(
        self, method: str, path: str, body: Any = None, *, user: str = "radiologist"
    ) -> tuple[int, Any]:
        """Return status and decoded body of one call with the user's token."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token(user)}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        return status, json.loads(raw) if raw else None

    def ledger(self, accession_number: str) -> dict[str, Any]:
        """Return the exam's ledger, its hops by name."""
        status, body = self.api("GET", f"/api/exams/{accession_number}")
        if status != 200:
            return {}
        return {**body, "by_name": {hop["name"]: hop for hop in body["hops"]}}

    def reached(self, accession_number: str, hop: str) -> Callable[[], Any]:
        """Return a condition: the exam's hop is done."""
        return lambda: (
            self.ledger(accession_number).get("by_name", {}).get(hop, {}).get("state") == "done"
        )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _descendants(process_id: int) -> list[int]:
    found: list[int] = []
    tasks = Path(f"/proc/{process_id}/task")
    try:
        for task in tasks.iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    except OSError:
        return found
    return found
