"""Processes that decode compressed pixels for those who send them: started at first need.

The ``dimse`` process itself stays free of numpy and codecs; a fault in a codec ends a process of
these and costs one object.
"""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess

from isocenter.gateways.dimse.outgoing import NotSendable
from isocenter.infra.log import get_logger
from isocenter.standards import ProtocolError, RemoteProtocolError

_log = get_logger(__name__)


class TranscodingProcesses:
    """Decodes files in at most ``processes_max`` other processes. Thread-safe; called in threads.

    It is a ``outgoing.Transcode``.
    """

    def __init__(self, *, processes_max: int = 2, timeout_s: float = 120.0) -> None:
        self._processes_max = processes_max
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, data: bytes, transfer_syntax_uid: str, /) -> bytes:
        """The file in another transfer syntax; waits for it.

        Raises:
            RemoteProtocolError: the pixels cannot be decoded, or not in time.
        """
        pool = self._started()
        try:
            return pool.submit(_transcoded, data, transfer_syntax_uid).result(self._timeout_s)
        except TimeoutError as error:
            raise NotSendable("the pixels took too long to decode") from error
        except BrokenProcessPool as error:
            # The object that ends a process is refused; the others get new processes.
            self._forget(pool)
            _log.error("transcoding_process_died")
            raise RemoteProtocolError("the decoder failed") from error
        except RuntimeError as error:
            raise NotSendable("the process is ending") from error

    def close(self) -> None:
        """Ends the processes."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # Spawned: a fork of a process with threads may inherit a lock that nobody frees.
                self._pool = ProcessPoolExecutor(
                    self._processes_max,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_begin,
                )
            return self._pool

    def _forget(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None


def _begin() -> None:
    """In the new process: leave signals for the group to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(0)


def _transcoded(data: bytes, transfer_syntax_uid: str) -> bytes:
    """In the other process: the only place of this gateway that loads codecs."""
    from isocenter.imaging.transcode import transcode_file  # noqa: PLC0415

    try:
        return transcode_file(data, transfer_syntax_uid)
    except ProtocolError as error:
        # It crosses to a process that must not load the codecs: as a class of the standards.
        raise RemoteProtocolError(str(error)) from None
    except Exception as error:  # noqa: BLE001  likewise, whatever a codec raises
        raise RemoteProtocolError(f"the decoder failed: {type(error).__name__}") from None
