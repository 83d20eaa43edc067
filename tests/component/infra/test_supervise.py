"""The supervisor with real processes: killed, failing, stubborn and obedient ones."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isocenter.infra.supervise import BackOff, ChildSpec

QUICK = BackOff(first_s=0.05, longest_s=0.4, healthy_s=60)

# A supervisor of its own in a process of its own: it owns the main thread and the signals.
SUPERVISOR = """
import sys
from isocenter.infra.log import configure
from isocenter.infra.supervise import BackOff, ChildSpec, Supervisor
configure("INFO", "json")
children = [ChildSpec(name, (sys.executable, "-c", code)) for name, code in {children!r}]
back_off = BackOff(first_s=0.05, longest_s=0.4, healthy_s=60)
sys.exit(Supervisor(children, grace_s={grace_s}, back_off=back_off).run())
"""
NOTE = (
    "import os, pathlib, signal, time; pathlib.Path({file!r}).open('a').write(f'{{os.getpid()}} ')"
)
OBEDIENT = NOTE + "; time.sleep(60)"
STUBBORN = NOTE + "; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
ORPHAN = "from isocenter.infra.supervise import end_with_parent; end_with_parent(); " + OBEDIENT


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*codes: str, grace_s: float = 5.0) -> subprocess.Popen[bytes]:
        children = [(f"child{n}", code) for n, code in enumerate(codes)]
        program = SUPERVISOR.format(children=children, grace_s=grace_s)
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-c", program], stdout=log, stderr=log)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def pids(file: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if file.exists() and len(lines := file.read_text().split()) >= count:
            return [int(line) for line in lines]
        time.sleep(0.02)
    raise AssertionError(f"fewer than {count} starts")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not is_alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_a_killed_child_is_started_again_and_others_go_on(start, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    start(OBEDIENT.format(file=str(one)), OBEDIENT.format(file=str(two)))
    first, other = pids(one, 1)[0], pids(two, 1)[0]
    os.kill(first, signal.SIGKILL)
    assert pids(one, 2)[1] != first
    assert pids(two, 1) == [other]
    assert is_alive(other)


def test_sigterm_ends_all_children_and_the_exit_code_is_0(start, tmp_path):
    file = tmp_path / "pids"
    supervisor = start(OBEDIENT.format(file=str(file)))
    child = pids(file, 1)[0]
    supervisor.terminate()
    assert supervisor.wait(timeout=10) == 0
    assert gone(child)


def test_a_child_that_will_not_end_is_killed_after_the_grace(start, tmp_path):
    file = tmp_path / "pids"
    supervisor = start(STUBBORN.format(file=str(file)), grace_s=0.5)
    child = pids(file, 1)[0]
    time.sleep(0.2)  # until it ignores the signal
    supervisor.terminate()
    assert supervisor.wait(timeout=10) == 1
    assert gone(child)


def test_children_end_when_the_supervisor_is_killed(start, tmp_path):
    file = tmp_path / "pids"
    supervisor = start(ORPHAN.format(file=str(file)))
    child = pids(file, 1)[0]
    supervisor.kill()
    assert gone(child)


def test_a_child_that_always_fails_is_started_ever_more_slowly(start, tmp_path):
    file = tmp_path / "times"
    note = f"pathlib.Path({str(file)!r}).open('a').write(f'{{time.monotonic_ns() // 10**6}} ')"
    code = "import pathlib, time; " + note
    start(code)
    moments = pids(file, 5)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert gaps[3] > gaps[0]


def test_back_off_doubles_up_to_its_limit():
    delays = [QUICK.delay_s(n) for n in range(1, 10)]
    assert 0.0375 <= delays[0] <= 0.05
    assert all(delay <= 0.4 for delay in delays)
    assert delays[8] >= 0.3


def test_a_program_that_does_not_exist_is_no_reason_to_fall(tmp_path):
    from isocenter.infra.supervise import Supervisor  # noqa: PLC0415 - only this test runs it here

    supervisor = Supervisor([ChildSpec("none", ("/nowhere/program",))], back_off=QUICK)
    threading.Timer(0.3, supervisor.stop).start()
    assert supervisor.run() == 0
