"""What must hold for any bytes that a peer sends: the fuzz target of the upper layer and DIMSE.

The first byte of an input chooses role and state and the size of the chunks; the rest is what the
peer sends. ``python -m tests.fuzz.ul SECONDS`` mutates the corpus and keeps what breaks; pytest
replays it.
"""

from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.dimse.fragments import MessageReader
from isocenter.standards.dicom.ul import connection as ul
from isocenter.standards.dicom.ul import negotiation, pdu
from isocenter.standards.dicom.ul.items import UserInformation
from isocenter.standards.dicom.ul.machine import State
from isocenter.standards.dicom.ul.negotiation import LocalInformation, Offer
from isocenter.standards.dicom.ul.syntax import AbortReason

LOCAL = LocalInformation("1.2.3", "FUZZ", 16384)
REQUEST = pdu.AssociateRequest(
    "SCP",
    "SCU",
    (
        pdu.ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),
        pdu.ProposedContext(3, "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2.1",)),
    ),
    UserInformation(16384, "1.2.3.4"),
)
PDU_LENGTH_BYTES_MAX = 1 << 16


def _accepted() -> pdu.AssociateAccept:
    return negotiation.accept(REQUEST, LOCAL, lambda uid: Offer())


def _connection(choice: int) -> ul.Connection:
    role = ul.Role.REQUESTOR if choice & 1 else ul.Role.ACCEPTOR
    connection = ul.Connection(role, pdu_length_bytes_max=PDU_LENGTH_BYTES_MAX)
    if role is ul.Role.REQUESTOR:
        connection.initiate(REQUEST)
    connection.transport_connected()
    if choice & 2:
        connection.receive_data(pdu.encode(_accepted() if role is ul.Role.REQUESTOR else REQUEST))
        connection.next_event()
        if role is ul.Role.ACCEPTOR:
            connection.accept(_accepted())
        if choice & 4:
            connection.release()
    connection.data_to_send()
    return connection


def run(data: bytes) -> None:
    """Feeds one input; raises ``AssertionError`` or whatever else when something does not hold."""
    if not data:
        return
    connection, reader = _connection(data[0]), MessageReader()
    step = (data[0] >> 3) * 7 + 1
    for at in range(1, len(data), step):
        connection.receive_data(data[at : at + step])
        _serve(connection, reader)
        _check_output(b"".join(connection.data_to_send()))
        assert len(connection._rest) <= PDU_LENGTH_BYTES_MAX + 6
    if connection.artim_epoch is not None:
        connection.artim_expired()
        assert connection.close_requested
    connection.transport_closed()
    assert connection.state is State.IDLE


def _serve(connection: ul.Connection, reader: MessageReader) -> None:
    while (event := connection.next_event()) is not None:
        match event:
            case ul.AssociateRequested(request):
                if connection.state is not State.AWAITING_ASSOCIATE_RESPONSE:
                    continue  # what came right behind the request ended it
                refusal = negotiation.refusal_of(request)
                if refusal is None:
                    connection.accept(negotiation.accept(request, LOCAL, lambda uid: Offer()))
                else:
                    connection.reject(refusal)
            case ul.DataReceived(values):
                try:
                    for _ in reader.receive(values):
                        pass
                except RemoteProtocolError:
                    connection.abort_as_provider(AbortReason.INVALID_PARAMETER_VALUE)
            case ul.ReleaseRequested():
                if connection.state in {
                    State.AWAITING_RELEASE_RESPONSE,
                    State.COLLISION_REQUESTOR_AWAITING_RESPONSE,
                }:
                    connection.release_response()
            case _:
                pass


def _check_output(output: bytes) -> None:
    """Whatever we answer is made of whole, valid PDUs."""
    at = 0
    while at < len(output):
        pdu_type, length = pdu.parse_header(memoryview(output)[at : at + 6])
        body = output[at + 6 : at + 6 + length]
        assert len(body) == length
        decoded = pdu.decode(pdu_type, memoryview(body))
        if isinstance(decoded, pdu.Abort):
            assert decoded.source in {0, 2}
            assert decoded.reason in {0, 1, 2, 4, 5, 6}
        at += 6 + length
