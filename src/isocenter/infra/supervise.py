"""Keeps processes running: starts them, restarts those that end, ends all in good order.

A child is told through one inherited socket: it says there that it is ready, and it reads the end
of the stream there when the supervisor is gone, however that happened, so no child outlives it
unnoticed. What the children do, and where their output goes, is their own business.
"""

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Literal, TypeAlias

from isocenter.infra.log import get_logger

log = get_logger(__name__)

FD_VARIABLE = "ISOCENTER_SUPERVISOR_FD"  # tells a child the number of its socket
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits: starting again cannot help
_POLL_S = 0.05
_JITTER = 0.25

State: TypeAlias = Literal["waiting", "starting", "ready", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One process to keep running.

    Attributes:
        name: 'dimse-1', for logs and metrics.
        argv: program and arguments.
        env: its whole environment.
        restart: whether to start it again when it ends.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    restart: bool = True


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """How one child is at the moment; ``pid`` is None when it does not run."""

    name: str
    state: State
    pid: int | None
    restart_count: int


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    state: State = "waiting"
    process: subprocess.Popen[bytes] | None = None
    link: socket.socket | None = None
    started_at: float = 0.0
    start_due: float = 0.0
    failures: int = 0
    restart_count: int = 0
    signalled: bool = field(default=False)


class Supervisor:
    """Runs children until told to stop. One thread calls ``run``; the rest is thread-safe."""

    def __init__(
        self,
        children: Sequence[ChildSpec],
        *,
        grace_s: float = 30.0,
        backoff_first_s: float = 0.5,
        backoff_max_s: float = 30.0,
        steady_s: float = 60.0,
    ) -> None:
        """``grace_s`` is how long a child may drain.

        The wait for a restart doubles; it begins small again after ``steady_s`` of running.
        """
        self._children = [_Child(spec) for spec in children]
        self._grace_s = grace_s
        self._backoff_first_s = backoff_first_s
        self._backoff_max_s = backoff_max_s
        self._steady_s = steady_s
        self._all_ready = threading.Event()

    def run(self, stop: threading.Event) -> int:
        """An exit status for the program, after all children have ended.

        Returns 0 when ``stop`` was set or nothing is left to run, and a child's own status when it
        ended with ``EXIT_CONFIGURATION``: then the others are drained too.
        """
        status = 0
        try:
            while not stop.is_set() and status == 0 and self._has_work():
                for child in self._children:
                    status = self._look_after(child) or status
                if all(each.state == "ready" for each in self._children):
                    self._all_ready.set()
                stop.wait(_POLL_S)
        finally:
            self._drain()
        return status

    def wait_ready(self, timeout_s: float) -> bool:
        """Whether all children have been ready at the same time by then."""
        return self._all_ready.wait(timeout_s)

    def statuses(self) -> list[ChildStatus]:
        """How each child is at the moment."""
        return [
            ChildStatus(
                each.spec.name,
                each.state,
                each.process.pid if each.process else None,
                each.restart_count,
            )
            for each in self._children
        ]

    def _has_work(self) -> bool:
        return any(each.state != "ended" for each in self._children)

    def _look_after(self, child: _Child) -> int:
        """0, or the status with which everything must end."""
        if child.process is None:
            if child.state == "waiting" and time.monotonic() >= child.start_due:
                self._start(child)
            return 0
        if child.state == "starting" and _said_ready(child):
            child.state = "ready"
            elapsed_s = round(time.monotonic() - child.started_at, 3)
            log.info(
                "child_ready", process=child.spec.name, pid=child.process.pid, elapsed_s=elapsed_s
            )
        code = child.process.poll()
        if code is None:
            return 0
        return self._note_end(child, code)

    def _start(self, child: _Child) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            environment = {**child.spec.env, FD_VARIABLE: f"{theirs.fileno()}"}
            try:
                child.process = subprocess.Popen(  # noqa: S603 - the program's own children
                    child.spec.argv,
                    env=environment,
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    # A Ctrl-C at the terminal is for us; the children are drained in order.
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                log.error(  # noqa: TRY400 - the operator needs the reason, not our stack
                    "child_not_started", process=child.spec.name, error_code=error.errno
                )
                self._plan_restart(child)
                return
        child.link = ours
        child.state = "starting"
        child.started_at = time.monotonic()
        log.info("child_started", process=child.spec.name, pid=child.process.pid)

    def _note_end(self, child: _Child, code: int) -> int:
        ran_s = time.monotonic() - child.started_at
        _forget_process(child)
        log.warning(
            "child_ended",
            process=child.spec.name,
            exit_code=code if code >= 0 else None,
            exit_signal=signal.Signals(-code).name if code < 0 else None,
            elapsed_s=round(ran_s, 3),
        )
        if code == EXIT_CONFIGURATION:
            child.state = "ended"
            return code
        if not child.spec.restart:
            child.state = "ended"
            return 0
        if ran_s >= self._steady_s:
            child.failures = 0
        self._plan_restart(child)
        return 0

    def _plan_restart(self, child: _Child) -> None:
        delay_s = min(self._backoff_first_s * 2.0 ** min(child.failures, 60), self._backoff_max_s)
        delay_s *= 1.0 + random.uniform(-_JITTER, _JITTER)  # noqa: S311 - spreads load, hides nothing
        child.failures += 1
        child.restart_count += 1
        child.state = "waiting"
        child.start_due = time.monotonic() + delay_s
        log.info(
            "child_restart_planned",
            process=child.spec.name,
            delay_s=round(delay_s, 3),
            restart_count=child.restart_count,
        )

    def _drain(self) -> None:
        """Ask all to end, wait, and end those that do not."""
        running = [each for each in self._children if each.process is not None]
        for child in running:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + self._grace_s
        for child in running:
            if child.process is None:
                continue
            try:
                code = child.process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                log.warning("child_killed", process=child.spec.name, timeout_s=self._grace_s)
                _signal(child, signal.SIGKILL)
                code = child.process.wait()
            else:
                log.info("child_drained", process=child.spec.name, exit_code=code)
            _forget_process(child)
            child.state = "ended"


def _said_ready(child: _Child) -> bool:
    if child.link is None:
        return False
    try:
        return bool(child.link.recv(16))
    except BlockingIOError:
        return False
    except OSError:
        return False


def _forget_process(child: _Child) -> None:
    child.process = None
    if child.link is not None:
        child.link.close()
        child.link = None


def _signal(child: _Child, number: signal.Signals) -> None:
    """To the child; when killing, to its own children too: it leads its process group."""
    if child.process is None:
        return
    try:
        if number == signal.SIGKILL:
            os.killpg(child.process.pid, number)
        else:
            child.process.send_signal(number)
    except ProcessLookupError:
        return


class Lifeline:
    """A child's end of the socket to its supervisor."""

    def __init__(self, fd: int) -> None:
        """``fd`` is the number in the environment variable ``FD_VARIABLE``."""
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)

    def ready(self) -> None:
        """Tell the supervisor that this process does its work from now on."""
        self._socket.send(b"ready")

    def when_lost(self, action: Callable[[], None]) -> None:
        """Have a thread call ``action`` once the supervisor is gone."""
        threading.Thread(target=self._watch, args=(action,), name="lifeline", daemon=True).start()

    def _watch(self, action: Callable[[], None]) -> None:
        try:
            while self._socket.recv(16):
                pass
        except OSError as error:
            log.warning("supervisor_link_failed", error_code=error.errno)
        action()


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set; call from the main thread."""
    stop = threading.Event()

    def set_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, set_stop)
    return stop
