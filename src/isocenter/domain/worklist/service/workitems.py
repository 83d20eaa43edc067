"""The use cases of workitems: created, claimed, set, ended, canceled, found and forgotten.

Standard: PS3.4 CC.1.1, CC.2.1, CC.2.2, CC.2.5 to CC.2.8
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, cast

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.worklist._store import subscriptions
from isocenter.domain.worklist._store import workitems as store
from isocenter.domain.worklist.model_workitems import (
    AttributesRefused,
    Channel,
    FoundWorkitem,
    MatchedValues,
    NotCreatedScheduled,
    Origin,
    StateForbids,
    Subscriber,
    Workitem,
    WorkitemExists,
    WorkitemGone,
    WorkitemUidInvalid,
    WorkitemUnknown,
)
from isocenter.domain.worklist.service.workitem_reports import (
    Subject,
    audited,
    filter_conditions,
    matchable,
    tell,
    zone_of,
)
from isocenter.infra import ids
from isocenter.infra.db import Tx
from isocenter.standards.dicom import uids
from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom import unified_procedure_step_events as reports
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.json_model import from_json, to_json
from isocenter.standards.dicom.matching import Query, person_name_key, phonetic_keys
from isocenter.standards.dicom.performed_step import Fault
from isocenter.standards.dicom.unified_procedure_step import State, UpsStatus
from isocenter.standards.dicom.unified_procedure_step_events import Report
from isocenter.standards.dicom.values import DataSet
from isocenter.standards.dicom.values_temporal import (
    format_date_time,
    parse_date,
    parse_date_time,
)

WORKLIST_LABEL: Final = "Worklist"
"""Of workitems that are created without one."""
_REMOVED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        passed_over: tags of keys that cannot be matched here and constrained nothing.
    """

    workitems: list[FoundWorkitem]
    passed_over: frozenset[int]


def create_workitem(
    tx: Tx,
    actor: Actor,
    sop_instance_uid: str,
    attributes: DataSet,
    *,
    zone: tzinfo = UTC,
    now: datetime,
) -> bool:
    """Create a workitem; gives whether attributes had to be added that its creator left out.

    Args:
        tx: an open transaction.
        actor: who creates it.
        sop_instance_uid: the workitem's.
        attributes: what is known of it.
        zone: of moments that do not say theirs.
        now: this moment.

    Raises:
        WorkitemUidInvalid, NotCreatedScheduled, AttributesRefused, WorkitemExists

    Standard: PS3.4 CC.2.5.3
    """
    authorize(actor, Action.WORKITEM_WRITE)
    if not uids.is_valid(sop_instance_uid) or sop_instance_uid in ups.WELL_KNOWN:
        raise WorkitemUidInvalid("this is no UID that a workitem may have")
    fault = ups.creation_fault(attributes)
    if fault is not None:
        raise AttributesRefused(fault)
    if attributes.text(ups.STATE) != State.SCHEDULED:
        raise NotCreatedScheduled("a workitem is created with the state SCHEDULED")
    step = ups.created(attributes, sop_instance_uid, WORKLIST_LABEL)
    _modified(step, now)
    store.lock_against_subscribers(tx)
    key = store.insert(
        tx, sop_instance_uid, _json(step), _matched(step, zone), created_by=actor.name, now=now
    )
    if key is None:
        raise WorkitemExists("a workitem with this UID was created before")
    audited(tx, actor, "workitem.create", _subject(step), now=now)
    _subscribe_to_new(tx, key, zone, now)
    told = subscriptions.subscribers(tx, key)
    tell(tx, told, sop_instance_uid, reports.of_creation(step), now=now)
    return any(tag not in attributes for tag in ups.ABSENT_IS_EMPTY)


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


def read_workitem(tx: Tx, actor: Actor, sop_instance_uid: str, *, now: datetime) -> dict[str, Any]:
    """The attributes of a workitem in the DICOM JSON model; never its Transaction UID.

    Raises:
        WorkitemUnknown, WorkitemGone

    Standard: PS3.4 CC.2.7.3
    """
    authorize(actor, Action.WORKLIST_READ)
    found = _present(store.read(tx, sop_instance_uid))
    audited(tx, actor, "workitem.read", _subject(from_json(found.attributes)), now=now)
    return found.attributes


