"""What is asked and said: the installation, the profile, and how each of its cases ended."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S")

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Called:
    """Whom the modality calls, and under which name."""

    host: str
    port: int
    ae_title: str
    calling_ae_title: str


@dataclass(frozen=True, slots=True)
class Installation:
    """What is known of the installation under test, and of the bench's own place beside it.

    Attributes:
        called: its DICOM address, and the AE title that the bench's modality has.
        hl7_port: where it takes messages, on the same host.
        url: of its API.
        token: of a user who may read, reconcile, undo merges, write and sign reports.
        application: MSH-3 of the bench.
        receiver: MSH-5, as the installation is called.
        results: host and port on which the bench takes results.
        timeout_s: in which an effect must be seen.
    """

    called: Called
    hl7_port: int
    url: str
    token: str
    application: str
    receiver: str
    results: tuple[str, int]
    timeout_s: float = 30.0


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "pass"
    FAILED = "fail"
    NOT_POSSIBLE = "not possible"


class Failed(Exception):
    """The installation did something else than the case expects."""


class NotPossible(Exception):
    """The case could not be played: something that it needs was not given or not permitted."""


@dataclass(frozen=True, slots=True)
class Case(Generic[S]):
    """One case; ``play`` raises ``Failed`` or ``NotPossible``, or it passed.

    Attributes:
        name: the transaction or the number of the case, and which of several.
        title: what must be true.
    """

    name: str
    title: str
    play: Callable[[S], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case. ``reason`` is empty when it passed."""

    case: str
    title: str
    verdict: Verdict
    reason: str
    took_s: float


def played(cases: Iterable[Case[S]], stage: S) -> Iterator[Result]:
    """The result of each case in turn; a case that breaks down has failed, and the rest go on."""
    for case in cases:
        began = time.monotonic()
        verdict, reason = _verdict(case, stage)
        took_s = round(time.monotonic() - began, 2)
        yield Result(case.name, case.title, verdict, reason, took_s)


def _verdict(case: Case[S], stage: S) -> tuple[Verdict, str]:
    try:
        case.play(stage)
    except NotPossible as error:
        return Verdict.NOT_POSSIBLE, str(error)
    except Failed as error:
        return Verdict.FAILED, str(error)
    except Exception as error:  # noqa: BLE001 whatever an answer breaks here, it is the answer's fault
        return Verdict.FAILED, f"{type(error).__name__}: {error}"
    return Verdict.PASSED, ""


def expect(what: str, found: object, wanted: object) -> None:
    """Fail unless both are equal."""
    if found != wanted:
        raise Failed(f"{what}: {found!r} instead of {wanted!r}")


T = TypeVar("T")


def until(condition: Callable[[], T], what: str, *, timeout_s: float) -> T:
    """The first true value of a condition; fails when there is none within the time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout_s:g} s: {what}")
        time.sleep(_POLL_S)
