"""The listener in a thread of its own, so that tests can talk to it with blocking peers."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from isocenter.gateways.hl7.server import Hl7Server, ServerOptions
from isocenter.infra.clock import utc_now
from isocenter.infra.pools import Pool


@contextmanager
def listening(database, options: ServerOptions, *, tls=None, threads: int = 4) -> Iterator[int]:
    """The port of a listener that stops at the end."""
    pool = Pool(database, threads=threads)
    loop = uvloop.new_event_loop()
    server = Hl7Server(pool, options, clock=utc_now, tls=tls)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        pool.close()
