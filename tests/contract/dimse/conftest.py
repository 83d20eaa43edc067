"""A real DIMSE server on a free port, its archive and queries in memory, its blobs in a folder."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isocenter.domain.archive.model import SOP_INSTANCE_UID, Admission, Outcome
from isocenter.gateways.dimse import ports as dimse_ports
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import (
    Arrival,
    Caller,
    Grant,
    NormalizedClass,
    Operation,
    QueryRequest,
    Service,
)
from isocenter.gateways.dimse.query import (
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
)
from isocenter.gateways.dimse.server import DimseServer, Ports
from isocenter.infra.blobs import BlobStore, open_store
from isocenter.standards.dicom.dimse.messages import NCreateRequest, NGetRequest, NSetRequest
from isocenter.standards.dicom.values import DataSet

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PERFORMED_PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
PEERS = {
    "SCU": frozenset(Service),
    "READER": frozenset({Service.FIND}),
}


@dataclass
class Archive:
    """Admits everything, or does what a test tells it to."""

    arrivals: list[Arrival] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    before: Callable[[Sequence[Arrival]], None] = lambda batch: None
    outcome: Callable[[Arrival], Outcome] = lambda arrival: Outcome.STORED

    def __call__(self, batch: Sequence[Arrival]) -> list[Admission]:
        self.before(batch)
        self.batches.append(len(batch))
        self.arrivals += batch
        return [
            Admission(
                arrival.instance.attributes[SOP_INSTANCE_UID], self.outcome(arrival), "as told"
            )
            for arrival in batch
        ]


@dataclass
class Register:
    """Remembers which shelves are known."""

    failure: Exception | None = None
    known: dict[str, str] = field(default_factory=dict)

    def open(self, directory: str, mark: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.known[mark] = directory

    def renew(self, marks: Sequence[str]) -> None:
        assert set(marks) <= set(self.known)

    def close(self, marks: Sequence[str]) -> None:
        for mark in marks:
            del self.known[mark]


@dataclass
class Policy:
    """Knows two peers; remembers who else called."""

    unknown: list[Caller] = field(default_factory=list)
    failure: Exception | None = None

    async def grant(self, caller: Caller) -> Grant | None:
        if self.failure is not None:
            raise self.failure
        services = PEERS.get(caller.calling_ae_title)
        return None if services is None else Grant(caller.calling_ae_title, services)

    async def record_unknown(self, caller: Caller) -> None:
        self.unknown.append(caller)


@dataclass
class Answers:
    """Answers every query with the data sets that a test puts in."""

    matches: Callable[[QueryRequest], Iterator[DataSet]] = lambda request: iter(())
    requests: list[QueryRequest] = field(default_factory=list)

    def __call__(self, request: QueryRequest) -> Iterator[DataSet]:
        self.requests.append(request)
        return self.matches(request)


@dataclass
class Performer:
    """Performs every N- operation as a test tells it to."""

    outcome: Callable[[Operation], dimse_ports.Outcome] = lambda operation: dimse_ports.Outcome(
        status=0
    )
    operations: list[Operation] = field(default_factory=list)

    def __call__(self, operation: Operation) -> dimse_ports.Outcome:
        self.operations.append(operation)
        return self.outcome(operation)


@dataclass
class Running:
    """A server and all that it works with."""

    loop: asyncio.AbstractEventLoop
    folder: Path
    store: BlobStore
    archive: Archive = field(default_factory=Archive)
    policy: Policy = field(default_factory=Policy)
    answers: Answers = field(default_factory=Answers)
    performer: Performer = field(default_factory=Performer)
    register: Register = field(default_factory=Register)
    server: DimseServer = field(init=False)
    port: int = 0

    def do(self, work: Coroutine[Any, Any, Any], timeout_s: float = 30) -> Any:
        """The result of a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def files(self) -> list[Path]:
        """Every file in the blob store that holds anything, finished or not."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def start(loop, tmp_path) -> Iterator[Callable[..., Running]]:
    """Starts servers; all are drained at the end."""
    started: list[Running] = []

    def begin(limits: Limits | None = None, **listen: Any) -> Running:
        folder = tmp_path / f"objects{len(started)}"
        running = Running(loop, folder, open_store(folder.as_uri()))
        queries = dict.fromkeys(
            (PATIENT_ROOT_FIND, STUDY_ROOT_FIND, MODALITY_WORKLIST_FIND), running.answers
        )
        performed = NormalizedClass(
            Service.MPPS, frozenset({NCreateRequest, NSetRequest, NGetRequest}), running.performer
        )
        ports = Ports(
            running.policy,
            running.store,
            running.archive,
            lambda: NOW,
            queries,
            {PERFORMED_PROCEDURE_STEP: performed},
            register=running.register,
        )
        running.server = DimseServer(
            frozenset({"ARCHIVE"}), ports, limits or Limits(free_bytes_min=0)
        )
        running.port = running.do(running.server.start("127.0.0.1", 0, **listen))
        started.append(running)
        return running

    yield begin
    for running in started:
        running.do(running.server.drain(0.2))


@pytest.fixture
def running(start) -> Running:
    return start()
