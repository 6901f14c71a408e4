"""Raw figures, and what is concluded from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

#: What the name of a peer begins with that is a compiled build of proxymux, and that is any.
COMPILED: Final = "proxymux-compiled"
OURS: Final = "proxymux"


def build_of(peer: str) -> str | None:
    """Which build of proxymux a peer is: ``pure`` or ``compiled``, or None of other programs."""
    if not peer.startswith(OURS):
        return None
    return "compiled" if peer.startswith(COMPILED) else "pure"


@dataclass(frozen=True)
class Bound:
    """How good a ratio has to be.

    :param compiled: of the compiled build.
    :param pure: of the one in pure Python, or None if nothing is demanded of it.
    """

    compiled: float
    pure: float | None = None

    def of(self, build: str | None) -> float | None:
        """The bound of a build."""
        return {"compiled": self.compiled, "pure": self.pure}.get(build or "")


def both(ratio: float) -> Bound:
    """A bound that is the same for both builds."""
    return Bound(ratio, ratio)


@dataclass(frozen=True)
class Metric:
    """One figure of a measure.

    :param key: its name within the measure.
    :param unit: of the value.
    :param against_peer: whose figure it is divided by; with None the peer's own.
    :param against_key: the figure that it is divided by; with None the same one. Both None: there is no ratio.
    :param bound: what the ratio of proxymux may be at most, or has to be at least.
    :param more: whether more is better, and the bound is the least.
    """

    key: str
    unit: str
    against_peer: str | None = None
    against_key: str | None = None
    bound: Bound | None = None
    more: bool = False

    @property
    def reference(self) -> str | None:
        """What the ratio is to, in words."""
        if self.against_peer and self.against_key:
            return f"{self.against_peer} {self.against_key}"
        return self.against_peer or (f"own {self.against_key}" if self.against_key else None)

    def limit(self, peer: str) -> float | None:
        """The bound of a peer's ratio, or None if nothing is demanded of it."""
        return self.bound.of(build_of(peer)) if self.bound else None


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

    :param build: ``pure`` or ``compiled``, or None of other programs.
    :param ratio: the median of the ratios within each round, which machine-wide drift between rounds cannot bend.
    :param ratios: of each round.
    :param more: whether more is better.
    :param bound: the demanded ratio, where one is.
    :param met: whether the ratio is as good.
    """

    measure: str
    metric: str
    unit: str
    peer: str
    build: str | None
    median: float
    low: float
    high: float
    rounds: int
    reference: str | None
    ratio: float | None
    ratios: list[float]
    more: bool
    bound: float | None
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
    ratios = []
    if metric.reference:
        base = _values(samples, metric.against_peer or peer, metric.against_key or metric.key)
        ratios = [value / base[number] for number, value in values.items() if base.get(number)]
    ratio = median(ratios) if ratios else None
    bound, met = metric.limit(peer), None
    if bound is not None and ratio is not None:
        met = ratio >= bound if metric.more else ratio <= bound
    return Row(
        measure=measure,
        metric=metric.key,
        unit=metric.unit,
        peer=peer,
        build=build_of(peer),
        median=median(values.values()),
        low=min(values.values()),
        high=max(values.values()),
        rounds=len(values),
        reference=metric.reference,
        ratio=ratio,
        ratios=ratios,
        more=metric.more,
        bound=bound,
        met=met,
    )
