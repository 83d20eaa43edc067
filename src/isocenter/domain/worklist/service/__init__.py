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

__all__ = [
    "Untold",
    "book_again",
    "confirm_series",
    "entries",
    "offer_again",
    "performed_step",
    "publish",
    "record_query",
    "route_step",
    "settle_exams",
    "settle_performed",
    "start",
    "studies_in_progress",
    "told",
    "untold",
    "update",
    "withdraw",
]
