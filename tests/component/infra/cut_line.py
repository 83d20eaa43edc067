"""A TCP connection to a server that a test cuts, in the middle of what is being sent."""

import socket
import threading
from contextlib import suppress


class Line:
    """Listens at ``port`` and passes everything on to ``target``, until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._bytes_left: int | None = None
        self._cut = False
        threading.Thread(target=self._listen, daemon=True).start()

    def cut_after(self, size_bytes: int) -> None:
        """Cut it once so many bytes were sent to the server."""
        self._bytes_left = size_bytes

    def mend(self) -> None:
        """Let new connections through again."""
        self._cut, self._bytes_left = False, None

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes."""
        return self._cut

    def close(self) -> None:
        """End everything."""
        self._cut = True
        self._listener.close()
        self._hang_up()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                if self._cut:
                    caller.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [caller, server]
                for source, sink in ((caller, server), (server, caller)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        to_server = sink.getpeername()[1] == self._target
        with suppress(OSError):
            while data := source.recv(65536):
                if to_server and self._bytes_left is not None:
                    self._bytes_left -= len(data)
                    if self._bytes_left < 0:
                        self._cut = True
                        break
                sink.sendall(data)
        if self._cut:
            self._hang_up()
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _hang_up(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
