"""The machines we talk to: DICOM and HL7 peers, and who called without being one of them.

Pure rules only: what a valid peer is, and which peer an address and a name belong to. Looking host
names up is the caller's business.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from isocenter.errors import IsocenterError, Kind
from isocenter.standards.hl7v2.field_map import BadFieldMap, parse_map, parse_received_map

DICOM_PERMISSIONS = frozenset({"store", "find", "move", "get", "worklist", "mpps", "ups"})
HL7_SENT = frozenset({"oru", "orm", "omi", "adt", "siu", "dft"})
ORDER_MESSAGES = frozenset({"", "ORM", "OMG", "OMI"})
PATIENT_UPDATES = frozenset({"A31", "A08"})
REPORT_FORMS = frozenset({"text", "pdf", "coded", "study_uid"})
HL7_RECEIVED = frozenset({"adt", "orm", "oru", "siu", "qbp", "mdm", "dft", "bar"})
HL7_ORDERINGS = ("patient", "exam", "all")
HL7_GAP_MAX_S = 60.0
HL7_RATE_PER_S_MAX = 10_000.0
AE_TITLE_LENGTH_MAX = 16
PENDING_CALLERS_MAX = 1000
DICOM_PORT_USUAL = 104

Resolve = Callable[[str], frozenset[str]]
"""The addresses of a host name, in ``ipaddress`` notation; empty when it has none."""

_PEER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class BadPeer(IsocenterError):
    """A peer's description cannot be used."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class PeerExists(IsocenterError):
    """Another peer has this name or AE title."""

    kind: ClassVar[Kind] = Kind.CONFLICT


