"""An archive with its database, its DICOM listener and the worker's outgoing side, on one loop."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from isocenter.domain.access.model import Action, Actor, Viewer
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import Admission
from isocenter.domain.archive.service.description import describe_file
from isocenter.domain.distribution import service as distribution
from isocenter.domain.distribution.model import Conditions, Delivery, Route
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.gateways.dimse.commitment import CommitmentService
from isocenter.gateways.dimse.commitment_messages import STORAGE_COMMITMENT_PUSH
from isocenter.gateways.dimse.commitment_reports import CommitmentReporter, OutgoingOptions
from isocenter.gateways.dimse.commitment_requests import CommitmentAsker
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Arrival, Caller, Grant, Service
from isocenter.gateways.dimse.sending import ImageSender
from isocenter.gateways.dimse.server import DimseServer, Ports
from isocenter.imaging.transcode import transcode_file
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import utc_now
from isocenter.infra.db import Database
from isocenter.infra.pools import Pool

SYSTEM = Actor.system("test")
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OPTIONS = OutgoingOptions(
    ae_title="ARCHIVE", poll_s=0.02, timeout_s=5.0, backoff_first_s=0.1, backoff_max_s=0.3
)


def free_port() -> int:
    """A port on which nobody listens now."""

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def a_file(name: str = "CT_small.dcm", **changes: Any) -> bytes:
    """A file of pydicom's, with other values where given."""
    dataset = pydicom.dcmread(str(get_testdata_file(name, download=False)))
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@dataclass
class Site:
    """What a hospital runs, but for the pages."""

    loop: asyncio.AbstractEventLoop
    database: Database
    store: BlobStore
    folder: Path
    pool: Pool = field(init=False)
    port: int = 0
    workers: list[asyncio.Task[None]] = field(default_factory=list)
    stop: asyncio.Event = field(init=False)

    def __post_init__(self) -> None:
        self.pool = Pool(self.database, threads=6)

    def do(self, work: Coroutine[Any, Any, Any], timeout_s: float = 30) -> Any:
        """The result of a coroutine on the site's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def start(self) -> None:
        """Listens."""

        async def begin() -> None:
            self.stop = asyncio.Event()
            commitment = CommitmentService(self.pool, clock=utc_now)
            ports = Ports(
                _Policy(self.pool),
                self.store,
                self._admitted,
                utc_now,
                normalized={STORAGE_COMMITMENT_PUSH: commitment.served()},
            )
            self.server = DimseServer(frozenset({"ARCHIVE"}), ports, Limits(free_bytes_min=0))
            self.port = await self.server.start("127.0.0.1", 0)

        self.do(begin())

    def _admitted(self, batch: Sequence[Arrival]) -> list[Admission]:
        (caller,) = {(each.grant.peer_name, each.caller.address) for each in batch}
        actor = Actor.dicom_peer(*caller, ("store",))
        received = [each.instance for each in batch]
        with self.database.transaction() as tx:
            return archive.admit(tx, actor, received, now=utc_now())

    def work(self, *kinds: type) -> None:
        """Runs the worker's outgoing side."""

        async def begin() -> None:
            self.stop.clear()
            made = {
                CommitmentReporter: lambda: CommitmentReporter(
                    self.pool, self.store, OPTIONS, clock=utc_now
                ),
                CommitmentAsker: lambda: CommitmentAsker(self.pool, OPTIONS, clock=utc_now),
                ImageSender: lambda: ImageSender(
                    self.pool, self.store, OPTIONS, clock=utc_now, transcode=transcode_file
                ),
            }
            for kind in kinds or tuple(made):
                self.workers.append(asyncio.create_task(made[kind]().run(self.stop)))

        self.do(begin())

    def rest(self) -> None:
        """Ends the worker's outgoing side."""

        async def end() -> None:
            self.stop.set()
            await asyncio.gather(*self.workers)
            self.workers.clear()

        self.do(end())

    def close(self) -> None:
        self.rest()
        self.do(self.server.drain(0.2))
        self.pool.close()

    def add_route(self, name: str, recipient: str, **described: Any) -> None:
        """A rule for images."""
        conditions = Conditions(**described.pop("conditions", {}))
        route = Route(name=name, recipient=recipient, conditions=conditions, **described)
        with self.database.transaction() as tx:
            distribution.add_route(tx, SYSTEM, route, now=NOW)

    def route(self, study_instance_uid: str, *, complete: bool = False) -> int:
        """What the reaction to new images queues."""
        with self.database.transaction() as tx:
            return distribution.route_images(
                tx,
                study_instance_uid,
                complete=complete,
                local_time=NOW.time(),
                now=utc_now(),
            )

    def deliveries(self) -> list[Delivery]:
        """What was queued, oldest first."""
        viewer = Viewer.of(SYSTEM, Action.DELIVERY_READ)
        with self.database.read() as tx:
            return distribution.deliveries(tx, viewer)[::-1]

    def add_peer(
        self, name: str, port: int, *allow: str, host: str = "127.0.0.1", title: str = ""
    ) -> None:
        """A DICOM peer with its AE title."""
        peer = DicomPeer(name, title or name, host, port, frozenset(allow))
        with self.database.transaction() as tx:
            peers.add_dicom_peer(tx, SYSTEM, peer, now=NOW)

    def admit(self, data: bytes, *, calling: str = "CT1") -> Dataset:
        """The object, stored as if it had been received."""
        blob = self.store.put(data)
        dataset = pydicom.dcmread(BytesIO(data))
        received = describe_file(self.store, blob, calling_ae_title=calling, received_at=NOW)
        with self.database.transaction() as tx:
            (admitted,) = archive.admit(tx, SYSTEM, [received], now=NOW)
        assert admitted.outcome == "stored"
        return dataset


class _Policy:
    """Grants what the list of peers says, at any address."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def grant(self, caller: Caller) -> Grant | None:
        decision = await self._pool.run(
            peers.decide_association,
            calling_ae_title=caller.calling_ae_title,
            address=caller.address,
            resolve=lambda host: frozenset({caller.address}),
            now=NOW,
        )
        if decision.peer is None:
            return None
        services = {Service.ECHO, *map(Service, decision.peer.allow)}
        return Grant(decision.peer.name, frozenset(services))

    async def record_unknown(self, caller: Caller) -> None:
        pass


def until(condition: Callable[[], object], timeout_s: float = 15) -> None:
    """Returns when the condition is true; fails when it is not within the time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
