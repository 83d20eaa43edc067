"""One peer on one TCP connection: drives the upper layer and the services.

Received data are parsed where the kernel put them: fragments reach a service as views of one
buffer, which grows to a bound. What messages mean is the services' business (``storage``,
``query``), who may associate is the policy's.
"""

import asyncio
import socket
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import cast

from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import metrics
from isocenter.gateways.dimse.deadlines import Deadlines
from isocenter.gateways.dimse.limits import Limits
from isocenter.gateways.dimse.ports import Caller, Grant, IdentityRefused, Policy
from isocenter.gateways.dimse.receive_buffer import ReceiveBuffer
from isocenter.gateways.dimse.services import MessageService, Receiver
from isocenter.gateways.dimse.settling import Settling
from isocenter.infra.log import get_logger
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.dimse.fragments import CommandReceived, MessageReader, send_message
from isocenter.standards.dicom.dimse.messages import (
    CCancelRequest,
    Command,
    CStoreRequest,
    Request,
    Response,
)
from isocenter.standards.dicom.dimse.status import Category, category_of
from isocenter.standards.dicom.query_retrieve import answer_information
from isocenter.standards.dicom.ul import connection as ul
from isocenter.standards.dicom.ul import negotiation
from isocenter.standards.dicom.ul.items import UserInformation
from isocenter.standards.dicom.ul.machine import State
from isocenter.standards.dicom.ul.negotiation import LocalInformation, Offer, Refusal
from isocenter.standards.dicom.ul.pdu import (
    AssociateReject,
    AssociateRequest,
    ContextResult,
    PresentationDataValue,
)
from isocenter.standards.dicom.ul.syntax import AbortReason, InvalidPdu

_log = get_logger(__name__)


@dataclass(slots=True)
class Shared:
    """What all associations of one listener have in common.

    Attributes:
        connections: every open one; ``established`` those of them with an association, by address.
        draining: no new associations.
    """

    ae_titles: frozenset[str]
    local: LocalInformation
    limits: Limits
    policy: Policy
    services: Sequence[MessageService]
    connections: set["Association"] = field(default_factory=set["Association"])
    established: dict["Association", str] = field(default_factory=dict["Association", str])
    draining: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_until_gone(self, timeout_s: float) -> None:
        """Returns when no connection is left, or the time is over."""
        self.gone.clear()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), timeout_s)

    def refusal(self, address: str) -> AssociateReject | None:
        """Why there is no room for one more association from ``address``, or ``None``."""
        if self.draining:
            return Refusal.TEMPORARY_CONGESTION
        of_address = sum(other == address for other in self.established.values())
        if (
            len(self.established) >= self.limits.associations_max
            or of_address >= self.limits.associations_per_address_max
        ):
            return Refusal.LOCAL_LIMIT_EXCEEDED
        return None