class PeerUnknown(IsocenterError):
    """There is no such peer."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class PendingCallerUnknown(IsocenterError):
    """There is no such pending caller."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class MessageUnknown(IsocenterError):
    """There is no such message."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class DicomPeer:
    """One application entity.

    Attributes:
        host: host name, address, or network as ``address/bits`` that it calls from.
        port: where it listens.
        allow: what it may do to us, of ``DICOM_PERMISSIONS``.
        identity_required: each of its associations must prove which user is behind it.
        steps_forwarded: it is told what other peers say that they did (MPPS).
        steps_notified: it is told that they said something (MPPS notification).
        quirks: how it strays from the standard, names of ``model_quirks.QUIRKS``.
    """

    name: str
    ae_title: str
    host: str
    port: int
    allow: frozenset[str] = frozenset()
    tls: bool = False
    enabled: bool = True
    identity_required: bool = False
    steps_forwarded: bool = False
    steps_notified: bool = False
    quirks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hl7Peer:
    """One HL7 v2 application.

    Attributes:
        port: where it listens; None when it only sends to us.
        send: kinds of message that it gets from us, of ``HL7_SENT``.
        receive: kinds of message that it may send to us, of ``HL7_RECEIVED``.
        application: its MSH-3; None accepts any.
        assigning_authority: of patient identifiers that it sends without one.
        result_statuses: OBR-25 values that it takes.
        order_responses: its orders are answered by ORR, ORG or ORI, which tell what became of each
            order; else by ACK. Numbers that it asks for (SN) are always told.
        sequence_numbers: MSH-13 of its messages is checked.
        sequence_numbers_sent: our messages to it carry MSH-13, which wants ``ordering`` of all.
        ordering: what of our messages to it keeps its order, and waits while one is tried again:
            those about one ``patient``, those about one ``exam``, or ``all``.
        rate_per_s_max: how many messages it gets in a second; 0: as many as it answers.
        gap_s: how long it is left alone after each answer.
        order_message: which message tells it of orders, of ``ORDER_MESSAGES``; '' as is usual.
        patient_update: the event by which it learns of changed demographics.
        report_forms: what of a report it gets, of ``REPORT_FORMS``.
        field_map: what its messages say otherwise (TOML): see ``standards.hl7v2.field_map``.
        received_map: as which its messages are read (TOML); what is recorded stays as it came.
        trusted_authorities: whose patient identifiers are kept of its messages; empty: as the site
            says for all.
    """

    name: str
    host: str
    port: int | None = None
    send: frozenset[str] = frozenset()
    receive: frozenset[str] = frozenset()
    application: str | None = None
    facility: str | None = None
    assigning_authority: str = ""
    version: str = "2.5.1"
    character_set: str = "UNICODE UTF-8"
    ack_timeout_s: float = 30.0
    result_statuses: frozenset[str] = frozenset({"P", "F", "C"})
    tls: bool = False
    enabled: bool = True
    order_responses: bool = False
    sequence_numbers: bool = False
    sequence_numbers_sent: bool = False
    ordering: str = "patient"
    rate_per_s_max: float = 0.0
    gap_s: float = 0.0
    order_message: str = ""
    patient_update: str = "A31"
    report_forms: frozenset[str] = frozenset({"text", "study_uid"})
    field_map: str = ""
    received_map: str = ""
    trusted_authorities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PendingCaller:
    """Someone who called, was refused, and may be approved."""

    pending_key: int
    protocol: Literal["dicom", "hl7"]
    caller: str
    address: str
    first_seen_at: datetime
    last_seen_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class PeerDecision:
    """Whether an association is accepted: ``peer`` is None when it is not.

    Attributes:
        known: whether the calling AE title belongs to some peer, at whatever address.
    """

    peer: DicomPeer | None
    known: bool


@dataclass(frozen=True, slots=True)
class Hl7Message:
    """One message as it crossed the wire, with what came of it.

    Attributes:
        body_digest: SHA-256 of the message without MSH-7 and MSH-10.
        effect: one line, without patient data, that says what was done.
    """

    direction: Literal["in", "out"]
    peer: str
    control_id: str
    message_type: str
    body_digest: bytes
    raw: bytes
    acknowledgement: bytes | None = None
    acknowledgement_code: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    effect: str = ""
    error: str | None = None
    replay_of: int | None = None
    reason: str | None = None
    requested_by: str | None = None


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A message in the log, without its bytes.

    Attributes:
        replay_of: the message that a person had processed again, or edited; None for one that a
            peer sent, or that went out by itself.
        reason: why that was done; ``requested_by`` says by whom.
        control_id_reused: another message of its sender had this control id, and both were
            processed.
    """

    message_key: int
    direction: str
    peer: str
    control_id: str
    message_type: str
    acknowledgement_code: str | None
    patient_id: str | None
    accession_number: str | None
    effect: str
    error: str | None
    received_at: datetime
    replay_of: int | None
    reason: str | None
    requested_by: str | None
    control_id_reused: bool


