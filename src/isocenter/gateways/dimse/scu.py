"""Calls other peers: C-ECHO, C-STORE, C-FIND, C-MOVE as SCU over one association.

    async with associate(peer, contexts) as association:
        status = await association.echo()

One coroutine uses an association at a time. What to send, and when to try again, is the caller's
business.

Standard: PS3.7 9.1, PS3.4 Annexes A, B, C
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final

from isocenter.errors import IsocenterError, Kind
from isocenter.gateways.dimse.scu_messages import Messages, Said
from isocenter.gateways.dimse.scu_wire import PeerFault, PeerUnreachable, Wire, fault_of
from isocenter.infra.unreachable import no_answer, unreachable
from isocenter.standards import LocalProtocolError, RemoteProtocolError
from isocenter.standards.dicom.dimse import messages as dimse
from isocenter.standards.dicom.dimse.fragments import send_message
from isocenter.standards.dicom.dimse.status import Category, category_of
from isocenter.standards.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from isocenter.standards.dicom.ul import connection as ul
from isocenter.standards.dicom.ul.items import RoleSelection, UserInformation
from isocenter.standards.dicom.ul.negotiation import describe
from isocenter.standards.dicom.ul.pdu import AssociateRequest, ProposedContext
from isocenter.standards.dicom.ul.syntax import AbortReason
from isocenter.standards.dicom.values import DataSet, decode_dataset, encode_dataset

VERIFICATION: Final = "1.2.840.10008.1.1"
UNCOMPRESSED: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
_PDU_LENGTH_BYTES: Final = 131072
_MESSAGE_ID_LIMIT: Final = 0xFFFF
_FAILED_SOP_INSTANCE_UID_LIST: Final = 0x00080058


class AssociationRefused(IsocenterError):
    """The peer does not want an association with us."""

    kind: ClassVar[Kind] = Kind.FORBIDDEN


class ContextNotAccepted(IsocenterError):
    """The peer did not accept what the operation needs."""

    kind: ClassVar[Kind] = Kind.UNSUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom to call, as whom, and how long to wait for each answer."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    tls: ssl.SSLContext | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class StoreItem:
    """One object to send: its identity, and its data set in pieces of any size.

    When the pieces raise, the association is of no more use: what was begun cannot be unsaid.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: Iterable[bytes | memoryview] | AsyncIterable[bytes | memoryview]
    move_originator_ae_title: str = ""
    move_originator_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """What the peer says became of an operation."""

    status: int
    error_comment: str = ""

    @property
    def is_done(self) -> bool:
        """True for success and for warnings, with which the operation was performed as well."""
        return category_of(self.status) in {Category.SUCCESS, Category.WARNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveProgress:
    """What a peer says of a C-MOVE that it performs for us.

    Attributes:
        remaining: None when the peer does not say, as at the end.

    Standard: PS3.4 C.4.2.1.5 to C.4.2.1.9
    """

    status: int
    remaining: int | None
    completed: int
    failed: int
    warnings: int
    error_comment: str = ""
    failed_sop_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What a peer said, and in which presentation context.

    Attributes:
        too_large: its data set was beyond the limit, and nothing of it is here.
    """

    command: dimse.Command
    abstract_syntax: str
    transfer_syntax: str
    data: bytes
    too_large: bool = False


class ClientAssociation:
    """An association that we asked for."""

    def __init__(self, peer: Peer, wire: Wire) -> None:
        self._peer = peer
        self._wire = wire
        self.messages = Messages()
        self._message_ids = count(1)
        self._pieces: list[Said] = []

    async def echo(self) -> OperationStatus:
        """Asks whether the peer is there.

        Standard: PS3.4 Annex A
        """
        context_id = self.context_for(VERIFICATION)
        request = dimse.CEchoRequest(
            message_id=self.next_message_id(), affected_sop_class_uid=VERIFICATION
        )
        send_message(self._wire.connection, context_id, request)
        await self._wire.flush()
        return await self._status_of(request.message_id)

    async def store(self, item: StoreItem) -> OperationStatus:
        """Sends one object; returns when the peer has answered.

        Standard: PS3.4 Annex B
        """
        context_id = self.context_for(item.sop_class_uid, item.transfer_syntax_uid)
        request = dimse.CStoreRequest(
            message_id=self.next_message_id(),
            affected_sop_class_uid=item.sop_class_uid,
            affected_sop_instance_uid=item.sop_instance_uid,
            move_originator_ae_title=item.move_originator_ae_title,
            move_originator_message_id=item.move_originator_message_id,
        )
        send_message(self._wire.connection, context_id, request)
        # One piece behind: only the next one tells whether a piece was the last.
        waiting: bytes | memoryview = b""
        async for piece in _pieces_of(item.data_set):
            if waiting:
                await self._send_piece(context_id, waiting, is_last=False)
            waiting = piece
        await self._send_piece(context_id, waiting, is_last=True)
        return await self._status_of(request.message_id)

    async def find(
        self, sop_class_uid: str, identifier: DataSet, *, matches_max: int | None = None
    ) -> AsyncIterator[DataSet]:
        """The matches of a query, as they arrive.

        With ``matches_max`` the query is cancelled after so many.

        Raises:
            PeerFault: the peer answers with a failure.

        Standard: PS3.4 C.4.1
        """
        context_id = self.context_for(sop_class_uid)
        syntax = self._wire.connection.contexts[context_id].transfer_syntax
        request = dimse.CFindRequest(
            message_id=self.next_message_id(), affected_sop_class_uid=sop_class_uid
        )
        encoded = encode_dataset(identifier, syntax)
        send_message(self._wire.connection, context_id, request, encoded)
        await self._wire.flush()
        found = 0
        while True:
            response, data = await self._response(request.message_id)
            category = category_of(response.status)
            if category is not Category.PENDING:
                break
            found += 1
            if matches_max is None or found <= matches_max:
                yield decode_dataset(data, syntax)
            if found == matches_max:
                cancel = dimse.CCancelRequest(message_id_being_responded_to=request.message_id)
                send_message(self._wire.connection, context_id, cancel)
                await self._wire.flush()
        if category is Category.FAILURE:
            comment = getattr(response, "error_comment", "")
            raise PeerFault(f"query failed with status {response.status:04X}H {comment}".rstrip())

    async def move(
        self, sop_class_uid: str, identifier: DataSet, move_destination: str
    ) -> AsyncIterator[MoveProgress]:
        """How the peer gets on with sending; the last one is how it ended, whatever that is.

        Standard: PS3.4 C.4.2
        """
        context_id = self.context_for(sop_class_uid)
        syntax = self._wire.connection.contexts[context_id].transfer_syntax
        request = dimse.CMoveRequest(
            message_id=self.next_message_id(),
            affected_sop_class_uid=sop_class_uid,
            move_destination=move_destination,
        )
        encoded = encode_dataset(identifier, syntax)
        send_message(self._wire.connection, context_id, request, encoded)
        await self._wire.flush()
        pending = True
        while pending:
            response, data = await self._response(request.message_id)
            if not isinstance(response, dimse.CMoveResponse):
                raise PeerFault("the peer answers something else than C-MOVE")
            failed = decode_dataset(data, syntax).texts(_FAILED_SOP_INSTANCE_UID_LIST)
            yield MoveProgress(
                status=response.status,
                remaining=response.number_of_remaining_suboperations,
                completed=response.number_of_completed_suboperations or 0,
                failed=response.number_of_failed_suboperations or 0,
                warnings=response.number_of_warning_suboperations or 0,
                error_comment=response.error_comment,
                failed_sop_instance_uids=failed,
            )
            pending = category_of(response.status) is Category.PENDING

    def accepted(self, abstract_syntax: str) -> frozenset[str]:
        """The transfer syntaxes in which the peer takes objects of a SOP class."""
        return frozenset(
            each.transfer_syntax
            for each in self._wire.connection.contexts.values()
            if each.abstract_syntax == abstract_syntax
        )

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> int:
        """The accepted presentation context for an abstract syntax.

        Raises:
            ContextNotAccepted: there is none, or none with the transfer syntax.
        """
        for context in self._wire.connection.contexts.values():
            if context.abstract_syntax == abstract_syntax and transfer_syntax in {
                None,
                context.transfer_syntax,
            }:
                return context.context_id
        raise ContextNotAccepted(f"{self._peer.called_ae_title} does not accept {abstract_syntax}")

    async def established(self) -> None:
        """Sends the association request and waits for the peer's answer."""
        await self._wire.flush()
        event = await self._wire.event()
        if isinstance(event, ul.AssociateRejected):
            raise AssociationRefused(describe(event.reject))
        if not isinstance(event, ul.AssociateAccepted):
            raise fault_of(event)

    async def release(self) -> None:
        """Ends the association orderly; waits for the peer to agree.

        One that the peer has ended meanwhile needs no more: what it answered counts.
        """
        try:
            self._wire.connection.release()
        except LocalProtocolError:
            return
        await self._wire.flush()
        while True:
            event = await self._wire.event()
            if isinstance(event, ul.ReleaseRequested):
                # Both at once: the requestor answers first (PS3.8 9.2.3, AR-9).
                self._wire.connection.release_response()
                await self._wire.flush()
            elif not isinstance(event, ul.DataReceived):
                break
        self._wire.close()

    async def close(self) -> None:
        """Ends the association at once, when it is not released already."""
        if self._wire.is_open:
            self._wire.connection.abort()
            await self._wire.flush()
            self._wire.close()

    def next_message_id(self) -> int:
        """A message ID for a request that the caller makes itself."""
        return (next(self._message_ids) - 1) % _MESSAGE_ID_LIMIT + 1

    async def request(
        self, abstract_syntax: str, command: dimse.Request, data_set: DataSet | None = None
    ) -> tuple[dimse.Response, DataSet]:
        """The response to any request, such as those of DIMSE-N, with its data set.

        Standard: PS3.7 10.1
        """
        context_id = self.context_for(abstract_syntax)
        syntax = self._wire.connection.contexts[context_id].transfer_syntax
        encoded = None if data_set is None else encode_dataset(data_set, syntax)
        send_message(self._wire.connection, context_id, command, encoded)
        await self._wire.flush()
        response, data = await self._response(command.message_id)
        return response, decode_dataset(data, syntax)

    async def next_request(self, abstract_syntax: str) -> tuple[dimse.Request, DataSet]:
        """What the peer asks next, such as to hear of an event.

        Raises:
            PeerUnreachable: it asks nothing within the time that it has for an answer.
            PeerFault: it does something else.
        """
        context_id = self.context_for(abstract_syntax)
        syntax = self._wire.connection.contexts[context_id].transfer_syntax
        command, data = _whole(await self._next_piece())
        if isinstance(command, dimse.Response | dimse.CCancelRequest):
            raise PeerFault("the peer answers what nobody asked")
        return command, decode_dataset(data, syntax)

    async def next_message(self) -> "Message":
        """Whatever the peer says next, with its data set as it came.

        Raises:
            PeerUnreachable: it says nothing within the time that it has for an answer.
        """
        said = await self._next_piece()
        context = self._wire.connection.contexts[said.context_id]
        return Message(
            said.command,
            context.abstract_syntax,
            context.transfer_syntax,
            said.data,
            said.too_large,
        )

    async def send(
        self,
        abstract_syntax: str,
        command: dimse.Command,
        data_set: DataSet | None = None,
        *,
        transfer_syntax: str | None = None,
    ) -> None:
        """Says something without waiting for what follows."""
        context_id = self.context_for(abstract_syntax, transfer_syntax)
        syntax = self._wire.connection.contexts[context_id].transfer_syntax
        encoded = None if data_set is None else encode_dataset(data_set, syntax)
        send_message(self._wire.connection, context_id, command, encoded)
        await self._wire.flush()

    async def respond(self, abstract_syntax: str, response: dimse.Response) -> None:
        """Answers a request of the peer."""
        send_message(self._wire.connection, self.context_for(abstract_syntax), response)
        await self._wire.flush()

    # -- inside

    async def _send_piece(
        self, context_id: int, piece: bytes | memoryview, *, is_last: bool
    ) -> None:
        self._wire.connection.send_fragments(context_id, piece, is_command=False, is_last=is_last)
        await self._wire.flush()

    async def _status_of(self, message_id: int) -> OperationStatus:
        response, _ = await self._response(message_id)
        return OperationStatus(response.status, getattr(response, "error_comment", ""))

    async def _response(self, message_id: int) -> tuple[dimse.Response, bytes]:
        early: list[Said] = []  # a peer that is quick reports an event before it answers
        while True:
            said = await self._next_piece()
            command, data = _whole(said)
            if not isinstance(command, dimse.Response):
                if early:
                    raise PeerFault("the peer asks for something instead of answering")
                early.append(said)
            elif command.message_id_being_responded_to == message_id:
                self._pieces[:0] = early
                return command, data

    async def _next_piece(self) -> Said:
        while not self._pieces:
            event = await self._wire.event()
            if not isinstance(event, ul.DataReceived):
                raise fault_of(event)
            self._receive(event)
        return self._pieces.pop(0)

    def _receive(self, event: ul.DataReceived) -> None:
        try:
            self._pieces += self.messages.receive(event.values)
        except RemoteProtocolError as error:
            self._wire.connection.abort_as_provider(AbortReason.INVALID_PARAMETER_VALUE)
            raise PeerFault(f"the peer sent what is no message: {error}") from error


def _whole(said: Said) -> tuple[dimse.Command, bytes]:
    if said.too_large:
        raise PeerFault("the peer sent an answer that is too large")
    return said.command, said.data


async def _pieces_of(
    data_set: Iterable[bytes | memoryview] | AsyncIterable[bytes | memoryview],
) -> AsyncIterator[bytes | memoryview]:
    if isinstance(data_set, AsyncIterable):
        async for piece in data_set:
            yield piece
    else:
        for piece in data_set:
            yield piece


def contexts_for(
    syntaxes: Iterable[tuple[str, Sequence[str]]],
) -> tuple[ProposedContext, ...]:
    """Presentation contexts for pairs of abstract syntax and transfer syntaxes; at most 128."""
    return tuple(
        ProposedContext(number * 2 + 1, abstract_syntax, tuple(transfer_syntaxes))
        for number, (abstract_syntax, transfer_syntaxes) in enumerate(syntaxes)
    )


@asynccontextmanager
async def associate(
    peer: Peer,
    syntaxes: Iterable[tuple[str, Sequence[str]]],
    *,
    roles: Sequence[RoleSelection] = (),
) -> AsyncGenerator[ClientAssociation]:
    """An association with ``peer``; released at the end, aborted when the block raises.

    Args:
        peer: whom to call.
        syntaxes: abstract syntaxes with the transfer syntaxes for each, best first.
        roles: ours, where we are not the SCU.

    Raises:
        PeerUnreachable: nobody answers, or not in time.
        AssociationRefused: the peer says no.
        PeerFault: the peer breaks the protocol.
    """
    request = AssociateRequest(
        called_ae_title=peer.called_ae_title,
        calling_ae_title=peer.calling_ae_title,
        contexts=contexts_for(syntaxes),
        user_information=UserInformation(
            _PDU_LENGTH_BYTES,
            IMPLEMENTATION_CLASS_UID,
            IMPLEMENTATION_VERSION_NAME,
            roles=tuple(roles),
        ),
    )
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(peer.timeout_s):
            _, wire = await loop.create_connection(
                lambda: Wire(request, timeout_s=peer.timeout_s), peer.host, peer.port, ssl=peer.tls
            )
    except TimeoutError as error:
        reason = no_answer(peer.host, peer.port, within_s=peer.timeout_s)
        raise PeerUnreachable(reason) from error
    except OSError as error:
        raise PeerUnreachable(unreachable(error, peer.host, peer.port)) from error
    association = ClientAssociation(peer, wire)
    try:
        await association.established()
        yield association
        await association.release()
    finally:
        await association.close()


async def echo(peer: Peer) -> OperationStatus:
    """Calls ``peer`` with C-ECHO: an association, one question, release."""
    async with associate(peer, [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))]) as association:
        return await association.echo()


async def store(peer: Peer, items: Sequence[StoreItem]) -> list[OperationStatus]:
    """Sends ``items`` to ``peer`` over one association; one status for each, in order."""
    needed = dict.fromkeys((item.sop_class_uid, item.transfer_syntax_uid) for item in items)
    async with associate(peer, [(uid, (syntax,)) for uid, syntax in needed]) as association:
        return [await association.store(item) for item in items]


async def find(
    peer: Peer, sop_class_uid: str, identifier: DataSet, *, matches_max: int | None = None
) -> list[DataSet]:
    """All matches that ``peer`` has for ``identifier``."""
    async with associate(peer, [(sop_class_uid, UNCOMPRESSED)]) as association:
        matches = association.find(sop_class_uid, identifier, matches_max=matches_max)
        return [match async for match in matches]
