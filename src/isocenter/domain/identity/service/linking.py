"""Linking records that are one person while both stay in use, and parting them again.

A merge is said by the system that issued the numbers and ends one of them. A link only says that
two records are of the same person: searches and cross-references follow it, nothing is renamed.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity import _store as store
from isocenter.domain.identity import _store_graph as graph
from isocenter.domain.identity.auditing import entry, shown_identifier
from isocenter.domain.identity.events import PatientLinked, PatientUnlinked
from isocenter.domain.identity.model import (
    Link,
    LinkGround,
    LinkUnknown,
    PatientFacts,
    PatientIdentifier,
    PatientUnknown,
    SelfLink,
)
from isocenter.domain.identity.service.registering import register
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def link(
    tx: Tx,
    actor: Actor,
    keys: tuple[int, int],
    ground: LinkGround,
    *,
    now: datetime,
) -> Link:
    """Let two records be one person; repeating it gives the link there is.

    One that was undone revives only by an assertion after the undoing. Raises ``SelfLink``,
    ``PatientUnknown``.

    Standard: HL7 v2.5.1 3.3.24 (A24)
    """
    authorize(actor, Action.PATIENT_WRITE)
    one, other = sorted(keys)
    if one == other:
        raise SelfLink("a patient is not linked with itself")
    store.lock_merges(tx)
    if len(graph.lock_records(tx, [one, other])) < 2:
        raise PatientUnknown("there is no such patient")
    known = graph.link_between(tx, one, other)
    made = graph.upsert_link(tx, (one, other), ground, actor=actor.name, now=now)
    if made.undone_at is None and (known is None or known.undone_at is not None):
        said_by = asserting_peer(actor)
        outbox.append(tx, PatientLinked(one, other, made.link_key, said_by), now=now)
        _audit(tx, actor, "patient.link", made, now)
    return made


def link_named(tx: Tx, actor: Actor, facts: Sequence[PatientFacts], *, now: datetime) -> Link:
    """As ``link`` for the two patients that a message names, who become known by it.

    Raises ``SelfLink``, ``PatientUnidentified``.
    """
    authorize(actor, Action.PATIENT_WRITE)
    store.lock_merges(tx)  # before the records, as merging does
    first, second = (register(tx, actor, each, now=now) for each in facts)
    keys = (first.patient_key, second.patient_key)
    ground = LinkGround("message", asserted_at=facts[0].asserted_at)
    return link(tx, actor, keys, ground, now=now)


def unlink(tx: Tx, actor: Actor, link_key: int, *, now: datetime) -> None:
    """Undo one link. Raises ``LinkUnknown``."""
    authorize(actor, Action.PATIENT_WRITE)
    store.lock_merges(tx)
    undone = graph.undo_link(tx, link_key, now)
    if undone is None:
        raise LinkUnknown("there is no such link to undo")
    event = PatientUnlinked(undone.one_key, undone.other_key, link_key, asserting_peer(actor))
    outbox.append(tx, event, now=now)
    _audit(tx, actor, "patient.unlink", undone, now)


def unlink_named(
    tx: Tx,
    actor: Actor,
    one: Sequence[PatientIdentifier],
    other: Sequence[PatientIdentifier],
    *,
    now: datetime,
) -> None:
    """Undo the link between the patients that a message names. Raises ``LinkUnknown``.

    Standard: HL7 v2.5.1 3.3.37 (A37)
    """
    authorize(actor, Action.PATIENT_WRITE)
    store.lock_merges(tx)
    keys = [
        {row.patient_key for row in store.lock_by_identifiers(tx, [each])} for each in (one, other)
    ]
    if not all(keys):
        raise LinkUnknown("the patients to be unlinked are not both known")
    for first in keys[0]:
        for second in keys[1]:
            found = graph.link_between(tx, min(first, second), max(first, second))
            if found is not None and found.undone_at is None:
                unlink(tx, actor, found.link_key, now=now)
                return
    raise LinkUnknown("these two patients are not linked")


def links(tx: Tx, actor: Actor, patient_key: int) -> list[Link]:
    """Every link of the records that a patient's person has, undone ones included."""
    authorize(actor, Action.PATIENT_READ)
    return graph.links_of(tx, patient_key)


def linked_keys(tx: Tx, patient_key: int) -> list[int]:
    """The surviving rows of one person over any number of links, the patient's own among them.

    For other stages: it audits nothing.
    """
    return graph.linked_keys(tx, patient_key)


def _audit(tx: Tx, actor: Actor, verb: str, made: Link, now: datetime) -> None:
    other = shown_identifier(tx, made.other_key)
    detail = {"link_key": made.link_key, "other": other.value, "origin": made.origin}
    audit.record(tx, entry(actor, verb, shown_identifier(tx, made.one_key), detail), now=now)
