"""Passwords and secrets: what is stored in place of them, and how they are compared.

Nothing that is stored here can be turned back into what a person or program holds.
"""

import hashlib
import hmac

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# Argon2id with the parameters that RFC 9106 4 recommends second (64 MiB, 3 passes, 4 lanes).
_HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """The argon2id hash of ``password``, with its salt and parameters in it.

    Standard: RFC 9106
    """
    return _HASHER.hash(password)


def verify_password(password: str, password_hash: str) -> bool:
    """Whether ``password`` is the one; False also for a hash of another form."""
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def token_digest(secret: str) -> bytes:
    """SHA-256 of a random secret, to find it by. Not for passwords, which can be guessed."""
    return hashlib.sha256(secret.encode()).digest()


def constant_time_equal(one: bytes, two: bytes) -> bool:
    """Whether both are the same, in a time that tells nothing about where they differ."""
    return hmac.compare_digest(one, two)
