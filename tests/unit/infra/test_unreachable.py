"""What an operator reads when nobody was reached."""

import errno
import re
import socket
import ssl

import pytest

from isocenter.infra.unreachable import no_answer, unreachable


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.reason = code, "CERTIFICATE_VERIFY_FAILED"
    return error


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "a fault")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            "The peer refuses connections at ehr:2575 (ECONNREFUSED)",
        ),
        (ConnectionRefusedError(), "The peer refuses connections at ehr:2575 (ECONNREFUSED)"),
        (ConnectionResetError(), "The peer broke off the connection at ehr:2575 (ECONNRESET)"),
        (TimeoutError(), "No answer from ehr:2575 (ETIMEDOUT)"),
        (OSError(errno.EHOSTUNREACH, ""), "There is no way to ehr (EHOSTUNREACH)"),
        (OSError(errno.ENETUNREACH, ""), "There is no network to ehr (ENETUNREACH)"),
        (PermissionError(), "This machine may not call ehr:2575 (EACCES)"),
        (socket.gaierror(socket.EAI_NONAME, ""), "The name ehr is not known (EAI_NONAME)"),
        (
            socket.gaierror(socket.EAI_AGAIN, ""),
            "The name ehr cannot be looked up now (EAI_AGAIN)",
        ),
        (
            certificate(19),
            "TLS: the certificate of ehr:2575 is not trusted (CERTIFICATE_VERIFY_FAILED)",
        ),
        (
            certificate(10),
            "TLS: the certificate of ehr:2575 has expired (CERTIFICATE_VERIFY_FAILED)",
        ),
        (
            certificate(62),
            "TLS: the certificate of ehr:2575 is for another name (CERTIFICATE_VERIFY_FAILED)",
        ),
        (
            tls("WRONG_VERSION_NUMBER"),
            "TLS: ehr:2575 does not speak TLS (WRONG_VERSION_NUMBER)",
        ),
        (
            tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            "TLS: the peer at ehr:2575 wants a certificate from us"
            " (TLSV13_ALERT_CERTIFICATE_REQUIRED)",
        ),
        (tls("SOMETHING_NEW"), "TLS: no secure connection to ehr:2575 (SOMETHING_NEW)"),
        (OSError(), "No connection to ehr:2575 (EIO)"),
    ],
)
def test_each_error_is_a_sentence_with_its_code(error, sentence):
    assert unreachable(error, "ehr", 2575) == sentence


def test_the_limit_is_said():
    assert (
        no_answer("ehr", 2575, within_s=10.0) == "No answer from ehr:2575 within 10 s (ETIMEDOUT)"
    )


def test_no_name_of_a_class_is_shown():
    # As they are raised without number, text or reason.
    kinds = (OSError, ConnectionError, ConnectionAbortedError, TimeoutError, ssl.SSLError)
    for kind in (*kinds, ssl.SSLCertVerificationError, socket.gaierror):
        assert not re.search(r"Error\b", unreachable(kind(), "ehr", 2575)), kind