def update_workitem(
    tx: Tx,
    actor: Actor,
    sop_instance_uid: str,
    changes: DataSet,
    *,
    zone: tzinfo = UTC,
    now: datetime,
) -> None:
    """Set attributes of a workitem that nobody has claimed, or whose Transaction UID is among them.

    Raises:
        WorkitemUnknown, WorkitemGone, StateForbids, AttributesRefused

    Standard: PS3.4 CC.2.6.3
    """
    authorize(actor, Action.WORKITEM_WRITE)
    workitem = _locked(tx, sop_instance_uid)
    status = ups.status_of_update(
        State(workitem.state), workitem.transaction_uid, changes.text(ups.TRANSACTION_UID) or None
    )
    if status != Status.SUCCESS:
        raise StateForbids(UpsStatus(status))
    before = from_json(workitem.attributes)
    # In the form in which the attributes are kept, so that both can be compared.
    changes = from_json(_json(changes))
    fault = ups.update_fault(changes, before)
    if fault is not None:
        raise AttributesRefused(fault)
    after = DataSet(before)
    ours = {ups.TRANSACTION_UID, *ups.NOT_ALLOWED_IN_SET}
    after.update({tag: element for tag, element in changes.items() if tag not in ours})
    _modified(after, now)
    model = _json(after.sorted())
    store.update(tx, workitem.workitem_key, model, _matched(after, zone), now=now)
    audited(tx, actor, "workitem.update", _subject(after), now=now)
    _tell(tx, workitem, reports.of_change(before, after), now)


def change_workitem_state(
    tx: Tx,
    actor: Actor,
    sop_instance_uid: str,
    state: State,
    *,
    transaction_uid: str,
    now: datetime,
) -> int:
    """Claim a workitem, complete it or cancel it; gives 0, or the warning that it was so before.

    Raises:
        WorkitemUnknown, WorkitemGone, StateForbids

    Standard: PS3.4 CC.2.1.3, Table CC.1.1-2
    """
    authorize(actor, Action.WORKITEM_WRITE)
    workitem = _locked(tx, sop_instance_uid)
    status = ups.status_of_change(
        State(workitem.state), workitem.transaction_uid, state, transaction_uid
    )
    if status in _WARNINGS:
        return status
    if status != Status.SUCCESS:
        raise StateForbids(UpsStatus(status))
    after = from_json(workitem.attributes)
    if state is State.CANCELED:
        after = ups.with_cancellation(after, DataSet(), _moment(now))
    missing = ups.missing_at_end(after, state) if state.is_final else ()
    if missing:
        raise StateForbids(UpsStatus.FINAL_STATE_REQUIREMENTS_NOT_MET, missing)
    claimed = replace(workitem, transaction_uid=transaction_uid)
    _enter(tx, actor, claimed, after, state, now=now)
    return Status.SUCCESS


_WARNINGS: Final = frozenset({UpsStatus.ALREADY_CANCELED, UpsStatus.ALREADY_IN_STATE_COMPLETED})


