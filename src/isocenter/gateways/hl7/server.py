"""The HL7 listener: accepts connections, admits peers, turns every message into one answer.

Limits, TLS and peers are checked here. ``admission`` applies the messages and ``receive`` says what
that is; a message is answered after its commit.
"""

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass, field

from isocenter.domain.peers import service as peers
from isocenter.errors import IsocenterError
from isocenter.gateways.hl7 import metrics
from isocenter.gateways.hl7.admission import Admission
from isocenter.gateways.hl7.connection import Connection, ConnectionLimits, Handlers
from isocenter.gateways.hl7.directory import PeerDirectory
from isocenter.gateways.hl7.receive import (
    Caller,
    ReceiveOptions,
    Reply,
    new_control_id,
    refuse,
    reject_oversized,
)
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.infra.pools import Pool
from isocenter.standards.hl7v2 import ack, batch
from isocenter.standards.hl7v2.datatypes import format_dtm
from isocenter.standards.hl7v2.mllp import Oversized

_log = get_logger(__name__)
_ACCEPTED = frozenset({ack.AckCode.AA, ack.AckCode.CA})


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where to listen and what to allow.

    Attributes:
        port: 0 picks a free one.
        reuse_port: let other processes listen on it as well.
        connections_max: of all peers together.
        connections_per_address_max: of one address.
        drain_timeout_s: how long stopping waits for messages at work.
    """

    host: str = "127.0.0.1"
    port: int = 2575
    reuse_port: bool = False
    connections_max: int = 200
    connections_per_address_max: int = 50
    drain_timeout_s: float = 20.0
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    receiving: ReceiveOptions = field(default_factory=ReceiveOptions)


class Hl7Server:
    """Listens for HL7 peers from ``start`` to ``stop``."""

    def __init__(
        self,
        pool: Pool,
        options: ServerOptions,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._pool = pool
        self._options = options
        self._clock = clock
        self._tls = tls
        self._directory = PeerDirectory(pool)
        self._admission = Admission(pool, options.receiving, clock)
        self._connections: set[Connection] = set()
        self._of_address: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._handlers = Handlers(self._admit, self._answer, self._reject, self._closed)

    async def start(self) -> int:
        """Begin to listen; return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connect,
            self._options.host,
            self._options.port,
            reuse_port=self._options.reuse_port or None,
            ssl=self._tls,
            ssl_handshake_timeout=10.0 if self._tls else None,
        )
        port = int(self._server.sockets[0].getsockname()[1])
        _log.info("hl7_listening", bind=self._options.host, port=port)
        return port

    async def stop(self) -> None:
        """Accept nothing more, answer what is at work, close."""
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.finish()
        if connections:
            tasks = [asyncio.ensure_future(each.wait_closed()) for each in connections]
            await asyncio.wait(tasks, timeout=self._options.drain_timeout_s)
        for connection in list(self._connections):
            connection.abort()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def _connect(self) -> Connection:
        connection = Connection(self._handlers, self._options.limits)
        self._connections.add(connection)
        metrics.CONNECTIONS.set(len(self._connections))
        return connection

    async def _admit(self, connection: Connection) -> bool:
        self._of_address[connection.address] += 1
        if (
            len(self._connections) > self._options.connections_max
            or self._of_address[connection.address] > self._options.connections_per_address_max
        ):
            metrics.CONNECTIONS_REFUSED.labels("limit").inc()
            _log.warning("hl7_too_many_connections", remote_address=connection.address)
            return False
        try:
            caller = await self._directory.caller(connection.address)
            if not caller.peers:
                metrics.CONNECTIONS_REFUSED.labels("unknown").inc()
                _log.warning("hl7_unknown_caller", remote_address=connection.address)
                await self._pool.run(
                    peers.record_unknown_hl7_caller, connection.address, "", now=self._clock()
                )
                return False
        except IsocenterError as error:
            metrics.CONNECTIONS_REFUSED.labels("unavailable").inc()
            # A peer that cannot be known now is served as soon as it can be: it will call again.
            _log.warning(
                "hl7_peers_unknown", remote_address=connection.address, error_kind=error.kind.value
            )
            return False
        return True

    def _closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        metrics.CONNECTIONS.set(len(self._connections))
        if connection.address in self._of_address:
            self._of_address[connection.address] -= 1
            if self._of_address[connection.address] <= 0:
                del self._of_address[connection.address]

    def _reject(self, connection: Connection, oversized: Oversized) -> bytes:
        del connection
        metrics.MESSAGES_OVERSIZED.inc()
        limit = self._options.limits.message_bytes_max
        return reject_oversized(oversized.head, limit, now=self._clock())

    async def _answer(self, connection: Connection, data: bytes) -> bytes:
        if not batch.is_batch(data):
            prompt = connection.is_prompt
            reply = await self._answer_one(connection.address, data, is_prompt=prompt)
            return reply.acknowledgement
        return await self._answer_batch(connection.address, data)

    async def _answer_batch(self, address: str, data: bytes) -> bytes:
        """Return acknowledgements for the messages of a batch or file, as one, in their order."""
        content = batch.split_batch(data)
        if not content.is_complete:
            _log.warning("hl7_batch_count_differs", remote_address=address)
        answers = [
            (await self._answer_one(address, message, is_prompt=True)).acknowledgement
            for message in content.messages
        ]
        told = [each for each in answers if each]
        now = format_dtm(self._clock())
        numbers = new_control_id(), new_control_id()
        return batch.encode_answer(content, told, control_ids=numbers, timestamp=now)

    async def _answer_one(self, address: str, data: bytes, *, is_prompt: bool) -> Reply:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            caller = await self._directory.caller(address)
        except IsocenterError as error:
            reply = refuse(None, data, Caller(address, ()), error, now=self._clock())
        else:
            reply = await self._admission.answer(data, caller, is_prompt=is_prompt)
        metrics.ANSWER_SECONDS.observe(loop.time() - started)
        self._note(address, reply, size_bytes=len(data))
        return reply

    @staticmethod
    def _note(address: str, reply: Reply, *, size_bytes: int) -> None:
        metrics.MESSAGES.labels(metrics.kind_of(reply.message_type), reply.code.value).inc()
        if reply.repeated:
            metrics.MESSAGES_REPEATED.inc()
        if reply.code in _ACCEPTED and not reply.repeated:
            return  # it is in the message log, which is better than a line here
        log = _log.info if reply.code in _ACCEPTED else _log.warning
        log(
            "hl7_message_repeated" if reply.repeated else "hl7_message_answered",
            peer=reply.peer,
            remote_address=address,
            message_type=reply.message_type,
            control_id=reply.control_id,
            result=reply.code.value,
            error_code=reply.error_code,
            size_bytes=size_bytes,
        )
