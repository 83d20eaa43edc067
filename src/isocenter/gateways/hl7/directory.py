"""Which peers may call from an address: asked of the database now and then, not per message."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.receive import Caller
from isocenter.infra.db import Tx
from isocenter.infra.pools import Pool

FRESH_S: Final = 5.0
# Whoever was just made known tries again at once.
UNKNOWN_FRESH_S: Final = 1.0
_ADDRESSES_MAX: Final = 1024


def resolve(host: str) -> frozenset[str]:
    """Return the addresses of a host name, none when it has none now."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(str(entry[4][0]) for entry in found)


class PeerDirectory:
    """Remembers for a few seconds who may call from where, so that changes take effect soon.

    That nobody may is remembered for a shorter time: just long enough for strangers to cost little.
    """

    def __init__(self, pool: Pool, *, monotonic: Callable[[], float] | None = None) -> None:
        self._pool = pool
        self._monotonic = monotonic or (lambda: asyncio.get_running_loop().time())
        self._known: dict[str, tuple[float, Caller]] = {}

    async def caller(self, address: str) -> Caller:
        """Return who is at ``address``. Raises the errors of the database."""
        moment = self._monotonic()
        known = self._known.get(address)
        if known and moment < known[0]:
            return known[1]
        found = await self._pool.read(_peers_at, address)
        caller = Caller(address, tuple(found))
        if len(self._known) >= _ADDRESSES_MAX:
            self._known.clear()
        self._known[address] = (moment + (FRESH_S if found else UNKNOWN_FRESH_S), caller)
        return caller


def _peers_at(tx: Tx, address: str) -> list[Hl7Peer]:
    return peers.hl7_peers_at(tx, address, resolve=resolve)
