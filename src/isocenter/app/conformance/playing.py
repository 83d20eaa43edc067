"""Plays the cases of a profile against an installation, one after the other."""

from collections.abc import Iterator, Mapping
from typing import Final

from isocenter.app.conformance import pir, swf_exams, swf_orders
from isocenter.app.conformance.stage import Stage
from isocenter.app.conformance.verdicts import (
    Case,
    Installation,
    Profile,
    Result,
    Verdict,
    played,
)
from isocenter.infra.clock import Clock

CASES: Final[Mapping[Profile, tuple[Case[Stage], ...]]] = {
    Profile.SWF: (*swf_orders.CASES, *swf_exams.CASES),
    Profile.PIR: pir.CASES,
}


def results(
    profile: Profile, installation: Installation, clock: Clock, *, begins: str = ""
) -> Iterator[Result]:
    """What became of the cases whose names begin so; none is played where something is missing."""
    wanted = [each for each in CASES[profile] if each.name.startswith(begins)]
    with Stage(installation, clock) as stage:
        missing = "; ".join(stage.check())
        if missing:
            for each in wanted:
                yield Result(each.name, each.title, Verdict.NOT_POSSIBLE, missing, 0.0)
            return
        yield from played(wanted, stage)
