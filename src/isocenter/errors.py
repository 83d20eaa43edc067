"""The eight kinds of anticipated failure, and the exception that carries one.

A domain error is a subclass defined where it is raised and named after the situation. Gateways
translate ``kind`` into their protocol's codes by one table each. Anything that is not an
``IsocenterError`` is a defect in our code. This module imports nothing of the package.
"""

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """What went wrong, from the caller's point of view."""

    INCORRECT = "incorrect"  # the request itself is wrong; repeating it cannot help
    NOT_FOUND = "not_found"  # what it names does not exist
    CONFLICT = "conflict"  # it contradicts the present state
    FORBIDDEN = "forbidden"  # the caller may not do this
    UNSUPPORTED = "unsupported"  # correct, but not offered here
    BUSY = "busy"  # a limit is reached; repeat later
    UNAVAILABLE = "unavailable"  # something we depend on is away; repeat later
    FAULT = "fault"  # our side failed


class IsocenterError(Exception):
    """An anticipated failure.

    Attributes:
        kind: which of the eight kinds it is.
        message: one line for the person or peer that asked; holds no patient data.
    """

    kind: ClassVar[Kind] = Kind.FAULT

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
