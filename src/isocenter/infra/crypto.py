"""Passwords and tokens: how they are kept, and compared without telling by time.

Encryption of data is not here; TLS is in ``tls``.
"""

import hashlib
import hmac
from functools import cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

# RFC 9106 4: the recommendation for where 2 GiB per check cannot be spared.
_hasher = PasswordHasher(
    time_cost=3, memory_cost=64 * 1024, parallelism=4, hash_len=32, salt_len=16, type=Type.ID
)


@cache
def _of_nobody() -> str:
    """A hash for comparing with when there is none; made when first needed: it takes 64 MiB."""
    return _hasher.hash("no password has this hash")


def hash_password(password: str) -> str:
    """What to keep instead of ``password``: an Argon2id hash with its parameters and salt.

    Standard: RFC 9106
    """
    return _hasher.hash(password)


def verify_password(kept: str | None, password: str) -> bool:
    """Whether ``password`` is the one whose hash was ``kept``.

    Pass None for a user who does not exist: the answer is False and takes as long as any other.
    """
    try:
        _hasher.verify(kept or _of_nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def needs_rehash(kept: str) -> bool:
    """Whether ``kept`` was made with weaker parameters than today's."""
    try:
        return _hasher.check_needs_rehash(kept)
    except InvalidHashError:
        return True


def token_digest(token: str) -> bytes:
    """What to keep instead of a random ``token``: its SHA-256, 32 bytes.

    Tokens of ``ids.new_token`` cannot be guessed, so a fast digest is enough.
    """
    return hashlib.sha256(token.encode()).digest()


def constant_time_equal(one: bytes | str, other: bytes | str) -> bool:
    """Whether both are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
