"""Receivers of results that behave as told: raw sockets, so that every byte and pause is theirs."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

VT, FS_CR = b"\x0b", b"\x1c\r"


def acknowledgement(
    message: bytes, code: str = "AA", *, control_id: bytes = b"", error: str = ""
) -> bytes:
    """An acknowledgement written by hand."""
    known = control_id or message.split(b"\r")[0].split(b"|")[9]
    err = f"ERR||MSH^1^9|{error}^x^HL70357|E\r".encode() if error else b""
    return (
        b"MSH|^~\\&|EHR|H|ISOCENTER|RAD|2024||ACK|A1|P|2.5.1\rMSA|"
        + code.encode()
        + b"|"
        + known
        + b"\r"
        + err
    )


class RawReceiver:
    """Listens, keeps what it gets, and lets ``behave(connection, message, number)`` answer."""

    def __init__(
        self, behave: Callable[[socket.socket, bytes, int], None], *, port: int = 0, tls=None
    ) -> None:
        self.behave = behave
        self._tls = tls
        self.received: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while data := connection.recv(65536):
                buffer += data
                while FS_CR in buffer:
                    frame, buffer = buffer.split(FS_CR, 1)
                    self.received.append(frame.split(VT, 1)[1])
                    self.behave(connection, self.received[-1], len(self.received))
        except OSError:
            return

    def wait(self, count: int, timeout_s: float = 15.0) -> None:
        """Return when so many messages came."""
        end = time.monotonic() + timeout_s
        while len(self.received) < count:
            assert time.monotonic() < end, f"{len(self.received)} of {count} messages came"
            time.sleep(0.01)

    def close(self) -> None:
        """Stop, with what is connected."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts: the port is free at once
        self._listener.close()
        for connection in self._open:
            connection.close()


def accept(connection: socket.socket, message: bytes, number: int) -> None:
    """Answer AA."""
    del number
    connection.sendall(VT + acknowledgement(message) + FS_CR)
