"""What a person says about two records that may be one: link, merge, not the same, or undo it."""

from contextlib import suppress
from datetime import datetime

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.identity import _store as records
from isocenter.domain.identity import _store_matching as store
from isocenter.domain.identity.auditing import entry, shown_identifier
from isocenter.domain.identity.events import DuplicateDecided
from isocenter.domain.identity.model import (
    LinkGround,
    LinkUnknown,
    MatchPair,
    MergeUnknown,
    PairDecided,
    PairUndecided,
    PairUnknown,
)
from isocenter.domain.identity.service.linking import link, unlink
from isocenter.domain.identity.service.merging import merge_records, unmerge
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def link_pair(tx: Tx, actor: Actor, pair_key: int, *, reason: str, now: datetime) -> None:
    """The two records are one person, and both stay in use. Raises ``PairDecided``."""
    authorize(actor, Action.PATIENT_WRITE)
    pair = _open_pair(tx, pair_key)
    keys = (pair.one_key, pair.other_key)
    made = link(tx, actor, keys, LinkGround("person", reason), now=now)
    _decide(tx, actor, pair, ("linked", made.link_key), reason=reason, now=now)


def merge_pair(
    tx: Tx, actor: Actor, pair_key: int, survivor_key: int, *, reason: str, now: datetime
) -> None:
    """One of the two records stands for both from now on. Raises ``PairDecided``."""
    authorize(actor, Action.PATIENT_WRITE)
    pair = _open_pair(tx, pair_key)
    if survivor_key not in {pair.one_key, pair.other_key}:
        raise PairUnknown("the record that remains is none of the two")
    prior_key = pair.other_key if survivor_key == pair.one_key else pair.one_key
    made = merge_records(tx, actor, survivor_key, prior_key, now=now)
    _decide(tx, actor, pair, ("merged", made.merge_key), reason=reason, now=now)


def part_pair(tx: Tx, actor: Actor, pair_key: int, *, reason: str, now: datetime) -> None:
    """The two records are of two people, and this is not asked again. Raises ``PairDecided``.

    Where a merge holds them together it is undone: its number was given to somebody else.
    """
    authorize(actor, Action.PATIENT_WRITE)
    pair = _open_pair(tx, pair_key)
    undone: int | None = None
    for each in records.merges_connected(tx, pair.one_key):
        if each.undone_at is None and {each.survivor_key, each.prior_key} == {
            pair.one_key,
            pair.other_key,
        }:
            unmerge(tx, actor, each.merge_key, now=now)
            undone = each.merge_key
    _decide(tx, actor, pair, ("not_the_same", undone), reason=reason, now=now)


def undo_decision(tx: Tx, actor: Actor, pair_key: int, *, reason: str, now: datetime) -> None:
    """The question is open again, and what the decision did is undone. Raises ``PairUndecided``."""
    authorize(actor, Action.PATIENT_WRITE)
    records.lock_merges(tx)
    pair = _locked(tx, pair_key)
    match pair.state:
        case "linked" if pair.done_key is not None:
            with suppress(LinkUnknown):  # somebody undid the link itself
                unlink(tx, actor, pair.done_key, now=now)
        case "merged" if pair.done_key is not None:
            with suppress(MergeUnknown):
                unmerge(tx, actor, pair.done_key, now=now)
        case "not_the_same":
            former = records.merge_by_key(tx, pair.done_key) if pair.done_key else None
            if former is not None:
                merge_records(tx, actor, former.survivor_key, former.prior_key, now=now)
        case _:
            raise PairUndecided("nothing was decided on these two records")
    _decide(tx, actor, pair, ("open", None), reason=reason, now=now)


def _open_pair(tx: Tx, pair_key: int) -> MatchPair:
    # The same order of locks everywhere: merges first.
    records.lock_merges(tx)
    pair = _locked(tx, pair_key)
    if pair.state not in {"open", "passed"}:
        raise PairDecided("somebody decided on these two records before")
    return pair


def _locked(tx: Tx, pair_key: int) -> MatchPair:
    pair = store.lock_pair(tx, pair_key)
    if pair is None:
        raise PairUnknown("there is no such pair of records")
    return pair


def _decide(
    tx: Tx,
    actor: Actor,
    pair: MatchPair,
    outcome: tuple[str, int | None],
    *,
    reason: str,
    now: datetime,
) -> None:
    state, done_key = outcome
    store.decide_pair(
        tx, pair.pair_key, state, done_key=done_key, said=(actor.name, reason), now=now
    )
    event = DuplicateDecided(pair.one_key, pair.other_key, pair.pair_key, state)
    outbox.append(tx, event, now=now)
    other = shown_identifier(tx, pair.other_key).value
    detail = {"pair_key": pair.pair_key, "state": state, "other": other, "reason": reason}
    one = shown_identifier(tx, pair.one_key)
    audit.record(tx, entry(actor, "patient.decide_duplicate", one, detail), now=now)
