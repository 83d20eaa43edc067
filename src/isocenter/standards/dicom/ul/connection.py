"""One association without a socket: bytes received become events, requests become bytes to send.

The transport hands over what it received (``receive_buffer`` in place, or ``receive_data``),
takes the events one by one (``next_event``), sends what ``data_to_send`` returns, closes when
``close_requested`` is set, and calls ``artim_expired`` when the timer that ``artim_epoch`` names
has run out. Nothing that a peer sends raises: a fault of the peer becomes an A-ABORT with source
and reason, and an ``Aborted`` event with the error. Meaning of the messages is the business of
``dimse``.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom.ul import pdu as ul
from isocenter.standards.dicom.ul.machine import Effect, Event, Indicate, Machine, Send, State
from isocenter.standards.dicom.ul.machine import Transport as TransportAction
from isocenter.standards.dicom.ul.syntax import AbortReason, InvalidPdu

PDU_LENGTH_BYTES_MAX: Final = 1 << 20
# Enough for 128 contexts with a hundred transfer syntaxes each.
ASSOCIATE_LENGTH_BYTES_MAX: Final = 1 << 19
# What we send at once to a peer without limit, and at most to any.
_SEND_LENGTH_BYTES_MAX: Final = 131072
_SHORT_PDU_LENGTH: Final = 4


class Role(Enum):
    """Which side opened the association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


@dataclass(frozen=True, slots=True)
class AssociateRequested:
    """The peer asks for an association: answer with ``accept`` or ``reject``."""

    request: ul.AssociateRequest


@dataclass(frozen=True, slots=True)
class AssociateAccepted:
    """The peer accepted ours."""

    accept: ul.AssociateAccept


@dataclass(frozen=True, slots=True)
class AssociateRejected:
    """The peer refused ours."""

    reject: ul.AssociateReject


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Fragments, all of agreed contexts. Their data are views: use them before receiving again."""

    values: list[ul.PresentationDataValue]


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer wants to end orderly: answer with ``release_response``."""

    collision: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """The peer confirmed our release."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The association is gone without release.

    Attributes:
        source: an ``AbortSource`` when the standard knows the number.
        reason: an ``AbortReason`` likewise; means something only when the provider aborted.
        by_peer: the peer sent the A-ABORT; else our side did, or the transport broke.
        error: what the peer did wrong when that is why our side aborted.
    """

    source: int
    reason: int
    by_peer: bool
    error: InvalidPdu | None = None


ConnectionEvent = (
    AssociateRequested
    | AssociateAccepted
    | AssociateRejected
    | DataReceived
    | ReleaseRequested
    | Released
    | Aborted
)


