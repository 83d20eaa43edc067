"""The use cases of scheduling: orders become booked steps, and steps are done."""

from isocenter.domain.scheduling.service.appointments import (
    appointment,
    appointments_of,
    bind_orders,
    keep_appointment,
)
from isocenter.domain.scheduling.service.ordering import (
    ACCESSION_FORMAT,
    PlacementRequest,
    cancel_order,
    discontinue_order,
    hold_order,
    place_order,
    place_orders,
    release_order,
    replace_order,
    revise_order,
)
from isocenter.domain.scheduling.service.progress import (
    arrive,
    complete,
    forget_images,
    move,
    perform,
    start,
    steps_of,
    steps_of_exams,
)

__all__ = [
    "ACCESSION_FORMAT",
    "PlacementRequest",
    "appointment",
    "appointments_of",
    "arrive",
    "bind_orders",
    "cancel_order",
    "complete",
    "discontinue_order",
    "forget_images",
    "hold_order",
    "keep_appointment",
    "move",
    "perform",
    "place_order",
    "place_orders",
    "release_order",
    "replace_order",
    "revise_order",
    "start",
    "steps_of",
    "steps_of_exams",
]
