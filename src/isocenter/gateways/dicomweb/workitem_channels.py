"""Event channels: what happens to workitems, told to web subscribers over WebSockets.

One poller per process reads the log of events while somebody listens, and fans out. How far a
subscriber has been told is kept, so that one which comes back within a day hears what it missed. A
subscriber that reads too slowly is cut off, and comes back.

Standard: PS3.18 8.10.4, 8.10.5, 11.13; RFC 6455
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from isocenter.domain.access.model import Actor
from isocenter.domain.worklist import service as worklist
from isocenter.errors import IsocenterError
from isocenter.gateways.dicomweb.options import DicomwebOptions
from isocenter.infra.clock import Clock
from isocenter.infra.log import get_logger
from isocenter.infra.outbox import RecordedEvent
from isocenter.infra.pools import Pool
from isocenter.standards import RemoteProtocolError
from isocenter.standards.dicom.unified_procedure_step import PUSH
from isocenter.standards.dicomweb.params import parse_ae_title

_log = get_logger(__name__)
_QUEUE_MAX: Final = 1000
_PAGE: Final = 500
_UNAVAILABLE_PAUSE_S: Final = 2.0
_KEPT_FOR: Final = timedelta(days=1)
_MESSAGE_ID_LIMIT: Final = 0xFFFF
# RFC 6455 7.4.1
_GOING_AWAY: Final = 1001
_POLICY_VIOLATION: Final = 1008
_TRY_AGAIN_LATER: Final = 1013
_N_EVENT_REPORT_RQ: Final = 0x0100


@dataclass(eq=False, slots=True)
class _Channel:
    ae_title: str
    queue: asyncio.Queue[RecordedEvent | None] = field(
        default_factory=lambda: asyncio.Queue(_QUEUE_MAX)
    )
    close_code: int = _GOING_AWAY

    def put(self, event: RecordedEvent) -> None:
        """Queue an event; when there are too many, end the channel after what is queued."""
        if self.queue.qsize() < _QUEUE_MAX - 1:
            self.queue.put_nowait(event)
        else:
            self.end(_TRY_AGAIN_LATER)

    def end(self, close_code: int) -> None:
        """Have the channel closed once what is queued is sent, or at once when that is too much."""
        self.close_code = close_code
        while self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class EventChannels:
    """The channels of one process."""

    def __init__(self, pool: Pool, *, options: DicomwebOptions, clock: Clock) -> None:
        self._pool = pool
        self._options = options
        self._clock = clock
        self._channels: set[_Channel] = set()
        self._poller: asyncio.Task[None] | None = None
        self._position = 0
        self._closed = False

    @property
    def is_full(self) -> bool:
        """Whether the process keeps as many channels open as it may."""
        return len(self._channels) >= self._options.event_channels_max

    async def serve(self, websocket: WebSocket, ae_title: str, sent: int) -> None:
        """Tell a subscriber what happens after event ``sent``, until either side ends it."""
        channel = _Channel(ae_title)
        await self._follow(channel, sent)
        telling = asyncio.create_task(self._tell(websocket, channel, sent))
        listening = asyncio.create_task(_until_gone(websocket))
        try:
            await asyncio.wait(
                {telling, listening},
                timeout=self._options.event_channel_lifetime_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._leave(channel)
            for task in (telling, listening):
                task.cancel()
            for error in await asyncio.gather(telling, listening, return_exceptions=True):
                if isinstance(error, IsocenterError):
                    _log.warning("event_channel_broken", error_kind=error.kind.value)
        with suppress(RuntimeError, WebSocketDisconnect):  # it may be closed already
            await websocket.close(channel.close_code)

    def close(self) -> None:
        """End all channels, also those that are just being opened: the process stops.

        Call it in the event loop.
        """
        self._closed = True
        for channel in self._channels:
            channel.end(_GOING_AWAY)

    async def _follow(self, channel: _Channel, sent: int) -> None:
        if self._poller is None or self._poller.done():
            _, self._position = await self._pool.run(worklist.announcements, sent, 0)
            self._poller = asyncio.create_task(self._poll())
        self._channels.add(channel)
        if self._closed:
            channel.end(_GOING_AWAY)

    def _leave(self, channel: _Channel) -> None:
        self._channels.discard(channel)
        if not self._channels and self._poller is not None:
            self._poller.cancel()
            self._poller = None

    async def _tell(self, websocket: WebSocket, channel: _Channel, sent: int) -> None:
        """Send what was missed, then what comes; keep how far that is."""
        message_id = 0
        until = self._position
        while sent < until:
            missed, position = await self._pool.run(worklist.announcements, sent, _PAGE)
            for event in self._recent(missed, channel.ae_title):
                if event.id <= until:  # later ones are in the queue
                    message_id = message_id % _MESSAGE_ID_LIMIT + 1
                    await websocket.send_text(_message(event, message_id))
            sent = min(position, until)
            await self._reached(channel, sent)
        while (event := await channel.queue.get()) is not None:
            if event.id <= sent:  # sent as one that was missed
                continue
            message_id = message_id % _MESSAGE_ID_LIMIT + 1
            await websocket.send_text(_message(event, message_id))
            sent = event.id
            if channel.queue.empty():
                await self._reached(channel, sent)

    def _recent(self, events: Iterable[RecordedEvent], ae_title: str) -> list[RecordedEvent]:
        since = self._clock() - _KEPT_FOR
        return [
            each
            for each in events
            if each.data.get("recipient") == ae_title and each.occurred_at >= since
        ]

    async def _reached(self, channel: _Channel, event_id: int) -> None:
        await self._pool.run(
            worklist.channel_reached, channel.ae_title, event_id, now=self._clock()
        )

    async def _poll(self) -> None:
        while True:
            try:
                found, position = await self._pool.run(
                    worklist.announcements, self._position, _PAGE
                )
            except IsocenterError as error:
                _log.warning("event_channels_unavailable", error_kind=error.kind.value)
                await asyncio.sleep(_UNAVAILABLE_PAUSE_S)
                continue
            self._position = position
            for event in found:
                for channel in self._channels:
                    if channel.ae_title == event.data.get("recipient"):
                        channel.put(event)
            if len(found) < _PAGE:
                await asyncio.sleep(self._options.event_poll_s)


async def open_channel(websocket: WebSocket) -> None:
    """The channel over which an application entity is told of workitems.

    Its AE title is in the path, or the ``requester`` parameter.

    Standard: PS3.18 8.10.4
    """
    context = websocket.app.state.dicomweb
    actor: Actor | None = websocket.scope.get("state", {}).get("actor")
    given = websocket.path_params.get("aetitle") or websocket.query_params.get("requester", "")
    channels: EventChannels = context.channels
    if actor is None or channels.is_full:
        await websocket.close(_POLICY_VIOLATION if actor is None else _TRY_AGAIN_LATER)
        return
    try:
        title = parse_ae_title(given)
        sent: int = await context.pool.run(worklist.open_channel, actor, title, now=context.clock())
    except (RemoteProtocolError, IsocenterError):
        await websocket.close(_POLICY_VIOLATION)
        return
    await websocket.accept()
    await channels.serve(websocket, title, sent)


async def _until_gone(websocket: WebSocket) -> None:
    """Returns when the subscriber has closed the channel; what it says is not listened to."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return


def _message(event: RecordedEvent, message_id: int) -> str:
    """The event as DICOM JSON, with the fields that its command would have.

    Standard: PS3.18 8.10.5.1.1, 11.13; PS3.7 Table 10.3-1
    """
    data = event.data
    model: dict[str, Any] = {
        "00000002": {"vr": "UI", "Value": [PUSH]},
        "00000100": {"vr": "US", "Value": [_N_EVENT_REPORT_RQ]},
        "00000110": {"vr": "US", "Value": [message_id]},
        "00000800": {"vr": "US", "Value": [0]},
        "00001000": {"vr": "UI", "Value": [data["sop_instance_uid"]]},
        "00001002": {"vr": "US", "Value": [data["event_type_id"]]},
        **data["information"],
    }
    return msgspec.json.encode(model).decode()
