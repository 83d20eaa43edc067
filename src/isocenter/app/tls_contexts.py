"""TLS contexts of the listeners, from the settings."""

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
