"""Merging and unmerging: one record stands for another from now on, or no longer does.

Who stands for whom is computed from the merges that were asserted and not undone. An identifier
that was merged leads to the survivor for ever, also when messages still name it.
"""

from collections.abc import Sequence
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity import _store as store
from isocenter.domain.identity.auditing import entry, shown_identifier
from isocenter.domain.identity.events import PatientMerged, PatientUnmerged
from isocenter.domain.identity.model import (
    InverseMerge,
    Merge,
    MergeUnknown,
    PatientFacts,
    PatientIdentifier,
    PatientUnidentified,
    PatientUnknown,
    Registered,
    SelfMerge,
    distinct,
    not_from_the_future,
    survivors,
)
from isocenter.domain.identity.service.accounts import give_back_accounts
from isocenter.domain.identity.service.registering import register
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def merge(
    tx: Tx,
    actor: Actor,
    survivor: PatientFacts,
    prior: Sequence[PatientIdentifier],
    *,
    accept_inverse: bool = True,
    now: datetime,
) -> Registered:
    """Let the prior identifiers stand for the survivor from now on.

    Saying it again changes nothing. An identifier that is unknown is kept, so that whatever comes
    under it later is the survivor's. A pair merged the other way before survives as the newer of
    the two messages says, or with ``accept_inverse`` False the second is refused. A survivor that
    lists the prior identifier among its own, after the one that names it, already says that it
    took that over. Raises ``SelfMerge``, ``InverseMerge``, ``PatientUnidentified``.

    Standard: IHE RAD TF-2 4.12, HL7 v2.5.1 3.3.40 (A40)
    """
    authorize(actor, Action.PATIENT_WRITE)
    listed = distinct(survivor.identifiers)
    priors = distinct(prior)
    if not listed or not priors:
        raise PatientUnidentified("a merge names the patient that remains and the prior one")
    taken_over = {(each.assigning_authority, each.value) for each in priors}
    own = tuple(e for e in listed if (e.assigning_authority, e.value) not in taken_over)
    if not own or own[0] is not listed[0]:
        raise SelfMerge("the prior patient is the same as the one that remains")
    store.lock_merges(tx)
    store.lock_connected(tx, (*own, *priors))
    outcome = register(tx, actor, survivor.named_by(own), now=now)
    asserted_at = not_from_the_future(survivor.asserted_at, now)
    moved: list[int] = []
    for each in priors:
        prior_key = _prior_record(tx, actor, each, asserted_at, now=now)
        if prior_key == outcome.patient_key:  # one record that has both numbers
            continue
        if not accept_inverse:
            _refuse_inverse(tx, outcome.patient_key, prior_key)
        moved += _join(tx, actor, (outcome.patient_key, prior_key), each, asserted_at, now=now)
    current = store.current_key(tx, outcome.patient_key) or outcome.patient_key
    changed = (*outcome.changed, "merges") if moved else outcome.changed
    return Registered(outcome.patient_key, current, outcome.created, changed)


def merge_records(
    tx: Tx, actor: Actor, survivor_key: int, prior_key: int, *, now: datetime
) -> Merge:
    """A person's merge of two records that both are known; repeating it gives the one there is.

    Raises ``SelfMerge``, ``PatientUnknown``.
    """
    authorize(actor, Action.PATIENT_WRITE)
    if survivor_key == prior_key:
        raise SelfMerge("the prior patient is the same as the one that remains")
    store.lock_merges(tx)
    store.lock_connected_records(tx, [survivor_key, prior_key])
    for key in (survivor_key, prior_key):
        if store.current_key(tx, key) is None:
            raise PatientUnknown("there is no such patient")
    _join(tx, actor, (survivor_key, prior_key), shown_identifier(tx, prior_key), now, now=now)
    return next(
        each
        for each in store.merges_connected(tx, survivor_key)
        if (each.survivor_key, each.prior_key) == (survivor_key, prior_key)
    )


def _prior_record(
    tx: Tx, actor: Actor, prior: PatientIdentifier, asserted_at: datetime, *, now: datetime
) -> int:
    rows = store.lock_by_identifiers(tx, [(prior,)])
    if rows:
        return rows[0].patient_key
    return register(tx, actor, PatientFacts((prior,), asserted_at), now=now).patient_key


def _refuse_inverse(tx: Tx, survivor_key: int, prior_key: int) -> None:
    if any(
        each.undone_at is None and (each.survivor_key, each.prior_key) == (prior_key, survivor_key)
        for each in store.merges_connected(tx, survivor_key)
    ):
        raise InverseMerge("these two were merged the other way before")


def _join(
    tx: Tx,
    actor: Actor,
    pair: tuple[int, int],
    prior: PatientIdentifier,
    asserted_at: datetime,
    *,
    now: datetime,
) -> list[int]:
    """Keep the merge of (survivor, prior) and tell whom it moved."""
    survivor_key, prior_key = pair
    store.upsert_merge(tx, survivor_key, prior_key, asserted_at, actor=actor.name, now=now)
    moved = _settle(tx, survivor_key, now=now)
    if moved:
        current = store.current_key(tx, prior_key) or prior_key
        outbox.append(tx, PatientMerged(current, prior_key, moved, asserting_peer(actor)), now=now)
        audit.record(tx, entry(actor, "patient.merge", prior, {"moved": len(moved)}), now=now)
    return moved


def _settle(tx: Tx, patient_key: int, *, now: datetime) -> list[int]:
    """Point everybody connected with the patient to whom the merges lead now."""
    merges = store.merges_connected(tx, patient_key)
    leads_to = survivors(merges)
    concerned = {each.prior_key for each in merges} | {each.survivor_key for each in merges}
    return sorted(store.set_survivors(tx, {key: leads_to.get(key) for key in concerned}, now))


def unmerge(tx: Tx, actor: Actor, merge_key: int, *, now: datetime) -> None:
    """Undo one merge: everything is as if it had never been said. Raises ``MergeUnknown``.

    Accounts that were merged with the patients are given back.
    """
    authorize(actor, Action.PATIENT_WRITE)
    store.lock_merges(tx)
    undone = store.merge_by_key(tx, merge_key)
    if undone is None or store.undo_merge(tx, merge_key, now) is None:
        raise MergeUnknown("there is no such merge to undo")
    moved = _settle(tx, undone.survivor_key, now=now)
    give_back_accounts(tx, actor, undone, now=now)
    event = PatientUnmerged(undone.survivor_key, undone.prior_key, moved, asserting_peer(actor))
    outbox.append(tx, event, now=now)
    prior = shown_identifier(tx, undone.prior_key)
    audit.record(tx, entry(actor, "patient.unmerge", prior, {"merge_key": merge_key}), now=now)


def merges(tx: Tx, actor: Actor, patient_key: int) -> list[Merge]:
    """Every merge connected with a patient, undone ones included, oldest first."""
    authorize(actor, Action.PATIENT_READ)
    return store.merges_connected(tx, patient_key)
