"""The DICOM listener: associations and every service. Several processes share the port.

This process must stay small: it imports no web framework, no pydicom, no numpy.
"""

from collections.abc import Sequence

import uvloop

from isocenter.app.dicom_operations import normalized_classes
from isocenter.app.dicom_policy import PeerPolicy
from isocenter.app.dicom_queries import queries, retrieval
from isocenter.app.host_names import resolve
from isocenter.app.runtime import Runtime, listening, opened, until_stopped
from isocenter.app.settings import Settings
from isocenter.app.shelves import ShelfRegistrar
from isocenter.app.tls_contexts import server_context
from isocenter.domain.access.model import Actor
from isocenter.domain.archive import service as archive
from isocenter.domain.archive.model import Admission, ReceivedInstance
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Arrival
from isocenter.gateways.dimse.server import DimseServer, Ports


def run(settings: Settings) -> None:
    """Listen until stopped."""
    with opened(settings, process="dimse") as runtime:
        uvloop.run(_serve(runtime))


async def _serve(runtime: Runtime) -> None:
    settings = runtime.settings
    ports = Ports(
        policy=PeerPolicy(runtime.pool, clock=runtime.clock, resolve=resolve),
        store=runtime.images,
        admit=_Admission(runtime),
        clock=runtime.clock,
        queries=queries(runtime),
        retrieve=retrieval(runtime),
        normalized=normalized_classes(runtime),
        register=ShelfRegistrar(runtime),
    )
    server = DimseServer(frozenset({settings.ae_title}), ports, _limits(settings))
    with listening("DICOM", settings.bind, settings.dicom_port):
        await server.start(
            settings.bind,
            settings.dicom_port,
            tls=server_context(settings, "dicom"),
            reuse_port=True,
        )
    await until_stopped(lambda: server.drain(settings.drain_timeout_s))


def _limits(settings: Settings) -> Limits:
    return Limits(
        associations_max=settings.associations_max,
        associations_per_address_max=settings.associations_per_peer_max,
        connections_max=4 * settings.associations_max,
        pdu_length_bytes=settings.pdu_size_max_bytes,
        dataset_bytes_max=settings.object_size_max_bytes,
        free_bytes_min=settings.storage_free_bytes_min,
        artim_timeout_s=settings.artim_timeout_s,
        idle_timeout_s=settings.association_idle_timeout_s,
    )


class _Admission:
    """Admits what arrived, in one transaction per sender, so that the audit names the sender.

    Further images of familiar series are a transaction of their own, which is a single statement.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._pool, self._clock = runtime.pool, runtime.clock
        self._familiar = archive.Familiar()

    def __call__(self, batch: Sequence[Arrival], /) -> Sequence[Admission]:
        """One outcome per object, committed."""
        senders: dict[tuple[str, str], list[int]] = {}
        for place, each in enumerate(batch):
            key = (each.grant.peer_name, each.caller.address)
            senders.setdefault(key, []).append(place)
        outcomes: dict[int, Admission] = {}
        for (peer_name, address), places in senders.items():
            instances = [batch[place].instance for place in places]
            actor = Actor.dicom_peer(peer_name, address, ("store",))
            admitted = self._admitted(actor, instances)
            outcomes.update(zip(places, admitted, strict=True))
        return [outcomes[place] for place in range(len(batch))]

    def _admitted(self, actor: Actor, batch: Sequence[ReceivedInstance]) -> list[Admission]:
        familiar, now = self._familiar, self._clock()
        try:
            with self._pool.db.statement() as tx:
                more = archive.admit_more(tx, actor, batch, now=now, familiar=familiar)
            rest = [each for each, done in zip(batch, more, strict=True) if done is None]
            news = iter(
                self._pool.run_here(
                    lambda tx: archive.admit(tx, actor, rest, now=now, familiar=familiar)
                )
                if rest
                else ()
            )
        except BaseException:
            familiar.forget()
            raise
        return [done or next(news) for done in more]
