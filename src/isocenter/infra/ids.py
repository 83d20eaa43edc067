"""Fresh identifiers and secrets.

Identifiers are unique without asking anyone, so any process on any machine may make them.
Meaningful numbers (accession numbers, patient identifiers) are not made here: their stage owns
their rules.
"""

import os
import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta

_RANDOM_BYTES = 10


def new_uid() -> str:
    """A new DICOM unique identifier under the root 2.25, at most 44 characters.

    Standard: PS3.5 B.2
    """
    return f"2.25.{uuid.uuid4().int}"  # noqa: TID251 - the place itself


def new_id() -> str:
    """A new identifier: 32 hexadecimal digits that sort by the millisecond of their making.

    The layout is UUID version 7, written without hyphens.

    Standard: RFC 9562 5.7
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(_RANDOM_BYTES))
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant of RFC 9562
    return f"{value:032x}"


def marked_id(count: int, mark: str) -> str:
    """As ``new_id``, with the last 12 digits given; a repeated ``count`` may repeat an identifier.

    Whoever counts up under a mark of its own makes identifiers that are unique without chance.

    Standard: RFC 9562 5.7, 6.2 (a counter in place of random bits)
    """
    milliseconds = time.time_ns() // 1_000_000 & ((1 << 48) - 1)
    high, low = count >> 14 & 0xFFF, count & 0x3FFF
    return f"{milliseconds:012x}7{high:03x}{0x8000 | low:04x}{mark}"


def new_token(entropy_bytes: int = 32) -> str:
    """A secret that cannot be guessed, in URL-safe characters: ``entropy_bytes`` of randomness."""
    return secrets.token_urlsafe(entropy_bytes)


def made_at(identifier: str) -> datetime:
    """When an identifier of ``new_id`` was made, to the millisecond.

    Standard: RFC 9562 5.7
    """
    milliseconds = int(identifier[:12], 16)
    return datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(
        milliseconds=milliseconds % 1000
    )
