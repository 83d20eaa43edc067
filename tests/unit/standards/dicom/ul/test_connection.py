import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isocenter.standards import LocalProtocolError
from isocenter.standards.dicom.ul import connection as ul
from isocenter.standards.dicom.ul import negotiation, pdu
from isocenter.standards.dicom.ul.items import UserInformation
from isocenter.standards.dicom.ul.machine import State
from isocenter.standards.dicom.ul.negotiation import LocalInformation, Offer, Refusal

LOCAL = LocalInformation("1.2.3", "TEST", 16384)


def request(**changes) -> pdu.AssociateRequest:
    values = {
        "called_ae_title": "SCP",
        "calling_ae_title": "SCU",
        "contexts": (pdu.ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),),
        "user_information": UserInformation(4096, "1.2.3.4"),
    }
    return pdu.AssociateRequest(**(values | changes))


def sent(connection: ul.Connection) -> bytes:
    return b"".join(connection.data_to_send())


def events(connection: ul.Connection) -> list[ul.ConnectionEvent]:
    found = []
    while (event := connection.next_event()) is not None:
        found.append(event)
    return found


def acceptor(state: str = "connected") -> ul.Connection:
    connection = ul.Connection(ul.Role.ACCEPTOR)
    connection.transport_connected()
    if state == "established":
        connection.receive_data(pdu.encode(request()))
        (event,) = events(connection)
        connection.accept(negotiation.accept(event.request, LOCAL, lambda uid: Offer()))
        sent(connection)
    return connection


def pair() -> tuple[ul.Connection, ul.Connection]:
    scu, scp = ul.Connection(ul.Role.REQUESTOR), ul.Connection(ul.Role.ACCEPTOR)
    scu.initiate(request())
    scu.transport_connected()
    scp.transport_connected()
    scp.receive_data(sent(scu))
    (asked,) = events(scp)
    scp.accept(negotiation.accept(asked.request, LOCAL, lambda uid: Offer()))
    scu.receive_data(sent(scp))
    (answer,) = events(scu)
    assert isinstance(answer, ul.AssociateAccepted)
    assert scu.state is scp.state is State.ESTABLISHED
    return scu, scp


def test_an_association_from_request_to_release():
    scu, scp = pair()
    assert scu.contexts == scp.contexts
    scu.send_fragments(1, b"x" * 20000, is_command=False)
    scp.receive_data(sent(scu))
    values = [value for event in events(scp) for value in event.values]
    assert b"".join(bytes(value.data) for value in values) == b"x" * 20000
    assert [value.is_last for value in values] == [False, True]
    scu.release()
    scp.receive_data(sent(scu))
    assert events(scp) == [ul.ReleaseRequested()]
    scp.release_response()
    scu.receive_data(sent(scp))
    assert events(scu) == [ul.Released()]
    assert scu.close_requested
    scp.transport_closed()
    assert scu.state is scp.state is State.IDLE


def test_fragments_respect_what_the_peer_can_take():
    scu, scp = pair()
    scp.send_fragments(1, b"y" * 9000, is_command=True)
    data = sent(scp)
    at = 0
    while at < len(data):
        _, length = pdu.parse_header(memoryview(data)[at : at + 6])
        assert length <= 4096
        at += 6 + length
    scu.receive_data(data)
    values = [value for event in events(scu) for value in event.values]
    assert b"".join(bytes(value.data) for value in values) == b"y" * 9000


def test_both_sides_may_ask_for_release_at_once():
    scu, scp = pair()
    scu.release()
    scp.release()
    from_scu, from_scp = sent(scu), sent(scp)
    scp.receive_data(from_scu)
    scu.receive_data(from_scp)
    assert events(scu) == events(scp) == [ul.ReleaseRequested(collision=True)]
    scu.release_response()
    scp.receive_data(sent(scu))
    assert events(scp) == [ul.Released()]
    scp.release_response()
    scu.receive_data(sent(scp))
    assert events(scu) == [ul.Released()]


def test_a_refusal_reaches_the_requestor():
    scu, scp = ul.Connection(ul.Role.REQUESTOR), acceptor()
    scu.initiate(request())
    scu.transport_connected()
    scp.receive_data(sent(scu))
    scp.reject(Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED)
    scu.receive_data(sent(scp))
    assert events(scu) == [ul.AssociateRejected(pdu.AssociateReject(1, 1, 3))]
    assert scu.close_requested
    assert scp.artim_epoch is not None


@settings(max_examples=50)
@given(st.data())
def test_chunks_never_matter(data):
    stream = pdu.encode(request())
    one = ul.Connection(ul.Role.ACCEPTOR)
    one.transport_connected()
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, 60))
        one.receive_data(stream[at : at + size])
        at += size
    (event,) = events(one)
    one.accept(negotiation.accept(event.request, LOCAL, lambda uid: Offer()))
    value = pdu.PresentationDataValue(1, is_command=True, is_last=True, data=b"z" * 50)
    stream = pdu.encode(pdu.PData((value, value))) * 3 + pdu.encode(pdu.ReleaseRequest())
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, 100))
        one.receive_data(stream[at : at + size])
        at += size
    *received, last = events(one)
    assert [bytes(v.data) for event in received for v in event.values] == [b"z" * 50] * 6
    assert last == ul.ReleaseRequested()


