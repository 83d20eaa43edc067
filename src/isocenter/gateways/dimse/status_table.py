"""The one table from kinds of failure to DIMSE status codes.

Standard: PS3.7 Annex C, 10.1; PS3.4 B.2.3, C.4.1.1.4, C.4.2.1.5, C.4.3.1.4
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from isocenter.errors import Kind
from isocenter.standards.dicom.dimse.status import Status

STORE: Final[Mapping[Kind, Status]] = MappingProxyType({
    Kind.INCORRECT: Status.CANNOT_UNDERSTAND,
    Kind.NOT_FOUND: Status.PROCESSING_FAILURE,
    Kind.CONFLICT: Status.PROCESSING_FAILURE,
    Kind.FORBIDDEN: Status.NOT_AUTHORIZED,
    Kind.UNSUPPORTED: Status.SOP_CLASS_NOT_SUPPORTED,
    Kind.BUSY: Status.OUT_OF_RESOURCES,
    Kind.UNAVAILABLE: Status.OUT_OF_RESOURCES,
    Kind.FAULT: Status.PROCESSING_FAILURE,
})

FIND: Final[Mapping[Kind, Status]] = MappingProxyType({
    Kind.INCORRECT: Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
    Kind.NOT_FOUND: Status.SUCCESS,  # nothing matches
    Kind.CONFLICT: Status.CANNOT_UNDERSTAND,
    Kind.FORBIDDEN: Status.NOT_AUTHORIZED,
    Kind.UNSUPPORTED: Status.SOP_CLASS_NOT_SUPPORTED,
    Kind.BUSY: Status.OUT_OF_RESOURCES,
    Kind.UNAVAILABLE: Status.OUT_OF_RESOURCES,
    Kind.FAULT: Status.CANNOT_UNDERSTAND,  # C000 to CFFF: unable to process
})

RETRIEVE: Final[Mapping[Kind, Status]] = MappingProxyType({
    Kind.INCORRECT: Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
    Kind.NOT_FOUND: Status.MOVE_DESTINATION_UNKNOWN,  # instances that are not there are no failure
    Kind.CONFLICT: Status.CANNOT_UNDERSTAND,
    Kind.FORBIDDEN: Status.NOT_AUTHORIZED,
    Kind.UNSUPPORTED: Status.SOP_CLASS_NOT_SUPPORTED,
    Kind.BUSY: Status.UNABLE_TO_CALCULATE_MATCHES,
    Kind.UNAVAILABLE: Status.UNABLE_TO_CALCULATE_MATCHES,
    Kind.FAULT: Status.CANNOT_UNDERSTAND,
})

NORMALIZED: Final[Mapping[Kind, Status]] = MappingProxyType({
    Kind.INCORRECT: Status.INVALID_ATTRIBUTE_VALUE,
    Kind.NOT_FOUND: Status.NO_SUCH_SOP_INSTANCE,
    Kind.CONFLICT: Status.PROCESSING_FAILURE,
    Kind.FORBIDDEN: Status.NOT_AUTHORIZED,
    Kind.UNSUPPORTED: Status.UNRECOGNIZED_OPERATION,
    Kind.BUSY: Status.RESOURCE_LIMITATION,
    Kind.UNAVAILABLE: Status.RESOURCE_LIMITATION,
    Kind.FAULT: Status.PROCESSING_FAILURE,
})
