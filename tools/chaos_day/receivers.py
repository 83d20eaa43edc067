"""Receivers of results that misbehave as real ones do, and remember what they filed.

Raw sockets: nothing of the product is used here. A receiver files what it takes by its control id,
so that the same message again is no second result; the same result under another id is.
"""

import random
import socket
import threading
import time
from dataclasses import dataclass, field

_VT, _FS_CR = b"\x0b", b"\x1c\r"
_HABITS = {
    "usual": 88, "byte by byte": 3, "silent": 2, "late": 2, "for another message": 2,
    "rejects": 2, "refuses": 1,
}  # fmt: skip
_NOT_FILED = {"rejects": (b"AR", b"207"), "refuses": (b"AE", b"207")}


@dataclass
class Receiver:
    """One receiver; call ``open`` and ``close`` to have it up or down."""

    name: str
    rng: random.Random
    late_s: float
    filed: dict[str, bytes] = field(default_factory=dict[str, bytes])
    accepted: set[str] = field(default_factory=set[str])
    habits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_HABITS, 0))
    port: int = 0
    _listener: socket.socket | None = None
    _connections: list[socket.socket] = field(default_factory=list[socket.socket])

    @property
    def is_open(self) -> bool:
        """Whether it can be reached."""
        return self._listener is not None

    def open(self) -> None:
        """Listen, on the port that it has had before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Go down with every connection."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._listener = None
        for each in self._connections:
            each.close()
        self._connections.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        try:
            while data := connection.recv(65_536):
                buffer += data
                while (end := buffer.find(_FS_CR)) >= 0:
                    self._answer(connection, buffer[buffer.index(_VT) + 1 : end])
                    buffer = buffer[end + len(_FS_CR) :]
        except OSError:
            return

    def _answer(self, connection: socket.socket, message: bytes) -> None:
        control_id = message.split(b"\r", 1)[0].split(b"|")[9].decode()
        habit = self.rng.choices(list(_HABITS), list(_HABITS.values()))[0]
        if control_id in self.filed:
            habit = "usual"
        self.habits[habit] += 1
        if habit in _NOT_FILED:
            code, error = _NOT_FILED[habit]
            connection.sendall(_framed(code, control_id, b"ERR||MSH^1^9|" + error + b"|E\r"))
            return
        self.filed[control_id] = message
        if habit == "silent":
            return
        if habit == "for another message":
            connection.sendall(_framed(b"AA", f"not {control_id}"))
            return
        if habit == "late":
            time.sleep(self.late_s)
        answer = _framed(b"AA", control_id)
        step = 1 if habit == "byte by byte" else len(answer)
        self.accepted.add(control_id)
        for start in range(0, len(answer), step):
            connection.sendall(answer[start : start + step])


def _framed(code: bytes, control_id: str, more: bytes = b"") -> bytes:
    head = b"MSH|^~\\&|EHR|H|ISOCENTER|RAD|2026||ACK|A|P|2.5.1\rMSA|" + code + b"|"
    return _VT + head + control_id.encode() + b"\r" + more + _FS_CR
