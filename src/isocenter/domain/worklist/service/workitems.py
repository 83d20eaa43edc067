"""The use cases of workitems: created, claimed, set, ended, canceled, found and forgotten.

Standard: PS3.4 CC.1.1, CC.2.1, CC.2.2, CC.2.5 to CC.2.8
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.worklist._store import subscriptions
from isocenter.domain.worklist._store import workitems as store
from isocenter.domain.worklist.model_workitems import (
    AttributesRefused,
    FoundWorkitem,
    NotCreatedScheduled,
    StateForbids,
    Workitem,
    WorkitemExists,
    WorkitemGone,
    WorkitemUidInvalid,
    WorkitemUnknown,
)
from isocenter.domain.worklist.service.workitem_changes import (
    enter,
    keep_new,
    kept,
    matched,
    moment_of,
    note_change,
    subject_of,
    tell_subscribers,
)
from isocenter.domain.worklist.service.workitem_reports import (
    Subject,
    audited,
    matchable,
    tell,
)
from isocenter.infra import ids
from isocenter.infra.db import Tx
from isocenter.standards.dicom import uids
from isocenter.standards.dicom import unified_procedure_step as ups
from isocenter.standards.dicom import unified_procedure_step_events as reports
from isocenter.standards.dicom.dimse.status import Status
from isocenter.standards.dicom.json_model import from_json
from isocenter.standards.dicom.matching import Query
from isocenter.standards.dicom.unified_procedure_step import State, UpsStatus
from isocenter.standards.dicom.values import DataSet

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
    if not keep_new(tx, actor, step, zone=zone, now=now):
        raise WorkitemExists("a workitem with this UID was created before")
    return any(tag not in attributes for tag in ups.ABSENT_IS_EMPTY)


def read_workitem(tx: Tx, actor: Actor, sop_instance_uid: str, *, now: datetime) -> dict[str, Any]:
    """The attributes of a workitem in the DICOM JSON model; never its Transaction UID.

    Raises:
        WorkitemUnknown, WorkitemGone

    Standard: PS3.4 CC.2.7.3
    """
    authorize(actor, Action.WORKLIST_READ)
    found = _present(store.read(tx, sop_instance_uid))
    audited(tx, actor, "workitem.read", subject_of(from_json(found.attributes)), now=now)
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
    changes = from_json(kept(changes))
    fault = ups.update_fault(changes, before)
    if fault is not None:
        raise AttributesRefused(fault)
    after = DataSet(before)
    ours = {ups.TRANSACTION_UID, *ups.NOT_ALLOWED_IN_SET}
    after.update({tag: element for tag, element in changes.items() if tag not in ours})
    note_change(after, now)
    model = kept(after.sorted())
    store.update(tx, workitem.workitem_key, model, matched(after, zone), now=now)
    audited(tx, actor, "workitem.update", subject_of(after), now=now)
    tell_subscribers(tx, workitem, reports.of_change(before, after), now)


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
        after = ups.with_cancellation(after, DataSet(), moment_of(now))
    missing = ups.missing_at_end(after, state) if state.is_final else ()
    if missing:
        raise StateForbids(UpsStatus.FINAL_STATE_REQUIREMENTS_NOT_MET, missing)
    claimed_by = actor.name if state is State.IN_PROGRESS else workitem.claimed_by
    claimed = replace(workitem, transaction_uid=transaction_uid, claimed_by=claimed_by)
    enter(tx, actor, claimed, after, state, now=now)
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
        subject = subject_of(from_json(workitem.attributes))
        audited(tx, actor, "workitem.request_cancellation", subject, now=now)
        return Status.SUCCESS
    said = DataSet(request)
    if not ups.has_value(said, ups.DISCONTINUATION_REASON):
        said.put(ups.DISCONTINUATION_REASON, ups.unspecified_reason())
    step = from_json(workitem.attributes)
    ours = replace(workitem, transaction_uid=ids.new_uid(), claimed_by=actor.name)
    enter(tx, actor, ours, step, State.IN_PROGRESS, now=now)
    canceled = ups.with_cancellation(step, said, moment_of(now))
    enter(tx, actor, ours, canceled, State.CANCELED, now=now)
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


def _locked(tx: Tx, sop_instance_uid: str) -> Workitem:
    return _present(store.lock(tx, sop_instance_uid))


def _present(found: Workitem | None) -> Workitem:
    if found is None:
        raise WorkitemUnknown("there is no workitem with this UID")
    if found.removed_at is not None:
        raise WorkitemGone("the workitem has ended and was removed")
    return found
