"""What agreement in a field weighs, as binary logarithms, and what the sum of it decides.

Made by ``python -m tools.match_weights``: do not edit. They were counted in 60001 records of a
population that ``tools.population`` makes up (seed 20260302) and whose truth is known: how often
1768 pairs of records of one person and 100000 pairs of two people, drawn at random, agree at
each level. No real person's data went into them. The thresholds are chosen: see the guide.
"""

from collections.abc import Mapping
from typing import Final

# Of the pairs in an index of a million people, so few are one person.
PRIOR: Final = -23.3
# A person is asked from here on; from there on records may be linked without one.
REVIEW_MIN: Final = 20.0
LINK_MIN: Final = 30.0

WEIGHTS: Final[Mapping[str, Mapping[str, float]]] = {
    "family": {
        "exact": 9.85,
        "close": 9.85,
        "sound": 3.29,
        "part": 2.8,
        "swapped": 5.9,
        "differs": -5.94,
    },
    "given": {
        "exact": 7.45,
        "close": 6.61,
        "sound": -2.57,
        "part": 7.45,
        "swapped": 5.9,
        "differs": -8.0,
    },
    "birth_date": {"exact": 15.2, "swapped": 7.98, "close": 4.7, "near": -1.54, "differs": -5.53},
    "sex": {"same": 0.98, "differs": -8.0},
    "address": {"same": 13.51, "close": 5.97, "differs": -2.28},
    "phone": {"same": 13.37, "close": 11.33, "differs": -1.76},
    "identifier": {"same": 15.96, "close": 12.54, "differs": -8.0},
    "mother_name": {"same": 8.0, "differs": -4.0},
}
