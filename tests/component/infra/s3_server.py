"""A real S3 server for tests: Ceph's object gateway on one monitor and one store in memory.

It checks signatures and keys, which the usual stand-ins for S3 do not.
"""

import hashlib
import hmac
import http
import http.client
import random
import shutil
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

PROGRAMS = (
    "ceph",
    "ceph-authtool",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
    "radosgw",
    "radosgw-admin",
)
_START_TIMEOUT_S = 60

_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor_port}/0
mon initial members = a
mon data = {home}/mon
osd data = {home}/osd
rgw data = {home}
keyring = {home}/keyring
run dir = {home}
admin socket = {home}/$name.asok
log file = {home}/$name.log
crash dir = {home}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr1 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = false
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 2
rgw frontends = beast endpoint=127.0.0.1:{gateway_port}
rgw thread pool size = 16
debug rgw = 0
"""


@dataclass
class S3Server:
    """A running gateway with one user."""

    home: Path
    gateway_port: int
    monitor_port: int
    credentials: dict[str, str] = field(
        default_factory=lambda: {
            "access_key_id": "ACCESSKEYOFTESTS",
            "secret_access_key": f"{random.getrandbits(128):032x}",
        }
    )
    bucket: str = "blobs"
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def url(self, prefix: str) -> str:
        """The storage URL of a prefix of the bucket."""
        endpoint = quote(f"http://127.0.0.1:{self.gateway_port}", safe="")
        return f"s3://{self.bucket}/{prefix}?endpoint={endpoint}&region=default"

    def start(self) -> None:
        self._write_configuration()
        monitor = f"v2:127.0.0.1:{self.monitor_port}/0"
        self._run(
            "monmaptool",
            *("--create", "--addv", "a", monitor, "--fsid", self._fsid),
            str(self.home / "monmap"),
        )
        monmap = str(self.home / "monmap")
        keyring = str(self.home / "keyring")
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
        self._launch("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())  # noqa: TID251 - Ceph's, not ours
        self._run("ceph", "osd", "new", osd, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._launch("ceph-osd", "-i", "0")
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default")
        self._run(
            "radosgw-admin",
            *("user", "create", "--uid=tests", "--display-name=tests"),
            f"--access-key={self.credentials['access_key_id']}",
            f"--secret-key={self.credentials['secret_access_key']}",
        )
        self._launch("radosgw", "-n", "client.admin")
        self._wait_for_gateway()
        self._make_bucket()

    def stop(self) -> None:
        for each in reversed(self._processes):
            each.kill()
            each.wait()

    def _write_configuration(self) -> None:
        self._fsid = str(uuid.uuid4())  # noqa: TID251 - Ceph's, not ours
        (self.home / "mon").mkdir()
        (self.home / "osd").mkdir()
        (self.home / "ceph.conf").write_text(
            _CONFIGURATION.format(
                fsid=self._fsid,
                home=self.home,
                monitor_port=self.monitor_port,
                gateway_port=self.gateway_port,
            )
        )
        keyring = str(self.home / "keyring")
        every = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        for name in ("mon.", "client.admin", "osd.0"):
            caps = every[:3] if name == "mon." else every
            create = ("--create-keyring",) if name == "mon." else ()
            self._run("ceph-authtool", keyring, *create, "-n", name, "--gen-key", *caps)

    def _command(self, program: str, *arguments: str) -> list[str]:
        configured = () if program in {"monmaptool", "ceph-authtool"} else ("-c", self._conf)
        return [program, *configured, *arguments]

    @property
    def _conf(self) -> str:
        return str(self.home / "ceph.conf")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode()[-500:]}")

    def _launch(self, program: str, *arguments: str) -> None:
        with (self.home / f"{program}.out").open("wb") as output:
            self._processes.append(
                subprocess.Popen(
                    self._command(program, *arguments, "-f"),
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )

    def _wait_for_gateway(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.gateway_port, timeout=5)
                connection.request("GET", "/")
                connection.getresponse().read()
            except OSError:
                if self._processes[-1].poll() is not None:
                    break
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"radosgw did not start: {self._gateway_output()}")

    def _gateway_output(self) -> str:
        return (self.home / "radosgw.out").read_text("utf-8", "replace")[-500:]

    def _make_bucket(self) -> None:
        """A bucket, by a signed request: the object store client makes none.

        Standard: AWS Signature Version 4
        """
        path = f"/{self.bucket}"
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        empty = hashlib.sha256(b"").hexdigest()
        headers = {
            "host": f"127.0.0.1:{self.gateway_port}",
            "x-amz-content-sha256": empty,
            "x-amz-date": stamp,
        }
        signed = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"PUT\n{path}\n\n{lines}\n{signed}\n{empty}"
        scope = f"{stamp[:8]}/default/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        key = f"AWS4{self.credentials['secret_access_key']}".encode()
        for part in [*scope.split("/"), to_sign]:
            key = hmac.digest(key, part.encode(), "sha256")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.credentials['access_key_id']}/{scope},"
            f"SignedHeaders={signed},Signature={key.hex()}"
        )
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway_port, timeout=60)
        connection.request("PUT", path, headers=headers)
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"no bucket: {response.status} {response.read()!r}")


def start(home: Path) -> S3Server:
    """A running server under ``home``; skips the test when Ceph's programs are missing."""
    missing = [each for each in PROGRAMS if not shutil.which(each)]
    if missing:
        pytest.skip(
            f"no S3 server: {', '.join(missing)} missing (Debian: radosgw ceph-mon ceph-osd)"
        )
    server = S3Server(home, _free_port(), _free_port())
    try:
        server.start()
    except BaseException:
        server.stop()
        raise
    return server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
