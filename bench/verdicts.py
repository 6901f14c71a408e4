"""What is to be said of the figures of one run beside those of another: a regression, a gain, or noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from bench.shift import Shift, rounds_needed, shift

#: How often a comparison in which nothing has changed may find a change in any of its figures.
FALSE_ALARMS: Final = 0.05
#: With fewer rounds nobody knows how much they differ.
LEAST_ROUNDS: Final = 7

Key = tuple[str, str, str, str]
#: Of each figure, the ratio to its reference in each round, and whether more is better.
Figures = dict[Key, tuple[list[float], bool]]


class Word(Enum):
    """What a comparison comes to."""

    REGRESSION = "regression"
    GAIN = "gain"
    SAME = "same"
    NOISE = "noise"


@dataclass(frozen=True)
class Verdict:
    """What has become of one figure.

    :param key: measure, figure, peer, and what the ratio is to.
    :param times: the ratio of the ratios, new to old.
    :param low: it is hardly less than this.
    :param high: it is hardly more than this.
    :param needed: how many rounds of each would tell a change of the threshold from noise.
    """

    key: Key
    times: float
    low: float
    high: float
    word: Word
    needed: int

    def said(self, threshold: float) -> str:
        """The verdict in words."""
        return {Word.NOISE: f"noise (needs {self.needed} rounds)", Word.SAME: f"same within {threshold:.0%}"}.get(
            self.word, self.word.value
        )


def figures(contents: Sequence[Mapping[str, Any]], beside: bool = False, every: bool = False) -> Figures:
    """Collect the ratios of proxymux from results.

    :param contents: of the files of one run.
    :param beside: take the earlier build that was measured beside, in the place of the one that it is compared with.
    :param every: take those without a bound, too.
    :raises ValueError: if a file was written by an older version of these programs.
    """
    found: Figures = {}
    for row in (row for content in contents for row in content["rows"]):
        if "ratios" not in row:
            raise ValueError("it has no ratios of single rounds: an older version wrote it")
        is_beside = row["peer"].endswith("-beside")
        # Memory that has not grown within one round has no logarithm.
        ratios = [ratio for ratio in row["ratios"] if ratio > 0]
        if row["build"] and ratios and is_beside == beside and (every or row["bound"] is not None):
            peer = row["peer"].removesuffix("-beside")
            found[row["measure"], row["metric"], peer, row["reference"]] = (ratios, row["more"])
    return found


def compare(old: Figures, new: Figures, threshold: float) -> list[Verdict]:
    """Compare the figures that both runs have.

    A change counts if chance alone makes any such in no more than ``FALSE_ALARMS`` of all comparisons (by Benjamini and
    Hochberg's rule, as there are many figures), and if it is as large as the threshold.

    :param threshold: the least change that matters, 0.03 for three percent.
    """
    keys = [key for key in new if key in old]
    logs = {key: ([math.log(each) for each in old[key][0]], [math.log(each) for each in new[key][0]]) for key in keys}
    shifts = {key: shift(*logs[key]) for key in keys}
    level = _level([each.chance for each in shifts.values()])
    verdicts = []
    for key, each in shifts.items():
        needed = rounds_needed(*logs[key], math.log1p(threshold), max(level, FALSE_ALARMS / len(keys)))
        needed = max(needed, LEAST_ROUNDS)
        word = _word(each, each.chance <= level, new[key][1], math.log1p(threshold))
        verdicts.append(Verdict(key, math.exp(each.by), math.exp(each.low), math.exp(each.high), word, needed))
    return verdicts


def _level(chances: Sequence[float]) -> float:
    """The chance up to which a change counts; 0 if none does."""
    return max(
        (chance for rank, chance in enumerate(sorted(chances), 1) if chance <= FALSE_ALARMS * rank / len(chances)),
        default=0.0,
    )


def _word(found: Shift, counts: bool, more: bool, threshold: float) -> Word:
    if counts and abs(found.by) >= threshold:
        return Word.GAIN if (found.by > 0) == more else Word.REGRESSION
    if (counts and abs(found.by) < threshold) or (found.low > -threshold and found.high < threshold):
        return Word.SAME
    return Word.NOISE
