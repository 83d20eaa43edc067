"""Keeps a set of child processes alive until told to stop, then lets them finish.

A child that ends is started again, later each time it ends quickly. SIGTERM or SIGINT asks all of
them to end; those that have not when the grace is over are killed. What the children do is not
known here.
"""

import contextlib
import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from isocenter.infra.log import get_logger

_log = get_logger(__name__)
_LOOK_S = 0.05
_PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One process to keep alive.

    Attributes:
        env: its whole environment; None for ours.
        restart: start it again when it ends. One that is not is left ended.
        log_file: what its standard error is appended to; None for ours.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    restart: bool = True
    log_file: Path | None = None


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long to wait before a child is started again.

    Attributes:
        first_s: after it ended for the first time.
        longest_s: at most.
        healthy_s: a child that lived so long begins at ``first_s`` again.
    """

    first_s: float = 0.25
    longest_s: float = 30.0
    healthy_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        """The wait before start number ``failures`` + 1: doubled each time, with jitter."""
        longest = min(self.longest_s, self.first_s * 2.0 ** (failures - 1))
        return longest * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, no secret


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    failures: int = 0
    start_at: float = field(default=0.0)


class Supervisor:
    """Runs the children of ``specs``; see ``run``."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        grace_s: float = 20.0,
        back_off: BackOff | None = None,
    ) -> None:
        self._children = [_Child(spec) for spec in specs]
        self._grace_s = grace_s
        self._back_off = back_off or BackOff()
        self._stopping = threading.Event()

    def run(self) -> int:
        """Keep the children alive until ``stop`` or a signal; gives 0 when all ended in time.

        To be called in the main thread, which alone may receive signals.
        """
        previous = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            while not self._stopping.wait(_LOOK_S):
                for child in self._children:
                    self._look_after(child)
            return self._end_all()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Ask ``run`` to end the children and return. From any thread."""
        self._stopping.set()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        _log.info("stopping", signal=signal.Signals(number).name)
        self._stopping.set()

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(child, now)
            return
        exit_code = child.process.poll()
        if exit_code is None:
            return
        child.process = None
        if not child.spec.restart:
            _log.info("child_ended", process=child.spec.name, exit_code=exit_code)
            child.start_at = float("inf")
            return
        lived_long = now - child.started >= self._back_off.healthy_s
        child.failures = 1 if lived_long else child.failures + 1
        delay_s = self._back_off.delay_s(child.failures)
        child.start_at = now + delay_s
        _log.warning(
            "child_ended_unexpectedly",
            process=child.spec.name,
            **_how_it_ended(exit_code),
            restart_count=child.failures,
            delay_s=round(delay_s, 2),
        )

    def _start(self, child: _Child, now: float) -> None:
        child.started = now
        environment = None if child.spec.env is None else dict(child.spec.env)
        try:
            with contextlib.ExitStack() as opened:
                log_file = child.spec.log_file
                child.process = subprocess.Popen(  # noqa: S603 - what the caller names
                    child.spec.argv,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stderr=opened.enter_context(log_file.open("ab")) if log_file else None,
                )
        except OSError as error:
            child.failures += 1
            child.start_at = now + self._back_off.delay_s(child.failures)
            _log.error(
                "child_not_started", process=child.spec.name, error_type=type(error).__name__
            )
            return
        _log.info("child_started", process=child.spec.name, pid=child.process.pid)

    def _end_all(self) -> int:
        """Ask all to end, wait, kill the rest. 0 when none had to be killed."""
        running = [(child, child.process) for child in self._children if child.process]
        for _, process in running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + self._grace_s
        killed = 0
        for child, process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.error("child_killed", process=child.spec.name, timeout_s=self._grace_s)
                _signal(process, signal.SIGKILL)
                process.wait()
                killed += 1
            child.process = None
        return 1 if killed else 0


def end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent dies, so that no child is orphaned.

    To be called early in a child. Does nothing where the kernel is not Linux.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died in between
        os.kill(os.getpid(), signal.SIGTERM)


def _how_it_ended(exit_code: int) -> dict[str, str | int]:
    if exit_code >= 0:
        return {"exit_code": exit_code}
    try:
        return {"exit_signal": signal.Signals(-exit_code).name}
    except ValueError:
        return {"exit_signal": str(-exit_code)}


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
