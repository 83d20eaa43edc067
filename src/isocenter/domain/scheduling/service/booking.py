"""What becomes of the steps of an exam of which something was said: booked, moved, left alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from isocenter.domain.access.model import Actor
from isocenter.domain.identity.model import (
    not_from_the_future,
    revised,
)
from isocenter.domain.orders.model import (
    OrderFacts,
    Placement,
    StepFacts,
)
from isocenter.domain.peers.model_origin import asserting_peer
from isocenter.domain.scheduling import _store as store
from isocenter.domain.scheduling.events import (
    StepBooked,
    StepMoved,
)
from isocenter.domain.scheduling.model import (
    COLUMNS,
    Step,
    paired,
    said_of,
)
from isocenter.infra import outbox
from isocenter.infra.db import Tx


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the steps of one order: rows of new ones, and what changed of known ones."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    moved: dict[int, set[str]] = field(default_factory=dict[int, set[str]])

    @property
    def names(self) -> list[str]:
        """What changed of known steps."""
        return sorted({name for each in self.moved.values() for name in each})

    @property
    def changed(self) -> tuple[str, ...]:
        """What is to be told of it."""
        return (*(("steps",) if self.rows else ()), *self.names)


def plan_steps(tx: Tx, order: OrderFacts, placement: Placement, *, now: datetime) -> Plan:
    """Move the known steps, and say which are to be booked."""
    asserted_at = not_from_the_future(order.asserted_at, now)
    default_start = order.ordered_at or asserted_at
    known = [] if placement.created else store.lock_steps(tx, placement.accession_number)
    plan = Plan()
    for procedure_key, said in zip(placement.procedure_keys, placement.step_facts, strict=True):
        own = [each for each in known if each.procedure_key == procedure_key]
        # Steps of which nothing is said are concerned too: of when the exam was asked for.
        steps = said + (StepFacts(),) * (max(1, len(own)) - len(said))
        for facts, step in zip(steps, paired(steps, own), strict=True):
            if step is None:
                row = _new_row(facts, asserted_at, default_start)
                row["procedure_key"] = procedure_key
                row["accession_number"] = placement.accession_number
                plan.rows.append(row)
            else:
                names = revise_step(tx, step, facts, (asserted_at, default_start), now=now)
                if names:
                    plan.moved[step.step_key] = names
    return plan


def book(tx: Tx, plans: Sequence[tuple[str, Plan, Actor]], now: datetime) -> None:
    """Insert the new steps of several exams, and tell of these and of the moved ones."""
    rows = [row for _, plan, _ in plans for row in plan.rows]
    keys = iter(store.insert_steps(tx, rows, now) if rows else [])
    for accession_number, plan, actor in plans:
        said_by = asserting_peer(actor)
        if plan.rows:
            booked = StepBooked(accession_number, list(islice(keys, len(plan.rows))), said_by)
            outbox.append(tx, booked, now=now)
        if plan.moved:
            moved = StepMoved(accession_number, sorted(plan.moved), plan.names, said_by)
            outbox.append(tx, moved, now=now)


def _new_row(facts: StepFacts, asserted_at: datetime, default_start: datetime) -> dict[str, Any]:
    unsaid: dict[str, Any] = {
        **dict.fromkeys(COLUMNS),
        "modality": "",
        "station_ae_titles": [],
        "protocol_codes": [],
        "start_at": default_start,
    }
    first = revised(unsaid, {}, said_of(facts), asserted_at)
    return {**unsaid, **first.values, "said_at": first.said_at}


def revise_step(
    tx: Tx, step: Step, facts: StepFacts, times: tuple[datetime, datetime], *, now: datetime
) -> set[str]:
    """Write the step's columns where the facts are newer; gives the names of what changed.

    Args:
        tx: an open transaction.
        step: locked.
        facts: what is said of it.
        times: when it was said, and when it begins as long as nobody says when.
        now: aware.
    """
    asserted_at, default_start = times
    current = {name: getattr(step, name) for name in COLUMNS}
    revision = revised(current, step.said_at, said_of(facts), asserted_at)
    values = revision.values
    # As long as nobody said when, the earliest moment at which the exam was asked for counts.
    if "start_at" not in revision.said_at and default_start < step.start_at:
        values["start_at"] = default_start
    if revision.newer or values:
        columns = {**current, **values, "said_at": revision.said_at}
        store.update_step(tx, step.step_key, columns, now)
    return set(values)
