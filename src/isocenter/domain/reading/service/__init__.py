"""The use cases of reading: measure, archive what was found, remember how one reads."""

from isocenter.domain.reading.service.archiving import (
    archived,
    findings,
    finish_archiving,
    record_written,
    request_archiving,
    written_before,
)
from isocenter.domain.reading.service.measuring import (
    keep_measurement,
    measurements,
    prefer,
    preferences,
    remove_measurement,
)

__all__ = [
    "archived",
    "findings",
    "finish_archiving",
    "keep_measurement",
    "measurements",
    "prefer",
    "preferences",
    "record_written",
    "remove_measurement",
    "request_archiving",
    "written_before",
]
