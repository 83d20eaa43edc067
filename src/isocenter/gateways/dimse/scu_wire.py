"""The wire of an association that we asked for: bytes out, events in, each with an end to waiting.

What messages mean, and which follow each other, is the business of ``scu``.

Standard: PS3.8 9.2
"""

import asyncio
from typing import ClassVar, cast

from isocenter.errors import IsocenterError, Kind
from isocenter.standards.dicom.ul import connection as ul
from isocenter.standards.dicom.ul.pdu import AssociateRequest


class PeerUnreachable(IsocenterError):
    """Nobody answers at the peer's address, or not in time, or the connection broke."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class PeerFault(IsocenterError):
    """The peer broke the protocol or ended the association in the middle."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class Wire(asyncio.Protocol):
    """Feeds the upper layer and keeps its events for whoever waits.

    Attributes:
        connection: the upper layer.
    """

    def __init__(self, request: AssociateRequest, *, timeout_s: float) -> None:
        self.connection = ul.Connection(ul.Role.REQUESTOR)
        self.connection.initiate(request)
        self._timeout_s = timeout_s
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The peer has taken the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self.connection.transport_connected()

    def data_received(self, data: bytes) -> None:
        """The peer has said something."""
        self.connection.receive_data(data)
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.connection.transport_closed()
        self._closed.set()
        self._arrived.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """The peer does not read fast enough."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._writable.set()

    # -- for the association

    @property
    def is_open(self) -> bool:
        """Whether anything can still be said."""
        return not self._closed.is_set() and not self._transport.is_closing()

    async def flush(self) -> None:
        """Sends what is queued; returns when the peer has taken most of it.

        Raises:
            PeerUnreachable: the connection is closed, or the peer takes nothing for too long.
        """
        outgoing = self.connection.data_to_send()
        if self._closed.is_set():
            raise PeerUnreachable("the connection is closed")
        if outgoing:
            self._transport.writelines(outgoing)
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._writable.wait()
        except TimeoutError:
            raise PeerUnreachable("the peer stopped reading") from None

    async def event(self) -> ul.ConnectionEvent:
        """What happens next.

        Raises:
            PeerUnreachable: nothing does for too long, or the connection is closed.
        """
        while True:
            event = self.connection.next_event()
            if event is not None:
                return event
            if self._closed.is_set():
                raise PeerUnreachable("the peer closed the connection")
            self._arrived.clear()
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                raise PeerUnreachable("the peer does not answer") from None

    def close(self) -> None:
        """Closes the connection once what was said is sent."""
        self._transport.close()


def fault_of(event: ul.ConnectionEvent) -> IsocenterError:
    """What to raise for an event that ends the association, or that nobody expects."""
    if isinstance(event, ul.Aborted):
        if event.by_peer:
            return PeerFault("the peer aborted the association")
        if event.error is not None:
            return PeerFault(f"the peer broke the protocol: {event.error}")
        return PeerUnreachable("the connection broke")
    return PeerFault(f"the peer did something unexpected: {type(event).__name__}")
