"""The HL7 interface: receives ADT and orders, sends signed reports to their recipients.

This process must stay small: it imports no web framework, no pydicom, no numpy.
"""

import asyncio

import uvloop

from isocenter.app.hl7_receiving import receive_options
from isocenter.app.runtime import Runtime, listening, opened, until_stopped
from isocenter.app.settings import Settings
from isocenter.app.tls_contexts import client_context, server_context
from isocenter.gateways.hl7.acknowledging import Acknowledger, AcknowledgerOptions
from isocenter.gateways.hl7.connection import ConnectionLimits
from isocenter.gateways.hl7.sender import Hl7Sender, SenderOptions
from isocenter.gateways.hl7.server import Hl7Server, ServerOptions


def run(settings: Settings) -> None:
    """Receive and send until stopped."""
    with opened(settings, process="hl7", plans_once=True) as runtime:
        uvloop.run(_serve(runtime))


async def _serve(runtime: Runtime) -> None:
    settings = runtime.settings
    server = Hl7Server(
        runtime.pool,
        ServerOptions(
            host=settings.bind,
            port=settings.hl7_port,
            reuse_port=settings.hl7_processes > 1,
            connections_max=settings.hl7_connections_max,
            connections_per_address_max=settings.hl7_connections_max,
            drain_timeout_s=settings.drain_timeout_s,
            limits=ConnectionLimits(
                message_bytes_max=settings.hl7_frame_max_bytes,
                idle_timeout_s=settings.hl7_idle_timeout_s,
            ),
            receiving=receive_options(settings),
        ),
        clock=runtime.clock,
        tls=server_context(settings, "hl7"),
    )
    with listening("HL7", settings.bind, settings.hl7_port):
        await server.start()
    sender = Hl7Sender(
        runtime.pool,
        SenderOptions(application=settings.hl7_application, facility=settings.hl7_facility),
        clock=runtime.clock,
        tls=client_context(settings),
    )
    acknowledger = Acknowledger(
        runtime.pool, AcknowledgerOptions(), clock=runtime.clock, tls=client_context(settings)
    )
    stop = asyncio.Event()
    sending = asyncio.create_task(sender.run(stop))
    acknowledging = asyncio.create_task(acknowledger.run(stop))

    async def drain() -> None:
        stop.set()
        await asyncio.gather(server.stop(), sending, acknowledging)

    await until_stopped(drain)
