"""The seven PDUs of the DICOM upper layer: values to bytes and back.

Encoding is strict: what breaks the standard raises ``LocalProtocolError``. Decoding is tolerant
where the meaning is unharmed (``syntax.Tolerance``) and otherwise raises ``InvalidPdu``. Order of
PDUs is no concern here (``machine``), nor is their length limit (``connection``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom.ul.items import (
    USER_INFORMATION,
    UserInformation,
    decode_user_information,
    encode_user_information,
)
from isocenter.standards.dicom.ul.syntax import (
    AbortReason,
    InvalidPdu,
    Reader,
    Tolerance,
    ae_title_bytes,
    item,
    uid_bytes,
)

DICOM_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
PROTOCOL_VERSION: Final = 1
HEADER_SIZE_BYTES: Final = 6
# A P-DATA-TF of one fragment: PDU type, length, fragment length, context id, message control
# header.
FRAGMENT_HEADER_SIZE_BYTES: Final = 12
# What of the variable field of a P-DATA-TF its fragment cannot use.
FRAGMENT_OVERHEAD_BYTES: Final = 6
CONTEXTS_MAX: Final = 128

_APPLICATION_CONTEXT: Final = 0x10
_PRESENTATION_CONTEXT_RQ: Final = 0x20
_PRESENTATION_CONTEXT_AC: Final = 0x21
_ABSTRACT_SYNTAX: Final = 0x30
_TRANSFER_SYNTAX: Final = 0x40

_PDU_HEADER = Struct(">BxI")
_FRAGMENT_HEADER = Struct(">BxIIBB")
_PDV_HEADER = Struct(">IBB")
_FIXED_PART = Struct(">Hxx16s16s32s")
_RESULT_HEADER = Struct(">BxBx")
_TRANSFER_SYNTAXES_MAX: Final = 1024


class PduType(IntEnum):
    """The first byte of a PDU.

    Standard: PS3.8 9.3.1
    """

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class ContextResult(IntEnum):
    """What became of a proposed presentation context.

    Standard: PS3.8 Table 9-18
    """

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class RejectResult(IntEnum):
    """Whether it is any use to ask again.

    Standard: PS3.8 Table 9-21
    """

    PERMANENT = 1
    TRANSIENT = 2


class RejectSource(IntEnum):
    """Who refused.

    Standard: PS3.8 Table 9-21
    """

    SERVICE_USER = 1
    SERVICE_PROVIDER_ACSE = 2
    SERVICE_PROVIDER_PRESENTATION = 3


class AbortSource(IntEnum):
    """Who ended the association.

    Standard: PS3.8 Table 9-26
    """

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One abstract syntax with the transfer syntaxes that the requestor can use for it."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnsweredContext:
    """The acceptor's answer to one context. ``result`` is a ``ContextResult`` when known."""

    context_id: int
    result: int
    transfer_syntax: str

    @property
    def accepted(self) -> bool:
        """True when messages may use the context."""
        return self.result == ContextResult.ACCEPTANCE


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ.

    Attributes:
        reserved: bytes 43 to 74, which the answer repeats.
        tolerated: deviations that decoding accepted.

    Standard: PS3.8 9.3.2
    """

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    user_information: UserInformation
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION
    reserved: bytes = bytes(32)
    tolerated: frozenset[Tolerance] = frozenset()


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC. The titles repeat those of the request and mean nothing.

    Standard: PS3.8 9.3.3
    """

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[AnsweredContext, ...]
    user_information: UserInformation
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION
    reserved: bytes = bytes(32)
    tolerated: frozenset[Tolerance] = frozenset()


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ; see ``negotiation`` for the refusals by name.

    Standard: PS3.8 9.3.4
    """

    result: int
    source: int
    reason: int


class PresentationDataValue(NamedTuple):
    """One fragment of a message.

    When received, ``data`` is a view of the receive buffer: valid until the next receipt.

    Standard: PS3.8 9.3.5.1, Annex E
    """

    context_id: int
    is_command: bool
    is_last: bool
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class PData:
    """P-DATA-TF: one or more fragments.

    Standard: PS3.8 9.3.5
    """

    values: tuple[PresentationDataValue, ...]


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ.

    Standard: PS3.8 9.3.6
    """


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """A-RELEASE-RP.

    Standard: PS3.8 9.3.7
    """


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT.

    Standard: PS3.8 9.3.8
    """

    source: int = AbortSource.SERVICE_USER
    reason: int = AbortReason.NOT_SPECIFIED


Pdu = (
    AssociateRequest
    | AssociateAccept
    | AssociateReject
    | PData
    | ReleaseRequest
    | ReleaseResponse
    | Abort
)


def encode(pdu: Pdu) -> bytes:
    """The bytes of one PDU.

    Raises:
        LocalProtocolError: the PDU may not be sent like this.
    """
    match pdu:
        case PData(values):
            return _encode_p_data(values)
        case AssociateRequest():
            return _pdu(PduType.ASSOCIATE_RQ, _encode_request(pdu))
        case AssociateAccept():
            return _pdu(PduType.ASSOCIATE_AC, _encode_accept(pdu))
        case AssociateReject(result, source, reason):
            return _pdu(PduType.ASSOCIATE_RJ, bytes((0, result, source, reason)))
        case ReleaseRequest():
            return _pdu(PduType.RELEASE_RQ, bytes(4))
        case ReleaseResponse():
            return _pdu(PduType.RELEASE_RP, bytes(4))
        case Abort(source, reason):
            return _pdu(PduType.ABORT, bytes((0, 0, source, reason)))


def fragment_header(value_size: int, context_id: int, *, is_command: bool, is_last: bool) -> bytes:
    """The 12 bytes that make a P-DATA-TF of the ``value_size`` bytes behind them."""
    control = is_command | is_last << 1
    return _FRAGMENT_HEADER.pack(
        PduType.P_DATA_TF, value_size + 6, value_size + 2, context_id, control
    )


def parse_header(view: memoryview) -> tuple[int, int]:
    """PDU type and length of what follows the first six bytes of ``view``."""
    return _PDU_HEADER.unpack_from(view)


def parse_fragment_header(view: memoryview, at: int) -> tuple[int, int, int, int, int]:
    """PDU type, PDU length, first fragment's length, context and control of the PDU at ``at``."""
    return _FRAGMENT_HEADER.unpack_from(view, at)


