"""Passwords and tokens."""

import hashlib

from isocenter.infra import crypto


def test_a_password_verifies_against_its_own_hash_only() -> None:
    kept = crypto.hash_password("correct horse")
    assert kept.startswith("$argon2id$")
    assert crypto.verify_password(kept, "correct horse")
    assert not crypto.verify_password(kept, "correct horse ")
    assert kept != crypto.hash_password("correct horse")


def test_an_unknown_user_or_a_damaged_hash_never_verifies() -> None:
    assert not crypto.verify_password(None, "no password has this hash")
    assert not crypto.verify_password("$argon2id$damaged", "x")


def test_weaker_hashes_are_recognised() -> None:
    assert not crypto.needs_rehash(crypto.hash_password("x"))
    assert crypto.needs_rehash(
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$yQDmyUiKcZzNn9BcXvGZ8aVq4FxQ1Oc1gpZcbL5f3vU"
    )
    assert crypto.needs_rehash("nonsense")


def test_a_token_is_kept_as_its_digest() -> None:
    assert crypto.token_digest("abc") == hashlib.sha256(b"abc").digest()


def test_comparison() -> None:
    assert crypto.constant_time_equal("abc", b"abc")
    assert not crypto.constant_time_equal("abc", "abd")
    assert not crypto.constant_time_equal("Müller", "Muller")
