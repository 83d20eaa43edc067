"""Users, sessions and tokens on a real database."""

from datetime import timedelta

import pytest

from isocenter.domain.access import service
from isocenter.domain.access.model import (
    Action,
    Actor,
    ActorKind,
    BadUserName,
    LastAdministrator,
    NotAuthorized,
    Role,
    SignIn,
    SignInRefused,
    TokenUnknown,
    UserExists,
    UserUnknown,
    WeakPassword,
)
from tests.builders import NOON, SYSTEM, after_noon

PASSWORD = "correct horse battery"
HERE = "192.0.2.30"


@pytest.fixture
def ada(tx):
    service.add_user(
        tx, SYSTEM, ("ada", "Ada Phantom"), roles=[Role.RADIOLOGIST], password=PASSWORD, now=NOON
    )
    return Actor(ActorKind.USER, "ada", frozenset(), HERE)


def sign_in(tx, password=PASSWORD, *, name="ada", source=HERE, now=NOON):
    return service.sign_in(tx, name, password, source=source, now=now)


def test_signing_in_gives_the_actions_of_the_roles(tx, ada):
    result = sign_in(tx, name="ADA")
    assert isinstance(result, SignIn)
    assert (result.actor.name, result.actor.display_name) == ("ada", "Ada Phantom")
    assert Action.REPORT_SIGN in result.actor.actions
    assert Action.USER_WRITE not in result.actor.actions
    actor = service.session_actor(tx, result.session_secret, source=HERE, now=NOON)
    assert actor == result.actor


def test_secrets_and_passwords_are_not_stored(tx, ada):
    secret = sign_in(tx).session_secret
    token = service.create_token(tx, SYSTEM, "ada", ttl_s=60, now=NOON)
    stored = tx.values(
        """
        select u::text from access.user_account u union all select s::text from access.session s
        union all select t::text from access.token t union all select r::text from audit.record r
        """
    )
    assert not [line for line in stored for each in (secret, token, PASSWORD) if each in line]


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("eve", PASSWORD), ("", "")])
def test_a_refusal_does_not_tell_what_was_wrong(tx, ada, name, password):
    assert sign_in(tx, password, name=name) == SignInRefused(0)
    assert tx.values("select outcome from audit.record where action = 'user.sign_in'") == [
        "refused"
    ]


def test_repeated_failures_wait_longer_and_longer_and_then_even_the_password_waits(tx, ada):
    waits = []
    now = NOON
    for _ in range(8):
        result = sign_in(tx, "wrong", now=now)
        waits.append(result.retry_after_s)
        now += timedelta(seconds=result.retry_after_s)
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8]
    early = now - timedelta(seconds=3)
    assert isinstance(sign_in(tx, now=early), SignInRefused)
    assert isinstance(sign_in(tx, source="192.0.2.31", now=early), SignIn)
    assert isinstance(sign_in(tx, now=now), SignIn)
    assert sign_in(tx, "wrong", now=now) == SignInRefused(0)


def test_a_session_ends_when_it_is_idle_or_old(tx, ada):
    secret = sign_in(tx).session_secret
    now = NOON
    while now < NOON + service.SESSION_LIFE - timedelta(hours=11):
        assert service.session_actor(tx, secret, source=HERE, now=now) is not None
        now += timedelta(hours=11)
    over = NOON + service.SESSION_LIFE
    assert service.session_actor(tx, secret, source=HERE, now=over) is None
    other = sign_in(tx, now=over).session_secret
    idle = over + service.SESSION_IDLE
    assert service.session_actor(tx, other, source=HERE, now=idle) is None


def test_signing_out_ends_the_session(tx, ada):
    secret = sign_in(tx).session_secret
    assert service.sign_out(tx, secret, now=NOON) == "ada"
    assert service.session_actor(tx, secret, source=HERE, now=NOON) is None


def test_a_token_acts_for_its_user_within_its_scope_and_time(tx, ada):
    secret = service.create_token(
        tx, SYSTEM, "ada", scope=[Action.EXAM_READ, Action.USER_WRITE], ttl_s=3600, now=NOON
    )
    actor = service.token_actor(tx, secret, source=HERE, now=NOON)
    assert (actor.kind, actor.name) == (ActorKind.TOKEN, "ada")
    assert actor.actions == {Action.EXAM_READ}
    assert service.token_actor(tx, secret, source=HERE, now=after_noon(61)) is None
    assert service.token_actor(tx, secret + "x", source=HERE, now=NOON) is None


def test_a_revoked_token_is_no_token(tx, ada):
    secret = service.create_token(tx, SYSTEM, "ada", ttl_s=3600, now=NOON)
    (token,) = service.list_tokens(tx, SYSTEM)
    service.revoke_token(tx, SYSTEM, token.token_key, now=NOON)
    assert service.token_actor(tx, secret, source=HERE, now=NOON) is None
    with pytest.raises(TokenUnknown):
        service.revoke_token(tx, SYSTEM, token.token_key, now=NOON)


def test_people_make_tokens_and_passwords_for_themselves_only(tx, ada):
    service.add_user(tx, SYSTEM, ("eve", ""), roles=[Role.FRONT_DESK], password=PASSWORD, now=NOON)
    assert service.create_token(tx, ada, "ada", ttl_s=60, now=NOON)
    service.set_password(tx, ada, "ada", password="another password", now=NOON)
    assert isinstance(sign_in(tx, "another password"), SignIn)
    with pytest.raises(NotAuthorized):
        service.create_token(tx, ada, "eve", ttl_s=60, now=NOON)
    with pytest.raises(NotAuthorized):
        service.set_password(tx, ada, "eve", password="another password", now=NOON)


def test_a_disabled_user_is_nobody(tx, ada):
    session = sign_in(tx).session_secret
    token = service.create_token(tx, SYSTEM, "ada", ttl_s=60, now=NOON)
    service.disable_user(tx, SYSTEM, "ada", now=NOON)
    assert service.session_actor(tx, session, source=HERE, now=NOON) is None
    assert service.token_actor(tx, token, source=HERE, now=NOON) is None
    assert isinstance(sign_in(tx), SignInRefused)
    with pytest.raises(UserUnknown):
        service.create_token(tx, SYSTEM, "ada", ttl_s=60, now=NOON)
    service.enable_user(tx, SYSTEM, "ada", now=NOON)
    assert isinstance(sign_in(tx, now=after_noon(1)), SignIn)


def test_the_first_start_makes_one_administrator_once(tx):
    password = service.ensure_administrator(tx, now=NOON)
    assert isinstance(sign_in(tx, password, name="admin"), SignIn)
    assert service.ensure_administrator(tx, now=NOON) is None
    with pytest.raises(LastAdministrator):
        service.disable_user(tx, SYSTEM, "admin", now=NOON)


def test_an_administrator_writes_and_signs_no_reports(tx):
    password = service.ensure_administrator(tx, now=NOON)
    actor = sign_in(tx, password, name="admin").actor
    assert not {Action.REPORT_WRITE, Action.REPORT_SIGN} & actor.actions


@pytest.mark.parametrize(
    ("name", "password", "error"),
    [
        ("a b", PASSWORD, BadUserName),
        ("", PASSWORD, BadUserName),
        ("a" * 65, PASSWORD, BadUserName),
        ("new", "short", WeakPassword),
        ("ADA", PASSWORD, UserExists),
    ],
)
def test_unusable_accounts_are_refused(tx, ada, name, password, error):
    with pytest.raises(error):
        service.add_user(
            tx, SYSTEM, (name, ""), roles=[Role.FRONT_DESK], password=password, now=NOON
        )