def parse_p_data(body: memoryview) -> list[PresentationDataValue]:
    """The fragments of a P-DATA-TF as views into ``body``: nothing is copied.

    Raises:
        InvalidPdu: lengths contradict each other, or there is no fragment.
    """
    values: list[PresentationDataValue] = []
    at, end = 0, len(body)
    while at < end:
        if end - at < FRAGMENT_OVERHEAD_BYTES:
            raise InvalidPdu("a presentation data value is cut short")
        length, context_id, control = _PDV_HEADER.unpack_from(body, at)
        stop = at + 4 + length
        if length < 2 or stop > end:
            raise InvalidPdu("the length of a presentation data value is impossible")
        # Bits 2 to 7 of the message control header are not looked at (PS3.8 E.2).
        data = body[at + 6 : stop]
        values.append(PresentationDataValue(context_id, control & 1 == 1, control & 2 == 2, data))
        at = stop
    if not values:
        raise InvalidPdu("a P-DATA-TF without presentation data value")
    return values


def decode(pdu_type: int, body: memoryview) -> Pdu:
    """One PDU from its type and all that follows its header.

    Raises:
        InvalidPdu: with the reason that an A-ABORT should give.
    """
    match pdu_type:
        case PduType.P_DATA_TF:
            return PData(tuple(parse_p_data(body)))
        case PduType.ASSOCIATE_RQ:
            return _decode_request(body)
        case PduType.ASSOCIATE_AC:
            return _decode_accept(body)
        case _:
            return _decode_short(pdu_type, body)


