"""Raw figures, and what is concluded from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

#: Targets are for these; the others are what they are compared with.
JUDGED: Final = ("proxymux", "proxymux-transport")


@dataclass(frozen=True)
class Metric:
    """One figure of a measure.

    :param key: its name within the measure.
    :param unit: of the value.
    :param against_peer: whose figure it is divided by; with None the peer's own.
    :param against_key: the figure that it is divided by; with None the same one. Both None: there is no ratio.
    :param at_most: the ratio that proxymux has to keep below.
    :param at_least: the ratio that proxymux has to reach.
    """

    key: str
    unit: str
    against_peer: str | None = None
    against_key: str | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def reference(self) -> str | None:
        """What the ratio is to, in words."""
        if self.against_peer and self.against_key:
            return f"{self.against_peer} {self.against_key}"
        return self.against_peer or (f"own {self.against_key}" if self.against_key else None)

    def met(self, ratio: float) -> bool | None:
        """Tell whether a ratio is as good as it has to be, or None if nothing is demanded."""
        if self.at_most is not None:
            return ratio <= self.at_most
        return ratio >= self.at_least if self.at_least is not None else None


@dataclass(frozen=True)
class Sample:
    """What one measurement of one peer in one round gave."""

    round: int
    measure: str
    peer: str
    values: dict[str, float]


@dataclass(frozen=True)
class Row:
    """A conclusion: one figure of one peer over all rounds.

    :param ratio: the median of the ratios within each round, which machine-wide drift between rounds cannot bend.
    :param ratio_of_medians: for comparison.
    :param target: the demanded ratio, where one is.
    :param met: whether the ratio is as good.
    """

    measure: str
    metric: str
    unit: str
    peer: str
    median: float
    low: float
    high: float
    rounds: int
    reference: str | None
    ratio: float | None
    ratio_of_medians: float | None
    target: str | None
    met: bool | None


def conclude(measure: str, metrics: Sequence[Metric], samples: Sequence[Sample]) -> Iterator[Row]:
    """Yield the rows of a measure.

    :param measure: its name.
    :param metrics: its figures, in the order of the table.
    :param samples: those of this measure.
    """
    peers = list(dict.fromkeys(sample.peer for sample in sorted(samples, key=lambda sample: sample.round)))
    for metric in metrics:
        for peer in peers:
            values = _values(samples, peer, metric.key)
            if values:
                yield _row(measure, metric, peer, values, samples)


def _values(samples: Sequence[Sample], peer: str, key: str) -> dict[int, float]:
    return {sample.round: sample.values[key] for sample in samples if sample.peer == peer and key in sample.values}


def _row(measure: str, metric: Metric, peer: str, values: dict[int, float], samples: Sequence[Sample]) -> Row:
    ratio = of_medians = met = None
    if metric.reference:
        base = _values(samples, metric.against_peer or peer, metric.against_key or metric.key)
        ratios = [value / base[number] for number, value in values.items() if base.get(number)]
        if ratios:
            ratio, of_medians = median(ratios), median(values.values()) / median(base.values())
    judged = peer in JUDGED
    if judged and ratio is not None:
        met = metric.met(ratio)
    target = f"≤ {metric.at_most:g}" if metric.at_most is not None else None
    target = f"≥ {metric.at_least:g}" if metric.at_least is not None else target
    return Row(
        measure,
        metric.key,
        metric.unit,
        peer,
        median(values.values()),
        min(values.values()),
        max(values.values()),
        len(values),
        metric.reference,
        ratio,
        of_medians,
        target if judged else None,
        met,
    )
