"""Plays the cases of a profile against an installation, one after the other."""

from collections.abc import Iterator, Mapping
from typing import Final

from isocenter.app.conformance import pir, swf_exams, swf_orders
from isocenter.app.conformance.stage import Stage
from isocenter.app.conformance.verdicts import Case, Installation, Result, Verdict, played
from isocenter.infra.clock import Clock

PROFILES: Final[Mapping[str, tuple[Case[Stage], ...]]] = {
    "swf": (*swf_orders.CASES, *swf_exams.CASES),
    "pir": pir.CASES,
}


def wanted(what: str) -> list[Case[Stage]]:
    """The cases of a profile, or those whose names begin so."""
    every = [each for cases in PROFILES.values() for each in cases]
    return [*PROFILES.get(what, ())] or [each for each in every if each.name.startswith(what)]


def results(what: str, installation: Installation, clock: Clock) -> Iterator[Result]:
    """What became of the wanted cases; none is played where something is missing."""
    cases = wanted(what)
    with Stage(installation, clock) as stage:
        missing = "; ".join(stage.check())
        if missing:
            for each in cases:
                yield Result(each.name, each.title, Verdict.NOT_POSSIBLE, missing, 0.0)
            return
        yield from played(cases, stage)
