"""A DIMSE server on a free port that answers worklist queries from a real database."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Caller, Grant, Service
from isocenter.gateways.dimse.query import MODALITY_WORKLIST_FIND
from isocenter.gateways.dimse.server import DimseServer, Ports
from isocenter.gateways.dimse.worklist import ModalityWorklist
from isocenter.infra.blobs import open_store
from isocenter.infra.db import Database
from isocenter.infra.pools import Pool
from tests.builders import NOON


class Policy:
    """Knows the scanner CT1."""

    async def grant(self, caller: Caller) -> Grant | None:
        if caller.calling_ae_title != "CT1":
            return None
        return Grant("scanner-1", frozenset({Service.WORKLIST}))

    async def record_unknown(self, caller: Caller) -> None:
        del caller


@dataclass
class Worklist:
    """Where the worklist listens, and the database behind it."""

    port: int
    database: Database


@pytest.fixture
def worklist(database, tmp_path) -> Iterator[Worklist]:
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
