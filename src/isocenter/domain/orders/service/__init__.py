"""The use cases of orders: place, revise, cancel, discontinue, replace, hold, release; move on."""

from isocenter.domain.orders.service.closing import cancel, discontinue, replace
from isocenter.domain.orders.service.finding import (
    RelatedOrder,
    exam,
    exam_of_study,
    locked_exam,
    order_for,
    related_orders,
)
from isocenter.domain.orders.service.following import follow_visit, rename_visit
from isocenter.domain.orders.service.holding import hold, release
from isocenter.domain.orders.service.numbering import (
    add_numbers,
    assign_numbers,
    find_exam,
    part_from,
)
from isocenter.domain.orders.service.placing import ACCESSION_FORMAT, place, place_all
from isocenter.domain.orders.service.progress import progress
from isocenter.domain.orders.service.revising import PlacementRequest

__all__ = [
    "ACCESSION_FORMAT",
    "PlacementRequest",
    "RelatedOrder",
    "add_numbers",
    "assign_numbers",
    "cancel",
    "discontinue",
    "exam",
    "exam_of_study",
    "find_exam",
    "follow_visit",
    "hold",
    "locked_exam",
    "order_for",
    "part_from",
    "place",
    "place_all",
    "progress",
    "related_orders",
    "release",
    "rename_visit",
    "replace",
]
