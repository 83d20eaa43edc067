import pytest

from isocenter.standards.dicom.ul import items, negotiation, pdu
from isocenter.standards.dicom.ul.negotiation import LocalInformation, Offer, Refusal
from isocenter.standards.dicom.ul.pdu import ContextResult

LOCAL = LocalInformation("1.2.3", "TEST", 131072, operations_performed_max=4)
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT, J2K = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"


def request(*syntaxes, information=None, **changes):
    return pdu.AssociateRequest(
        "SCP",
        "SCU",
        (pdu.ProposedContext(1, CT, syntaxes or (IMPLICIT,)),),
        information or items.UserInformation(16384, "1.2"),
        **changes,
    )


def answer(request, offer):
    return negotiation.accept(request, LOCAL, lambda uid: offer)


def test_the_requestors_order_decides():
    accepted = answer(request(J2K, EXPLICIT, IMPLICIT), Offer())
    assert accepted.contexts == (pdu.AnsweredContext(1, 0, J2K),)
    limited = answer(request(J2K, EXPLICIT, IMPLICIT), Offer(frozenset({IMPLICIT, EXPLICIT})))
    assert limited.contexts == (pdu.AnsweredContext(1, 0, EXPLICIT),)


@pytest.mark.parametrize(
    ("offer", "result"),
    [
        (Offer(frozenset({"1.2.3"})), ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED),
        (ContextResult.USER_REJECTION, ContextResult.USER_REJECTION),
        (
            ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
            ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
        ),
        (Offer(scp=False, scu=True), ContextResult.USER_REJECTION),
    ],
)
def test_each_refusal_of_a_context_has_its_result(offer, result):
    assert answer(request(), offer).contexts[0].result == result


def test_a_context_without_transfer_syntax_is_refused():
    bare = pdu.AssociateRequest(
        "SCP", "SCU", (pdu.ProposedContext(1, CT, ()),), items.UserInformation(0, "1.2")
    )
    assert answer(bare, Offer()).contexts[0].result == 4


@pytest.mark.parametrize(
    ("proposed", "offer", "expected"),
    [
        ((True, True), Offer(scp=True, scu=True), (True, True)),
        ((True, True), Offer(scp=True, scu=False), (True, False)),
        ((False, True), Offer(scp=True, scu=True), (False, True)),
    ],
)
def test_roles_are_those_both_sides_can_play(proposed, offer, expected):
    role = items.RoleSelection(CT, scu=proposed[0], scp=proposed[1])
    asked = request(information=items.UserInformation(16384, "1.2", roles=(role,)))
    accepted = answer(asked, offer)
    assert accepted.contexts[0].accepted
    assert accepted.user_information.roles == (items.RoleSelection(CT, *expected),)


def test_a_role_nobody_can_play_refuses_the_context():
    role = items.RoleSelection(CT, scu=False, scp=True)
    asked = request(information=items.UserInformation(16384, "1.2", roles=(role,)))
    assert answer(asked, Offer(scp=True, scu=False)).contexts[0].result == 1


@pytest.mark.parametrize(("proposed", "agreed"), [(1, 1), (3, 3), (100, 4), (0, 4)])
def test_the_window_is_the_smaller_one(proposed, agreed):
    window = items.AsynchronousOperationsWindow(proposed, 5)
    information = items.UserInformation(16384, "1.2", asynchronous_operations=window)
    accepted = answer(request(information=information), Offer())
    assert accepted.user_information.asynchronous_operations == (
        items.AsynchronousOperationsWindow(agreed, 1)
    )


def test_no_window_is_answered_when_none_was_proposed():
    assert answer(request(), Offer()).user_information.asynchronous_operations is None


@pytest.mark.parametrize(
    ("wanted", "checked", "response"),
    [(True, True, b""), (False, True, None), (True, False, None)],
)
def test_an_identity_is_confirmed_when_it_was_checked_and_the_peer_wants_that(
    wanted, checked, response
):
    identity = items.UserIdentity(1, b"name", response_requested=wanted)
    information = items.UserInformation(16384, "1.2", user_identity=identity)
    accepted = negotiation.accept(
        request(information=information), LOCAL, lambda uid: Offer(), identity_accepted=checked
    )
    assert accepted.user_information.user_identity_response == response


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (request(), None),
        (request(protocol_version=3), None),
        (request(protocol_version=2), Refusal.PROTOCOL_VERSION_NOT_SUPPORTED),
        (request(application_context="1.2.3"), Refusal.APPLICATION_CONTEXT_NOT_SUPPORTED),
        (request(information=items.UserInformation(7, "1.2")), Refusal.PROVIDER_NO_REASON),
        (request(information=items.UserInformation(0, "1.2")), None),
    ],
)
def test_the_protocol_itself_refuses(asked, refusal):
    assert negotiation.refusal_of(asked) == refusal


def test_refusals_are_described_in_words():
    text = negotiation.describe(Refusal.CALLED_AE_TITLE_NOT_RECOGNIZED)
    assert text == "called AE title not recognized (permanent)"
    assert negotiation.describe(pdu.AssociateReject(2, 9, 9)) == "reason 9 (transient)"