@dataclass(frozen=True, slots=True)
class RecordedMessage(ListedMessage):
    """A message in the log."""

    raw: bytes
    acknowledgement: bytes | None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages to list; None does not restrict.

    Attributes:
        order_number: a placer or filler order number that the message names, as it is written.
        text: words that it holds, each whole or its beginning.
        before: the key to page from.
    """

    direction: str | None = None
    peer: str | None = None
    control_id: str | None = None
    message_type: str | None = None
    patient_id: str | None = None
    accession_number: str | None = None
    order_number: str | None = None
    text: str | None = None
    with_error: bool = False
    control_id_reused: bool = False
    before: int | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None

    @property
    def sought(self) -> str:
        """What the audit names as looked for; the patient is named beside it."""
        return self.control_id or self.accession_number or self.order_number or self.text or ""


def check_dicom_peer(peer: DicomPeer) -> None:
    """Raise ``BadPeer`` unless the description is usable."""
    _check_name(peer.name)
    _check_host(peer.host)
    title = peer.ae_title
    # PS3.5 6.2: AE is 1 to 16 characters of the default repertoire, no backslash, no controls;
    # leading and trailing spaces are not significant.
    printable = title.isascii() and title.isprintable() and "\\" not in title
    if not (printable and title == title.strip() and 0 < len(title) <= AE_TITLE_LENGTH_MAX):
        raise BadPeer(
            f"an AE title has 1 to {AE_TITLE_LENGTH_MAX} ASCII characters without backslash"
        )
    _check_port(peer.port)
    _check_subset(peer.allow, DICOM_PERMISSIONS, "allow")


def check_hl7_peer(peer: Hl7Peer) -> None:
    """Raise ``BadPeer`` unless the description is usable."""
    _check_name(peer.name)
    _check_host(peer.host)
    if peer.port is not None:
        _check_port(peer.port)
    elif peer.send:
        raise BadPeer("a peer that gets messages from us needs a port")
    _check_subset(peer.send, HL7_SENT, "send")
    _check_subset(peer.receive, HL7_RECEIVED, "receive")
    _check_subset(peer.report_forms, REPORT_FORMS, "report_forms")
    _check_subset({peer.order_message}, ORDER_MESSAGES, "order_message")
    _check_subset({peer.patient_update}, PATIENT_UPDATES, "patient_update")
    if any(not each or each != each.strip() for each in peer.trusted_authorities):
        raise BadPeer("a trusted authority has a name, without blanks around it")
    if "oru" in peer.send and not peer.report_forms & {"text", "pdf"}:
        raise BadPeer("a peer that gets reports gets their text, or a PDF of them")
    try:
        parse_map(peer.field_map)
        parse_received_map(peer.received_map)
    except BadFieldMap as error:
        raise BadPeer(str(error)) from error
    if peer.ack_timeout_s <= 0:
        raise BadPeer("the time to wait for an acknowledgement is more than 0 s")
    _check_pace(peer)


def _check_pace(peer: Hl7Peer) -> None:
    if peer.ordering not in HL7_ORDERINGS:
        raise BadPeer(f"order is kept by {', '.join(HL7_ORDERINGS)}")
    if peer.sequence_numbers_sent and peer.ordering != "all":
        raise BadPeer("numbered messages (sequence_numbers_sent) go in the order of all")
    if not 0 <= peer.gap_s <= HL7_GAP_MAX_S:
        raise BadPeer(f"the gap between messages is 0 to {HL7_GAP_MAX_S:g} s")
    if (
        peer.rate_per_s_max != 0
        and not 1 / HL7_GAP_MAX_S <= peer.rate_per_s_max <= HL7_RATE_PER_S_MAX
    ):
        raise BadPeer(
            f"a rate is one message a minute to {HL7_RATE_PER_S_MAX:g} a second, or 0 for none"
        )


def _check_name(name: str) -> None:
    if not _PEER_NAME.fullmatch(name):
        raise BadPeer("a peer's name has 1 to 64 letters, digits, '.', '_' or '-'")


def _check_host(host: str) -> None:
    if not host or any(each.isspace() for each in host):
        raise BadPeer("a peer needs a host name, an address or a network")


def _check_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise BadPeer("a port is 1 to 65535")


def _check_subset(given: Iterable[str], known: frozenset[str], what: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise BadPeer(f"{what} knows {', '.join(sorted(known))}, not {', '.join(unknown)}")


def plain_address(address: str) -> str:
    """The address in one notation: an IPv4 address that came in over IPv6 as IPv4."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def is_at(host: str, address: str, resolve: Resolve) -> bool:
    """Whether ``address`` belongs to ``host``: a name, an address, or a network."""
    plain = plain_address(address)
    try:
        network = ipaddress.ip_network(host, strict=False)
    except ValueError:
        return plain in {plain_address(each) for each in resolve(host)}
    try:
        return ipaddress.ip_address(plain) in network
    except ValueError:
        return False


def sender(candidates: Sequence[Hl7Peer], application: str, facility: str = "") -> Hl7Peer | None:
    """Which of the peers at an address sent a message with this MSH-3 and MSH-4, or None.

    A peer whose application (and facility, where it has one) is the message's goes before one that
    accepts any; letter case does not matter.
    """

    def rank(peer: Hl7Peer) -> int | None:
        said = ((peer.application, application), (peer.facility, facility))
        if any(own is not None and own.casefold() != given.casefold() for own, given in said):
            return None
        return sum(own is not None for own, _ in said)

    ranked = [(rank(peer), peer) for peer in candidates]
    fitting = [(score, peer) for score, peer in ranked if score is not None]
    return max(fitting, key=lambda each: each[0])[1] if fitting else None
