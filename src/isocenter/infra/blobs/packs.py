"""Many small objects in one blob, a *pack*: how it is laid out, and how its members are named.

A pack is its index and then the members, one after another, as they were. The index is
``PACK_MARK``, the number of members, for each its offset in the pack, its size, its SHA-256 and the
identifier that its blob had before (which says when it came), and the SHA-256 of all that. So a
pack can be taken apart with nothing but itself.

The key of a member is the pack's with ``@offset+size`` behind it: whoever holds it can read, and
nothing has to be looked up. Only ``SeveralStores`` takes such keys apart; the stores themselves
know packs as blobs. What is packed, and when, is not decided here.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from isocenter.errors import IsocenterError, Kind

PACK_MARK: Final = b"ISOPACK\x01"  # the last byte is the version of the layout
MEMBERS_MAX: Final = 10_000
_COUNT: Final = struct.Struct(">Q")
_MEMBER: Final = struct.Struct(">QQ32s16s")
_DIGEST_BYTES: Final = 32
_FIRST_BYTES: Final = len(PACK_MARK) + _COUNT.size
_PART = re.compile(r"(?P<pack>[^@]+)@(?P<offset>0|[1-9]\d{0,17})\+(?P<size>0|[1-9]\d{0,17})")

ReadRange = Callable[[int, int], bytes]


class PackDamaged(IsocenterError):
    """The index of a pack is not as it was written."""

    kind: ClassVar[Kind] = Kind.FAULT


@dataclass(frozen=True, slots=True)
class Part:
    """Where a member lies: in the blob ``pack``."""

    pack: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Packed:
    """What is to go into a pack.

    Attributes:
        identifier: of its blob, 32 hexadecimal digits.
    """

    identifier: str
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Member:
    """An object in a pack; ``offset`` counts from the beginning of the pack."""

    offset: int
    size_bytes: int
    sha256: bytes
    identifier: str

    def key(self, pack: str) -> str:
        """The key of the member of that pack."""
        return f"{pack}@{self.offset}+{self.size_bytes}"


def part_of(key: str) -> Part | None:
    """Where the member of this key lies; None when it is the key of a whole blob."""
    found = _PART.fullmatch(key) if "@" in key else None
    return found and Part(found["pack"], int(found["offset"]), int(found["size"]))


def laid_out(objects: Sequence[Packed]) -> list[Member]:
    """The members of a pack of these objects, in this order."""
    offset = _FIRST_BYTES + len(objects) * _MEMBER.size + _DIGEST_BYTES
    members: list[Member] = []
    for each in objects:
        members.append(Member(offset, each.size_bytes, each.sha256, each.identifier))
        offset += each.size_bytes
    return members


def encode_index(members: Sequence[Member]) -> bytes:
    """What a pack begins with; the members follow without a gap."""
    index = PACK_MARK + _COUNT.pack(len(members))
    index += b"".join(
        _MEMBER.pack(each.offset, each.size_bytes, each.sha256, bytes.fromhex(each.identifier))
        for each in members
    )
    return index + hashlib.sha256(index).digest()


def read_index(read: ReadRange) -> list[Member]:
    """The members of a pack.

    Args:
        read: gives so many bytes from an offset of the pack, or fewer at its end.

    Raises:
        PackDamaged: this is no index of a pack, or not as it was written.
    """
    first = read(0, _FIRST_BYTES)
    if len(first) < _FIRST_BYTES or not first.startswith(PACK_MARK):
        raise PackDamaged("the pack does not begin like one")
    (count,) = _COUNT.unpack_from(first, len(PACK_MARK))
    if not 0 < count <= MEMBERS_MAX:
        raise PackDamaged("the index of the pack is damaged")
    rest = read(_FIRST_BYTES, count * _MEMBER.size + _DIGEST_BYTES)
    records, digest = rest[: count * _MEMBER.size], rest[count * _MEMBER.size :]
    if hashlib.sha256(first + records).digest() != digest:
        raise PackDamaged("the index of the pack is damaged")
    return list(_members(records))


def _members(records: bytes) -> Iterator[Member]:
    for offset, size_bytes, sha256, identifier in _MEMBER.iter_unpack(records):
        yield Member(offset, size_bytes, sha256, identifier.hex())
