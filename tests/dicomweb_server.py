"""The whole HTTP door with DICOMweb behind it, on a real socket, over a real database and files."""

import asyncio
import socket
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import requests
from granian.constants import Interfaces
from granian.server.embed import Server

from isocenter.app.hl7_desk import Hl7Desk
from isocenter.app.http.application import Backing, create_application
from isocenter.app.http.options import HttpOptions
from isocenter.domain.access import service as access
from isocenter.domain.access.model import Actor, Role
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditFilter, AuditRecord
from isocenter.gateways.dicomweb.application import application as dicomweb
from isocenter.gateways.dicomweb.application import end_channels
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.gateways.hl7.apply import ReceiveOptions
from isocenter.infra.blobs import BlobStore, open_store
from isocenter.infra.db import Database
from isocenter.infra.pools import Pool
from tests.fakes.clock import FixedClock

PASSWORD = "correct horse battery"
SYSTEM = Actor.system("test")
BOUNDARY = "part-of-the-test"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@dataclass
class DicomwebServer:
    """A server of its own thread and event loop. ``url`` is the service root.

    ``knows_its_url`` sets ``public_url``, which clients need that send Host without the port.
    """

    database: Database
    blobs: BlobStore
    options: DicomwebOptions = field(default_factory=DicomwebOptions)
    upload_bytes_max: int = 8_000_000_000
    knows_its_url: bool = False
    cross_origins: frozenset[str] = frozenset()
    tokens: dict[Role, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = FixedClock()
        self.pool = Pool(self.database, threads=4)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/dicomweb"
        if self.knows_its_url:
            self.options = replace(self.options, public_url=f"http://127.0.0.1:{self.port}")
        self._images = dicomweb(self.pool, self.blobs, options=self.options, clock=self.clock)
        self._application = create_application(
            Backing(self.pool, self.blobs, Hl7Desk(ReceiveOptions(), self.clock), clock=self.clock),
            options=HttpOptions(
                upload_bytes_max=self.upload_bytes_max, cross_origins=self.cross_origins
            ),
            mounts={"/dicomweb": self._images},
            metrics=lambda: "# none\n",
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)
        self.session = self.session_of(Role.ADMINISTRATOR)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._server = Server(
            self._application,
            address="127.0.0.1",
            port=self.port,
            interface=Interfaces.ASGINL,
            log_enabled=False,
        )
        self._ready.set()
        await self._server.serve()

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self.end_channels()
        self.loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(20)
        self.pool.close()

    def end_channels(self) -> None:
        """End the event channels, as a process does that stops."""
        self.loop.call_soon_threadsafe(end_channels, self._images)

    def token(self, role: Role) -> str:
        """A bearer token of a user with this one role."""
        if role not in self.tokens:
            with self.database.transaction() as tx:
                name = role.value.replace("_", "")
                access.add_user(
                    tx,
                    SYSTEM,
                    (name, f"{name.title()} Phantom"),
                    roles=[role],
                    password=PASSWORD,
                    now=self.clock(),
                )
                self.tokens[role] = access.create_token(
                    tx, SYSTEM, name, ttl_s=10**7, now=self.clock()
                )
        return self.tokens[role]

    def session_of(self, role: Role) -> requests.Session:
        """A program of a user with this role; it tries again while the socket is not open yet."""
        session = requests.Session()
        retries = requests.adapters.HTTPAdapter(
            max_retries=requests.adapters.Retry(
                connect=20, read=0, backoff_factor=0.05, respect_retry_after_header=False
            )
        )
        session.mount("http://", retries)
        session.headers["Authorization"] = f"Bearer {self.token(role)}"
        return session

    def get(self, path: str, accept: str | None = None, **named) -> requests.Response:
        """GET below the service root, as the administrator."""
        headers = {"Accept": accept or "*/*", **named.pop("headers", {})}
        return self.session.get(self.url + path, headers=headers, timeout=60, **named)

    def store(self, *objects: bytes, study: str = "", **named) -> requests.Response:
        """STOW-RS of the objects in one request."""
        path = f"/studies/{study}" if study else "/studies"
        return self.session.post(
            self.url + path,
            data=multipart(objects),
            headers={"Content-Type": MULTIPART},
            timeout=120,
            **named,
        )

    def audited(self, action: str) -> list[AuditRecord]:
        """The audit records of an action."""
        with self.database.read() as tx:
            return list(audit.search(tx, AuditFilter(action=action), limit=500))


def multipart(objects, *, kind: str = "application/dicom", boundary: str = BOUNDARY) -> bytes:
    """A body of these parts."""
    pieces = []
    for each in objects:
        pieces.append(f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode())
        pieces.append(each + b"\r\n")
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def file_store(folder: Path) -> BlobStore:
    """A store of files in the folder."""
    return open_store(f"file://{folder}")
