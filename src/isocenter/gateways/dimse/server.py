"""The listener: binds the services to a port, and ends in good order.

Several processes may listen on one port (``reuse_port``); the kernel spreads connections over them.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from isocenter.gateways.dimse.admission import AdmissionQueue
from isocenter.gateways.dimse.association import Association, Shared
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.n_services import NormalizedService
from isocenter.gateways.dimse.outgoing_processes import TranscodingProcesses
from isocenter.gateways.dimse.ports import (
    Admit,
    NormalizedClass,
    Policy,
    Query,
    Retrieve,
    ShelfRegister,
)
from isocenter.gateways.dimse.query import FindService
from isocenter.gateways.dimse.retrieve import RetrieveService
from isocenter.gateways.dimse.services import EchoService
from isocenter.gateways.dimse.storage import StoreService
from isocenter.infra.blobs import BlobStore
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.standards.dicom.uids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from isocenter.standards.dicom.ul.negotiation import LocalInformation

_log = get_logger(__name__)
_LAST_WORDS_S: Final = 1.0
_BACKLOG: Final = 512


@dataclass(frozen=True, slots=True)
class Ports:
    """What the application hands over; see ``ports``.

    Attributes:
        queries: by SOP class UID of the information model, such as ``query.STUDY_ROOT_FIND``.
        normalized: SOP classes of DIMSE-N by their UID.
        retrieve: plans C-MOVE and C-GET; without it they are not offered.
        register: of shelves; without it every object waits for its transaction.
    """

    policy: Policy
    store: BlobStore
    admit: Admit
    clock: Clock
    queries: Mapping[str, Query] = field(default_factory=lambda: MappingProxyType({}))
    normalized: Mapping[str, NormalizedClass] = field(default_factory=lambda: MappingProxyType({}))
    retrieve: Retrieve | None = None
    register: ShelfRegister | None = None


class DimseServer:
    """One listener with its associations.

    Args:
        ae_titles: the titles it answers to.
        ports: what it needs of the rest of the system.
        limits: what it grants its peers.
    """

    def __init__(
        self, ae_titles: frozenset[str], ports: Ports, limits: Limits | None = None
    ) -> None:
        self._ports = ports
        self._limits = limits or Limits()
        self._ae_titles = ae_titles
        self._server: asyncio.Server | None = None

    async def start(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> int:
        """Listens; returns the port, which matters when 0 was asked for.

        Args:
            host: address to bind.
            port: TCP port.
            tls: server context; ``None`` for plain TCP.
            reuse_port: let other processes listen on the same port.
        """
        limits, ports = self._limits, self._ports
        self._admission = AdmissionQueue(
            ports.store, ports.admit, ports.clock, limits, ports.register
        )
        self._normalized = NormalizedService(ports.normalized, limits)
        self._find = FindService(ports.queries, limits, self._normalized)
        self._processes = TranscodingProcesses()
        self._retrieve = RetrieveService(ports.retrieve, ports.store, self._processes, limits)
        self._shared = Shared(
            ae_titles=self._ae_titles,
            local=LocalInformation(
                IMPLEMENTATION_CLASS_UID,
                IMPLEMENTATION_VERSION_NAME,
                limits.pdu_length_bytes,
                limits.operations_max,
            ),
            limits=limits,
            policy=ports.policy,
            # In this order: storage takes what is left over.
            services=(
                EchoService(),
                self._find,
                self._normalized,
                self._retrieve,
                StoreService(ports.store, self._admission, limits),
            ),
        )
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Association(self._shared),
            host,
            port,
            ssl=tls,
            reuse_port=reuse_port or None,
            backlog=_BACKLOG,
        )
        bound = int(self._server.sockets[0].getsockname()[1])
        _log.info("dimse_listening", bind=host, local_port=bound)
        return bound

    @property
    def associations(self) -> int:
        """How many associations stand."""
        return len(self._shared.established)

    async def drain(self, grace_s: float) -> None:
        """Stops listening, lets messages under way finish, then ends all associations.

        An association without a message under way is aborted at once: DICOM gives an acceptor no
        way to ask for release. After ``grace_s`` the busy ones are aborted as well.
        """
        shared = self._shared
        shared.draining = True
        if self._server is not None:
            self._server.close()
        for association in list(shared.connections):
            association.end_when_idle()
        await shared.wait_until_gone(grace_s)
        for association in list(shared.connections):
            association.abort()
        # Peers close when they read the A-ABORT; those that do not are cut off.
        await shared.wait_until_gone(_LAST_WORDS_S)
        for association in list(shared.connections):
            association.cut()
        self._find.close()
        self._normalized.close()
        self._retrieve.close()
        self._processes.close()
        await asyncio.to_thread(self._admission.close)
        _log.info("dimse_stopped")
