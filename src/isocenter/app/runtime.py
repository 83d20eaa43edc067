"""What a role is put together from: database, threads, object store, all closed in good order.

A role that runs alone on an embedded installation starts its database as well, and leaves it to
whoever owns it.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from isocenter.app.object_stores import open_blobs
from isocenter.app.ports import PortTaken
from isocenter.app.reading_copies import reading_copies
from isocenter.app.settings import Settings
from isocenter.app.settings_reader import lifeline_descriptor
from isocenter.app.subscriptions import router
from isocenter.infra import embedded_postgres
from isocenter.infra.blobs import BlobStore
from isocenter.infra.blobs.several import SeveralStores
from isocenter.infra.clock import Clock, utc_now
from isocenter.infra.db import Database
from isocenter.infra.db.migrate import require_current
from isocenter.infra.metrics import Publisher
from isocenter.infra.pools import Pool
from isocenter.infra.supervise import Lifeline


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of one process.

    Attributes:
        blobs: the stores as they are, for whoever looks after the bytes.
        images: the same for whoever serves them: what one store fails to give comes from a copy.
    """

    settings: Settings
    db: Database
    pool: Pool
    blobs: SeveralStores
    clock: Clock
    images: BlobStore


# A thread that comes back from the database or the disk waits for the interpreter at most so long
# while another computes. The usual 5 ms would be spent at each of a message's ten statements.
_SWITCH_INTERVAL_S = 0.0002
_COLLECTED_AFTER = 20_000


@contextmanager
def opened(settings: Settings, *, process: str, plans_once: bool = False) -> Generator[Runtime]:
    """The parts of one process, for as long as the block lasts.

    Args:
        settings: in force.
        process: the role, as which the database and the metrics show this process.
        plans_once: as for ``Database``.

    Raises:
        SchemaOutdated: the database lacks migrations.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # What is loaded now stays; to look through it again at every collection is time for nothing.
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER)
    server = None
    url = settings.database_url
    if url is None:
        server = embedded_postgres.start(settings.home, share=True)
        url = server.url
    try:
        require_current(url)
        db = Database(
            url,
            router=router(),
            connections_max=settings.database_connections_max,
            application_name=f"isocenter-{process}",
            plans_once=plans_once,
        )
        pool = Pool(db, threads=settings.threads_max)
        try:
            blobs = open_blobs(settings)
            publisher = Publisher(settings.metrics_folder, f"{process}-{os.getpid()}")
            try:
                images = reading_copies(db, blobs, utc_now)
                yield Runtime(settings, db, pool, blobs, utc_now, images)
            finally:
                publisher.close()
        finally:
            pool.close()
            db.close()
    finally:
        if server is not None:
            server.stop()


async def until_stopped(drain: Callable[[], Awaitable[None]]) -> None:
    """Say that the role is ready, wait until it is told to end, then drain."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    say_ready(lambda: from_thread(loop, stop.set))
    await stop.wait()
    await drain()


def from_thread(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    """Have an event loop call ``action``, from whatever thread this is."""
    loop.call_soon_threadsafe(action)


def say_ready(stop: Callable[[], None]) -> None:
    """Tell the supervisor that started us, if one did; ``stop`` is called when it is gone."""
    descriptor = lifeline_descriptor()
    if descriptor is not None:
        lifeline = Lifeline(descriptor)
        lifeline.ready()
        lifeline.when_lost(stop)


@contextmanager
def listening(what: str, bind: str, port: int) -> Generator[None]:
    """Turn the error of a port in use into one line.

    Raises:
        PortTaken: the block could not listen.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise PortTaken(f"cannot listen for {what} on {bind} port {port}: {reason}") from error
