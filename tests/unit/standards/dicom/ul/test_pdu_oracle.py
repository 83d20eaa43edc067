"""Our bytes read by pynetdicom, and its bytes read by us: an independent reading of PS3.8."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isocenter.standards.dicom.ul import items, pdu
from tests.unit.standards.dicom.ul import strategies

oracle = pytest.importorskip("pynetdicom.pdu")

REQUEST = pdu.AssociateRequest(
    "CALLED",
    "CALLING",
    (
        pdu.ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),
        pdu.ProposedContext(
            3, "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90")
        ),
    ),
    items.UserInformation(
        131072,
        "1.2.3.4",
        "ISOCENTER",
        asynchronous_operations=items.AsynchronousOperationsWindow(8, 2),
        roles=(items.RoleSelection("1.2.840.10008.5.1.4.1.1.2", scu=True, scp=True),),
        extended=(
            items.SopClassExtendedNegotiation("1.2.840.10008.5.1.4.1.2.1.1", b"\x01\x00\x01"),
        ),
        common_extended=(
            items.SopClassCommonExtendedNegotiation(
                "1.2.840.10008.5.1.4.1.1.88.22",
                "1.2.840.10008.4.2",
                ("1.2.840.10008.5.1.4.1.1.88.11",),
            ),
        ),
        user_identity=items.UserIdentity(2, b"user", b"passcode", response_requested=True),
    ),
)


def theirs(kind, data):
    value = getattr(oracle, kind)()
    value.decode(data)
    return value


def test_their_reading_of_our_request_has_every_item():
    value = theirs("A_ASSOCIATE_RQ", pdu.encode(REQUEST))
    assert (value.called_ae_title, value.calling_ae_title) == ("CALLED", "CALLING")
    contexts = [
        (c.context_id, str(c.abstract_syntax), [str(t) for t in c.transfer_syntax])
        for c in value.presentation_context
    ]
    assert contexts == [
        (c.context_id, c.abstract_syntax, list(c.transfer_syntaxes)) for c in REQUEST.contexts
    ]
    user = value.user_information
    assert user.maximum_length == 131072
    assert str(user.implementation_class_uid) == "1.2.3.4"
    assert user.implementation_version_name == "ISOCENTER"
    assert user.async_ops_window.maximum_number_operations_invoked == 8
    assert user.async_ops_window.maximum_number_operations_performed == 2
    (role,) = user.role_selection.values()
    assert (role.scu, role.scp) == (True, True)
    assert user.user_identity.primary_field == b"user"
    assert user.user_identity.secondary_field == b"passcode"
    (extended,) = user.ext_neg
    assert extended.app_info == b"\x01\x00\x01"
    (common,) = user.common_ext_neg
    assert [str(uid) for uid in common.related_general_sop_class_identification] == [
        "1.2.840.10008.5.1.4.1.1.88.11"
    ]


@settings(max_examples=60)
@given(strategies.associate_requests)
def test_their_encoding_of_what_they_read_means_the_same(request):
    data = pdu.encode(request)
    again = theirs("A_ASSOCIATE_RQ", data).encode()
    ours = pdu.decode(1, memoryview(again)[6:])
    assert isinstance(ours, pdu.AssociateRequest)
    assert ours.contexts == request.contexts
    assert ours.called_ae_title == request.called_ae_title
    assert ours.user_information.roles == request.user_information.roles
    assert ours.user_information.extended == request.user_information.extended


@settings(max_examples=60)
@given(strategies.p_datas)
def test_they_see_the_same_fragments(value):
    found = theirs("P_DATA_TF", pdu.encode(value)).presentation_data_value_items
    assert [(f.context_id, f.presentation_data_value) for f in found] == [
        (v.context_id, bytes([v.is_command | v.is_last << 1]) + v.data) for v in value.values
    ]


@given(st.sampled_from([1, 2]), st.sampled_from([1, 2, 3]), st.sampled_from([1, 2]))
def test_they_read_our_rejection(result, source, reason):
    value = theirs("A_ASSOCIATE_RJ", pdu.encode(pdu.AssociateReject(result, source, reason)))
    assert (value.result, value.source, value.reason_diagnostic) == (result, source, reason)


def test_they_read_our_accept():
    accept = pdu.AssociateAccept(
        "CALLED",
        "CALLING",
        (
            pdu.AnsweredContext(1, 0, "1.2.840.10008.1.2"),
            pdu.AnsweredContext(3, 4, "1.2.840.10008.1.2.1"),
        ),
        items.UserInformation(131072, "1.2.3", "V", user_identity_response=b"ok"),
    )
    value = theirs("A_ASSOCIATE_AC", pdu.encode(accept))
    assert [(c.context_id, c.result) for c in value.presentation_context] == [(1, 0), (3, 4)]
    assert str(value.presentation_context[0].transfer_syntax) == "1.2.840.10008.1.2"
    assert pdu.decode(2, memoryview(value.encode())[6:]) == accept
