"""The applications that may talk to us, by name."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.peers import _store as store
from isocenter.domain.peers.model import (
    DicomPeer,
    Hl7Peer,
    PeerExists,
    PeerUnknown,
    check_dicom_peer,
    check_hl7_peer,
)
from isocenter.domain.peers.model_origin import listeners
from isocenter.domain.peers.model_quirks import check_quirks, reading_of
from isocenter.domain.peers.service.audited import record
from isocenter.infra.db import Tx
from isocenter.standards.dicom.text_reading import AS_DECLARED, TextReading


def add_dicom_peer(tx: Tx, actor: Actor, peer: DicomPeer, *, now: datetime) -> None:
    """Let a DICOM application in. Raises ``BadPeer``, ``PeerExists``."""
    authorize(actor, Action.PEER_WRITE)
    check_dicom_peer(peer)
    check_quirks(peer.quirks)
    if not store.insert_dicom_peer(tx, peer, now):
        raise PeerExists(f"there is a DICOM peer {peer.name} or {peer.ae_title} already")
    record(tx, actor, "peer.add", peer.name, now=now)


def set_quirks(tx: Tx, actor: Actor, name: str, quirks: Collection[str], *, now: datetime) -> None:
    """Have a DICOM peer known by these quirks alone. Raises ``BadPeer``, ``PeerUnknown``.

    They hold for its associations from now on; what it sent before stays read as it was.
    """
    authorize(actor, Action.PEER_WRITE)
    check_quirks(quirks)
    if not store.set_dicom_quirks(tx, name, quirks):
        raise PeerUnknown(f"there is no dicom peer {name}")
    record(tx, actor, "peer.change", name, now=now)


def add_hl7_peer(tx: Tx, actor: Actor, peer: Hl7Peer, *, now: datetime) -> None:
    """Let an HL7 application in. Raises ``BadPeer``, ``PeerExists``."""
    authorize(actor, Action.PEER_WRITE)
    check_hl7_peer(peer)
    if not store.insert_hl7_peer(tx, peer, now):
        raise PeerExists(f"there is an HL7 peer {peer.name} already")
    record(tx, actor, "peer.add", peer.name, now=now)


def remove_peer(
    tx: Tx, actor: Actor, protocol: Literal["dicom", "hl7"], name: str, *, now: datetime
) -> None:
    """No longer let an application in. Raises ``PeerUnknown``."""
    authorize(actor, Action.PEER_WRITE)
    delete = store.delete_dicom_peer if protocol == "dicom" else store.delete_hl7_peer
    if not delete(tx, name):
        raise PeerUnknown(f"there is no {protocol} peer {name}")
    record(tx, actor, "peer.remove", name, now=now)


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


def hl7_known(tx: Tx) -> list[Hl7Peer]:
    """All HL7 peers by name. For gateways and other stages."""
    return store.hl7_peers(tx)


def hl7_listeners(tx: Tx, kind: str, asserted_by: str) -> list[Hl7Peer]:
    """The enabled HL7 peers that get messages of a kind about what a peer said, but for itself.

    '' for ``asserted_by`` leaves nobody out.
    """
    return listeners(store.hl7_peers(tx), kind, asserted_by)


def hl7_orderings(tx: Tx) -> Mapping[str, str]:
    """What of our messages keeps its order, by HL7 peer: ``patient``, ``exam`` or ``all``."""
    return {each.name: each.ordering for each in store.hl7_peers(tx)}


def text_readings(tx: Tx) -> Mapping[str, TextReading]:
    """How text is read of DICOM peers that do not keep to what they declare, by AE title."""
    readings = {each.ae_title: reading_of(each.quirks) for each in store.dicom_peers(tx)}
    return {title: each for title, each in readings.items() if each != AS_DECLARED}


def step_recipients(tx: Tx) -> list[DicomPeer]:
    """The enabled DICOM peers that are told what scanners did, by name."""
    return [each for each in store.dicom_peers(tx) if each.enabled and each.steps_forwarded]


def step_listeners(tx: Tx) -> list[DicomPeer]:
    """The enabled DICOM peers that are told that scanners did something, by name."""
    return [each for each in store.dicom_peers(tx) if each.enabled and each.steps_notified]
