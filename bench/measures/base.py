"""What a measure is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from bench.figures import Metric
from bench.stage import Peer, Stage


class Measure(ABC):
    """Something that is measured of each peer, once a round."""

    name: ClassVar[str]
    #: Programs without which there is nothing to measure.
    programs: ClassVar[tuple[str, ...]] = ()
    #: Whether load.c is needed.
    needs_load: ClassVar[bool] = False
    #: How many a proxy has to be allowed.
    needs_descriptors: ClassVar[int] = 0
    #: The only peers it is taken of.
    only_peers: ClassVar[tuple[str, ...]] = (
        "haproxy",
        "haproxy-lua",
        "nginx-stream",
        "nginx-njs",
        "proxymux",
        "proxymux-beside",
        "proxymux-transport",
    )

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
