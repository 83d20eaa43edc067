"""Peers, callers that are no peers yet, and the log of HL7 messages.

Host names are looked up by a function that the caller hands in: the network is not this stage's
business.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.peers import _store as store
from isocenter.domain.peers.model import (
    DICOM_PORT_USUAL,
    PENDING_CALLERS_MAX,
    DicomPeer,
    Hl7Message,
    Hl7Peer,
    MessageFilter,
    MessageUnknown,
    PeerDecision,
    PeerExists,
    PeerUnknown,
    PendingCaller,
    PendingCallerUnknown,
    RecordedMessage,
    Resolve,
    check_dicom_peer,
    check_hl7_peer,
    is_at,
    plain_address,
)
from isocenter.infra.db import Tx

_PAGE_MAX = 500
_CALLER_LENGTH_MAX = 64


def add_dicom_peer(tx: Tx, actor: Actor, peer: DicomPeer, *, now: datetime) -> None:
    """Let a DICOM application in. Raises ``BadPeer``, ``PeerExists``."""
    authorize(actor, Action.PEER_WRITE)
    check_dicom_peer(peer)
    if not store.insert_dicom_peer(tx, peer, now):
        raise PeerExists(f"there is a DICOM peer {peer.name} or {peer.ae_title} already")
    _record(tx, actor, "peer.add", peer.name, now=now)


def add_hl7_peer(tx: Tx, actor: Actor, peer: Hl7Peer, *, now: datetime) -> None:
    """Let an HL7 application in. Raises ``BadPeer``, ``PeerExists``."""
    authorize(actor, Action.PEER_WRITE)
    check_hl7_peer(peer)
    if not store.insert_hl7_peer(tx, peer, now):
        raise PeerExists(f"there is an HL7 peer {peer.name} already")
    _record(tx, actor, "peer.add", peer.name, now=now)


def remove_peer(
    tx: Tx, actor: Actor, protocol: Literal["dicom", "hl7"], name: str, *, now: datetime
) -> None:
    """No longer let an application in. Raises ``PeerUnknown``."""
    authorize(actor, Action.PEER_WRITE)
    delete = store.delete_dicom_peer if protocol == "dicom" else store.delete_hl7_peer
    if not delete(tx, name):
        raise PeerUnknown(f"there is no {protocol} peer {name}")
    _record(tx, actor, "peer.remove", name, now=now)


def _record(tx: Tx, actor: Actor, action: str, name: str, *, now: datetime) -> None:
    entry = AuditEntry(
        action=action,
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="peer",
        object_id=name,
    )
    audit.record(tx, entry, now=now)


def list_dicom_peers(tx: Tx, actor: Actor) -> list[DicomPeer]:
    """All DICOM peers by name."""
    authorize(actor, Action.PEER_READ)
    return store.dicom_peers(tx)


def list_hl7_peers(tx: Tx, actor: Actor) -> list[Hl7Peer]:
    """All HL7 peers by name."""
    authorize(actor, Action.PEER_READ)
    return store.hl7_peers(tx)


def dicom_peer(tx: Tx, name: str) -> DicomPeer:
    """The DICOM peer of a name. Raises ``PeerUnknown``. For gateways and other stages."""
    found = next((each for each in store.dicom_peers(tx) if each.name == name), None)
    if found is None:
        raise PeerUnknown(f"there is no DICOM peer {name}")
    return found


def dicom_peer_titled(tx: Tx, ae_title: str) -> DicomPeer | None:
    """The DICOM peer of an AE title, or None. For gateways and other stages."""
    return store.dicom_peer_by_title(tx, ae_title)


def hl7_peer(tx: Tx, name: str) -> Hl7Peer:
    """The HL7 peer of a name. Raises ``PeerUnknown``. For gateways and other stages."""
    found = next((each for each in store.hl7_peers(tx) if each.name == name), None)
    if found is None:
        raise PeerUnknown(f"there is no HL7 peer {name}")
    return found


def hl7_recipients(tx: Tx, kind: str) -> list[Hl7Peer]:
    """The enabled HL7 peers that get messages of a kind (``oru``…) from us, by name."""
    return [each for each in store.hl7_peers(tx) if each.enabled and kind in each.send]


def step_recipients(tx: Tx) -> list[DicomPeer]:
    """The enabled DICOM peers that are told what scanners did, by name."""
    return [each for each in store.dicom_peers(tx) if each.enabled and each.steps_forwarded]


def decide_association(
    tx: Tx, *, calling_ae_title: str, address: str, resolve: Resolve, now: datetime
) -> PeerDecision:
    """Whether a caller may associate: its AE title is an enabled peer's, called from its host.

    Whoever may not is noted, to be approved or dismissed by a person. Nothing is raised for that:
    the caller commits.

    Standard: PS3.15 B.1 (restricting by AE title and address is no authentication)
    """
    peer = store.dicom_peer_by_title(tx, calling_ae_title)
    if peer is not None and peer.enabled and is_at(peer.host, address, resolve):
        return PeerDecision(peer, known=True)
    _note(tx, "dicom", calling_ae_title, address, now=now)
    return PeerDecision(None, known=peer is not None)


def _note(tx: Tx, protocol: str, caller: str, address: str, *, now: datetime) -> None:
    # What a stranger sends is stored: short, printable, and at most a thousand of them.
    readable = "".join(each if each.isprintable() else "?" for each in caller)
    named = (readable[:_CALLER_LENGTH_MAX], plain_address(address)[:_CALLER_LENGTH_MAX])
    store.note_caller(tx, protocol, named, now, rows_max=PENDING_CALLERS_MAX)


def record_unknown_hl7_caller(tx: Tx, address: str, application: str, *, now: datetime) -> None:
    """Note that an HL7 application called that is no peer."""
    _note(tx, "hl7", application, address, now=now)


def hl7_peers_at(tx: Tx, address: str, *, resolve: Resolve) -> list[Hl7Peer]:
    """The enabled HL7 peers at an address that may send to us; ``model.sender`` picks one."""
    return [
        each
        for each in store.hl7_peers(tx)
        if each.enabled and each.receive and is_at(each.host, address, resolve)
    ]


def pending_callers(tx: Tx, actor: Actor) -> list[PendingCaller]:
    """Who called without being a peer, latest first."""
    authorize(actor, Action.PEER_READ)
    return store.pending_callers(tx)


def approve_caller(
    tx: Tx,
    actor: Actor,
    pending_key: int,
    *,
    peer: tuple[str, int],
    allow: Collection[str],
    now: datetime,
) -> DicomPeer:
    """Make a pending DICOM caller a peer of (name, port), at the address that it called from.

    Raises ``PendingCallerUnknown``, ``BadPeer``, ``PeerExists``.
    """
    authorize(actor, Action.PEER_WRITE)
    caller = store.take_pending(tx, pending_key, "dicom")
    if caller is None:
        raise PendingCallerUnknown("there is no such pending DICOM caller")
    name, port = peer
    approved = DicomPeer(
        name=name,
        ae_title=caller.caller,
        host=caller.address,
        port=port or DICOM_PORT_USUAL,
        allow=frozenset(allow),
    )
    add_dicom_peer(tx, actor, approved, now=now)
    return approved


def approve_hl7_caller(
    tx: Tx,
    actor: Actor,
    pending_key: int,
    *,
    name: str,
    receive: Collection[str],
    now: datetime,
) -> Hl7Peer:
    """Make a pending HL7 caller a peer that may send to us. Raises as ``approve_caller``."""
    authorize(actor, Action.PEER_WRITE)
    caller = store.take_pending(tx, pending_key, "hl7")
    if caller is None:
        raise PendingCallerUnknown("there is no such pending HL7 caller")
    approved = Hl7Peer(
        name=name,
        host=caller.address,
        receive=frozenset(receive),
        application=caller.caller or None,
    )
    add_hl7_peer(tx, actor, approved, now=now)
    return approved


def dismiss_caller(tx: Tx, actor: Actor, pending_key: int, *, now: datetime) -> None:
    """No longer show a pending caller. Raises ``PendingCallerUnknown``."""
    authorize(actor, Action.PEER_WRITE)
    if not store.dismiss_pending(tx, pending_key, now):
        raise PendingCallerUnknown("there is no such pending caller")
    _record(tx, actor, "peer.dismiss", str(pending_key), now=now)


def stored_acknowledgement(tx: Tx, peer: str, control_id: str, body_digest: bytes) -> bytes | None:
    """What was answered to the same message before; None: it is new.

    ``body_digest`` covers the message without MSH-7 and MSH-10, because senders reuse control ids
    for other messages, and date repetitions anew.
    """
    return store.acknowledgement(tx, peer, control_id, body_digest)


def record_message(tx: Tx, message: Hl7Message, *, now: datetime) -> int | None:
    """The key of the message in the log; None when the same one was received before."""
    keys = record_messages(tx, [message], now=now)
    return keys[0] if keys else None


def record_messages(tx: Tx, messages: Sequence[Hl7Message], *, now: datetime) -> list[int]:
    """The keys of the messages in the log, without those that were received before."""
    return store.insert_messages(tx, messages, now)


def search_messages(
    tx: Tx, actor: Actor, wanted: MessageFilter, *, limit: int = 100
) -> list[RecordedMessage]:
    """Messages that fit, newest first, at most 500. Audited by the caller who shows them."""
    authorize(actor, Action.MESSAGE_READ)
    return store.messages(tx, wanted, min(limit, _PAGE_MAX))


def message(tx: Tx, actor: Actor, message_key: int, *, now: datetime) -> RecordedMessage:
    """One message; reading it is audited. Raises ``MessageUnknown``."""
    authorize(actor, Action.MESSAGE_READ)
    found = store.message(tx, message_key)
    if found is None:
        raise MessageUnknown("there is no such message")
    entry = AuditEntry(
        action="message.read",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="message",
        object_id=str(message_key),
        patient_id=found.patient_id,
    )
    audit.record(tx, entry, now=now)
    return found
