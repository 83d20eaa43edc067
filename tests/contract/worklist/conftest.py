"""A DIMSE server on a free port that serves worklist and performed steps from a real database."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

import pytest

from isocenter.app.subscriptions import router
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.mpps import PerformedSteps
from isocenter.gateways.dimse.ports import Caller, Grant, Service
from isocenter.gateways.dimse.query import MODALITY_WORKLIST_FIND
from isocenter.gateways.dimse.server import DimseServer, Ports
from isocenter.gateways.dimse.worklist import ModalityWorklist
from isocenter.infra.blobs import open_store
from isocenter.infra.db import Database
from isocenter.infra.outbox import Dispatcher
from isocenter.infra.pools import Pool
from tests.builders import NOON

ROUTER = router()


class Policy:
    """Knows the scanner CT1."""

    async def grant(self, caller: Caller) -> Grant | None:
        if caller.calling_ae_title != "CT1":
            return None
        return Grant("scanner-1", frozenset({Service.WORKLIST, Service.MPPS}))

    async def record_unknown(self, caller: Caller) -> None:
        del caller


@dataclass
class Worklist:
    """Where the worklist listens, and the database behind it."""

    port: int
    database: Database

    def drain(self) -> None:
        """Run every reaction that is due; a failed one is a failed test."""
        Dispatcher(self.database, ROUTER, clock=lambda: NOON, workers=1).run_once()
        with self.database.transaction() as tx:
            assert tx.values("select last_error from outbox.delivery where attempts > 1") == []


@pytest.fixture
def worklist(make_database, tmp_path) -> Iterator[Worklist]:
    database = make_database(router=ROUTER)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    pool = Pool(database, threads=2)
    ports = Ports(
        Policy(),
        open_store(tmp_path.as_uri()),
        lambda *batch: [],
        lambda: NOON,
        {MODALITY_WORKLIST_FIND: ModalityWorklist(pool, clock=lambda: NOON)},
        PerformedSteps(pool, clock=lambda: NOON, zone=UTC).classes(),
    )
    server = DimseServer(frozenset({"ISOCENTER"}), ports, Limits(free_bytes_min=0))

    def do(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    yield Worklist(do(server.start("127.0.0.1", 0)), database)
    do(server.drain(0.2))
    pool.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
