"""Who may call is asked again after a while, and soon where nobody might."""

import asyncio

from isocenter.domain.access.model import Actor
from isocenter.domain.peers import service as peers
from isocenter.domain.peers.model import Hl7Peer
from isocenter.gateways.hl7.directory import FRESH_S, UNKNOWN_FRESH_S, PeerDirectory
from isocenter.infra.pools import Pool
from tests.builders import NOON

SYSTEM = Actor.system("test")


def test_whoever_was_made_known_may_call_soon(database):
    now = [100.0]
    pool = Pool(database, threads=1)
    directory = PeerDirectory(pool, monotonic=lambda: now[0])

    async def callers() -> list[str]:
        return [each.name for each in (await directory.caller("127.0.0.1")).peers]

    async def story():
        assert await callers() == []
        with database.transaction() as tx:
            peer = Hl7Peer("EHR", "127.0.0.1", receive=frozenset({"adt"}))
            peers.add_hl7_peer(tx, SYSTEM, peer, now=NOON)
        now[0] += 0.9 * UNKNOWN_FRESH_S
        assert await callers() == []
        now[0] += 0.2 * UNKNOWN_FRESH_S
        assert await callers() == ["EHR"]
        with database.transaction() as tx:
            tx.run("update peers.hl7_peer set enabled = false")
        now[0] += 0.9 * FRESH_S
        assert await callers() == ["EHR"]
        now[0] += 0.2 * FRESH_S
        assert await callers() == []

    asyncio.run(story())
    pool.close()
