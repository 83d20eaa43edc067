"""What the worker does with DICOM peers, on an event loop in a thread of its own."""

import asyncio
import ssl
import threading

import uvloop

from isocenter.app.runtime import Runtime
from isocenter.app.settings import Settings
from isocenter.app.tls_contexts import dicom_client_context
from isocenter.gateways.dimse.commitment_reports import CommitmentReporter, OutgoingOptions
from isocenter.gateways.dimse.commitment_requests import CommitmentAsker
from isocenter.gateways.dimse.outgoing_processes import TranscodingProcesses
from isocenter.gateways.dimse.sending import ImageSender
from isocenter.infra.log import get_logger
from isocenter.infra.waiting import wait_for

_log = get_logger(__name__)
_STOP_LOOK_S = 0.2


def options(settings: Settings) -> OutgoingOptions:
    """How we call DICOM peers."""
    return OutgoingOptions(ae_title=settings.ae_title)


def outgoing_thread(runtime: Runtime, stop: threading.Event) -> threading.Thread:
    """A thread that sends and answers until stopped; the rest is left to the next worker.

    Raises:
        TlsFilesUnusable: the certificates for calling peers cannot be used.
    """
    tls = dicom_client_context(runtime.settings)

    def work() -> None:
        try:
            uvloop.run(_run(runtime, tls, stop))
        except Exception:  # noqa: BLE001 - a defect must end the role, not only this thread
            _log.exception("outgoing_dicom_failed")
            stop.set()  # the supervisor begins anew

    return threading.Thread(target=work, name="outgoing-dicom", daemon=True)


async def _run(runtime: Runtime, tls: ssl.SSLContext, stop: threading.Event) -> None:
    chosen = options(runtime.settings)
    stopping = asyncio.Event()
    reporter = CommitmentReporter(runtime.pool, runtime.blobs, chosen, clock=runtime.clock, tls=tls)
    transcode = TranscodingProcesses()
    sender = ImageSender(
        runtime.pool, runtime.images, chosen, clock=runtime.clock, transcode=transcode, tls=tls
    )
    asker = CommitmentAsker(runtime.pool, chosen, clock=runtime.clock, tls=tls)
    work = [asyncio.create_task(each.run(stopping)) for each in (reporter, sender, asker)]
    while not stop.is_set() and not any(task.done() for task in work):
        await wait_for(stopping, _STOP_LOOK_S)
    stopping.set()
    _, late = await asyncio.wait(work, timeout=2 * chosen.stop_grace_s)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*work, return_exceptions=True)
    transcode.close()
    for error in results:
        if isinstance(error, Exception):
            raise error
