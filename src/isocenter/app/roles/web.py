"""The HTTP role: pages, API, DICOMweb, health and metrics, behind one door."""

import asyncio
import contextlib
import signal
from http import HTTPStatus
from zoneinfo import ZoneInfo

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from isocenter.app.expectations import expectations
from isocenter.app.hl7_desk import Hl7Desk
from isocenter.app.http.application import Backing, create_application
from isocenter.app.http.options import HttpOptions
from isocenter.app.runtime import Runtime, from_thread, listening, opened, say_ready
from isocenter.app.setting_values import names_in
from isocenter.app.settings import Settings
from isocenter.domain.orders.model import AccessionFormat
from isocenter.gateways.dicomweb.application import application as dicomweb
from isocenter.gateways.dicomweb.application import end_channels
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.gateways.web.options import WebOptions
from isocenter.gateways.web.second_viewer import PATH as OHIF_PATH
from isocenter.gateways.web.second_viewer import SecondViewer
from isocenter.infra.metrics import merged

_DICOMWEB_PATH = "/dicomweb"
_BACKLOG = 1024


def run(settings: Settings) -> None:
    """Serve until stopped."""
    with opened(settings, process="web") as runtime:
        uvloop.run(_serve(runtime))


async def _serve(runtime: Runtime) -> None:
    settings = runtime.settings
    tls = settings.http_tls_certificate is not None
    images = dicomweb(
        runtime.pool,
        runtime.images,
        options=DicomwebOptions(
            public_url=settings.public_url or "",
            empty_search_status=HTTPStatus(int(settings.search_empty_status)),
            object_bytes_max=settings.object_size_max_bytes,
            free_bytes_min=settings.storage_free_bytes_min,
            time_zone=ZoneInfo(settings.time_zone),
        ),
        clock=runtime.clock,
    )
    application = create_application(
        Backing(runtime.pool, runtime.images, Hl7Desk.of(settings, runtime.clock), runtime.clock),
        options=HttpOptions(
            web=WebOptions(
                time_zone=ZoneInfo(settings.time_zone),
                expectations=expectations(settings),
                secure_cookies=settings.base_url.startswith("https:"),
                accession_format=AccessionFormat.parse(settings.accession_number_format),
                worklist_silence_s=settings.worklist_silence_s,
                reconciliation_overdue_s=settings.reconciliation_overdue_s,
                dicomweb_path=_DICOMWEB_PATH,
                second_viewer_home=settings.home,
                trusted_authorities=frozenset(names_in(settings.trusted_authorities)),
                public_url=settings.public_url or "",
                frame_origins=frozenset(settings.frame_ancestors.split()),
                launch_keys=settings.launch_keys,
                storage_free_bytes_min=settings.storage_free_bytes_min,
            ),
            tls=tls,
            cross_origins=frozenset(settings.cross_origins.split()),
            frame_ancestors=frozenset(settings.frame_ancestors.split()),
            body_bytes_max=settings.http_body_max_bytes,
            upload_bytes_max=settings.object_size_max_bytes,
            storage_free_bytes_min=settings.storage_free_bytes_min,
        ),
        mounts={_DICOMWEB_PATH: images, OHIF_PATH: SecondViewer(settings.home)},
        metrics=lambda: merged(settings.metrics_folder, now=runtime.clock()).decode(),
    )
    server = Server(
        application,
        address=settings.bind,
        port=settings.http_port,
        interface=Interfaces.ASGINL,
        backlog=_BACKLOG,
        log_enabled=False,
        ssl_cert=settings.http_tls_certificate,
        ssl_key=settings.http_tls_key,
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        application.end_streams()  # they would keep the drain waiting
        end_channels(images)
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.call_soon(say_ready, lambda: from_thread(loop, stop))
    with listening("HTTP", settings.bind, settings.http_port):
        await server.serve()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.drain_timeout_s):
            await _others_done()


async def _others_done() -> None:
    """Wait for answers that are still being written."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
