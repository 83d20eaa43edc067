"""The bytes that every PDU and item share: numbers, titles, UIDs, and how a peer may deviate.

It does not know any PDU. Decoding is tolerant where the meaning is unharmed, and each tolerance
has a name; encoding is strict.
"""

import re
from enum import StrEnum
from struct import Struct
from typing import Final

from isocenter.standards import LocalProtocolError, RemoteProtocolError

ITEM_HEADER: Final = Struct(">BxH")  # type, reserved, length
U16: Final = Struct(">H")
U32: Final = Struct(">I")
UID_LENGTH_MAX: Final = 64
ITEM_LENGTH_MAX: Final = 0xFFFF

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
# AE: default character repertoire without control characters and backslash (PS3.5 table 6.2-1).
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")


class Tolerance(StrEnum):
    """A deviation from the standard that is accepted when received, never produced."""

    PADDED_UID = (
        "padded-uid"  # PS3.8 F.1: UIDs in PDUs are not padded; some peers pad with NUL or space
    )
    NUL_PADDED_AE_TITLE = "nul-padded-ae-title"  # padding shall be spaces
    EIGHT_BIT_AE_TITLE = "eight-bit-ae-title"  # outside ISO 646
    EVEN_CONTEXT_ID = "even-context-id"  # PS3.8 9.3.2.2: shall be odd
    MISSING_MAXIMUM_LENGTH = "missing-maximum-length"  # D.1.1: the sub-item is mandatory
    MISSING_IMPLEMENTATION_CLASS_UID = (
        "missing-implementation-class-uid"  # PS3.7 D.3.3.2: mandatory
    )
    MISSING_TRANSFER_SYNTAX_IN_RESULT = (
        "missing-transfer-syntax-in-result"  # needed even if refused
    )
    LONG_VERSION_NAME = "long-version-name"  # PS3.7 D.3.3.2.4: 16 characters
    REPEATED_SUB_ITEM = "repeated-sub-item"  # the first one counts


class AbortReason:
    """Reason/Diag. values of an A-ABORT by the service provider.

    Standard: PS3.8 Table 9-26
    """

    NOT_SPECIFIED: Final = 0
    UNRECOGNIZED_PDU: Final = 1
    UNEXPECTED_PDU: Final = 2
    UNRECOGNIZED_PARAMETER: Final = 4
    UNEXPECTED_PARAMETER: Final = 5
    INVALID_PARAMETER_VALUE: Final = 6


class InvalidPdu(RemoteProtocolError):
    """A PDU that cannot be understood.

    Attributes:
        reason: the Reason/Diag. value that an A-ABORT should carry.
    """

    def __init__(self, message: str, reason: int = AbortReason.INVALID_PARAMETER_VALUE) -> None:
        super().__init__(message)
        self.reason = reason


def is_uid(text: str) -> bool:
    """True when ``text`` is a valid UID.

    Standard: PS3.5 9.1
    """
    return len(text) <= UID_LENGTH_MAX and _UID.fullmatch(text) is not None


def is_ae_title(text: str) -> bool:
    """True when ``text`` may be used as an AE title: 1 to 16 characters, not only spaces.

    Standard: PS3.5 Table 6.2-1
    """
    return _AE_TITLE.fullmatch(text) is not None and not text.isspace()


def item(kind: int, body: bytes) -> bytes:
    """One item or sub-item: type, reserved byte, length, body."""
    if len(body) > ITEM_LENGTH_MAX:
        raise LocalProtocolError(f"item {kind:02X}H is longer than 65535 bytes")
    return ITEM_HEADER.pack(kind, len(body)) + body


def uid_bytes(uid: str) -> bytes:
    """The bytes of a UID as PDUs carry it, unpadded."""
    if not is_uid(uid):
        raise LocalProtocolError(f"not a UID: {uid!r}")
    return uid.encode("ascii")


def counted(data: bytes) -> bytes:
    """``data`` behind its length in two bytes."""
    if len(data) > ITEM_LENGTH_MAX:
        raise LocalProtocolError("a field is longer than 65535 bytes")
    return U16.pack(len(data)) + data


def ae_title_bytes(title: str) -> bytes:
    """A 16 byte AE title field, padded with spaces."""
    if not is_ae_title(title):
        raise LocalProtocolError(f"not an AE title: {title!r}")
    return title.encode("ascii").ljust(16)


class Reader:
    """Walks the bytes of one PDU or item from front to back; never beyond its end.

    Attributes:
        tolerated: what deviations were met, shared by all readers of one PDU.
    """

    __slots__ = ("_at", "_end", "_view", "tolerated")

    def __init__(self, view: memoryview, tolerated: set[Tolerance]) -> None:
        self._view = view
        self._at = 0
        self._end = len(view)
        self.tolerated = tolerated

    def __bool__(self) -> bool:
        return self._at < self._end

    def take(self, size: int) -> memoryview:
        """The next ``size`` bytes."""
        end = self._at + size
        if end > self._end:
            raise InvalidPdu(f"{size} bytes expected, {self._end - self._at} present")
        part = self._view[self._at : end]
        self._at = end
        return part

    def rest(self) -> memoryview:
        """All that is left."""
        return self.take(self._end - self._at)

    def u8(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """The next two bytes as an unsigned number, big endian."""
        return U16.unpack(self.take(2))[0]

    def u32(self) -> int:
        """The next four bytes as an unsigned number, big endian."""
        return U32.unpack(self.take(4))[0]

    def item(self) -> tuple[int, "Reader"]:
        """The next item: its type and a reader over its body."""
        kind, length = ITEM_HEADER.unpack(self.take(4))
        return kind, Reader(self.take(length), self.tolerated)

    def counted(self) -> "Reader":
        """A reader over the next field that has its length in front of it."""
        return Reader(self.take(self.u16()), self.tolerated)

    def uid(self) -> str:
        """All that is left, as a UID. Its syntax is not judged beyond length and character set."""
        raw = bytes(self.rest())
        stripped = raw.strip(b"\0 ")
        if stripped != raw:
            self.tolerated.add(Tolerance.PADDED_UID)
        if len(stripped) > UID_LENGTH_MAX or not stripped.isascii():
            raise InvalidPdu("a UID is not made of at most 64 ASCII characters")
        return stripped.decode("ascii")

    def ae_title(self) -> str:
        """The next 16 bytes as an AE title without its padding."""
        raw = bytes(self.take(16))
        if b"\0" in raw:
            self.tolerated.add(Tolerance.NUL_PADDED_AE_TITLE)
        if not raw.isascii():
            self.tolerated.add(Tolerance.EIGHT_BIT_AE_TITLE)
        return raw.replace(b"\0", b" ").strip().decode("latin-1")