@dataclass(frozen=True, slots=True)
class NegotiatedContext:
    """A presentation context both sides agreed on."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


_EVENT_OF_PDU: Final[Mapping[type[ul.Pdu], Event]] = {
    ul.AssociateRequest: Event.ASSOCIATE_RQ_RECEIVED,
    ul.AssociateAccept: Event.ASSOCIATE_AC_RECEIVED,
    ul.AssociateReject: Event.ASSOCIATE_RJ_RECEIVED,
    ul.PData: Event.P_DATA_RECEIVED,
    ul.ReleaseRequest: Event.RELEASE_RQ_RECEIVED,
    ul.ReleaseResponse: Event.RELEASE_RP_RECEIVED,
    ul.Abort: Event.ABORT_RECEIVED,
}


class Connection:
    """The upper layer of one association in either role.

    Attributes:
        role: requestor or acceptor.
        contexts: the agreed presentation contexts by id; empty before the association stands.
        close_requested: the transport connection is to be closed once all bytes are sent.

    Standard: PS3.8 section 9
    """

    def __init__(self, role: Role, *, pdu_length_bytes_max: int = PDU_LENGTH_BYTES_MAX) -> None:
        self.role = role
        self.contexts: dict[int, NegotiatedContext] = {}
        self.close_requested = False
        self._pdu_length_bytes_max = pdu_length_bytes_max
        self._machine = Machine(requestor=role is Role.REQUESTOR)
        self._events: deque[ConnectionEvent] = deque()
        self._outgoing: list[bytes | memoryview] = []
        self._rest = bytearray()
        self._needed = ul.HEADER_SIZE_BYTES
        self._request: ul.AssociateRequest | None = None
        self._send_length_max = _SEND_LENGTH_BYTES_MAX
        self._deaf = False

    @property
    def state(self) -> State:
        """Where the association is."""
        return self._machine.state

    @property
    def has_news(self) -> bool:
        """Whether the transport has to do something: send, or close."""
        return self.close_requested or bool(self._outgoing)

    @property
    def artim_epoch(self) -> int | None:
        """Names the running ARTIM timer, anew at each start; ``None`` while it is stopped."""
        return self._machine.artim_epoch

    @property
    def fragment_bytes_max(self) -> int:
        """The most data that one fragment may carry to the peer; even."""
        return (self._send_length_max - ul.FRAGMENT_OVERHEAD_BYTES) & ~1

    def next_event(self) -> ConnectionEvent | None:
        """The oldest event that was not taken yet."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> list[bytes | memoryview]:
        """All that is to be sent now, in order; it is forgotten here."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    # -- from the transport

    def transport_connected(self) -> None:
        """The transport connection stands: the acceptor starts to wait, the requestor asks."""
        if self.role is Role.ACCEPTOR:
            self._step(Event.TRANSPORT_INDICATED)
        else:
            self._step(Event.TRANSPORT_CONFIRMED)

    def transport_closed(self) -> None:
        """The transport connection is gone."""
        if self.state is not State.IDLE:
            self._step(Event.TRANSPORT_CLOSED)
        self._rest.clear()

    def artim_expired(self) -> None:
        """The timer that ``artim_epoch`` named has run out."""
        if self.artim_epoch is not None:
            self._step(Event.ARTIM_EXPIRED)

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Takes bytes in pieces of any size; keeps an unfinished PDU until its rest arrives.

        Copies; views in events stay valid. Transports on the hot path use ``receive_buffer``.
        """
        self._rest += data
        if len(self._rest) < self._needed:
            return
        whole = memoryview(bytes(self._rest))
        used = self.receive_buffer(whole)
        del self._rest[:used]
        self._needed = ul.HEADER_SIZE_BYTES
        if len(self._rest) >= ul.HEADER_SIZE_BYTES:
            self._needed += ul.parse_header(whole[used : used + ul.HEADER_SIZE_BYTES])[1]

    def receive_buffer(self, view: memoryview) -> int:
        """Takes the complete PDUs at the front of ``view``; returns how many bytes they used.

        The caller offers the rest again with more behind it. Views in events point into ``view``.
        """
        at, end = self._receive_fragments(view), len(view)
        while end - at >= ul.HEADER_SIZE_BYTES and not self._ended:
            pdu_type, length = ul.parse_header(view[at : at + ul.HEADER_SIZE_BYTES])
            stop = at + ul.HEADER_SIZE_BYTES + length
            try:
                self._check_header(pdu_type, length)
                if stop > end:
                    return at
                self._receive(pdu_type, view[at + ul.HEADER_SIZE_BYTES : stop])
            except InvalidPdu as error:
                self._refuse(error)
            at = stop
        # What follows a PDU that was not understood cannot be found in the stream any more.
        return end if self._ended else at

    # -- from the service user

    def initiate(self, request: ul.AssociateRequest) -> None:
        """Asks for an association once the transport connection stands."""
        self._request = request
        self._step(Event.ASSOCIATE_REQUEST)

    def accept(self, accept: ul.AssociateAccept) -> None:
        """Grants the association that the peer asked for."""
        self._agree(accept)
        self._step(Event.ASSOCIATE_RESPONSE_ACCEPT, accept)

    def reject(self, reject: ul.AssociateReject) -> None:
        """Refuses the association that the peer asked for."""
        self._step(Event.ASSOCIATE_RESPONSE_REJECT, reject)

    def release(self) -> None:
        """Asks the peer to end the association."""
        self._step(Event.RELEASE_REQUEST)

    def release_response(self) -> None:
        """Agrees to the end of the association."""
        self._step(Event.RELEASE_RESPONSE)

    def abort(self) -> None:
        """Ends the association now, or the transport connection when there is none yet."""
        if self.state in {State.IDLE, State.AWAITING_ASSOCIATE_RQ, State.AWAITING_CLOSE}:
            self.close_requested = True
        else:
            self._step(Event.ABORT_REQUEST)

    def abort_as_provider(self, reason: int) -> None:
        """Ends the association because the peer broke the protocol above the upper layer."""
        if self.state in {State.IDLE, State.AWAITING_CLOSE}:
            self.close_requested = True
        else:
            self._refuse(InvalidPdu("the message exchange is broken", reason))

    def send_fragments(
        self, context_id: int, data: bytes | memoryview, *, is_command: bool, is_last: bool = True
    ) -> None:
        """Queues ``data`` as P-DATA-TF PDUs that the peer can take. It is not copied.

        Args:
            context_id: an agreed presentation context.
            data: the bytes of a command or data set, or a part of them.
            is_command: they belong to a command set.
            is_last: nothing of this command set or data set follows.
        """
        if context_id not in self.contexts:
            raise LocalProtocolError(f"presentation context {context_id} is not agreed")
        self._step(Event.P_DATA_REQUEST)
        view, size = memoryview(data), self.fragment_bytes_max
        starts = range(0, len(view), size) or (0,)
        for start in starts:
            part = view[start : start + size]
            last = is_last and start + size >= len(view)
            head = ul.fragment_header(len(part), context_id, is_command=is_command, is_last=last)
            self._outgoing.append(head)
            self._outgoing.append(part)

    # -- inside

    @property
    def _ended(self) -> bool:
        return self._deaf or self._machine.state is State.IDLE

    def _check_header(self, pdu_type: int, length: int) -> None:
        if not ul.PduType.ASSOCIATE_RQ <= pdu_type <= ul.PduType.ABORT:
            message = f"no PDU has type {pdu_type:02X}H"
            raise InvalidPdu(message, AbortReason.UNRECOGNIZED_PDU)
        limit = _SHORT_PDU_LENGTH
        if pdu_type == ul.PduType.P_DATA_TF:
            limit = self._pdu_length_bytes_max
            if self.state is State.AWAITING_ASSOCIATE_RQ:
                # Do not wait for data of nobody.
                raise InvalidPdu("data before an association", AbortReason.UNEXPECTED_PDU)
        elif pdu_type <= ul.PduType.ASSOCIATE_AC:
            limit = min(ASSOCIATE_LENGTH_BYTES_MAX, self._pdu_length_bytes_max)
        if length > limit:
            raise InvalidPdu(f"a PDU of type {pdu_type:02X}H is {length} bytes long")

    def _receive(self, pdu_type: int, body: memoryview) -> None:
        if pdu_type == ul.PduType.P_DATA_TF and self.state is State.ESTABLISHED:
            self._receive_data(ul.parse_p_data(body))
            return
        if self.state is State.AWAITING_CLOSE and pdu_type != ul.PduType.ABORT:
            # AA-6: whatever it was, the association is over. AA-7 would answer an A-ASSOCIATE-RQ.
            if pdu_type == ul.PduType.ASSOCIATE_RQ:
                self._step(Event.ASSOCIATE_RQ_RECEIVED)
            return
        pdu = ul.decode(pdu_type, body)
        if isinstance(pdu, ul.PData):
            self._check_contexts(pdu.values)
        elif isinstance(pdu, ul.AssociateAccept) and self._request is not None:
            self._check_accept(pdu, self._request)
        if isinstance(pdu, ul.AssociateRequest) and self.role is Role.ACCEPTOR:
            self._request = self._request or pdu
        self._step(_EVENT_OF_PDU[type(pdu)], pdu)

    def _receive_fragments(self, view: memoryview) -> int:
        """Takes P-DATA-TF PDUs of one fragment each from the front of ``view``; where they end.

        Nearly all that is ever received has this form: what this saves, everything saves.
        """
        at, end = 0, len(view)
        if self._deaf or self._machine.state is not State.ESTABLISHED:
            return at
        contexts, length_max = self.contexts, self._pdu_length_bytes_max
        values: list[ul.PresentationDataValue] = []
        while end - at >= ul.FRAGMENT_HEADER_SIZE_BYTES:
            pdu_type, length, size, context_id, control = ul.parse_fragment_header(view, at)
            stop = at + ul.HEADER_SIZE_BYTES + length
            if pdu_type != ul.PduType.P_DATA_TF or size != length - 4 or stop > end:
                break
            if size < 2 or context_id not in contexts or length > length_max:
                break
            data = view[at + ul.FRAGMENT_HEADER_SIZE_BYTES : stop]
            value = ul.PresentationDataValue(context_id, control & 1 == 1, control & 2 == 2, data)
            values.append(value)
            at = stop
        if values:
            self._events.append(DataReceived(values))
        return at

    def _receive_data(self, values: list[ul.PresentationDataValue]) -> None:
        self._check_contexts(values)
        self._events.append(DataReceived(values))

    def _check_contexts(
        self, values: list[ul.PresentationDataValue] | tuple[ul.PresentationDataValue, ...]
    ) -> None:
        for value in values:
            if value.context_id not in self.contexts:
                raise InvalidPdu(f"presentation context {value.context_id} was not agreed")

    def _check_accept(self, accept: ul.AssociateAccept, request: ul.AssociateRequest) -> None:
        proposed = {context.context_id: context for context in request.contexts}
        for answer in accept.contexts:
            context = proposed.get(answer.context_id)
            if context is None:
                raise InvalidPdu(f"presentation context {answer.context_id} was not proposed")
            if answer.accepted and answer.transfer_syntax not in context.transfer_syntaxes:
                raise InvalidPdu("a transfer syntax was accepted that was not proposed")

    def _agree(self, accept: ul.AssociateAccept) -> None:
        request = self._request
        if request is None:
            raise LocalProtocolError("there is no association to accept")
        abstract = {context.context_id: context.abstract_syntax for context in request.contexts}
        self.contexts = {
            answer.context_id: NegotiatedContext(
                answer.context_id, abstract[answer.context_id], answer.transfer_syntax
            )
            for answer in accept.contexts
            if answer.accepted
        }
        peer = accept if self.role is Role.REQUESTOR else request
        theirs = peer.user_information.maximum_length_bytes or _SEND_LENGTH_BYTES_MAX
        self._send_length_max = min(max(theirs, 8), _SEND_LENGTH_BYTES_MAX)

    def _refuse(self, error: InvalidPdu) -> None:
        self._deaf = True
        silent = self.state is State.AWAITING_ASSOCIATE_RQ
        self._step(Event.INVALID_PDU_RECEIVED, error)
        if silent:
            # AA-1 indicates nothing, but whoever serves the connection wants to know why it ended.
            self._events.append(Aborted(ul.AbortSource.SERVICE_USER, 0, by_peer=False, error=error))

    def _step(self, event: Event, cause: ul.Pdu | InvalidPdu | None = None) -> None:
        effect = self._machine.step(event)
        self._send(effect, cause)
        self._indicate(effect, cause)
        if effect.transport is TransportAction.CLOSE:
            self.close_requested = True

    def _send(self, effect: Effect, cause: ul.Pdu | InvalidPdu | None) -> None:
        match effect.send:
            case Send.NOTHING | Send.P_DATA_TF:
                return
            case Send.ASSOCIATE_RQ:
                if self._request is None:
                    raise LocalProtocolError("nothing was initiated")
                pdu: ul.Pdu = self._request
            case Send.RELEASE_RQ:
                pdu = ul.ReleaseRequest()
            case Send.RELEASE_RP:
                pdu = ul.ReleaseResponse()
            case Send.ABORT_BY_USER:
                pdu = ul.Abort(ul.AbortSource.SERVICE_USER)
            case Send.ABORT_BY_PROVIDER:
                pdu = ul.Abort(ul.AbortSource.SERVICE_PROVIDER, _reason(cause))
            case Send.ASSOCIATE_AC | Send.ASSOCIATE_RJ:
                if not isinstance(cause, ul.AssociateAccept | ul.AssociateReject):
                    raise LocalProtocolError("an answer is missing")
                pdu = cause
        self._outgoing.append(ul.encode(pdu))

    def _indicate(self, effect: Effect, cause: ul.Pdu | InvalidPdu | None) -> None:
        match effect.indicate, cause:
            case Indicate.NOTHING, _:
                return
            case Indicate.P_DATA, ul.PData(values):
                event: ConnectionEvent = DataReceived(list(values))
            case Indicate.ASSOCIATE, ul.AssociateRequest():
                event = AssociateRequested(cause)
            case Indicate.ASSOCIATE_CONFIRMED, ul.AssociateAccept():
                self._agree(cause)
                event = AssociateAccepted(cause)
            case Indicate.ASSOCIATE_REFUSED, ul.AssociateReject():
                event = AssociateRejected(cause)
            case Indicate.RELEASE, _:
                event = ReleaseRequested()
            case Indicate.RELEASE_COLLISION, _:
                event = ReleaseRequested(collision=True)
            case Indicate.RELEASE_CONFIRMED, _:
                event = Released()
            case Indicate.ABORT, ul.Abort(source, reason):
                event = Aborted(source, reason, by_peer=True)
            case _:
                error = cause if isinstance(cause, InvalidPdu) else None
                event = Aborted(
                    ul.AbortSource.SERVICE_PROVIDER, _reason(cause), by_peer=False, error=error
                )
        self._events.append(event)


def _reason(cause: ul.Pdu | InvalidPdu | None) -> int:
    if isinstance(cause, InvalidPdu):
        return cause.reason
    # A well-formed PDU in the wrong state; without a PDU the transport broke.
    return AbortReason.NOT_SPECIFIED if cause is None else AbortReason.UNEXPECTED_PDU
