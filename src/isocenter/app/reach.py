"""Whether a peer answers: C-ECHO for DICOM, a connection for HL7 (MLLP has no question to ask)."""

import asyncio
import time
from dataclasses import dataclass

from isocenter.domain.peers.model import DicomPeer, Hl7Peer
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import scu

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Reached:
    """What became of a call."""

    reached: bool
    detail: str
    elapsed_ms: float


async def reach(peer: DicomPeer | Hl7Peer, *, calling_ae_title: str) -> Reached:
    """Call a peer once; failures are part of the answer and not raised."""
    began = time.monotonic()
    try:
        if isinstance(peer, DicomPeer):
            detail = await _echo(peer, calling_ae_title)
        else:
            detail = await _connect(peer)
    except (IsocenterError, OSError, TimeoutError) as error:
        return Reached(False, str(error) or type(error).__name__, _since_ms(began))
    return Reached(True, detail, _since_ms(began))


async def _echo(peer: DicomPeer, calling_ae_title: str) -> str:
    called = scu.Peer(
        host=peer.host,
        port=peer.port,
        called_ae_title=peer.ae_title,
        calling_ae_title=calling_ae_title,
        timeout_s=_TIMEOUT_S,
    )
    status = await scu.echo(called)
    return f"C-ECHO answered with status {status.status:04X}H"


async def _connect(peer: Hl7Peer) -> str:
    if peer.port is None:
        return "only sends to us; there is nothing to call"
    async with asyncio.timeout(_TIMEOUT_S):
        _, writer = await asyncio.open_connection(peer.host, peer.port)
    writer.close()
    return "accepts connections"


def _since_ms(began: float) -> float:
    return (time.monotonic() - began) * 1000