def test_the_buffer_is_used_in_place_and_the_rest_is_left():
    scp = acceptor("established")
    value = pdu.PresentationDataValue(1, is_command=False, is_last=False, data=b"a" * 10)
    whole = pdu.encode(pdu.PData((value,)))
    buffer = bytearray(whole + whole[:9])
    assert scp.receive_buffer(memoryview(buffer)) == len(whole)
    (event,) = events(scp)
    buffer[12:22] = b"b" * 10
    assert bytes(event.values[0].data) == b"b" * 10


ABORT_BY_USER = bytes.fromhex("07000000000400000000")


def abort_by_provider(reason: int) -> bytes:
    return bytes.fromhex("070000000004000002") + bytes([reason])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 1),
        (b"\x08\0\0\0\0\x04\0\0\0\0", 1),
        (b"\x04\0\xff\xff\xff\xff", 6),
        (b"\x05\0\0\0\0\x05\0\0\0\0\0", 6),
        (b"\x04\0\0\0\0\0", 6),
        (b"\x04\0\0\0\0\x08\0\0\0\x04\x09\x02ab", 6),
        (pdu.encode(request()), 2),
        (bytes.fromhex("06000000000400000000"), 2),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_told_why(data, reason):
    scp = acceptor("established")
    scp.receive_data(data)
    assert sent(scp) == abort_by_provider(reason)
    (event,) = events(scp)
    assert isinstance(event, ul.Aborted)
    assert not event.by_peer
    assert scp.state is State.AWAITING_CLOSE
    assert scp.artim_epoch is not None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x04\0\0\x01\0\0",
        b"\x01\0\x7f\xff\xff\xff",
        b"\x01\0\0\0\0\x05hello",
        bytes.fromhex("05000000000400000000"),
    ],
)
def test_before_an_association_the_abort_is_the_users(data):
    scp = acceptor()
    scp.receive_data(data)
    assert sent(scp) == ABORT_BY_USER
    assert scp.state is State.AWAITING_CLOSE


@settings(max_examples=300)
@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.sampled_from(["connected", "established"]),
    st.booleans(),
)
def test_no_bytes_ever_raise(chunks, state, lead):
    scp = acceptor(state)
    for chunk in chunks:
        scp.receive_data((b"\x04\0\0\0\0" if lead else b"") + chunk)
        sent(scp)
        events(scp)
    scp.transport_closed()
    assert scp.state is State.IDLE


def test_memory_is_bounded_by_the_length_limit():
    scp = acceptor("established")
    scp.receive_data(b"\x04\0" + (1 << 21).to_bytes(4, "big"))
    assert sent(scp) == abort_by_provider(6)
    for _ in range(100):
        scp.receive_data(bytes(1 << 16))
    assert len(scp._rest) == 0


def test_artim_ends_a_silent_connection():
    scp = acceptor()
    assert scp.artim_epoch is not None
    scp.artim_expired()
    assert scp.close_requested
    assert scp.artim_epoch is None


def test_what_follows_an_abort_is_not_looked_at():
    scp = acceptor("established")
    scp.receive_data(ABORT_BY_USER + b"\x05\0\0\0\0\x04\0\0\0\0garbage")
    assert events(scp) == [ul.Aborted(0, 0, by_peer=True)]
    assert scp.close_requested


def test_a_lost_connection_is_an_abort():
    scp = acceptor("established")
    scp.transport_closed()
    (event,) = events(scp)
    assert isinstance(event, ul.Aborted)
    assert not event.by_peer


def test_an_accept_of_what_was_not_proposed_is_refused():
    scu = ul.Connection(ul.Role.REQUESTOR)
    scu.initiate(request())
    scu.transport_connected()
    sent(scu)
    answer = pdu.AssociateAccept(
        "SCP", "SCU", (pdu.AnsweredContext(3, 0, "1.2.840.10008.1.2"),), UserInformation(0, "1.2")
    )
    scu.receive_data(pdu.encode(answer))
    assert sent(scu) == abort_by_provider(6)


def test_our_own_mistakes_raise():
    scp = acceptor()
    with pytest.raises(LocalProtocolError):
        scp.release()
    with pytest.raises(LocalProtocolError):
        scp.send_fragments(1, b"", is_command=True)
    established = acceptor("established")
    with pytest.raises(LocalProtocolError):
        established.send_fragments(3, b"", is_command=True)


def test_an_empty_data_set_is_one_last_fragment():
    scp = acceptor("established")
    scp.send_fragments(1, b"", is_command=False)
    assert sent(scp) == bytes.fromhex("040000000006000000020102")