def _decode_short(pdu_type: int, body: memoryview) -> Pdu:
    if pdu_type not in {3, 5, 6, 7}:
        raise InvalidPdu(f"no PDU has type {pdu_type:02X}H", AbortReason.UNRECOGNIZED_PDU)
    if len(body) != 4:
        raise InvalidPdu(f"a PDU of type {pdu_type:02X}H is not 4 bytes long")
    match pdu_type:
        case PduType.ASSOCIATE_RJ:
            return AssociateReject(body[1], body[2], body[3])
        case PduType.RELEASE_RQ:
            return ReleaseRequest()
        case PduType.RELEASE_RP:
            return ReleaseResponse()
        case _:
            return Abort(body[2], body[3])


def _pdu(pdu_type: PduType, body: bytes) -> bytes:
    return _PDU_HEADER.pack(pdu_type, len(body)) + body


def _encode_p_data(values: Sequence[PresentationDataValue]) -> bytes:
    if not values:
        raise LocalProtocolError("a P-DATA-TF needs a fragment")
    parts: list[bytes | memoryview] = []
    for value in values:
        control = value.is_command | value.is_last << 1
        parts.append(_PDV_HEADER.pack(len(value.data) + 2, value.context_id, control))
        parts.append(value.data)
    return _pdu(PduType.P_DATA_TF, b"".join(parts))


def _encode_request(pdu: AssociateRequest) -> bytes:
    if not 1 <= len(pdu.contexts) <= CONTEXTS_MAX:
        raise LocalProtocolError(
            f"{len(pdu.contexts)} presentation contexts; 1 to 128 are possible"
        )
    ids = [context.context_id for context in pdu.contexts]
    if len(set(ids)) != len(ids):
        raise LocalProtocolError("a presentation context id is used twice")
    parts = [
        _FIXED_PART.pack(
            pdu.protocol_version,
            ae_title_bytes(pdu.called_ae_title),
            ae_title_bytes(pdu.calling_ae_title),
            pdu.reserved,
        ),
        item(_APPLICATION_CONTEXT, uid_bytes(pdu.application_context)),
    ]
    for context in pdu.contexts:
        _check_context_id(context.context_id)
        if not context.transfer_syntaxes:
            raise LocalProtocolError("a presentation context needs a transfer syntax")
        syntaxes = [item(_TRANSFER_SYNTAX, uid_bytes(uid)) for uid in context.transfer_syntaxes]
        abstract = item(_ABSTRACT_SYNTAX, uid_bytes(context.abstract_syntax))
        head = bytes((context.context_id, 0, 0, 0))
        parts.append(item(_PRESENTATION_CONTEXT_RQ, head + abstract + b"".join(syntaxes)))
    parts.append(encode_user_information(pdu.user_information))
    return b"".join(parts)


def _encode_accept(pdu: AssociateAccept) -> bytes:
    # The titles are the peer's own bytes sent back: not ours to judge.
    titles = [
        title.encode("latin-1", "replace")[:16].ljust(16)
        for title in (pdu.called_ae_title, pdu.calling_ae_title)
    ]
    parts = [
        _FIXED_PART.pack(pdu.protocol_version, *titles, pdu.reserved),
        item(_APPLICATION_CONTEXT, uid_bytes(pdu.application_context)),
    ]
    for context in pdu.contexts:
        head = _RESULT_HEADER.pack(context.context_id, context.result)
        # Not significant when refused, yet always present (PS3.8 9.3.3.2).
        syntax = context.transfer_syntax.encode("ascii", "replace")
        if context.accepted:
            syntax = uid_bytes(context.transfer_syntax)
        parts.append(item(_PRESENTATION_CONTEXT_AC, head + item(_TRANSFER_SYNTAX, syntax)))
    parts.append(encode_user_information(pdu.user_information))
    return b"".join(parts)


def _check_context_id(context_id: int) -> None:
    if not 1 <= context_id <= 255 or context_id % 2 == 0:
        raise LocalProtocolError(f"a presentation context id is odd and below 256: {context_id}")


