"""What a measure is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from bench.figures import Metric
from bench.stage import Peer, Stage

#: By measured peer and load, how many answers took how long: the number of a bucket (bench.load) and what is in it.
Distributions = dict[str, dict[str, dict[int, int]]]


class Measure(ABC):
    """Something that is measured of each peer, once a round."""

    name: ClassVar[str]
    #: Programs without which there is nothing to measure.
    programs: ClassVar[tuple[str, ...]] = ()
    #: Whether load.c is needed.
    needs_load: ClassVar[bool] = False
    #: How many a proxy has to be allowed.
    needs_descriptors: ClassVar[int] = 0
    #: How often it is taken within a round: where one peer differs much from time to time.
    repeats: ClassVar[int] = 1
    #: The only kinds of peers that it is taken of.
    kinds: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def metrics(self) -> tuple[Metric, ...]:
        """The figures, in the order of the table."""

    def prepare(self, stage: Stage, peers: Mapping[str, Peer]) -> dict[str, float]:
        """Do what has to be done once before the rounds, and return what a reader should know of it.

        :param stage: where.
        :param peers: those that can be run.
        """
        return {}

    @abstractmethod
    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        """Measure a fresh process of a peer, and return a value for the key of each figure."""

    def distributions(self) -> Distributions:
        """What single requests took in all that has been measured, if that is of interest."""
        return {}
