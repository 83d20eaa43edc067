"""The worklist's use cases: what scanners are told, and what they say that they did."""

from isocenter.domain.worklist.service.entries import (
    entries,
    offer_again,
    publish,
    record_query,
    withdraw,
)
from isocenter.domain.worklist.service.forwarding import Untold, route_step, told, untold
from isocenter.domain.worklist.service.performed import (
    book_again,
    confirm_series,
    performed_step,
    settle_exams,
    settle_performed,
    start,
    studies_in_progress,
    update,
)
from isocenter.domain.worklist.service.workitem_reports import unmatched_keys, zone_of
from isocenter.domain.worklist.service.workitem_subscriptions import (
    announcements,
    channel_position,
    channel_reached,
    report_restart,
    require_subscription,
    subscribe,
    suspend_subscription,
    unsubscribe,
)
from isocenter.domain.worklist.service.workitems import (
    Found,
    change_workitem_state,
    create_workitem,
    read_workitem,
    remove_ended_workitems,
    request_cancellation,
    search_workitems,
    update_workitem,
)

__all__ = [
    "Found",
    "Untold",
    "announcements",
    "book_again",
    "change_workitem_state",
    "channel_position",
    "channel_reached",
    "confirm_series",
    "create_workitem",
    "entries",
    "offer_again",
    "performed_step",
    "publish",
    "read_workitem",
    "record_query",
    "remove_ended_workitems",
    "report_restart",
    "request_cancellation",
    "require_subscription",
    "route_step",
    "search_workitems",
    "settle_exams",
    "settle_performed",
    "start",
    "studies_in_progress",
    "subscribe",
    "suspend_subscription",
    "told",
    "unmatched_keys",
    "unsubscribe",
    "untold",
    "update",
    "update_workitem",
    "withdraw",
    "zone_of",
]
