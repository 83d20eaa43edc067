"""Status codes of DIMSE responses, and what class each belongs to.

Standard: PS3.7 Annex C; PS3.4 Annexes B.2.3, C.4, K.4
"""

from enum import IntEnum, StrEnum
from typing import Final


class Category(StrEnum):
    """What a status code says about the operation.

    Standard: PS3.7 C.1 to C.5
    """

    SUCCESS = "success"
    PENDING = "pending"
    CANCEL = "cancel"
    WARNING = "warning"
    FAILURE = "failure"


class Status(IntEnum):
    """The codes that this code base sends or looks for; a peer may send any other."""

    SUCCESS = 0x0000
    # PS3.7 Annex C
    NO_SUCH_ATTRIBUTE = 0x0105
    INVALID_ATTRIBUTE_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_SOP_INSTANCE = 0x0112
    NO_SUCH_EVENT_TYPE = 0x0113
    NO_SUCH_ARGUMENT = 0x0114
    INVALID_ARGUMENT_VALUE = 0x0115
    ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
    INVALID_OBJECT_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    CLASS_INSTANCE_CONFLICT = 0x0119
    MISSING_ATTRIBUTE = 0x0120
    MISSING_ATTRIBUTE_VALUE = 0x0121
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION_TYPE = 0x0123
    NOT_AUTHORIZED = 0x0124
    DUPLICATE_INVOCATION = 0x0210
    UNRECOGNIZED_OPERATION = 0x0211
    MISTYPED_ARGUMENT = 0x0212
    RESOURCE_LIMITATION = 0x0213
    # PS3.4 B.2.3 (C-STORE), C.4.1.1.4 (C-FIND), C.4.2.1.5 (C-MOVE), C.4.3.1.4 (C-GET)
    OUT_OF_RESOURCES = 0xA700
    UNABLE_TO_CALCULATE_MATCHES = 0xA701
    UNABLE_TO_PERFORM_SUB_OPERATIONS = 0xA702
    MOVE_DESTINATION_UNKNOWN = 0xA801
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    COERCION_OF_DATA_ELEMENTS = 0xB000
    ELEMENTS_DISCARDED = 0xB006
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING = 0xB007
    CANNOT_UNDERSTAND = 0xC000
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_WITHOUT_OPTIONAL_KEYS = 0xFF01


_WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116})


def category_of(status: int) -> Category:
    """The class of any status code, known or not.

    Standard: PS3.7 Table C-1
    """
    if status == Status.SUCCESS:
        return Category.SUCCESS
    if status in {Status.PENDING, Status.PENDING_WITHOUT_OPTIONAL_KEYS}:
        return Category.PENDING
    if status == Status.CANCEL:
        return Category.CANCEL
    if status in _WARNINGS or status >> 12 == 0xB:
        return Category.WARNING
    return Category.FAILURE
