"""``python -m tools.match_weights``: count the weights of patient matching, and write them down.

Of a made-up population it is known which records are of one person. How often those agree at each
level of each field (m), and how often records of two people do (u), is counted; the weight is the
binary logarithm of m / u. Splink and its like estimate the same numbers where the truth is unknown.
"""

import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import log2
from pathlib import Path
from typing import Final

from isocenter.domain.identity import model_weights
from isocenter.domain.identity.model_matching import Person, assess
from tools.population import Population, Registered

SEED: Final = 20_260_302
RECORDS: Final = 60_000
PAIRS: Final = 100_000
_TARGET: Final = Path(model_weights.__file__)
_HEAD: Final = '''\
"""What agreement in a field weighs, as binary logarithms, and what the sum of it decides.

Made by ``python -m tools.match_weights``: do not edit. They were counted in {records} records
of a population that ``tools.population`` makes up (seed {seed}) and whose truth is known: how
often {same} pairs of records of one person and {others} pairs of two people, drawn at random, agree
at each level. No real person's data went into them. The thresholds are chosen: see the guide.
"""

from collections.abc import Mapping
from typing import Final

# Of the pairs in an index of a million people, so few are one person.
PRIOR: Final = -23.3
# A person is asked from here on; from there on records may be linked without one.
REVIEW_MIN: Final = {review}
LINK_MIN: Final = {link}

'''


def main() -> int:
    """Count, write the module, and say what changed."""
    records = list(Population(SEED).records(RECORDS))
    same = _pairs_of_one(records)
    drawn = random.Random(SEED)  # noqa: S311 - nothing secret
    others = [
        (one.person, other.person)
        for one, other in (drawn.sample(records, 2) for _ in range(PAIRS))
        if one.truth != other.truth
    ]
    weights = _weights(_count(same), _count(others))
    head = _HEAD.format(
        records=len(records),
        seed=SEED,
        same=len(same),
        others=len(others),
        review=model_weights.REVIEW_MIN,
        link=model_weights.LINK_MIN,
    )
    _TARGET.write_text(f"{head}WEIGHTS: Final[Mapping[str, Mapping[str, float]]] = {weights!r}\n")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(_TARGET)], check=True)
    for name, levels in weights.items():
        sys.stdout.write(f"{name:<12} {levels}\n")
    return 0


def _pairs_of_one(records: Iterable[Registered]) -> list[tuple[Person, Person]]:
    found: defaultdict[int, list[Person]] = defaultdict(list)
    for record in records:
        found[record.truth].append(record.person)
    return [(each[0], each[1]) for each in found.values() if len(each) > 1]


def _count(pairs: Iterable[tuple[Person, Person]]) -> dict[str, Counter[str]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one, other in pairs:
        for ground in assess(one, other).grounds:
            found[ground.field][ground.level] += 1
    return found


def _weights(
    same: Mapping[str, Counter[str]], others: Mapping[str, Counter[str]]
) -> dict[str, dict[str, float]]:
    """As counted, but for two things that counting a field at a time gets wrong.

    That both parts of a name are exchanged is one event and not two: each gets half. And common
    names, which ``assess`` weighs by how common they are, pull down what an exact name is worth.
    """
    weights: dict[str, dict[str, float]] = {}
    for field, levels in model_weights.WEIGHTS.items():
        m, u = same.get(field, Counter()), others.get(field, Counter())
        # Where the population says nothing about a field, its weights stay as they were judged.
        found = {each: _weight(each, m, u, len(levels)) for each in levels} if m else dict(levels)
        if "swapped" in found and "part" in found:
            found["swapped"] = round(found["swapped"] / 2, 2)
            found["exact"] = max(found["exact"], found["close"], found["sound"], found["part"])
        weights[field] = found
    return weights


def _weight(level: str, m: Counter[str], u: Counter[str], levels: int) -> float:
    """With half a pair added to each level, so that what was never seen is rare and not never.

    No level weighs more than 20 nor less than -8: registration errs in ways that nobody counted.
    """
    among_same = (m[level] + 0.5) / (m.total() + 0.5 * levels)
    among_others = (u[level] + 0.5) / (u.total() + 0.5 * levels)
    return round(min(max(log2(among_same / among_others), -8.0), 20.0), 2)


if __name__ == "__main__":
    raise SystemExit(main())
