"""What is stored in place of secrets."""

import hashlib

from isocenter.infra import crypto


def test_a_password_verifies_against_its_own_hash_only():
    stored = crypto.hash_password("correct horse 9")
    assert stored.startswith("$argon2id$")
    assert crypto.verify_password("correct horse 9", stored)
    assert not crypto.verify_password("correct horse 8", stored)
    assert crypto.hash_password("correct horse 9") != stored, "salted"


def test_something_else_than_a_hash_verifies_nothing():
    for stored in ("", "plain", "$argon2id$v=19$broken"):
        assert not crypto.verify_password("plain", stored)


def test_token_digests_are_sha256():
    assert crypto.token_digest("s\u00e9cret") == hashlib.sha256("s\u00e9cret".encode()).digest()


def test_constant_time_comparison_compares():
    assert crypto.constant_time_equal(b"a", b"a")
    assert not crypto.constant_time_equal(b"a", b"b")
    assert not crypto.constant_time_equal(b"a", b"ab")
