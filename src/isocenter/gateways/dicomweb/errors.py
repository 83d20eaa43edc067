"""What can go wrong with a request for what is stored."""

from typing import ClassVar

from isocenter.errors import IsocenterError, Kind


class NobodyAsks(IsocenterError):
    """The request reached us without an actor."""

    kind: ClassVar[Kind] = Kind.FORBIDDEN


class NothingThere(IsocenterError):
    """No object of ours has these UIDs."""

    kind: ClassVar[Kind] = Kind.NOT_FOUND


class NotAcceptable(IsocenterError):
    """Nothing that the client accepts can be made of what is stored."""

    kind: ClassVar[Kind] = Kind.UNSUPPORTED


class TooLarge(IsocenterError):
    """What is sent, or what would have to be made, is larger than this server takes."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class UnsupportedBody(IsocenterError):
    """The body is of a media type that is not taken here."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class UnknownReason(IsocenterError):
    """The code is none of those for which images are rejected."""

    kind: ClassVar[Kind] = Kind.INCORRECT


class NothingSent(IsocenterError):
    """The body holds no object."""

    kind: ClassVar[Kind] = Kind.INCORRECT
