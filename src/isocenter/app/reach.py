"""Whether a peer answers: C-ECHO for DICOM, a connection for HL7 (MLLP has no question to ask)."""

import asyncio
import time
from dataclasses import dataclass

from isocenter.app.settings import Settings
from isocenter.app.tls_contexts import client_context, dicom_client_context
from isocenter.domain.peers.model import DicomPeer, Hl7Peer
from isocenter.errors import IsocenterError
from isocenter.gateways.dimse import scu
from isocenter.infra.unreachable import no_answer, unreachable

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Reached:
    """What became of a call."""

    reached: bool
    detail: str
    elapsed_ms: float


async def reach(peer: DicomPeer | Hl7Peer, chosen: Settings) -> Reached:
    """Call a peer once, over TLS where it wants that; failures are answered and not raised."""
    began = time.monotonic()
    try:
        if isinstance(peer, DicomPeer):
            detail = await _echo(peer, chosen)
        else:
            detail = await _connect(peer, chosen)
    except TimeoutError:
        detail = no_answer(peer.host, peer.port or 0, within_s=_TIMEOUT_S)
        return Reached(False, detail, _since_ms(began))
    except OSError as error:
        return Reached(False, unreachable(error, peer.host, peer.port or 0), _since_ms(began))
    except IsocenterError as error:
        return Reached(False, error.message, _since_ms(began))
    return Reached(True, detail, _since_ms(began))


async def _echo(peer: DicomPeer, chosen: Settings) -> str:
    called = scu.Peer(
        host=peer.host,
        port=peer.port,
        called_ae_title=peer.ae_title,
        calling_ae_title=chosen.ae_title,
        tls=dicom_client_context(chosen) if peer.tls else None,
        timeout_s=_TIMEOUT_S,
    )
    status = await scu.echo(called)
    return f"C-ECHO answered with status {status.status:04X}H"


async def _connect(peer: Hl7Peer, chosen: Settings) -> str:
    if peer.port is None:
        return "only sends to us; there is nothing to call"
    async with asyncio.timeout(_TIMEOUT_S):
        tls = client_context(chosen) if peer.tls else None
        _, writer = await asyncio.open_connection(peer.host, peer.port, ssl=tls)
    writer.close()
    return "accepts connections"


def _since_ms(began: float) -> float:
    return (time.monotonic() - began) * 1000
