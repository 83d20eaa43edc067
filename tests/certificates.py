"""A certificate for this machine that is its own authority, for servers and clients of tests."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

NAME = x509.Name([
    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Phantom Hospital"),
    x509.NameAttribute(NameOID.COMMON_NAME, "localhost"),
])


@dataclass(frozen=True)
class Identity:
    """PEM files: the certificate, which is also its authority, and its key."""

    certificate: Path
    key: Path


def an_identity(folder: Path) -> Identity:
    """Return a certificate for localhost and 127.0.0.1 written into ``folder``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    began = datetime(2020, 1, 1, tzinfo=UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509
        .CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(began)
        .not_valid_after(began + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Identity(folder / "certificate.pem", folder / "key.pem")
    found.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return found
