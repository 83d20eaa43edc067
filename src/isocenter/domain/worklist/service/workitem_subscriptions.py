"""Who hears of workitems: of one, of all, or of those that fit a filter.

Standard: PS3.4 CC.2.3, Table CC.2.3-2
"""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from isocenter.domain.access.model import Action, Actor, authorize
from isocenter.domain.peers import service as peers
from isocenter.domain.worklist._store import subscriptions as store
from isocenter.domain.worklist._store import workitems
from isocenter.domain.worklist.events import WorkitemAnnounced
from isocenter.domain.worklist.model_workitems import (
    Channel,
    FilterRefused,
    FoundWorkitem,
    Origin,
    StateForbids,
    Subscriber,
    SubscriberUnknown,
    SubscriptionRequest,
    SubscriptionUnknown,
    TooManySubscribers,
    WorkitemGone,
    WorkitemUnknown,
    WorklistSubscription,
)
from isocenter.domain.worklist.service.workitem_reports import (
    Subject,
    audited,
    filter_conditions,
    tell,
    unmatched_keys,
)
from isocenter.infra import outbox
from isocenter.infra.db import Tx
from isocenter.infra.outbox import RecordedEvent
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.json_model import from_json, to_json
from isocenter.standards.dicom.unified_procedure_step import (
    FILTERED_GLOBAL_SUBSCRIPTION,
    GLOBAL_SUBSCRIPTION,
    WELL_KNOWN,
    UpsStatus,
)
from isocenter.standards.dicom.unified_procedure_step_events import restarted, state_report
from isocenter.standards.dicom.values import DataSet

SUBSCRIBERS_MAX: Final = 256


def subscribe(
    tx: Tx, actor: Actor, request: SubscriptionRequest, *, zone: tzinfo = UTC, now: datetime
) -> None:
    """Have an application entity hear of one workitem, of all, or of those that fit its keys.

    Raises:
        WorkitemUnknown, WorkitemGone, SubscriberUnknown, FilterRefused, TooManySubscribers

    Standard: PS3.4 CC.2.3.3, Table CC.2.3-2
    """
    authorize(actor, Action.WORKLIST_READ)
    _known(tx, request.subscriber)
    _begin_channel(tx, request.subscriber, now)
    if request.sop_instance_uid in WELL_KNOWN:
        _subscribe_to_worklist(tx, actor, request, zone=zone, now=now)
    else:
        _subscribe_to_workitem(tx, request, now=now)
    detail = {"receiving_ae": request.subscriber.ae_title}
    subject = Subject(request.sop_instance_uid)
    audited(tx, actor, "workitem.subscribe", subject, detail=detail, now=now)


def _known(tx: Tx, subscriber: Subscriber) -> None:
    """Raise ``SubscriberUnknown`` where nobody could be told."""
    if subscriber.channel is Channel.DIMSE:
        peer = peers.dicom_peer_titled(tx, subscriber.ae_title)
        if peer is None or not peer.enabled:
            raise SubscriberUnknown("there is no DICOM peer with the Receiving AE title")


def _begin_channel(tx: Tx, subscriber: Subscriber, now: datetime) -> None:
    """Have a web subscriber that opens its channel only later hear of everything from now on."""
    is_web = subscriber.channel is Channel.WEB
    if is_web and store.channel_position(tx, subscriber.ae_title) is None:
        store.set_channel_position(tx, subscriber.ae_title, outbox.feed_end(tx), now)


def _checked(keys: DataSet | None) -> DataSet:
    if not keys:
        raise FilterRefused("a filtered subscription needs matching keys")
    try:
        unmatched = unmatched_keys(keys)
    except RemoteProtocolError as error:
        raise FilterRefused(str(error)) from error
    if unmatched:
        named = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in sorted(unmatched))
        raise FilterRefused(f"these keys cannot be matched: {named}")
    return keys


def _subscribe_to_worklist(
    tx: Tx, actor: Actor, request: SubscriptionRequest, *, zone: tzinfo, now: datetime
) -> None:
    filtered = request.sop_instance_uid == FILTERED_GLOBAL_SUBSCRIPTION
    keys = _checked(request.keys) if filtered else DataSet()
    subscriber = request.subscriber
    workitems.lock_against_creators(tx)
    if store.subscriber_count(tx, None) >= SUBSCRIBERS_MAX:
        raise TooManySubscribers("as many subscribe to the worklist as may")
    subscription = WorklistSubscription(
        subscriber.ae_title, filtered, to_json(keys), subscriber.channel, request.deletion_lock
    )
    store.set_worklist_subscription(tx, subscription, actor.name, now)
    found = workitems.search(tx, filter_conditions(keys, zone) if filtered else (), limit=None)
    new = store.subscribe(
        tx,
        [each.workitem_key for each in found],
        subscriber,
        origin=Origin.FILTER if filtered else Origin.WORKLIST,
        deletion_lock=request.deletion_lock,
        now=now,
    )
    # Table CC.2.3-2: only who locks all workitems is told where each of them is.
    if request.deletion_lock:
        of_new = set(new)
        _tell_state(tx, subscriber, [e for e in found if e.workitem_key in of_new], now)


