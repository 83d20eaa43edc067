import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocenter.standards import LocalProtocolError, RemoteProtocolError
from isocenter.standards.dicom.ul import pdu
from isocenter.standards.dicom.ul.items import UserIdentity, UserInformation
from isocenter.standards.dicom.ul.syntax import InvalidPdu, Tolerance, item
from tests.raising import check_raises_only
from tests.unit.standards.dicom.ul import strategies

INFORMATION = UserInformation(16384, "1.2.3", "TEST")
REQUEST = pdu.AssociateRequest(
    "CALLED",
    "CALLING",
    (pdu.ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),),
    INFORMATION,
)


def decode(data: bytes) -> pdu.Pdu:
    pdu_type, length = pdu.parse_header(memoryview(data)[:6])
    assert length == len(data) - 6
    return pdu.decode(pdu_type, memoryview(data)[6:])


@given(strategies.pdus)
def test_every_pdu_survives_the_round_trip(value):
    assert decode(pdu.encode(value)) == value


@given(strategies.pdus, st.data())
def test_a_pdu_cut_anywhere_is_refused_or_still_valid(value, data):
    encoded = pdu.encode(value)
    body = encoded[6:]
    cut = data.draw(st.integers(0, len(body)))
    try:
        pdu.decode(encoded[0], memoryview(body[:cut]))
    except InvalidPdu as error:
        reason = error.reason
    else:
        reason = 0
    assert reason in {0, 1, 2, 4, 5, 6}


@given(st.integers(0, 255), st.binary(max_size=300))
def test_garbage_raises_nothing_but_a_protocol_error(pdu_type, body):
    check_raises_only(RemoteProtocolError, pdu.decode, pdu_type, memoryview(body))


@given(strategies.associate_requests | strategies.associate_accepts, st.data())
def test_a_changed_byte_raises_nothing_but_a_protocol_error(value, data):
    encoded = bytearray(pdu.encode(value))
    at = data.draw(st.integers(6, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    check_raises_only(RemoteProtocolError, pdu.decode, encoded[0], memoryview(encoded)[6:])


def test_the_bytes_of_a_release_are_those_of_the_standard():
    # PS3.8 Tables 9-24 and 9-25: type, reserved, length 4, four reserved bytes.
    assert pdu.encode(pdu.ReleaseRequest()) == bytes.fromhex("05000000000400000000")
    assert pdu.encode(pdu.ReleaseResponse()) == bytes.fromhex("06000000000400000000")
    assert pdu.encode(pdu.Abort(2, 1)) == bytes.fromhex("07000000000400000201")
    assert pdu.encode(pdu.AssociateReject(1, 1, 3)) == bytes.fromhex("03000000000400010103")


def test_fragments_are_views_of_the_received_bytes():
    body = bytearray(b"\0\0\0\x06\x01\x02data\0\0\0\x04\x03\x03ab")
    first, second = pdu.parse_p_data(memoryview(body))
    assert (first.context_id, first.is_command, first.is_last, bytes(first.data)) == (
        1,
        False,
        True,
        b"data",
    )
    assert (second.context_id, second.is_command, second.is_last) == (3, True, True)
    body[6:10] = b"DATA"
    assert bytes(first.data) == b"DATA"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0\x01\x01",
        b"\0\0\0\x01\x01\x02",
        b"\0\0\0\x09\x01\x02data",
        b"\xff\xff\xff\xff\x01\x02data",
        b"\0\0\0\x06\x01\x02data\0",
    ],
)
def test_impossible_fragment_lengths_are_refused(body):
    with pytest.raises(InvalidPdu):
        pdu.parse_p_data(memoryview(body))


def test_the_fragment_header_is_that_of_the_encoded_pdu():
    value = pdu.PresentationDataValue(5, is_command=False, is_last=True, data=b"abcd")
    head = pdu.fragment_header(4, 5, is_command=False, is_last=True)
    assert head + b"abcd" == pdu.encode(pdu.PData((value,)))


@pytest.mark.parametrize(
    "context",
    [
        pdu.ProposedContext(2, "1.2", ("1.2",)),
        pdu.ProposedContext(0, "1.2", ("1.2",)),
        pdu.ProposedContext(257, "1.2", ("1.2",)),
        pdu.ProposedContext(1, "1.2", ()),
        pdu.ProposedContext(1, "no uid", ("1.2",)),
        pdu.ProposedContext(1, "1.02", ("1.2",)),
    ],
)
def test_what_the_standard_forbids_is_not_encoded(context):
    with pytest.raises(LocalProtocolError):
        pdu.encode(pdu.AssociateRequest("A", "B", (context,), INFORMATION))


