"""Scheduled procedure steps as workitems of a pull worklist, which follow them.

What a workitem has to say is computed anew from what is known whenever the exam or its patient
changes, so that it does not matter what was first. Locks are taken in the order scheduled step,
workitem; whoever claims a workitem holds only the latter, and the step follows after the commit.

Standard: PS3.4 CC.1.1, CC.2.5
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.scheduling import service as scheduling
from isocenter.domain.worklist._store import step_workitems as store
from isocenter.domain.worklist._store import subscriptions, workitems
from isocenter.domain.worklist.model_step_workitems import (
    WORKLIST_LABEL,
    Move,
    Performance,
    ScheduledFacts,
    attributes_of,
    cancellation,
    moves,
    with_performance,
)
from isocenter.domain.worklist.model_workitem_outputs import (
    MadeSeries,
    output_information,
    outputs,
    series_said,
)
from isocenter.domain.worklist.model_workitems import Workitem
from isocenter.domain.worklist.service.workitem_changes import (
    enter,
    keep_all_new,
    kept,
    matched,
    moment_of,
    note_change,
    tell_subscribers,
)
from isocenter.domain.worklist.service.workitem_reports import tell
from isocenter.infra import ids
from isocenter.infra.db import Tx
from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom import unified_procedure_step_events as reports
from isocenter.standards.dicom.json_model import from_json
from isocenter.standards.dicom.unified_procedure_step import State
from isocenter.standards.dicom.values import DataSet

_EXAMS_AT_ONCE: Final = 200

Archived = Callable[[Tx, str, str], Sequence[MadeSeries]]
"""What the archive has of an exam, by its accession number and Study Instance UID."""


def nothing_archived(
    tx: Tx, accession_number: str, study_instance_uid: str
) -> Sequence[MadeSeries]:
    """Stands for an archive of which nobody asks here: nothing is completed."""
    del tx, accession_number, study_instance_uid
    return ()


def follow_exams(
    tx: Tx,
    actor: Actor,
    accession_numbers: Iterable[str],
    *,
    create: bool,
    now: datetime,
    archived: Archived = nothing_archived,
) -> None:
    """Have the workitems of exams say what their steps are.

    Args:
        tx: an open transaction.
        actor: who is on record for it.
        accession_numbers: of the exams.
        create: whether steps that wait and have no workitem get one.
        now: this moment.
        archived: what the archive has of an exam.
    """
    authorize(actor, Action.WORKITEM_WRITE)
    numbers = sorted(set(accession_numbers))
    steps = scheduling.steps_of_exams(tx, numbers) if numbers else []
    newest = _newest(tx, [each.step_key for each in steps])
    if not newest and not create:
        return
    facts = {each.step_key: each for each in store.facts(tx, numbers)}
    due: list[_Due] = []
    for step in steps:
        known, workitem = facts[step.step_key], newest.get(step.step_key)
        found = moves(step, workitem, held=known.held)
        if Move.CREATE in found and not create:
            found = found[: found.index(Move.CREATE)]
        due.append(_Due(known, workitem, found))
    _make(_Circumstances(tx, actor, archived, now), due)


class _Due(NamedTuple):
    """What is known of one step, its newest workitem, and what has to be done to that."""

    facts: ScheduledFacts
    workitem: Workitem | None
    moves: Sequence[Move]


class _Circumstances(NamedTuple):
    """In which transaction, by whom, with what archive and when moves are made."""

    tx: Tx
    actor: Actor
    archived: Archived
    now: datetime


def _make(given: _Circumstances, due: Sequence[_Due]) -> None:
    """Make the moves of several steps; all that need a new workitem get theirs at once."""
    new: list[_Due] = []
    for each in due:
        if Move.CREATE not in each.moves:
            _Follower(given, each.facts).make(each.moves, each.workitem)
            continue
        place = each.moves.index(Move.CREATE)
        _Follower(given, each.facts).make(each.moves[:place], each.workitem)
        new.append(each._replace(moves=each.moves[place + 1 :]))
    if not new:
        return
    created = _create(given.tx, given.actor, [each.facts for each in new], given.now)
    for each in new:
        workitem = created.get(each.facts.step_key)
        _Follower(given, each.facts).make(each.moves, workitem)


def _create(
    tx: Tx, actor: Actor, facts: Sequence[ScheduledFacts], now: datetime
) -> dict[int, Workitem]:
    """By key of the steps their new workitems; without those for which another stands by now."""
    steps = [
        (ups.created(attributes_of(each), ids.new_uid(), WORKLIST_LABEL), each.step_key)
        for each in facts
    ]
    added = keep_all_new(tx, actor, steps, zone=UTC, now=now)
    return {each.step_key: each for each in added if each.step_key is not None}


def _newest(tx: Tx, step_keys: Sequence[int]) -> dict[int, Workitem]:
    """By key of the steps the newest workitem of each, locked."""
    found = workitems.lock_of_steps(tx, step_keys) if step_keys else []
    return {each.step_key: each for each in found if each.step_key is not None}


@dataclass(frozen=True, slots=True)
class _Follower:
    """Makes the moves of one step's workitem."""

    given: _Circumstances
    facts: ScheduledFacts

    @property
    def tx(self) -> Tx:
        return self.given.tx

    @property
    def actor(self) -> Actor:
        return self.given.actor

    @property
    def now(self) -> datetime:
        return self.given.now

    def make(self, due: Sequence[Move], workitem: Workitem | None) -> None:
        for move in due:
            if workitem is None:
                return
            match move:
                case Move.CREATE:  # of several steps at once
                    pass
                case Move.REVISE:
                    self._revise(workitem)
                case Move.BEGIN:
                    workitem = self._begin(workitem)
                case Move.COMPLETE:
                    self._complete(workitem)
                case Move.CANCEL:
                    self._cancel(workitem)

    def _revise(self, workitem: Workitem) -> None:
        """Have it say what the order says now, and leave what others added to it."""
        before = from_json(workitem.attributes)
        said = from_json(kept(attributes_of(self.facts)))
        if all(before.get(tag) == element for tag, element in said.items()):
            return
        after = DataSet(before)
        after.update(said)
        note_change(after, self.now)
        model = kept(after.sorted())
        workitems.update(self.tx, workitem.workitem_key, model, matched(after, UTC), now=self.now)
        tell_subscribers(self.tx, workitem, reports.of_change(before, after), self.now)

    def _begin(self, workitem: Workitem) -> Workitem:
        """Claim it for whoever performs the step and does not claim workitems."""
        ours = replace(workitem, transaction_uid=ids.new_uid())
        step = from_json(workitem.attributes)
        enter(self.tx, self.actor, ours, step, State.IN_PROGRESS, now=self.now)
        return replace(
            ours, state=State.IN_PROGRESS.value, attributes=kept(step), updated_at=self.now
        )

    def _complete(self, workitem: Workitem) -> None:
        performances = self._performances()
        step = with_performance(
            from_json(workitem.attributes),
            self.facts,
            performances[-1] if performances else None,
            begun_at=workitem.updated_at,
            ended_at=self.now,
            made=output_information(self._outputs(performances)),
        )
        enter(self.tx, self.actor, workitem, step, State.COMPLETED, now=self.now)

    def _cancel(self, workitem: Workitem) -> None:
        if workitem.state == State.SCHEDULED:  # PS3.4 CC.2.2.3: it passes through IN PROGRESS
            workitem = self._begin(workitem)
        performances = self._performances()
        why = cancellation(self.facts.state_reason, performances[-1] if performances else None)
        step = ups.with_cancellation(from_json(workitem.attributes), why, moment_of(self.now))
        enter(self.tx, self.actor, workitem, step, State.CANCELED, now=self.now)

    def _outputs(self, performances: Sequence[Performance]) -> list[MadeSeries]:
        study_instance_uid = self.facts.study_instance_uid
        archived = self.given.archived(self.tx, self.facts.accession_number, study_instance_uid)
        said = series_said((each.attributes for each in performances), study_instance_uid)
        return outputs(archived, said)

    def _performances(self) -> list[Performance]:
        """What modalities said of the step, the latest last."""
        return store.performances(self.tx, [self.facts.step_key])


