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

from isocenter.infra.supervise import EXIT_CONFIGURATION, ChildSpec, Supervisor

# A supervisor in a process of its own, so that it can be signalled and killed.
PROGRAM = """
import os, sys
from isocenter.infra.supervise import ChildSpec, Supervisor, stop_on_signals
children = [
    ChildSpec(name=name, argv=[sys.executable, "-c", code], env=dict(os.environ))
    for name, code in {children!r}
]
supervisor = Supervisor(children, grace_s={grace_s}, backoff_first_s=0.05, backoff_max_s=0.4)
sys.exit(supervisor.run(stop_on_signals()))
"""
LINK = """
import os, pathlib, signal, sys, threading, time
from isocenter.infra.supervise import FD_VARIABLE, Lifeline
link = Lifeline(int(os.environ[FD_VARIABLE]))
def note(what):
    with pathlib.Path({file!r}).open("a") as file:
        file.write(what + " ")
note(str(os.getpid()))
"""
STEADY = LINK + "link.ready(); time.sleep(60)"
STUBBORN = (
    LINK + "signal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf'); link.ready();"
    " time.sleep(60)"
)
DRAINING = (
    LINK + "stop = threading.Event(); signal.signal(signal.SIGTERM, lambda *_: stop.set());"
    " link.ready(); stop.wait(60); time.sleep(0.3); note('drained')"
)
ATTACHED = (
    LINK + "stop = threading.Event(); link.when_lost(stop.set); link.ready();"
    " stop.wait(60); note('lost')"
)
FAILING = "import pathlib, time\n" + (
    "pathlib.Path({file!r}).open('a').write(f'{{time.monotonic_ns() // 10**6}} ')"
)

WRONG = """
import pathlib, sys, time
while not pathlib.Path({file!r}).exists():
    time.sleep(0.02)
sys.exit({status})
"""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*codes: str, grace_s: float = 5.0) -> subprocess.Popen[bytes]:
        children = [(f"child{number}", code) for number, code in enumerate(codes)]
        program = PROGRAM.format(children=children, grace_s=grace_s)
        started.append(subprocess.Popen([sys.executable, "-c", program]))
        return started[-1]

    yield run
    for each in started:
        each.terminate()
        each.wait(20)


def words(file: Path, count: int) -> list[str]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if file.exists() and len(found := file.read_text().split()) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"fewer than {count} words: {file.exists() and file.read_text()!r}")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


def test_a_killed_child_is_started_again_and_others_go_on(start: Start, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    start(STEADY.format(file=str(one)), STEADY.format(file=str(two)))
    first, other = words(one, 1)[0], words(two, 1)[0]
    os.kill(int(first), signal.SIGKILL)
    assert words(one, 2)[1] != first
    assert words(two, 1) == [other]
    assert is_alive(int(other))


def test_sigterm_lets_children_finish_their_work(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "words"
    supervisor = start(DRAINING.format(file=str(file)))
    child = int(words(file, 1)[0])
    time.sleep(0.3)  # until it listens to the signal
    supervisor.terminate()
    assert supervisor.wait(20) == 0
    assert words(file, 2) == [str(child), "drained"]
    assert not is_alive(child)


def test_a_child_that_will_not_end_is_killed_after_the_grace(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "words"
    supervisor = start(STUBBORN.format(file=str(file)), grace_s=0.5)
    child = int(words(file, 2)[0])
    supervisor.terminate()
    assert supervisor.wait(20) == 0
    assert not is_alive(child)


def test_children_notice_that_the_supervisor_was_killed(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "words"
    supervisor = start(ATTACHED.format(file=str(file)))
    child = int(words(file, 1)[0])
    supervisor.kill()
    assert words(file, 2)[1] == "lost"
    assert ends(child)


def test_a_child_that_always_fails_is_started_ever_more_slowly(
    start: Start, tmp_path: Path
) -> None:
    file = tmp_path / "times"
    start(FAILING.format(file=str(file)))
    moments = [int(word) for word in words(file, 6)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    # 0.05, 0.1, 0.2, 0.4, 0.4 s, each give or take a quarter, and the time to start Python.
    assert gaps[3] > gaps[0]
    assert all(gap >= 0.75 * wait for gap, wait in zip(gaps, (50, 100, 200, 400, 400), strict=True))


@pytest.fixture
def run_here() -> Iterator[Callable[[Supervisor], threading.Event]]:
    stops: list[tuple[threading.Event, threading.Thread]] = []

    def run(supervisor: Supervisor) -> threading.Event:
        stop = threading.Event()
        thread = threading.Thread(target=supervisor.run, args=(stop,))
        thread.start()
        stops.append((stop, thread))
        return stop

    yield run
    for stop, thread in stops:
        stop.set()
        thread.join()


def child(name: str, code: str, **changes: bool) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=[sys.executable, "-c", code],
        env=dict(os.environ),  # noqa: TID251 - the test's own
        **changes,
    )


def test_it_is_ready_when_all_children_say_so(
    run_here: Callable[[Supervisor], threading.Event], tmp_path: Path
) -> None:
    silent = LINK.format(file=str(tmp_path / "silent")) + "time.sleep(60)"
    speaking = STEADY.format(file=str(tmp_path / "speaking"))
    incomplete = Supervisor([child("a", speaking), child("b", silent)])
    run_here(incomplete)
    words(tmp_path / "silent", 1)
    assert not incomplete.wait_ready(1)
    complete = Supervisor([child("a", speaking), child("b", speaking)])
    run_here(complete)
    assert complete.wait_ready(20)
    assert [each.state for each in complete.statuses()] == ["ready", "ready"]


def test_a_wrong_configuration_ends_everything_with_its_status(tmp_path: Path) -> None:
    other = tmp_path / "other"
    supervisor = Supervisor([
        child("other", STEADY.format(file=str(other))),
        child("wrong", WRONG.format(file=str(other), status=EXIT_CONFIGURATION)),
    ])
    assert supervisor.run(threading.Event()) == EXIT_CONFIGURATION
    assert all(not is_alive(int(pid)) for pid in words(other, 1))


def test_children_that_need_no_restart_are_not_restarted(tmp_path: Path) -> None:
    file = tmp_path / "times"
    once = child("once", FAILING.format(file=str(file)), restart=False)
    assert Supervisor([once]).run(threading.Event()) == 0
    assert len(words(file, 1)) == 1


def test_a_program_that_does_not_exist_is_tried_again() -> None:
    missing = ChildSpec(name="none", argv=["/nowhere/program"], env={})
    supervisor = Supervisor([missing], backoff_first_s=0.01)
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    assert supervisor.run(stop) == 0
    assert supervisor.statuses()[0].restart_count >= 2
