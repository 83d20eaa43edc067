"""TLS contexts for every protocol we speak, with one choice of versions and ciphers.

Certificates are files that the operator provides; making and renewing them is not done here.
"""

import ssl
from pathlib import Path
from typing import ClassVar

from isocenter.errors import IsocenterError, Kind

# TLS 1.2 with forward secrecy and authenticated encryption only; TLS 1.3 has nothing else.
_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsFilesUnusable(IsocenterError):
    """A certificate or key file is missing, damaged, or does not fit the other."""

    kind: ClassVar[Kind] = Kind.INCORRECT


def server_context(
    certificate: Path, key: Path, *, client_ca: Path | None = None, require_client: bool = False
) -> ssl.SSLContext:
    """A context for listeners, with our certificate (chain) and key in PEM.

    With ``client_ca`` the certificate of a client that shows one is verified against it; with
    ``require_client`` a client without one is refused. Raises ``TlsFilesUnusable``.

    Standard: PS3.15 B.12 (BCP 195), RFC 9325
    """
    if require_client and client_ca is None:
        raise TlsFilesUnusable("requiring client certificates needs the authority that issues them")
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _load_own(context, certificate, key)
    if client_ca is not None:
        _load_authority(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    return context


def client_context(
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    *,
    check_hostname: bool = True,
) -> ssl.SSLContext:
    """A context for calling others, who must show a certificate of ``ca`` (default: the system's).

    ``certificate`` and ``key`` are ours, for peers who ask for one. ``check_hostname`` may be off
    for peers known by address only; their certificate is verified all the same. Raises
    ``TlsFilesUnusable``.

    Standard: PS3.15 B.12 (BCP 195), RFC 9325
    """
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = check_hostname
    if ca is not None:
        _load_authority(context, ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate is not None:
        _load_own(context, certificate, key)
    return context


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS12_CIPHERS)
    context.options |= (
        ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    )
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsFilesUnusable(f"{certificate} and its key cannot be used") from error


def _load_authority(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise TlsFilesUnusable(f"{ca} holds no certificate authority that can be used") from error