def request_step_cancellation(
    tx: Tx, actor: Actor, step_keys: Sequence[int], *, ae_title: str, now: datetime
) -> None:
    """Tell subscribers of workitems that somebody has claimed that the order is cancelled.

    ``ae_title`` is ours, who ask for it.

    Standard: PS3.4 CC.2.2.3
    """
    authorize(actor, Action.WORKITEM_WRITE)
    for workitem in _newest(tx, step_keys).values():
        if workitem.state != State.IN_PROGRESS or workitem.claimed_by is None:
            continue
        asked = reports.cancel_requested(cancellation(None, None), ae_title)
        told = subscriptions.subscribers(tx, workitem.workitem_key)
        tell(tx, told, workitem.sop_instance_uid, [asked], now=now)


def follow_patients(tx: Tx, actor: Actor, patient_keys: Sequence[int], *, now: datetime) -> None:
    """Have the workitems that wait name their patients as these are named now."""
    authorize(actor, Action.WORKITEM_WRITE)
    exams = store.exams_of_patients(tx, patient_keys)
    follow_exams(tx, actor, exams, create=False, now=now)


def publish_workitems(tx: Tx, actor: Actor, *, now: datetime) -> int:
    """Give steps a workitem that wait and never had one; gives of how many exams, at most 200.

    They were ordered before orders became workitems.
    """
    authorize(actor, Action.WORKITEM_WRITE)
    exams = store.exams_without(tx, _EXAMS_AT_ONCE)
    follow_exams(tx, actor, exams, create=True, now=now)
    return len(exams)
