"""What a number by itself says of whose it is: the rules that come before any weighing.

A number of an issuer that is trusted here is one patient's: whoever has it is who is meant. Without
its issuer, or from an issuer that is not trusted, the same digits may be anybody's, and whoever has
them is somebody to look at.
"""

from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final

from isocenter.domain.identity.model import PatientIdentifier
from isocenter.domain.identity.model_matching import Assessment, Ground

IDENTIFIER_RULE: Final = "identifier"
# Of a level that names one patient, facts may add up to this before they are of somebody else.
SOMEBODY_ELSE: Final = -5.0


class NumberLevel(StrEnum):
    """How a number that is asked for and one that is held agree; the strongest comes first."""

    EXACT = "exact"
    ISSUER_NOT_SAID = "issuer_not_said"
    ISSUER_NOT_TRUSTED = "issuer_not_trusted"


# Chosen, not counted: an issuer promises that no two people have one number. Of numbers whose
# issuer is in doubt some thousand others are as likely, so that alone they settle nothing.
_WEIGHTS: Final = {
    NumberLevel.EXACT: 40.0,
    NumberLevel.ISSUER_NOT_SAID: 10.0,
    NumberLevel.ISSUER_NOT_TRUSTED: 6.0,
}
_DOUBTS: Final = {
    NumberLevel.ISSUER_NOT_SAID: "who issued the number is not said",
    NumberLevel.ISSUER_NOT_TRUSTED: "who issued the number is not trusted here",
}


def number_level(
    asked: PatientIdentifier, held: PatientIdentifier, trusted: AbstractSet[str]
) -> NumberLevel | None:
    """How the numbers agree; None when they are two numbers.

    Args:
        asked: what is looked for.
        held: what a record has.
        trusted: the issuers whose numbers name one patient each.
    """
    if asked.value != held.value:
        return None
    issuers = (asked.assigning_authority, held.assigning_authority)
    if issuers[0] and issuers[0] not in trusted:
        return NumberLevel.ISSUER_NOT_TRUSTED
    if not all(issuers):
        return NumberLevel.ISSUER_NOT_SAID
    # The same digits of another trusted issuer are somebody else's.
    return NumberLevel.EXACT if issuers[0] == issuers[1] else None


def identified(assessment: Assessment, level: NumberLevel) -> Assessment:
    """The assessment of a record that has the number which was asked for."""
    agreeing = [each for each in assessment.grounds if _is_alike(each)]
    others = tuple(each for each in assessment.grounds if not _is_alike(each))
    ground = Ground("identifier", level.value, _WEIGHTS[level])
    strongest = max((*agreeing, ground), key=lambda each: each.weight)
    weight = round(sum(each.weight for each in others) + strongest.weight, 2)
    grounds = (*others, strongest)
    if level is not NumberLevel.EXACT:
        doubts = (*assessment.vetoes, _DOUBTS[level])
        return Assessment(weight, grounds, doubts)
    is_another = sum(each.weight for each in others) < SOMEBODY_ELSE
    vetoes = ("the number is this patient's and the rest is of somebody else",)
    return Assessment(weight, grounds, vetoes if is_another else (), IDENTIFIER_RULE)


def _is_alike(ground: Ground) -> bool:
    return ground.field == "identifier" and ground.level != "differs"