@pytest.mark.parametrize("title", ["", " ", "SEVENTEEN LETTERS", "BACK\\SLASH", "UML\u00c4UT"])
def test_a_bad_ae_title_is_not_encoded(title):
    with pytest.raises(LocalProtocolError):
        pdu.encode(pdu.AssociateRequest(title, "B", REQUEST.contexts, INFORMATION))


def tolerated(request: bytes) -> frozenset[Tolerance]:
    decoded = pdu.decode(1, memoryview(request))
    assert isinstance(decoded, pdu.AssociateRequest)
    assert decoded.called_ae_title == "CALLED"
    assert decoded.contexts[0].abstract_syntax == "1.2.840.10008.1.1"
    return decoded.tolerated


def test_each_tolerance_is_named():
    good = pdu.encode(REQUEST)[6:]
    assert tolerated(good) == frozenset()
    nul_padded = good.replace(b"CALLED".ljust(16), b"CALLED".ljust(16, b"\0"))
    assert tolerated(nul_padded) == {Tolerance.NUL_PADDED_AE_TITLE}
    at = good.index(b"\x50\0")
    end = good[at:]
    start = good[:68] + item(0x10, b"1.2.840.10008.3.1.1.1")
    syntax = item(0x40, b"1.2.840.10008.1.2")
    padded = item(0x20, b"\x01\0\0\0" + item(0x30, b"1.2.840.10008.1.1\0") + syntax)
    assert tolerated(start + padded + end) == {Tolerance.PADDED_UID}
    even = item(0x20, b"\x02\0\0\0" + item(0x30, b"1.2.840.10008.1.1") + syntax)
    assert tolerated(start + even + end) == {Tolerance.EVEN_CONTEXT_ID}
    bare = good[:at] + item(0x50, b"")
    assert tolerated(bare) == {
        Tolerance.MISSING_MAXIMUM_LENGTH,
        Tolerance.MISSING_IMPLEMENTATION_CLASS_UID,
    }
    twice = good[:at] + item(0x50, item(0x51, b"\0\0\1\0") * 2 + item(0x52, b"1.2.3"))
    assert tolerated(twice) == {Tolerance.REPEATED_SUB_ITEM}
    long_name = good[:at] + item(
        0x50, item(0x51, b"\0\0\1\0") + item(0x52, b"1.2.3") + item(0x55, b"x" * 20)
    )
    assert tolerated(long_name) == {Tolerance.LONG_VERSION_NAME}
    eight_bit = good.replace(b"CALLING".ljust(16), b"CALL\xd6NG".ljust(16))
    assert tolerated(eight_bit) == {Tolerance.EIGHT_BIT_AE_TITLE}


def test_a_refused_context_may_come_without_transfer_syntax():
    fixed = pdu.encode(REQUEST)[6:74]
    body = fixed + item(0x21, b"\x01\0\x03\0") + item(0x50, item(0x51, b"\0\0\1\0"))
    accept = pdu.decode(2, memoryview(body))
    assert isinstance(accept, pdu.AssociateAccept)
    assert Tolerance.MISSING_TRANSFER_SYNTAX_IN_RESULT in accept.tolerated
    with pytest.raises(InvalidPdu):
        pdu.decode(2, memoryview(body.replace(b"\x01\0\x03\0", b"\x01\0\0\0")))


def test_unknown_items_are_ignored():
    body = pdu.encode(REQUEST)[6:]
    extended = body + item(0x77, b"from the future")
    assert pdu.decode(1, memoryview(extended)) == pdu.decode(1, memoryview(body))


def test_more_contexts_than_possible_are_refused():
    context = item(0x20, b"\x01\0\0\0" + item(0x30, b"1.2"))
    body = pdu.encode(REQUEST)[6:74] + context * 200
    with pytest.raises(InvalidPdu):
        pdu.decode(1, memoryview(body))


def test_a_context_id_used_twice_is_refused():
    body = pdu.encode(REQUEST)[6:]
    at = body.index(b"\x20\0\0")
    context = body[at : at + 4 + body[at + 3]]
    with pytest.raises(InvalidPdu):
        pdu.decode(1, memoryview(body + context))


def test_a_flood_of_sub_items_is_refused():
    body = pdu.encode(REQUEST)[6:74] + item(0x50, item(0x54, b"\0\x031.2\0\0") * 5000)
    with pytest.raises(InvalidPdu):
        pdu.decode(1, memoryview(body))


def test_secrets_of_a_user_identity_are_not_shown():
    assert "secret" not in repr(UserIdentity(2, b"name", b"secret"))
