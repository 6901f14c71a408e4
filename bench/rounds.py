"""The rounds: every measure of every peer, and again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from bench import measures
from bench.figures import Row, Sample, conclude
from bench.measures import Measure
from bench.processes import BrokenRun, Unavailable
from bench.stage import Peer, Stage


class Run:
    """Rounds over all peers.

    :param stage: where everything runs.
    :param count: how many rounds.
    :param skipped: one line for each thing that is already known not to run.
    """

    def __init__(self, stage: Stage, count: int, skipped: Sequence[str]) -> None:
        self.samples: list[Sample] = []
        self.skipped: list[str] = []
        #: By measure, what it found out before its rounds.
        self.facts: dict[str, dict[str, float]] = {}
        #: Whether something that is installed did not work.
        self.broken = False
        self._stage = stage
        self._count = count
        self._measures: list[Measure] = []
        self._peers: dict[str, Peer] = {}
        for line in skipped:
            self.skip(line)

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

    def skip(self, line: str) -> None:
        """Say what is not measured, and why."""
        self.skipped.append(line)
        print(f"skipped {line}", file=sys.stderr)

    def all_rounds(self) -> None:
        """Measure everything, each round in another order of peers."""
        for measure in list(self._measures):
            try:
                self.facts[measure.name] = measure.prepare(self._stage, self._peers)
            except (Unavailable, BrokenRun) as error:
                self._measures.remove(measure)
                self.skip(f"measure {measure.name}: {error}")
        for number in range(1, self._count + 1):
            for measure in self._measures:
                names = [name for name in self._peers if name in measure.only_peers]
                turn = (number - 1) % max(1, len(names))
                for name in names[turn:] + names[:turn]:
                    self._take(number, measure, self._peers[name])

    def _take(self, number: int, measure: Measure, peer: Peer) -> None:
        print(f"round {number}/{self._count}: {measure.name} {peer.name}", file=sys.stderr)
        try:
            values = measure.take(self._stage, peer)
        except BrokenRun as error:
            self.broken = True
            self.skip(f"round {number}, {measure.name} {peer.name}: {error}")
        except Unavailable as error:
            self.skip(f"round {number}, {measure.name} {peer.name}: {error}")
        else:
            self.samples.append(Sample(number, measure.name, peer.name, values))

    def rows(self) -> list[Row]:
        """Return the conclusions, in the order of the measures."""
        return [
            row
            for measure in self._measures
            for row in conclude(
                measure.name, measure.metrics, [sample for sample in self.samples if sample.measure == measure.name]
            )
        ]
