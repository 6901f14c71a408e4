"""The rounds: every measure of every peer, and again."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bench import measures
from bench.figures import Row, Sample, conclude
from bench.measures.base import Distributions, Measure
from bench.processes import BrokenRun, Unavailable
from bench.stage import Peer, Stage


def numbers(count: int, minutes: float | None, now: Callable[[], float] = time.monotonic) -> Iterator[int]:
    """Yield the numbers of rounds, from 1.

    :param count: how many, if there is no time.
    :param minutes: rounds go on while another one, if it takes as long as they did so far, ends within this time;
        there is one at least.
    """
    began, number = now(), 1
    yield number
    while now() - began + (now() - began) / number <= minutes * 60 if minutes is not None else number < count:
        number += 1
        yield number


def turned(names: Sequence[str], number: int) -> list[str]:
    """Return names in the order for one round: each round begins with another one."""
    turn = (number - 1) % max(1, len(names))
    return [*names[turn:], *names[:turn]]


class Tries:
    """What could be measured, and what could not be.

    :param skipped: one line for each thing that is already known not to run.
    """

    def __init__(self, skipped: Sequence[str] = ()) -> None:
        self.samples: list[Sample] = []
        self.skipped: list[str] = []
        #: Whether something that is installed did not work.
        self.broken = False
        for line in skipped:
            self.skip(line)

    def skip(self, line: str) -> None:
        """Say what is not measured, and why."""
        self.skipped.append(line)
        print(f"skipped {line}", file=sys.stderr)

    def take(self, number: int, measure: str, peer: str, measured: Callable[[], dict[str, float]]) -> None:
        """Measure one peer in one round: what fails costs that figure of the round and no more."""
        print(f"round {number}: {measure} {peer}", file=sys.stderr)
        try:
            values = measured()
        except (BrokenRun, Unavailable) as error:
            self.broken = self.broken or isinstance(error, BrokenRun)
            self.skip(f"round {number}, {measure} {peer}: {error}")
        else:
            self.samples.append(Sample(number, measure, peer, values))


class Run(Tries):
    """Rounds over all peers.

    :param stage: where everything runs.
    :param rounds: their numbers.
    :param skipped: one line for each thing that is already known not to run.
    """

    def __init__(self, stage: Stage, rounds: Iterator[int], skipped: Sequence[str]) -> None:
        super().__init__(skipped)
        #: By measure, what it found out before its rounds.
        self.facts: dict[str, dict[str, float]] = {}
        self._stage = stage
        self._rounds = rounds
        self._measures: list[Measure] = []
        self._peers: dict[str, Peer] = {}

    def choose_peers(self, names: Sequence[str], peers: dict[str, Peer]) -> None:
        """Take the peers that can be run.

        :param names: of those that are wanted.
        :param peers: all there are.
        """
        for name in names:
            try:
                peers[name].check()
            except Unavailable as error:
                self.skip(f"peer {name}: {error}")
            else:
                self._peers[name] = peers[name]

    def choose_measures(self, names: Sequence[str], descriptors: int) -> None:
        """Take the measures that can be run.

        :param names: of those that are wanted.
        :param descriptors: how many a process may have.
        """
        for kind in measures.ALL:
            if kind.name not in names:
                continue
            missing = [f"{program} is not installed" for program in kind.programs if not shutil.which(program)]
            if kind.needs_load and not self._stage.load:
                missing.append("bench/load.c is not compiled")
            if kind.needs_descriptors > descriptors:
                missing.append(f"it needs {kind.needs_descriptors} file descriptors, the hard limit is {descriptors}")
            if missing:
                self.skip(f"measure {kind.name}: {missing[0]}")
            else:
                self._measures.append(kind())

    def all_rounds(self) -> None:
        """Measure everything, each round in another order of peers."""
        for measure in list(self._measures):
            try:
                self.facts[measure.name] = measure.prepare(self._stage, self._peers)
            except (Unavailable, BrokenRun) as error:
                self._measures.remove(measure)
                self.skip(f"measure {measure.name}: {error}")
        for number in self._rounds:
            for measure in self._measures:
                names = [name for name, peer in self._peers.items() if peer.kind in measure.kinds]
                for turn in range(1 if self._stage.short else measure.repeats):
                    within = (number - 1) * measure.repeats + turn + 1
                    for name in turned(names, within):
                        peer = self._peers[name]
                        self.take(within, measure.name, name, partial(measure.take, self._stage, peer))

    def distributions(self) -> Distributions:
        """Return what single requests took, by peer and load."""
        return {peer: taken for measure in self._measures for peer, taken in measure.distributions().items()}

    def rows(self) -> list[Row]:
        """Return the conclusions, in the order of the measures."""
        return [
            row
            for measure in self._measures
            for row in conclude(
                measure.name, measure.metrics, [sample for sample in self.samples if sample.measure == measure.name]
            )
        ]
