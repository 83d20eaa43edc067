"""A DIMSE server on a free port that serves Unified Procedure Steps from a real database."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC

import pytest

from isocenter.app.subscriptions import router
from isocenter.app.workitems import ArchivedOutputs
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import DicomPeer
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Caller, Grant, Service
from isocenter.gateways.dimse.server import DimseServer, Ports
from isocenter.gateways.dimse.ups import ProcedureSteps
from isocenter.gateways.dimse.ups_query import ProcedureStepQuery
from isocenter.gateways.dimse.ups_reports import WorkitemReporter
from isocenter.infra.blobs import open_store
from isocenter.infra.db import Database
from isocenter.infra.outbox import Dispatcher, Router
from isocenter.infra.pools import Pool
from isocenter.standards.dicom import unified_procedure_step as ups
from tests.builders import SYSTEM
from tests.contract.ups.subscribers import Subscriber
from tests.fakes.clock import FixedClock

ROUTER = router(report_workitem=WorkitemReporter(ae_title="ISOCENTER"))
ORDERS_TOO = router(
    report_workitem=WorkitemReporter(ae_title="ISOCENTER"),
    order_workitems=True,
    archived_outputs=ArchivedOutputs("ISOCENTER", "https://pacs.example"),
    ae_title="ISOCENTER",
)


class Policy:
    """Knows the performers WS1 and WS2; everybody else may ask for nothing but an echo."""

    async def grant(self, caller: Caller) -> Grant | None:
        allowed = {Service.UPS} if caller.calling_ae_title in {"WS1", "WS2"} else {Service.ECHO}
        return Grant(caller.calling_ae_title.lower(), frozenset(allowed))

    async def record_unknown(self, caller: Caller) -> None:
        del caller


@dataclass
class Worklist:
    """Where it listens, and the database behind it."""

    port: int
    database: Database
    clock: FixedClock = field(default_factory=FixedClock)
    router: Router = ROUTER

    def drain(self) -> int:
        """Run every reaction that is due; gives how many were tried."""
        dispatcher = Dispatcher(
            self.database, self.router, clock=self.clock, workers=1, external_workers=1
        )
        return dispatcher.run_once()

    def add_peer(self, ae_title: str, port: int) -> None:
        """A DICOM peer that can be called."""
        peer = DicomPeer(ae_title.lower(), ae_title, "127.0.0.1", port, frozenset({"ups"}))
        with self.database.transaction() as tx:
            peers.add_dicom_peer(tx, SYSTEM, peer, now=self.clock())


@pytest.fixture
def worklist(make_database, tmp_path) -> Iterator[Worklist]:
    database = make_database(router=ROUTER)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    pool = Pool(database, threads=2)
    made = Worklist(0, database)
    query = ProcedureStepQuery(pool, clock=made.clock, zone=UTC, matches_max=5)
    ports = Ports(
        Policy(),
        open_store(tmp_path.as_uri()),
        lambda *batch: [],
        made.clock,
        dict.fromkeys((ups.PULL, ups.WATCH, ups.QUERY), query),
        ProcedureSteps(pool, clock=made.clock, zone=UTC).classes(),
    )
    limits = Limits(free_bytes_min=0, operation_bytes_max=1 << 16)
    server = DimseServer(frozenset({"ISOCENTER"}), ports, limits)

    def do(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    made.port = do(server.start("127.0.0.1", 0))
    yield made
    do(server.drain(0.2))
    pool.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def ordered(worklist) -> Worklist:
    """The same, where steps of orders are workitems."""
    worklist.router = worklist.database.router = ORDERS_TOO
    return worklist


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    """pynetdicom as SCU of the Event SOP class, which listens."""
    made = Subscriber()
    yield made
    made.ae.shutdown()
