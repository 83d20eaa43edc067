"""Who may call, and who called without being a peer: noted, approved or dismissed.

Host names are looked up by a function that the caller hands in: the network is not this stage's
business.
"""

from collections.abc import Collection
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.peers import _store as store
from isocenter.domain.peers.model import (
    DICOM_PORT_USUAL,
    PENDING_CALLERS_MAX,
    DicomPeer,
    Hl7Peer,
    PeerDecision,
    PendingCaller,
    PendingCallerUnknown,
    Resolve,
    is_at,
    plain_address,
)
from isocenter.domain.peers.service.audited import record
from isocenter.domain.peers.service.peers import add_dicom_peer, add_hl7_peer
from isocenter.infra.db import Tx

_CALLER_LENGTH_MAX = 64


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
    record(tx, actor, "peer.dismiss", str(pending_key), now=now)