def request_cancellation(
    tx: Tx,
    actor: Actor,
    sop_instance_uid: str,
    request: DataSet,
    *,
    requesting_ae_title: str,
    now: datetime,
) -> int:
    """Cancel a workitem that nobody has claimed, or ask whoever has; gives 0 or a warning.

    Raises:
        WorkitemUnknown, WorkitemGone, StateForbids

    Standard: PS3.4 CC.2.2.3
    """
    authorize(actor, Action.WORKITEM_WRITE)
    workitem = _locked(tx, sop_instance_uid)
    state = State(workitem.state)
    if state is State.COMPLETED:
        raise StateForbids(UpsStatus.ALREADY_COMPLETED)
    if state is State.CANCELED:
        return UpsStatus.ALREADY_CANCELED
    if state is State.IN_PROGRESS:
        told = subscriptions.subscribers(tx, workitem.workitem_key)
        if not told:
            raise StateForbids(UpsStatus.PERFORMER_CANNOT_BE_CONTACTED)
        asked = reports.cancel_requested(request, requesting_ae_title)
        tell(tx, told, sop_instance_uid, [asked], now=now)
        subject = _subject(from_json(workitem.attributes))
        audited(tx, actor, "workitem.request_cancellation", subject, now=now)
        return Status.SUCCESS
    said = DataSet(request)
    if not ups.has_value(said, ups.DISCONTINUATION_REASON):
        said.put(ups.DISCONTINUATION_REASON, ups.unspecified_reason())
    step = from_json(workitem.attributes)
    ours = replace(workitem, transaction_uid=ids.new_uid())
    _enter(tx, actor, ours, step, State.IN_PROGRESS, now=now)
    canceled = ups.with_cancellation(step, said, _moment(now))
    _enter(tx, actor, ours, canceled, State.CANCELED, now=now)
    return Status.SUCCESS


def search_workitems(
    tx: Tx, actor: Actor, query: Query, *, limit: int, zone: tzinfo = UTC, now: datetime
) -> Found:
    """At most ``limit`` workitems that fulfil the query's conditions, the earliest first.

    Standard: PS3.4 CC.2.8.3
    """
    authorize(actor, Action.WORKLIST_READ)
    usable, passed_over = matchable(query.conditions, zone)
    found = store.search(tx, usable, limit=limit, offset=query.offset)
    detail = {"keys": sorted(f"{tag:08X}" for tag in query.returned), "results": len(found)}
    audited(tx, actor, "workitem.search", Subject(""), detail=detail, now=now)
    return Found(found, passed_over)


def remove_ended_workitems(
    tx: Tx, actor: Actor, *, ended_before: datetime, now: datetime
) -> list[str]:
    """Forget workitems that have ended and that no subscriber locks; gives their UIDs.

    Standard: PS3.4 CC.2.1.3
    """
    authorize(actor, Action.WORKITEM_WRITE)
    gone = store.remove_ended(tx, ended_before, now, _REMOVED_AT_ONCE)
    for sop_instance_uid in gone:
        audited(tx, actor, "workitem.remove", Subject(sop_instance_uid), now=now)
    return gone


def _enter(
    tx: Tx, actor: Actor, workitem: Workitem, step: DataSet, state: State, *, now: datetime
) -> None:
    """Have the workitem be in a state, tell it and put it on record."""
    step.put(ups.STATE, state.value)
    _modified(step, now)
    after = replace(workitem, state=state.value, attributes=_json(step.sorted()))
    store.enter(tx, after, now=now)
    audited(tx, actor, f"workitem.{_VERBS[state]}", _subject(step), now=now)
    _tell(tx, workitem, [reports.state_report(step)], now)


_VERBS: Final = {
    State.IN_PROGRESS: "claim",
    State.COMPLETED: "complete",
    State.CANCELED: "cancel",
}


def _tell(tx: Tx, workitem: Workitem, told: Iterable[Report], now: datetime) -> None:
    listening = subscriptions.subscribers(tx, workitem.workitem_key)
    tell(tx, listening, workitem.sop_instance_uid, told, now=now)


def _locked(tx: Tx, sop_instance_uid: str) -> Workitem:
    return _present(store.lock(tx, sop_instance_uid))


def _present(found: Workitem | None) -> Workitem:
    if found is None:
        raise WorkitemUnknown("there is no workitem with this UID")
    if found.removed_at is not None:
        raise WorkitemGone("the workitem has ended and was removed")
    return found


def _modified(step: DataSet, now: datetime) -> None:
    step.put(ups.MODIFICATION, _moment(now))


def _moment(now: datetime) -> str:
    return format_date_time(now)


def _subject(step: DataSet) -> Subject:
    return Subject(step.text(ups.SOP_INSTANCE_UID), step.text(ups.PATIENT_ID) or None)


def _json(step: DataSet) -> dict[str, Any]:
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


def _matched(step: DataSet, zone: tzinfo) -> MatchedValues:
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
