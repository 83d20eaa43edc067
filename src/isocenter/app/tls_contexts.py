"""TLS contexts of the listeners and of calls to peers, from the settings."""

import ssl
from pathlib import Path
from typing import Literal, cast

from isocenter.app.settings import Settings
from isocenter.infra import tls


def server_context(settings: Settings, protocol: Literal["dicom", "hl7"]) -> ssl.SSLContext | None:
    """The context of a listener; ``None`` when no certificate is set."""
    certificate, key, client_ca = (
        cast("Path | None", getattr(settings, f"{protocol}_tls_{part}"))
        for part in ("certificate", "key", "client_ca")
    )
    if certificate is None or key is None:
        return None
    return tls.server_context(
        certificate, key, client_ca=client_ca, require_client=client_ca is not None
    )


def client_context(settings: Settings) -> ssl.SSLContext:
    """The context for calling HL7 peers over TLS: our listener's certificate is ours there too."""
    return tls.client_context(
        settings.hl7_tls_client_ca,
        certificate=settings.hl7_tls_certificate,
        key=settings.hl7_tls_key,
    )


def dicom_client_context(settings: Settings) -> ssl.SSLContext:
    """The context for calling DICOM peers over TLS: our listener's certificate is ours there too.

    DICOM peers are known by address as often as by name, and their certificates seldom say either.
    """
    return tls.client_context(
        settings.dicom_tls_client_ca,
        certificate=settings.dicom_tls_certificate,
        key=settings.dicom_tls_key,
        check_hostname=False,
    )
