"""By how much one series of figures lies above another, and what chance alone would do.

All of it goes by ranks, so that a round in which the machine did something else counts as one round and no more: the
shift is Hodges and Lehmann's (the median of all differences), its interval and its chance are those of Mann and
Whitney's test, exact for few rounds too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist, median
from typing import Final

#: How sure an interval is.
CONFIDENCE: Final = 0.95
#: How often a change should be found that is there, for the number of rounds it takes.
POWER: Final = 0.8
#: The standard deviation of normal figures to the median of their distances from their median.
_SCALE: Final = 1.4826


@dataclass(frozen=True)
class Shift:
    """By how much a series lies above another.

    :param by: the estimate.
    :param low: it is hardly less than this; minus infinity if there are too few figures to say.
    :param high: it is hardly more than this.
    :param chance: how probable it is that two series that do not differ lie so far apart.
    """

    by: float
    low: float
    high: float
    chance: float


def shift(old: Sequence[float], new: Sequence[float]) -> Shift:
    """Compare two series, none of them empty."""
    differences = sorted(after - before for before in old for after in new)
    above = sum(each > 0 for each in differences) + sum(each == 0 for each in differences) / 2
    count, total = len(differences), _orders(len(old), len(new))
    # A tie is half above; what is rounded goes towards no difference.
    extreme = math.ceil(min(above, count - above))
    chance = min(1.0, 2 * _cumulated(len(old), len(new))[extreme] / total)
    cut = sum(2 * each <= (1 - CONFIDENCE) * total for each in _cumulated(len(old), len(new)))
    low, high = (differences[cut - 1], differences[count - cut]) if cut else (-math.inf, math.inf)
    return Shift(median(differences), low, high, chance)


def rounds_needed(old: Sequence[float], new: Sequence[float], size: float, level: float) -> int:
    """Return how many figures of each series it takes to find a difference of a size, if they spread as these do.

    :param size: of the difference.
    :param level: the chance at which it counts as found.
    """
    spread = _SCALE * median([abs(each - median(series)) for series in (old, new) for each in series])
    normal = NormalDist()
    needed = 1
    if spread:
        # Noether's formula.
        above = normal.cdf(size / spread / math.sqrt(2))
        z = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(POWER)
        needed = math.ceil(z * z / (6 * (above - 0.5) ** 2))
    while 2 / _orders(needed, needed) > level:  # not even figures that lie apart altogether would do
        needed += 1
    return needed


def _orders(one: int, other: int) -> int:
    return math.comb(one + other, one)


@cache
def _cumulated(one: int, other: int) -> list[int]:
    """In how many orders of two series at most so many pairs have the other's figure above, from 0 on."""
    counts = [1] + [0] * (one * other)
    # The coefficients of the Gaussian binomial: times 1 - x**(other + each), divided by 1 - x**each.
    for each in range(1, one + 1):
        for power in range(len(counts) - 1, other + each - 1, -1):
            counts[power] -= counts[power - other - each]
        for power in range(each, len(counts)):
            counts[power] += counts[power - each]
    for power in range(1, len(counts)):
        counts[power] += counts[power - 1]
    return counts
