"""The use cases of orders: place, revise, cancel, discontinue, and move on as they are done."""

from isocenter.domain.orders.service.closing import cancel, discontinue
from isocenter.domain.orders.service.finding import exam, exam_of_study, locked_exam, order_for
from isocenter.domain.orders.service.placing import (
    ACCESSION_FORMAT,
    PlacementRequest,
    place,
    place_all,
)
from isocenter.domain.orders.service.progress import progress

__all__ = [
    "ACCESSION_FORMAT",
    "PlacementRequest",
    "cancel",
    "discontinue",
    "exam",
    "exam_of_study",
    "locked_exam",
    "order_for",
    "place",
    "place_all",
    "progress",
]
