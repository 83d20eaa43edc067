"""The ports that the product listens on, and whether they are free."""

import socket
from dataclasses import fields
from typing import ClassVar, cast

from isocenter.app.settings import Settings
from isocenter.errors import IsocenterError, Kind


class PortTaken(IsocenterError):
    """Somebody else listens on a port that we need."""

    kind: ClassVar[Kind] = Kind.BUSY


def busy_ports(settings: Settings) -> list[tuple[str, int]]:
    """Setting and number of each port on which somebody listens already."""
    named = [
        (each.name, cast("int", getattr(settings, each.name)))
        for each in fields(settings)
        if each.name in {"http_port", "dicom_port", "hl7_port"}
    ]
    return [(name, port) for name, port in named if not _is_free(settings.bind, port)]


def _is_free(bind: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError:
            return False
    return True
