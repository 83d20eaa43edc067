"""What every use case that changes a workitem does: keep, tell its subscribers, put on record."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, Final, cast

import msgspec

from isocenter.domain.access.model import Actor
from isocenter.domain.worklist._store import subscriptions
from isocenter.domain.worklist._store import workitems as store
from isocenter.domain.worklist.events import WorkitemPerformed
from isocenter.domain.worklist.model_step_workitems import was_wrong_entry
from isocenter.domain.worklist.model_workitems import (
    AttributesRefused,
    Channel,
    MatchedValues,
    Origin,
    Subscriber,
    Workitem,
)
from isocenter.domain.worklist.service.workitem_reports import (
    Subject,
    audited,
    filter_conditions,
    tell,
    zone_of,
)
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom import unified_procedure_step_events as reports
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.json_model import from_json, to_json
from isocenter.standards.dicom.matching import person_name_key, phonetic_keys
from isocenter.standards.dicom.performed_step import Fault
from isocenter.standards.dicom.unified_procedure_step import State
from isocenter.standards.dicom.unified_procedure_step_events import Report
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.values_temporal import (
    format_date_time,
    parse_date,
    parse_date_time,
)


def keep_new(tx: Tx, by: Actor, step: DataSet, *, zone: tzinfo, now: datetime) -> bool:
    """Keep a new workitem; False: there is one with its UID, or was."""
    return bool(keep_all_new(tx, by, [(step, None)], zone=zone, now=now))


def keep_all_new(
    tx: Tx,
    by: Actor,
    steps: Iterable[tuple[DataSet, int | None]],
    *,
    zone: tzinfo,
    now: datetime,
) -> list[Workitem]:
    """Keep new workitems, each with the key of the scheduled step that it stands for, if any.

    Gives those that are kept: for the others there is one, or was.
    """
    said: dict[str, DataSet] = {}
    new: list[store.NewWorkitem] = []
    for step, step_key in steps:
        note_change(step, now)
        new.append(store.NewWorkitem(kept(step), matched(step, zone), step_key))
        said[new[-1].sop_instance_uid] = step
    store.lock_against_subscribers(tx)
    key_of = store.insert_all(tx, new, created_by=by.name, now=now)
    added = [
        _as_kept(each, key_of[each.sop_instance_uid], by, now)
        for each in new
        if each.sop_instance_uid in key_of
    ]
    for each in added:
        audited(tx, by, "workitem.create", subject_of(said[each.sop_instance_uid]), now=now)
    if _subscribe_to_new(tx, [each.workitem_key for each in added], zone, now):
        told = subscriptions.subscribers_of(tx, [each.workitem_key for each in added])
        for each in added:
            step, listening = said[each.sop_instance_uid], told.get(each.workitem_key, ())
            tell(tx, listening, each.sop_instance_uid, reports.of_creation(step), now=now)
    return added


def _as_kept(new: store.NewWorkitem, key: int, by: Actor, now: datetime) -> Workitem:
    return Workitem(
        workitem_key=key,
        sop_instance_uid=new.sop_instance_uid,
        state=State.SCHEDULED.value,
        transaction_uid=None,
        attributes=new.attributes,
        created_by=by.name,
        updated_at=now,
        removed_at=None,
        step_key=new.step_key,
        claimed_by=None,
        set_aside_at=None,
    )


def _subscribe_to_new(tx: Tx, keys: Sequence[int], zone: tzinfo, now: datetime) -> bool:
    """Have those hear of new workitems that hear of all, or of such as these; False: nobody does.

    Standard: PS3.4 Table CC.2.3-2
    """
    heard = False
    for each in subscriptions.worklist_subscriptions(tx) if keys else ():
        wanted = keys
        if each.filtered:
            wanted = store.fitting(tx, keys, filter_conditions(from_json(each.filter), zone))
        if wanted:
            heard = True
            subscriptions.subscribe(
                tx,
                wanted,
                Subscriber(each.ae_title, Channel(each.channel)),
                origin=Origin.FILTER if each.filtered else Origin.WORKLIST,
                deletion_lock=each.deletion_lock,
                now=now,
            )
    return heard


def enter(
    tx: Tx, by: Actor, workitem: Workitem, step: DataSet, state: State, *, now: datetime
) -> None:
    """Have the workitem be in a state, tell it and put it on record.

    Whoever claimed one that stands for a scheduled step says by it what becomes of the step.
    """
    step.put(ups.STATE, state.value)
    note_change(step, now)
    after = replace(workitem, state=state.value, attributes=kept(step.sorted()))
    if state is State.CANCELED and was_wrong_entry(step):
        after = replace(after, claimed_by=None)  # nobody performed this one
    store.enter(tx, after, now=now)
    audited(tx, by, f"workitem.{_VERBS[state]}", subject_of(step), now=now)
    tell_subscribers(tx, workitem, [reports.state_report(step)], now)
    if workitem.step_key is not None and workitem.claimed_by is not None:
        outbox.append(tx, WorkitemPerformed(workitem.sop_instance_uid, state.value), now=now)


_VERBS: Final = {
    State.IN_PROGRESS: "claim",
    State.COMPLETED: "complete",
    State.CANCELED: "cancel",
}


def tell_subscribers(tx: Tx, workitem: Workitem, told: Iterable[Report], now: datetime) -> None:
    """Queue reports on a workitem, whose lock the caller holds, for those that subscribe to it."""
    listening = subscriptions.subscribers(tx, workitem.workitem_key)
    tell(tx, listening, workitem.sop_instance_uid, told, now=now)


def note_change(step: DataSet, now: datetime) -> None:
    """Have the workitem say that it was changed now."""
    step.put(ups.MODIFICATION, moment_of(now))


def moment_of(now: datetime) -> str:
    """This moment as a DT value."""
    return format_date_time(now)


def subject_of(step: DataSet) -> Subject:
    """The workitem for the record."""
    return Subject(step.text(ups.SOP_INSTANCE_UID), step.text(ups.PATIENT_ID) or None)


def kept(step: DataSet) -> dict[str, Any]:
    """The attributes as they are kept; the database has no text with a NUL in it."""
    model = to_json(step)
    # What is written shows it soonest; but a text may spell the same.
    if b"\\u0000" in msgspec.json.encode(model) and _has_nul(model):
        raise AttributesRefused(Fault(Status.INVALID_ATTRIBUTE_VALUE, (), "a text holds a NUL"))
    return model


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_has_nul, cast("dict[str, object]", value).values()))
    return isinstance(value, list) and any(map(_has_nul, cast("list[object]", value)))


def matched(step: DataSet, zone: tzinfo) -> MatchedValues:
    """What of a workitem is matched in a form of its own; ``zone``: of moments without one."""
    name = step.text(ups.PATIENT_NAME)
    house = zone_of(step, zone)
    return MatchedValues(
        patient_name_normalised=person_name_key(name),
        patient_name_phonetic=" ".join(phonetic_keys(name)),
        patient_birth_date=parse_date(step.text(ups.PATIENT_BIRTH_DATE)),
        start_at=_at(step.text(ups.START), house),
        completion_expected_at=_at(step.text(ups.EXPECTED_COMPLETION), house),
        expires_at=_at(step.text(ups.EXPIRATION), house),
    )


def _at(text: str, zone: tzinfo) -> datetime | None:
    span = parse_date_time(text)
    if span is None:
        return None
    return span.earliest if span.earliest.tzinfo else span.earliest.replace(tzinfo=zone)
