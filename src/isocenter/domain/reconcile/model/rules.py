"""Repeated decisions as a rule: what a rule would have chosen, and how often that was right."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from isocenter.domain.reconcile.model.score import Proposal, TermName

# Terms that a rule may be made of: those whose every change leads to a new decision. Whether an
# order has images depends on other decisions, and which station asked for it is told to nobody.
RULE_TERMS: Final = (
    TermName.PATIENT_ID,
    TermName.PATIENT_NAME,
    TermName.BIRTH_DATE,
    TermName.MODALITY,
    TermName.STATION,
    TermName.TIME,
    TermName.PROCEDURE,
)
REQUIRED_TERM: Final = TermName.PATIENT_ID  # a rule must say who the patient is
DECISIONS_MIN: Final = 5
PRECISION_MIN: Final = 0.98
_CONTRADICTED_POINTS: Final = -25


@dataclass(frozen=True, slots=True)
class PastChoice:
    """An order that there was to choose from, and the terms that spoke for it."""

    order_key: int
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class PastDecision:
    """What a person chose, out of what.

    Attributes:
        chosen: key of the order; None when the decision was undone: none was right.
    """

    station_ae_title: str
    chosen: int | None
    choices: tuple[PastChoice, ...]


@dataclass(frozen=True, slots=True)
class Precision:
    """How a rule would have done over past decisions.

    Attributes:
        applied: decisions in which it would have chosen an order.
        right: those in which it would have chosen what people chose.
    """

    applied: int
    right: int

    @property
    def share(self) -> float:
        """Right ones of those it would have decided; 0 when it would have decided none."""
        return self.right / self.applied if self.applied else 0.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A rule that people may make: their decisions follow it."""

    station_ae_title: str
    terms: frozenset[str]
    precision: Precision


def chosen_by(terms: frozenset[str], proposals: Sequence[Proposal]) -> Proposal | None:
    """The only proposal for which all the terms speak and against which nothing weighty does."""
    fitting = [
        each
        for each in proposals
        if terms <= each.score.agreeing
        and not each.order.cancelled
        and all(term.points > _CONTRADICTED_POINTS for term in each.score.terms)
    ]
    return fitting[0] if len(fitting) == 1 else None


def precision(
    station_ae_title: str, terms: frozenset[str], decisions: Iterable[PastDecision]
) -> Precision:
    """How the rule would have done over the decisions about this station's images."""
    applied = right = 0
    for decision in decisions:
        if decision.station_ae_title != station_ae_title:
            continue
        fitting = [each.order_key for each in decision.choices if terms <= each.terms]
        if len(fitting) == 1:
            applied += 1
            right += fitting[0] == decision.chosen
    return Precision(applied, right)


def offers(
    decisions: Sequence[PastDecision],
    *,
    decisions_min: int = DECISIONS_MIN,
    precision_min: float = PRECISION_MIN,
) -> list[Offer]:
    """One rule per station that past decisions follow: the one that would have decided most.

    Where two would have decided as much, the one with more terms is offered: it is more careful.
    """
    found: list[Offer] = []
    for station in sorted({each.station_ae_title for each in decisions}):
        own = [each for each in decisions if each.station_ae_title == station]
        possible = [
            Offer(station, terms, measured)
            for terms in _combinations(own)
            if (measured := precision(station, terms, own)).applied >= decisions_min
            and measured.share >= precision_min
        ]
        if possible:
            found.append(
                max(
                    possible,
                    key=lambda each: (
                        each.precision.right,
                        len(each.terms),
                        sorted(each.terms),
                    ),
                )
            )
    return found


def _combinations(decisions: Sequence[PastDecision]) -> list[frozenset[str]]:
    """Sets of two terms and more that spoke for something that people chose."""
    seen: set[str] = set()
    for decision in decisions:
        for choice in decision.choices:
            if choice.order_key == decision.chosen:
                seen |= choice.terms
    usable = [each.value for each in RULE_TERMS if each.value in seen]
    return [
        frozenset(each)
        for size in range(2, len(usable) + 1)
        for each in combinations(usable, size)
        if REQUIRED_TERM.value in each
    ]
