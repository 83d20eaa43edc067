"""The use cases of reading: measure, archive what was found, remember how one reads."""

from isocenter.domain.reading.service.archiving import (
    archived,
    findings,
    finish_archiving,
    record_written,
    request_archiving,
    written_before,
)
from isocenter.domain.reading.service.hanging import (
    HangingProtocols,
    hanging_protocols,
    keep_own_protocols,
    keep_site_protocols,
)
from isocenter.domain.reading.service.measuring import (
    keep_measurement,
    measurements,
    prefer,
    preferences,
    remove_measurement,
)

__all__ = [
    "HangingProtocols",
    "archived",
    "findings",
    "finish_archiving",
    "hanging_protocols",
    "keep_measurement",
    "keep_own_protocols",
    "keep_site_protocols",
    "measurements",
    "prefer",
    "preferences",
    "record_written",
    "remove_measurement",
    "request_archiving",
    "written_before",
]
