"""TLS contexts for every listener and outgoing connection: one place for versions and ciphers.

TLS 1.2 at least, forward secrecy and authenticated encryption only, as the secure connection
profiles of DICOM and IHE ask.

Standard: RFC 9325 (BCP 195); PS3.15 B.12
"""

import ssl
from pathlib import Path

# OpenSSL's words; TLS 1.3 has its own list, which is sound as it is.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(
    certificate: Path, key: Path, *, client_ca: Path | None = None, require_client: bool = False
) -> ssl.SSLContext:
    """What a listener needs: its certificate chain and key, both PEM.

    Args:
        certificate: the server's certificate, followed by intermediate ones.
        key: its private key, not encrypted.
        client_ca: certificates that may have issued clients' certificates.
        require_client: refuse clients without a certificate from ``client_ca``.

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: a file is no PEM, or certificate and key do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    return context


def client_context(
    ca: Path | None = None, *, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """What an outgoing connection needs: whom to trust, and optionally who we are.

    Args:
        ca: certificates to trust; those of the system when None.
        certificate: ours, to show to servers that ask for one.
        key: its private key.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    _harden(context)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