class Association(asyncio.BufferedProtocol):
    """The acceptor's side of one connection.

    Attributes:
        caller: who asked; set with the association request.
        grant: what the caller may do; set when the association stands.
        agreed: what we answered beside the contexts; set when the association stands.
        loop: the event loop that it lives on.
    """

    def __init__(self, shared: Shared) -> None:
        self.loop = asyncio.get_running_loop()
        self._shared = shared
        self._connection = ul.Connection(
            ul.Role.ACCEPTOR, pdu_length_bytes_max=shared.limits.receive_buffer_bytes_max - 6
        )
        self._buffer = ReceiveBuffer(shared.limits.receive_buffer_bytes_max)
        self._reader = MessageReader()
        self._receiver: Receiver | None = None
        self._stores = False
        self._service_of: dict[int, MessageService] = {}
        self._outstanding = 0
        self._settling = Settling(self.loop, shared.limits.settle_timeout_s, self._after_settling)
        self._cancels: dict[int, Callable[[], None]] = {}
        self._awaited: dict[int, asyncio.Future[Response | None]] = {}
        self._message_ids = count(1)
        # Messages that wait while a data set of ours is being sent; None while none is.
        self._deferred: list[tuple[int, Command, bytes | None]] | None = None
        self._release_pending = False
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._deadlines = Deadlines(self.loop, self._on_artim, self._on_silence)
        self._decision: asyncio.Task[None] | None = None
        self._address = ""
        self._tcp: socket.socket | None = None
        self.agreed: UserInformation | None = None
        self.caller = Caller("", "", "")
        self.grant = Grant("", frozenset())

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected; it has ARTIM to ask for an association."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else "local"
        tcp = transport.get_extra_info("socket")
        if tcp is not None and tcp.family in {socket.AF_INET, socket.AF_INET6}:
            # Responses are small and awaited: Nagle's algorithm would hold them back for 40 ms.
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._tcp = tcp
        if len(self._shared.connections) >= self._shared.limits.connections_max:
            _log.warning("connection_refused", remote_address=self._address)
            metrics.CONNECTIONS_REFUSED.inc()
            self._transport.abort()
            return
        self._shared.connections.add(self)
        self._connection.transport_connected()
        self._observe_timers()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._buffer.free()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived in the buffer."""
        self._deadlines.touched = True
        connection = self._connection
        unread = self._buffer.received(nbytes)
        self._buffer.consumed(connection.receive_buffer(unread))
        event = connection.next_event()
        while event is not None:
            self._on_event(event)
            event = connection.next_event()
        # In the middle of a data set, which is nearly always, there is nothing to say.
        if self._reader.between_messages or connection.has_news:
            self.flush()

    def eof_received(self) -> bool:
        """The peer sends no more; nothing is left to be said either."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nothing unfinished stays behind."""
        self._connection.transport_closed()
        event = self._connection.next_event()
        while event is not None:
            self._on_event(event)
            event = self._connection.next_event()
        self._end()
        self._shared.connections.discard(self)
        if not self._shared.connections:
            self._shared.gone.set()
        self._deadlines.stop()
        self._buffer.release()
        if self._decision is not None:
            self._decision.cancel()

    def pause_writing(self) -> None:
        """The peer does not read fast enough."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._writable.set()

    # -- for the services

    @property
    def is_established(self) -> bool:
        """True while responses can still be sent."""
        return self._connection.state in {State.ESTABLISHED, State.AWAITING_RELEASE_RESPONSE}

    @property
    def contexts(self) -> Mapping[int, ul.NegotiatedContext]:
        """The agreed presentation contexts by id."""
        return self._connection.contexts

    @property
    def fragment_bytes_max(self) -> int:
        """The most data one fragment to this peer may carry."""
        return self._connection.fragment_bytes_max

    def respond(self, context_id: int, response: Response, data_set: bytes | None = None) -> None:
        """Sends one response. A response that is not pending ends its operation.

        Without association it is dropped: the peer that asked is gone.
        """
        self.queue(context_id, response, data_set)
        self.flush()

    def queue(self, context_id: int, response: Response, data_set: bytes | None = None) -> None:
        """Like ``respond``, but sent with the next ``flush``."""
        if self.is_established:
            self._send(context_id, response, data_set)
        if category_of(response.status) is not Category.PENDING:
            self._cancels.pop(response.message_id_being_responded_to, None)
            self._outstanding -= 1
            self._after_operation()

    def unsettled(self, hurry: Callable[[], None]) -> None:
        """An object was answered that is not visible; ``hurry`` is called when that is awaited."""
        self._settling.begin(hurry)

    def settled(self) -> None:
        """One of these objects is visible."""
        self._settling.end()

    def next_message_id(self) -> int:
        """A message ID for a request of ours."""
        return (next(self._message_ids) - 1) % 0xFFFF + 1

    async def request(
        self, context_id: int, command: Request, data_set: bytes | None = None
    ) -> Response | None:
        """The peer's response to a request of ours on its association; None: it is gone.

        Standard: PS3.7 10.1.1 (N-EVENT-REPORT is invoked by the SCP)
        """
        if not self.is_established or self._release_pending:
            return None
        future = self.loop.create_future()
        self._awaited[command.message_id] = future
        self._send(context_id, command, data_set)
        self.flush()
        try:
            return await future
        finally:
            self._awaited.pop(command.message_id, None)

    async def request_streamed(
        self,
        context_id: int,
        command: Request,
        pieces: AsyncIterable[bytes | memoryview],
    ) -> Response | None:
        """As ``request``, with a data set that is sent while it comes; one at a time.

        Other messages wait until it is sent: fragments of two messages never mix. When ``pieces``
        raises, the association is of no more use, because what was begun cannot be unsaid.

        Standard: PS3.4 C.4.3.1.3 (C-STORE sub-operations of C-GET)
        """
        if not self.is_established or self._release_pending:
            return None
        future = self.loop.create_future()
        self._awaited[command.message_id] = future
        try:
            send_message(self._connection, context_id, command)
            self._deferred = []
            await self._stream(context_id, pieces)
            self._resume()
            return await future if self.is_established else None
        finally:
            self._deferred = None
            self._awaited.pop(command.message_id, None)

    async def _stream(self, context_id: int, pieces: AsyncIterable[bytes | memoryview]) -> None:
        # One piece behind: only the next one tells whether a piece was the last.
        waiting: bytes | memoryview = b""
        async for piece in pieces:
            if waiting and self.is_established:
                self._connection.send_fragments(
                    context_id, waiting, is_command=False, is_last=False
                )
                self.flush()
                await self._writable.wait()
            waiting = piece
        if self.is_established:
            self._connection.send_fragments(context_id, waiting, is_command=False)

    def _resume(self) -> None:
        deferred, self._deferred = self._deferred, None
        for context_id, command, data_set in deferred or ():
            self._send(context_id, command, data_set)
        self.flush()

    def _send(self, context_id: int, command: Command, data_set: bytes | None) -> None:
        if self._deferred is not None:
            self._deferred.append((context_id, command, data_set))
        elif self.is_established:
            send_message(self._connection, context_id, command, data_set)

    async def writable(self) -> None:
        """Waits until the peer has taken most of what was sent."""
        await self._writable.wait()

    def on_cancel(self, message_id: int, cancel: Callable[[], None]) -> None:
        """Calls ``cancel`` when the peer cancels the operation, or is gone before its end."""
        self._cancels[message_id] = cancel

    def flush(self) -> None:
        """Sends what is queued, and closes when the upper layer says so."""
        outgoing = self._connection.data_to_send()
        if outgoing and not self._transport.is_closing():
            self._transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))
        self._observe_timers()
        if self._connection.close_requested:
            self._transport.close()

    def abort(self) -> None:
        """Ends the association at once."""
        self._connection.abort()
        self._end()
        self.flush()

    def end_when_idle(self) -> None:
        """Ends the association as soon as no message is under way."""
        if not self.is_busy:
            self.abort()

    def cut(self) -> None:
        """Ends the connection without another word."""
        self._transport.abort()

    @property
    def is_busy(self) -> bool:
        """True while a message is half received, or one is not answered yet."""
        return self._outstanding > 0 or not self._reader.between_messages

    # -- inside

    def _on_event(self, event: ul.ConnectionEvent) -> None:
        if isinstance(event, ul.DataReceived):
            self._on_data(event.values)
            return
        match event:
            case ul.AssociateRequested(request):
                self._decision = self.loop.create_task(self._decide(request))
            case ul.ReleaseRequested():
                self._release_pending = True
                self._after_operation()
            case ul.Aborted():
                self._on_abort(event)
            case _:
                # Confirmations of requests that an acceptor never makes; the state table bars them.
                self._connection.abort()

    def _on_data(self, values: list[PresentationDataValue]) -> None:
        try:
            for event in self._reader.receive(values):
                if isinstance(event, CommandReceived):
                    self._on_command(event.context_id, event.command)
                elif self._receiver is not None:
                    self._receiver.write(event.data)
                    if event.is_last:
                        self._finish(self._receiver)
                        self._throttle()
        except RemoteProtocolError as error:
            _log.warning("message_malformed", **self._names(), error_code=str(error))
            self._connection.abort_as_provider(AbortReason.INVALID_PARAMETER_VALUE)

    def _on_command(self, context_id: int, command: Command) -> None:
        if isinstance(command, CCancelRequest):
            cancel = self._cancels.pop(command.message_id_being_responded_to, None)
            if cancel is not None:
                cancel()
            return
        if isinstance(command, Response):
            self._on_response(command)
            return
        self._outstanding += 1
        if command.has_data_set and self._tcp is not None and hasattr(socket, "TCP_QUICKACK"):
            # A peer with Nagle's algorithm sends the data set when the command is acknowledged,
            # and the kernel would take 40 ms for that.
            with suppress(OSError):
                self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        service = self._service_of[context_id]
        self._receiver = service.begin(self, self._connection.contexts[context_id], command)
        self._stores = isinstance(command, CStoreRequest)
        if not command.has_data_set and self._receiver is not None:
            self._finish(self._receiver)
        self._observe_timers()

    def _finish(self, receiver: Receiver) -> None:
        self._receiver = None
        if self._stores:
            receiver.finish()
        else:
            self._settling.then(receiver)

    def _on_response(self, response: Response) -> None:
        # A data set that comes with it is nobody's: no receiver is set, so it passes unread.
        awaited = self._awaited.pop(response.message_id_being_responded_to, None)
        if awaited is None:
            raise InvalidPdu("a response to nothing", AbortReason.UNEXPECTED_PARAMETER)
        if not awaited.done():
            awaited.set_result(response)

    def _throttle(self) -> None:
        # More operations outstanding than agreed, or the peer never negotiated any: let TCP slow
        # it down.
        if self._outstanding >= self._shared.limits.operations_max and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _after_operation(self) -> None:
        if self._paused and self._outstanding < self._shared.limits.operations_max:
            self._paused = False
            self._transport.resume_reading()
        if self._release_pending and self._outstanding <= 0 and self.is_established:
            if not self._settling.is_done:
                self._settling.press()
                return
            self._release_pending = False
            _log.info("association_released", **self._names())
            self._connection.release_response()
            self._end()
        elif self._shared.draining:
            self.end_when_idle()

    def _after_settling(self) -> None:
        self._after_operation()
        self.flush()

    def _on_abort(self, event: ul.Aborted) -> None:
        if event.error is not None:
            origin = "protocol"
            _log.warning("peer_broke_protocol", **self._names(), error_code=str(event.error))
        else:
            origin = "peer" if event.by_peer else "transport"
            _log.info("association_aborted", **self._names(), origin=origin)
        metrics.ASSOCIATIONS_ABORTED.labels(origin).inc()
        self._end()

    def _end(self) -> None:
        """Leaves nothing of unfinished work; may be called more than once."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.abandon()
        self._settling.abandon()
        cancels, self._cancels = self._cancels, {}
        for cancel in cancels.values():
            cancel()
        awaited, self._awaited = self._awaited, {}
        for future in awaited.values():
            if not future.done():
                future.set_result(None)
        self._writable.set()
        self._shared.established.pop(self, None)
        metrics.ASSOCIATIONS.set(len(self._shared.established))

    async def _decide(self, request: AssociateRequest) -> None:
        title, called = request.calling_ae_title, request.called_ae_title
        self.caller = Caller(
            title,
            called,
            self._address,
            _tls_subject(self._transport),
            request.user_information.user_identity,
        )
        try:
            answer = await self._answer(request)
        except Exception:  # noqa: BLE001  a defect of ours must not leave the peer waiting
            _log.exception("association_decision_failed", **self._names())
            answer = Refusal.TEMPORARY_CONGESTION
        if self._connection.state is not State.AWAITING_ASSOCIATE_RESPONSE:
            return  # the peer did not wait
        if isinstance(answer, AssociateReject):
            reason = negotiation.describe(answer)
            metrics.ASSOCIATIONS_REFUSED.labels(reason).inc()
            _log.warning("association_refused", **self._names(), reason_code=reason)
            self._connection.reject(answer)
        else:
            self.grant = answer
            self._accept(request)
        self.flush()

    async def _answer(self, request: AssociateRequest) -> AssociateReject | Grant:
        refusal = self._shared.refusal(self._address) or negotiation.refusal_of(request)
        if refusal is not None:
            return refusal
        if request.called_ae_title not in self._shared.ae_titles:
            return Refusal.CALLED_AE_TITLE_NOT_RECOGNIZED
        # Counted while being decided, or many at once would all find room.
        self._shared.established[self] = self._address
        answer: AssociateReject | Grant = Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED
        try:
            grant = await self._shared.policy.grant(self.caller)
            if grant is None:
                await self._shared.policy.record_unknown(self.caller)
            else:
                answer = grant
        except IdentityRefused:
            # PS3.7 D.3.3.7: the standard has no reason of its own for it, and saying more would
            # help who guesses.
            answer = Refusal.NO_REASON
        except IsocenterError as error:
            _log.warning("policy_unavailable", **self._names(), error_kind=error.kind)
            answer = Refusal.TEMPORARY_CONGESTION
        if isinstance(answer, AssociateReject):
            self._shared.established.pop(self, None)
        return answer

    def _accept(self, request: AssociateRequest) -> None:
        accept = negotiation.accept(
            request,
            self._shared.local,
            self._offer_of,
            answer_information,
            identity_accepted=self.grant.user_name != "",
        )
        self.agreed = accept.user_information
        self._connection.accept(accept)
        for context in self._connection.contexts.values():
            for service in self._shared.services:
                if isinstance(service.offer(context.abstract_syntax, self.grant), Offer):
                    self._service_of[context.context_id] = service
                    break
        metrics.ASSOCIATIONS.set(len(self._shared.established))
        _log.info("association_accepted", **self._names(), count=len(self._service_of))

    def _offer_of(self, abstract_syntax: str) -> Offer | ContextResult:
        for service in self._shared.services:
            offer = service.offer(abstract_syntax, self.grant)
            if offer is not None:
                return offer
        return ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED

    def _observe_timers(self) -> None:
        limits = self._shared.limits
        self._deadlines.artim(self._connection.artim_epoch, limits.artim_timeout_s)
        if self._connection.state is State.ESTABLISHED:
            between = self._reader.between_messages
            self._deadlines.silence(limits.idle_timeout_s if between else limits.stall_timeout_s)
        else:
            self._deadlines.silence(None)

    def _on_artim(self) -> None:
        _log.info("artim_expired", remote_address=self._address)
        self._connection.artim_expired()
        # Not closed in good order: that would wait for a peer that does not read.
        self._transport.abort()

    def _on_silence(self) -> None:
        if self._outstanding > 0 and self._reader.between_messages:
            return  # the peer waits for us
        _log.warning("association_silent", **self._names())
        self.abort()

    def _names(self) -> dict[str, str]:
        return {
            "remote_address": self._address,
            "calling_ae_title": self.caller.calling_ae_title,
            "called_ae_title": self.caller.called_ae_title,
        }


def _tls_subject(transport: asyncio.Transport) -> str | None:
    certificate = transport.get_extra_info("peercert")
    if not certificate:
        return None
    # As in RFC 4514: most specific first.
    parts = [f"{name}={value}" for rdn in certificate.get("subject", ()) for name, value in rdn]
    return ",".join(reversed(parts))
