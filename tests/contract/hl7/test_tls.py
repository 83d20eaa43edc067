"""HL7 over TLS: the listener asks for a client certificate, the sender checks the receiver's."""

import socket
import ssl

import pytest

from isocenter.gateways.hl7.server import ServerOptions
from tests.certificates import an_identity
from tests.contract.hl7.listening import listening
from tests.contract.hl7.receivers import RawReceiver, accept
from tests.contract.hl7.test_receiving import LIMITS, add_peer, code
from tests.contract.hl7.test_sending import add_peer as add_recipient
from tests.contract.hl7.test_sending import deliveries, eventually, sending, sign, states
from tests.e2e.hl7_peers import FS_CR, VT, read_frames, registration


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, which is its own authority."""
    identity = an_identity(tmp_path_factory.mktemp("tls"))
    return identity.certificate, identity.key


@pytest.fixture
def port(database, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate[0])
    add_peer(database)
    with listening(database, ServerOptions(port=0, limits=LIMITS), tls=context) as number:
        yield number


def client(certificate, *, with_certificate=True):
    context = ssl.create_default_context(cafile=str(certificate[0]))
    if with_certificate:
        context.load_cert_chain(*certificate)
    return context


def test_messages_are_answered_over_tls(port, certificate):
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    with client(certificate).wrap_socket(raw, server_hostname="127.0.0.1") as connection:
        for number in range(3):
            message = registration(f"T{number}", "Phantom^Tls", control_id=f"t{number}")
            connection.sendall(VT + message + FS_CR)
            [answer] = read_frames(connection, count=1)
            assert code(answer) == "AA"


def test_no_client_certificate_no_service(port, certificate):
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    context = client(certificate, with_certificate=False)
    with (
        pytest.raises(OSError, match=r"certificate|reset|EOF|closed"),
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        # TLS 1.3 tells the client only when it reads.
        connection.sendall(VT + registration("T9", "Phantom^Tls", control_id="t9") + FS_CR)
        if not connection.recv(100):
            raise ConnectionResetError("closed")


def test_sender_uses_tls_where_the_peer_wants_it(database, certificate):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    receiver = RawReceiver(accept, tls=server)
    add_recipient(database, receiver.port, tls=True)
    sign(database, "T1")
    with sending(database, tls=client(certificate)):
        eventually(lambda: states(database) == ["acknowledged"])
    assert len(receiver.received) == 1
    receiver.close()


def test_sender_does_not_trust_a_stranger(database, certificate):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    receiver = RawReceiver(accept, tls=server)
    add_recipient(database, receiver.port, tls=True)
    sign(database, "T2")
    with sending(database, tls=ssl.create_default_context()):
        eventually(lambda: deliveries(database)[0].last_error is not None)
    assert "CERTIFICATE_VERIFY_FAILED" in deliveries(database)[0].last_error
    assert receiver.received == []
    receiver.close()


def test_plain_text_gets_nothing(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(VT + registration("T8", "Phantom^Tls", control_id="t8") + FS_CR)
        try:
            data = connection.recv(100)
        except ConnectionError:
            data = b""
    assert b"MSA" not in data