def _subscribe_to_workitem(tx: Tx, request: SubscriptionRequest, *, now: datetime) -> None:
    found = workitems.lock(tx, request.sop_instance_uid)
    if found is None:
        raise WorkitemUnknown("there is no workitem with this UID")
    if found.removed_at is not None:
        raise WorkitemGone("the workitem has ended and was removed")
    if store.subscriber_count(tx, found.workitem_key) >= SUBSCRIBERS_MAX:
        raise TooManySubscribers("as many subscribe to the workitem as may")
    store.set_subscription(
        tx, found.workitem_key, request.subscriber, deletion_lock=request.deletion_lock, now=now
    )
    told = FoundWorkitem(found.workitem_key, found.sop_instance_uid, found.attributes)
    _tell_state(tx, request.subscriber, [told], now)


def _tell_state(
    tx: Tx, subscriber: Subscriber, found: Sequence[FoundWorkitem], now: datetime
) -> None:
    for each in found:
        report = state_report(from_json(each.attributes))
        to = [(subscriber.ae_title, subscriber.channel.value)]
        tell(tx, to, each.sop_instance_uid, [report], now=now)


def unsubscribe(
    tx: Tx, actor: Actor, sop_instance_uid: str, ae_title: str, *, now: datetime
) -> int:
    """Have an application entity no longer hear of a workitem, or of any; gives how many ended.

    To end the subscription to all workitems ends every other, too.

    Raises:
        WorkitemUnknown: there is no such workitem.

    Standard: PS3.4 CC.2.3.3, Table CC.2.3-2
    """
    authorize(actor, Action.WORKLIST_READ)
    if sop_instance_uid in WELL_KNOWN:
        workitems.lock_against_creators(tx)
        everything = sop_instance_uid == GLOBAL_SUBSCRIPTION
        ended = store.remove_worklist_subscriptions(
            tx, ae_title, [False, True] if everything else [True]
        )
        origins = list(Origin) if everything else [Origin.FILTER]
        ended += store.unsubscribe_all(tx, ae_title, origins)
    else:
        found = workitems.lock(tx, sop_instance_uid)
        if found is None:
            raise WorkitemUnknown("there is no workitem with this UID")
        ended = store.unsubscribe(tx, found.workitem_key, ae_title)
    detail = {"receiving_ae": ae_title}
    subject = Subject(sop_instance_uid)
    audited(tx, actor, "workitem.unsubscribe", subject, detail=detail, now=now)
    return ended


def suspend_subscription(
    tx: Tx, actor: Actor, sop_instance_uid: str, ae_title: str, *, now: datetime
) -> int:
    """Have an application entity hear of no new workitems, and go on to hear of the known ones.

    Gives 1, or 0 when it had no such subscription.

    Raises:
        StateForbids: one workitem is named.

    Standard: PS3.4 CC.2.3.2, Table CC.2.3-2
    """
    authorize(actor, Action.WORKLIST_READ)
    if sop_instance_uid not in WELL_KNOWN:
        raise StateForbids(UpsStatus.ACTION_NOT_APPROPRIATE)
    workitems.lock_against_creators(tx)
    filtered = sop_instance_uid == FILTERED_GLOBAL_SUBSCRIPTION
    ended = store.remove_worklist_subscriptions(tx, ae_title, [filtered])
    detail = {"receiving_ae": ae_title}
    audited(tx, actor, "workitem.suspend", Subject(sop_instance_uid), detail=detail, now=now)
    return ended


def require_subscription(ended: int) -> None:
    """Raise ``SubscriptionUnknown`` when nothing ended, for those who want to be told."""
    if not ended:
        raise SubscriptionUnknown("there is no such subscription")


def report_restart(tx: Tx, *, now: datetime) -> int:
    """Tell all subscribers that we are back and have forgotten nothing; gives how many they are.

    Standard: PS3.4 CC.2.4.3 (SCP Status Change)
    """
    told = store.all_subscribers(tx)
    tell(tx, told, GLOBAL_SUBSCRIPTION, [restarted()], now=now)
    return len(told)


def announcements(tx: Tx, after: int, limit: int) -> tuple[list[RecordedEvent], int]:
    """What web subscribers are to be told since event ``after``, and where to go on from.

    For event channels: it checks no access and audits nothing.
    """
    end = outbox.feed_end(tx)
    found = outbox.feed(tx, after, limit, names=(WorkitemAnnounced.name,))
    last = found[-1].id if found else after
    return found, last if found and len(found) == limit else max(end, last)


def open_channel(tx: Tx, actor: Actor, ae_title: str, *, now: datetime) -> int:
    """The event after which a web subscriber goes on: the last that it was sent, or the last."""
    authorize(actor, Action.WORKLIST_READ)
    detail = {"receiving_ae": ae_title}
    audited(tx, actor, "workitem.open_channel", Subject(""), detail=detail, now=now)
    _begin_channel(tx, Subscriber(ae_title, Channel.WEB), now)
    return store.channel_position(tx, ae_title) or 0


def channel_reached(tx: Tx, ae_title: str, event_id: int, *, now: datetime) -> None:
    """Keep how far a web subscriber has been told."""
    store.set_channel_position(tx, ae_title, event_id, now)
