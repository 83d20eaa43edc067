"""What agreement in a field weighs, as binary logarithms, and what the sum of it decides.

Made by ``python -m tools.match_weights``: do not edit. They were counted in 60002 records
of a population that ``tools.population`` makes up (seed 20260302) and whose truth is known: how
often 1772 pairs of records of one person and 99999 pairs of two people, drawn at random, agree
at each level. No real person's data went into them. The thresholds are chosen: see the guide.
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
        "exact": 9.36,
        "close": 9.36,
        "sound": 3.34,
        "part": 2.79,
        "swapped": 5.89,
        "differs": -5.94,
    },
    "given": {
        "exact": 7.25,
        "close": 6.3,
        "sound": -2.5,
        "part": 7.25,
        "swapped": 5.89,
        "differs": -8.0,
    },
    "birth_date": {
        "exact": 14.35,
        "swapped": 10.69,
        "close": 4.84,
        "near": -1.51,
        "differs": -5.53,
    },
    "sex": {"same": 0.98, "differs": -8.0},
    "address": {"same": 14.41, "close": 6.18, "differs": -2.28},
    "phone": {"same": 14.26, "close": 11.33, "differs": -1.77},
    "identifier": {"same": 15.95, "close": 12.53, "differs": -8.0},
    "mother_name": {"same": 8.0, "differs": -4.0},
}
