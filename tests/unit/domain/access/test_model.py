"""Roles, permissions and waiting times."""

import pytest

from isocenter.domain.access.model import (
    ROLE_ACTIONS,
    Action,
    Actor,
    NotAuthorized,
    Role,
    Viewer,
    actions_of,
    authorize,
    lockout_s,
)


def test_every_role_has_actions_and_every_action_a_role():
    assert set(ROLE_ACTIONS) == set(Role)
    assert frozenset().union(*ROLE_ACTIONS.values()) == frozenset(Action)


@pytest.mark.parametrize("action", list(Action))
def test_an_action_is_permitted_when_it_is_among_the_actors(action):
    allowed = Actor.system("test")
    refused = Actor.dicom_peer("X", "192.0.2.1", [])
    authorize(allowed, action)
    assert Viewer.of(allowed, action).actor is allowed
    with pytest.raises(NotAuthorized):
        authorize(refused, action)
    with pytest.raises(NotAuthorized):
        Viewer.of(refused, action)


def test_peers_may_do_what_they_were_allowed_and_no_more():
    scanner = Actor.dicom_peer("CT1", "192.0.2.20", ["store", "worklist", "unheard of"])
    sender = Actor.hl7_peer("EHR", "192.0.2.10", ["adt"])
    assert scanner.actions == {
        Action.STUDY_STORE,
        Action.STUDY_REJECT,  # by rejection notes
        Action.WORKLIST_READ,
    }
    assert sender.actions == {Action.PATIENT_WRITE}


def test_a_scope_takes_away_and_never_adds():
    roles = [Role.FRONT_DESK]
    assert actions_of(roles, [Action.EXAM_READ, Action.REPORT_SIGN]) == {Action.EXAM_READ}
    assert actions_of(roles) == ROLE_ACTIONS[Role.FRONT_DESK]


def test_only_radiologists_sign():
    signers = [role for role, actions in ROLE_ACTIONS.items() if Action.REPORT_SIGN in actions]
    assert signers == [Role.RADIOLOGIST]


def test_waiting_doubles_and_ends():
    waits = [lockout_s(failures) for failures in range(40)]
    assert waits[:8] == [0, 0, 0, 0, 0, 1, 2, 4]
    assert max(waits) == 900
    assert waits == sorted(waits)
