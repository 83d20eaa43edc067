"""The demonstration EHR's own HL7 transport: one blocking sender and one listener.

Written apart from the product's own, as another vendor's would be. One message at a time each way.
"""

import socket
import socketserver
import threading
from collections.abc import Callable
from typing import cast

_START, _END = b"\x0b", b"\x1c\r"
_TIMEOUT_S = 30.0
_MESSAGE_MAX_BYTES = 4 * 1024 * 1024


class NoAcknowledgement(Exception):
    """The other side did not answer a message as it must."""


class Sender:
    """A persistent connection on which messages are sent and acknowledged one by one."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()

    def send(self, message: str) -> str:
        """The acknowledgement of a message.

        Raises:
            NoAcknowledgement: no connection, or it closed or stayed silent.
        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = socket.create_connection(self._address, _TIMEOUT_S)
                self._connection.sendall(_START + message.encode() + _END)
                return _next_message(self._connection, bytearray()).decode()
            except OSError as error:
                self._forget()
                raise NoAcknowledgement(f"no acknowledgement from {self._address}") from error

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Listener:
    """A port on which messages arrive; it can be taken down and brought up again.

    Args:
        answer: gives the acknowledgement for a message.
    """

    def __init__(self, host: str, port: int, answer: Callable[[str], str]) -> None:
        self._address = (host, port)
        self._answer = answer
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen; raises ``OSError`` when the port is taken."""
        self._server = _Server(self._address, self._answer)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection, as a peer does that goes down."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.drop_connections()
            self._server = None


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], answer: Callable[[str], str]) -> None:
        self.answer = answer
        self.connections: set[socket.socket] = set()
        super().__init__(address, _Connection)

    def drop_connections(self) -> None:
        """Close what is still open."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Answer messages until the sender closes."""
        server, connection = cast("_Server", self.server), cast("socket.socket", self.request)
        server.connections.add(connection)
        buffered = bytearray()
        try:
            while True:
                message = _next_message(connection, buffered).decode("utf-8", "replace")
                connection.sendall(_START + server.answer(message).encode() + _END)
        except OSError:
            return
        finally:
            server.connections.discard(connection)


def _next_message(connection: socket.socket, buffered: bytearray) -> bytes:
    """The next message on a connection; what arrived beyond it stays in ``buffered``."""
    while True:
        start = buffered.find(_START)
        end = buffered.find(_END, start + 1) if start >= 0 else -1
        if end >= 0:
            message = bytes(buffered[start + 1 : end])
            del buffered[: end + len(_END)]
            return message
        received = connection.recv(65_536)
        if not received or len(buffered) > _MESSAGE_MAX_BYTES:
            raise ConnectionError("closed before a whole message")
        buffered += received
