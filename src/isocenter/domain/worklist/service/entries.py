"""Which steps the scanners are told of, and which of them asked.

The search itself is ``readmodels.modality_worklist``: it reads the steps, so a scanner sees an exam
from the moment its order is acknowledged, and what is kept here is the proof of it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.audit import service as audit
from isocenter.domain.audit.model import AuditEntry
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.scheduling.model import OPEN
from isocenter.domain.worklist._store import entries as store
from isocenter.domain.worklist._store import stations
from isocenter.domain.worklist.events import (
    EntryOfferedAgain,
    EntryPublished,
    EntryWithdrawn,
    FirstQueried,
)
from isocenter.domain.worklist.model import Entry
from isocenter.infra import outbox
from isocenter.infra.db import Tx


def publish(
    tx: Tx, actor: Actor, accession_number_of: Mapping[int, str], *, now: datetime
) -> list[int]:
    """Note that steps (key -> accession number) are on the worklist; gives those that were not."""
    authorize(actor, Action.SCHEDULE_WRITE)
    fresh = store.publish(tx, accession_number_of, now)
    by_exam: dict[str, list[int]] = {}
    for key in fresh:
        by_exam.setdefault(accession_number_of[key], []).append(key)
    for accession_number, keys in by_exam.items():
        outbox.append(tx, EntryPublished(accession_number, keys), now=now)
    return fresh


def withdraw(
    tx: Tx, actor: Actor, step_keys: Sequence[int], accession_number: str, *, now: datetime
) -> list[int]:
    """Note that steps are off the worklist; gives those that were on it."""
    authorize(actor, Action.SCHEDULE_WRITE)
    gone = store.withdraw(tx, step_keys, accession_number, now)
    if gone:
        outbox.append(tx, EntryWithdrawn(accession_number, gone), now=now)
    return gone


def offer_again(
    tx: Tx, actor: Actor, step_keys: Sequence[int], accession_number: str, *, now: datetime
) -> list[int]:
    """Note that steps are on the worklist again, as far as they are open; gives those that are."""
    authorize(actor, Action.SCHEDULE_WRITE)
    steps = scheduling.steps_of(tx, accession_number)
    still_open = [e.step_key for e in steps if e.step_key in step_keys and e.status in OPEN]
    back = store.offer_again(tx, still_open)
    if back:
        outbox.append(tx, EntryOfferedAgain(accession_number, back), now=now)
    return back


def record_query(
    tx: Tx,
    actor: Actor,
    accession_number_of: Mapping[int, str],
    *,
    calling_ae_title: str,
    now: datetime,
) -> None:
    """Note that a modality asked and was given steps: three statements, whatever their number.

    An empty answer counts too: a scanner that asks and finds nobody is one that still asks.
    ``accession_number_of`` maps each step's key to its exam. It is audited as a reading of patient
    data; only the first time that anybody is given an exam's steps is an event.

    Standard: IHE RAD TF-2 4.5
    """
    authorize(actor, Action.WORKLIST_READ)
    stations.note(tx, calling_ae_title, len(accession_number_of), now=now)
    if not accession_number_of:
        return
    first = store.count_query(tx, accession_number_of, calling_ae_title, now)
    for number, given in groupby(first, key=lambda each: each.accession_number):
        keys = [each.step_key for each in given]
        outbox.append(tx, FirstQueried(number, keys, calling_ae_title), now=now)
    entry = AuditEntry(
        action="worklist.read",
        actor=actor.name,
        actor_kind=actor.kind,
        source=actor.source,
        object_type="worklist",
        object_id=calling_ae_title,
        detail={"accession_numbers": sorted(set(accession_number_of.values()))},
    )
    audit.record(tx, entry, now=now)


def entries(tx: Tx, accession_number: str) -> list[Entry]:
    """The entries of an exam, oldest first. For other stages: it audits nothing."""
    return store.entries(tx, accession_number)


def prune_station_queries(tx: Tx, *, before: datetime) -> int:
    """Forget what stations asked before; gives how many hours of stations."""
    return stations.prune(tx, before=before)
