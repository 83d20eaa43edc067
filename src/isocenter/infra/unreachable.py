"""Why nobody was reached, as a sentence for whoever looks after the connection: one table.

The code at its end is what manuals and search engines know. What is said over a connection that
was made is not known here.
"""

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final

# What the peer's certificate lacks, by the number that OpenSSL gives it (X509_V_ERR_…).
_CERTIFICATES: Final = {
    9: "is not valid yet",
    10: "has expired",
    62: "is for another name",
    64: "is for another address",
}
# What the other side of TLS said, by the name that OpenSSL gives it.
_TLS: Final = {
    "WRONG_VERSION_NUMBER": "{at} does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "{at} speaks only versions of TLS that are not safe",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer at {at} does not trust our certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer at {at} wants a certificate from us",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer at {at} and we have no cipher in common",
    "UNEXPECTED_EOF_WHILE_READING": "the peer at {at} broke off",
}
_SYSTEM: Final = {
    errno.ECONNREFUSED: "The peer refuses connections at {at}",
    errno.ECONNRESET: "The peer broke off the connection at {at}",
    errno.ECONNABORTED: "The peer broke off the connection at {at}",
    errno.EPIPE: "The peer broke off the connection at {at}",
    errno.ETIMEDOUT: "No answer from {at}",
    errno.EHOSTUNREACH: "There is no way to {host}",
    errno.EHOSTDOWN: "There is no way to {host}",
    errno.ENETUNREACH: "There is no network to {host}",
    errno.ENETDOWN: "There is no network to {host}",
    errno.EACCES: "This machine may not call {at}",
    errno.EPERM: "This machine may not call {at}",
    errno.EADDRNOTAVAIL: "This machine has no free port to call {at} from",
    errno.EMFILE: "This machine has too many connections to call {at}",
    errno.ENFILE: "This machine has too many connections to call {at}",
}
# Some errors carry no number: their type says it.
_NUMBERS: Final[tuple[tuple[type[OSError], int], ...]] = (
    (ConnectionRefusedError, errno.ECONNREFUSED),
    (ConnectionResetError, errno.ECONNRESET),
    (ConnectionAbortedError, errno.ECONNABORTED),
    (BrokenPipeError, errno.EPIPE),
    (TimeoutError, errno.ETIMEDOUT),
    (PermissionError, errno.EACCES),
)
_NAMES: Final = {
    socket.EAI_NONAME: "The name {host} is not known",
    socket.EAI_AGAIN: "The name {host} cannot be looked up now",
}


def no_answer(host: str, port: int, *, within_s: float) -> str:
    """The sentence for a call that nobody answered in time."""
    return f"No answer from {host}:{port} within {within_s:g} s (ETIMEDOUT)"


def unreachable(error: OSError, host: str, port: int) -> str:
    """The sentence for what became of a call, with its code."""
    sentence, code = next(told for rule in _RULES if (told := rule(error)) is not None)
    return f"{sentence.format(at=f'{host}:{port}', host=host)} ({code})"


def _certificate(error: OSError) -> tuple[str, str] | None:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return None
    # Only errors of OpenSSL itself have these attributes.
    fault = _CERTIFICATES.get(getattr(error, "verify_code", 0), "is not trusted")
    code = getattr(error, "reason", None) or "CERTIFICATE_VERIFY_FAILED"
    return f"TLS: the certificate of {{at}} {fault}", code


def _tls(error: OSError) -> tuple[str, str] | None:
    if not isinstance(error, ssl.SSLError):
        return None
    code = getattr(error, "reason", None) or "SSL"
    return f"TLS: {_TLS.get(code, 'no secure connection to {at}')}", code


def _name(error: OSError) -> tuple[str, str] | None:
    if not isinstance(error, socket.gaierror):
        return None
    known = error.errno if error.errno in _NAMES else socket.EAI_NONAME
    return _NAMES[known], "EAI_AGAIN" if known == socket.EAI_AGAIN else "EAI_NONAME"


def _system(error: OSError) -> tuple[str, str] | None:
    number = error.errno
    if number is None:
        number = next((each for kind, each in _NUMBERS if isinstance(error, kind)), 0)
    sentence = _SYSTEM.get(number, "No connection to {at}")
    return sentence, errno.errorcode.get(number, "EIO")


_RULES: Final[tuple[Callable[[OSError], tuple[str, str] | None], ...]] = (
    _certificate,
    _tls,
    _name,
    _system,
)
