"""Changing an interface safely: a draft is tried on recorded messages, promoted, taken back.

The version that counts is a copy in the peer itself, so that nothing on the way of a message has to
know that there are versions.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.peers import _store as store
from isocenter.domain.peers import _store_versions as versions_store
from isocenter.domain.peers.model import BadPeer, Hl7Peer, check_hl7_peer
from isocenter.domain.peers.model_meaning import Meaning
from isocenter.domain.peers.model_versions import (
    GOLDEN_MAX,
    Golden,
    GoldenUnknown,
    PeerVersion,
    TooManyGolden,
    VersionUnknown,
    described,
    peer_from,
)
from isocenter.domain.peers.service.audited import record
from isocenter.domain.peers.service.peers import hl7_peer
from isocenter.infra.db import Tx

_TITLE_LENGTH_MAX = 100


def hl7_versions(tx: Tx, actor: Actor, name: str) -> list[PeerVersion]:
    """The versions of an HL7 peer, latest first; the first one is the peer as it was added.

    Raises ``PeerUnknown``.
    """
    authorize(actor, Action.PEER_READ)
    current = hl7_peer(tx, name)
    rows = versions_store.versions(tx, name)
    if not rows:
        return []
    promoted = [row for row in rows if row.promoted_at is not None]
    counting = max(promoted, key=lambda row: (row.promoted_at, row.version), default=None)
    found: list[PeerVersion] = []
    for row in rows:
        active = row is counting
        peer = current if active else peer_from(row.description)
        about = (row.version, row.note, row.made_by, row.made_at, row.promoted_at)
        found.append(PeerVersion(peer, *about, active=active))
    return found


def draft_hl7_version(
    tx: Tx, actor: Actor, name: str, changed: Mapping[str, Any], *, note: str, now: datetime
) -> PeerVersion:
    """A draft: the version that counts with some attributes changed. Nothing else changes yet.

    Raises ``PeerUnknown``, ``BadPeer``.
    """
    authorize(actor, Action.PEER_WRITE)
    current = hl7_peer(tx, name)
    versions_store.lock_versions(tx, name)
    draft = peer_from({**described(current), **changed})
    if draft.name != name:
        raise BadPeer("a peer keeps its name")
    check_hl7_peer(draft)
    known = versions_store.versions(tx, name)
    if not known:
        first = versions_store.VersionRow(1, described(current), "as added", actor.name, now, now)
        versions_store.insert_version(tx, name, first)
    number = known[0].version + 1 if known else 2
    row = versions_store.VersionRow(number, described(draft), note.strip(), actor.name, now, None)
    versions_store.insert_version(tx, name, row)
    record(tx, actor, "peer.draft", name, now=now)
    return PeerVersion(draft, number, row.note, actor.name, now, None, active=False)


def promote_hl7_version(
    tx: Tx, actor: Actor, name: str, version: int, *, now: datetime
) -> PeerVersion:
    """Have a version count from now on: a draft, or an earlier one again.

    Raises ``PeerUnknown``, ``VersionUnknown``, ``BadPeer``.
    """
    authorize(actor, Action.PEER_WRITE)
    versions_store.lock_versions(tx, name)
    wanted = next((each for each in hl7_versions(tx, actor, name) if each.version == version), None)
    if wanted is None:
        raise VersionUnknown(f"{name} has no version {version}")
    check_hl7_peer(wanted.peer)
    versions_store.promote_version(tx, name, version, now)
    store.replace_hl7_peer(tx, wanted.peer, now)
    record(tx, actor, "peer.promote", name, now=now)
    return replace(wanted, promoted_at=now, active=True)


def discard_hl7_draft(tx: Tx, actor: Actor, name: str, version: int, *, now: datetime) -> None:
    """Forget a draft. Raises ``VersionUnknown``."""
    authorize(actor, Action.PEER_WRITE)
    if not versions_store.discard_version(tx, name, version):
        raise VersionUnknown(f"{name} has no draft {version}")
    record(tx, actor, "peer.discard", name, now=now)


def keep_golden(
    tx: Tx, actor: Actor, peer: Hl7Peer, kept: tuple[str, bytes, Meaning], *, now: datetime
) -> int:
    """Keep a message (title, bytes, meaning) that must mean the same for ever; gives its key."""
    authorize(actor, Action.PEER_WRITE)
    title, raw, meaning = kept
    if len(versions_store.golden_messages(tx, peer.name)) >= GOLDEN_MAX:
        raise TooManyGolden(f"{peer.name} has {GOLDEN_MAX} golden messages already")
    short = " ".join(title.split())[:_TITLE_LENGTH_MAX] or "message"
    key = versions_store.insert_golden(tx, peer.name, (short, raw, meaning), actor.name, now)
    record(tx, actor, "peer.golden.keep", peer.name, now=now)
    return key


def golden_messages(tx: Tx, actor: Actor, peer: str) -> list[Golden]:
    """The golden messages of a peer."""
    authorize(actor, Action.MESSAGE_READ)
    return versions_store.golden_messages(tx, peer)


def forget_golden(tx: Tx, actor: Actor, golden_key: int, *, now: datetime) -> None:
    """No longer keep a golden message. Raises ``GoldenUnknown``."""
    authorize(actor, Action.PEER_WRITE)
    peer = versions_store.delete_golden(tx, golden_key)
    if peer is None:
        raise GoldenUnknown("there is no such golden message")
    record(tx, actor, "peer.golden.forget", peer, now=now)