@dataclass(slots=True)
class _Parts:
    """What the fixed part and the items of an A-ASSOCIATE-RQ or -AC hold."""

    protocol_version: int
    called: str
    calling: str
    reserved: bytes
    application_context: str
    contexts: list[tuple[int, int, str, tuple[str, ...]]]
    user_information: UserInformation
    tolerated: frozenset[Tolerance]


def _decode_parts(body: memoryview, context_item: int) -> _Parts:
    reader = Reader(body, set())
    protocol_version = reader.u16()
    reader.take(2)
    called, calling, reserved = reader.ae_title(), reader.ae_title(), bytes(reader.take(32))
    application_context = ""
    contexts: list[tuple[int, int, str, tuple[str, ...]]] = []
    user_information: UserInformation | None = None
    while reader:
        kind, content = reader.item()
        if kind == _APPLICATION_CONTEXT:
            application_context = content.uid()
        elif kind == context_item:
            if len(contexts) == CONTEXTS_MAX:
                raise InvalidPdu("more than 128 presentation contexts")
            contexts.append(_decode_context(content))
        elif kind == USER_INFORMATION and user_information is None:
            user_information = decode_user_information(content)
    if user_information is None:
        user_information = decode_user_information(Reader(memoryview(b""), reader.tolerated))
    if len({context[0] for context in contexts}) != len(contexts):
        raise InvalidPdu("a presentation context id is used twice")
    return _Parts(
        protocol_version,
        called,
        calling,
        reserved,
        application_context,
        contexts,
        user_information,
        frozenset(reader.tolerated),
    )


def _decode_context(content: Reader) -> tuple[int, int, str, tuple[str, ...]]:
    context_id, _, result, _ = content.take(4)
    if context_id % 2 == 0:
        content.tolerated.add(Tolerance.EVEN_CONTEXT_ID)
    abstract_syntax, syntaxes = "", list[str]()
    while content:
        kind, value = content.item()
        if kind == _ABSTRACT_SYNTAX:
            abstract_syntax = value.uid()
        elif kind == _TRANSFER_SYNTAX:
            syntaxes.append(value.uid())
            if len(syntaxes) > _TRANSFER_SYNTAXES_MAX:
                raise InvalidPdu("too many transfer syntaxes")
    return context_id, result, abstract_syntax, tuple(syntaxes)


def _decode_request(body: memoryview) -> AssociateRequest:
    parts = _decode_parts(body, _PRESENTATION_CONTEXT_RQ)
    if not parts.contexts:
        raise InvalidPdu("no presentation context is proposed")
    return AssociateRequest(
        called_ae_title=parts.called,
        calling_ae_title=parts.calling,
        contexts=tuple(
            ProposedContext(context_id, abstract_syntax, syntaxes)
            for context_id, _, abstract_syntax, syntaxes in parts.contexts
        ),
        user_information=parts.user_information,
        application_context=parts.application_context,
        protocol_version=parts.protocol_version,
        reserved=parts.reserved,
        tolerated=parts.tolerated,
    )


def _decode_accept(body: memoryview) -> AssociateAccept:
    parts = _decode_parts(body, _PRESENTATION_CONTEXT_AC)
    tolerated = set(parts.tolerated)
    contexts: list[AnsweredContext] = []
    for context_id, result, _, syntaxes in parts.contexts:
        if result == ContextResult.ACCEPTANCE and len(syntaxes) != 1:
            raise InvalidPdu("an accepted presentation context has one transfer syntax")
        if not syntaxes:
            tolerated.add(Tolerance.MISSING_TRANSFER_SYNTAX_IN_RESULT)
        contexts.append(AnsweredContext(context_id, result, syntaxes[0] if syntaxes else ""))
    return AssociateAccept(
        called_ae_title=parts.called,
        calling_ae_title=parts.calling,
        contexts=tuple(contexts),
        user_information=parts.user_information,
        application_context=parts.application_context,
        protocol_version=parts.protocol_version,
        reserved=parts.reserved,
        tolerated=frozenset(tolerated),
    )
