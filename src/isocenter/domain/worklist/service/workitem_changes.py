"""What every use case that changes a workitem does: keep, tell its subscribers, put on record."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, Final, cast

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


def keep_new(
    tx: Tx,
    by: Actor,
    step: DataSet,
    *,
    zone: tzinfo,
    now: datetime,
    step_key: int | None = None,
) -> bool:
    """Keep a new workitem, also for a scheduled step; False: there is one, or was."""
    sop_instance_uid = step.text(ups.SOP_INSTANCE_UID)
    note_change(step, now)
    store.lock_against_subscribers(tx)
    key = store.insert(
        tx,
        kept(step),
        matched(step, zone),
        created_by=by.name,
        now=now,
        step_key=step_key,
    )
    if key is None:
        return False
    audited(tx, by, "workitem.create", subject_of(step), now=now)
    _subscribe_to_new(tx, key, zone, now)
    told = subscriptions.subscribers(tx, key)
    tell(tx, told, sop_instance_uid, reports.of_creation(step), now=now)
    return True


def _subscribe_to_new(tx: Tx, key: int, zone: tzinfo, now: datetime) -> None:
    """Have those hear of a new workitem that hear of all, or of such as this one.

    Standard: PS3.4 Table CC.2.3-2
    """
    for each in subscriptions.worklist_subscriptions(tx):
        if each.filtered and not store.fits(
            tx, key, filter_conditions(from_json(each.filter), zone)
        ):
            continue
        subscriptions.subscribe(
            tx,
            [key],
            Subscriber(each.ae_title, Channel(each.channel)),
            origin=Origin.FILTER if each.filtered else Origin.WORKLIST,
            deletion_lock=each.deletion_lock,
            now=now,
        )


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
    if _has_nul(model):
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
