"""TLS contexts, shaken hands with in memory: what is offered, what is refused."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isocenter.infra import tls


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own issuer, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 - a certificate valid now
    made = (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "127.0.0.1") -> str | None:
    """Let both talk through memory until they agree; return the version they agreed on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(to_server, to_client, server_side=True)
    two = client.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(10):
        for side in (two, one):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    one.do_handshake()
    two.do_handshake()
    return two.version()


def test_both_sides_agree_on_a_present_version(certificate):
    cert, key = certificate
    assert shake(tls.server_context(cert, key), tls.client_context(cert)) == "TLSv1.3"


def test_old_versions_are_refused(certificate):
    cert, key = certificate
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake(tls.server_context(cert, key), old)


def test_a_name_that_the_certificate_does_not_carry_is_refused(certificate):
    cert, key = certificate
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tls.server_context(cert, key), tls.client_context(cert), name="archive.test")


def test_a_client_without_certificate_is_refused_where_one_is_required(certificate):
    cert, key = certificate
    server = tls.server_context(cert, key, client_ca=cert, require_client=True)
    # TLS 1.3 clients learn of the refusal after their own handshake: 1.2 shows it within.
    without = tls.client_context(cert)
    without.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake(server, without)
    assert shake(server, tls.client_context(cert, certificate=cert, key=key)) == "TLSv1.3"


def test_only_ciphers_with_forward_secrecy_are_offered(certificate):
    names = [cipher["name"] for cipher in tls.server_context(*certificate).get_ciphers()]
    assert names
    assert all(name.startswith(("ECDHE-", "TLS_")) for name in names)
