"""Attempts: in which order, how often and how soon connecting is tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxymux.core.target import Target

#: Seconds between two rounds, as the ancestor waited.
PAUSE: Final = 0.1


class Attempts:
    """The plan for one connect: every target in order, then ``retries`` further rounds.

    :param targets: tried in this order.
    :param retries: how many more rounds there are after the first.
    :param pause: seconds between two rounds.
    """

    __slots__ = ("_pause", "_retries", "_targets")

    def __init__(self, targets: tuple[Target, ...], retries: int, pause: float = PAUSE) -> None:
        self._targets = list(targets)
        self._retries = retries
        self._pause = pause

    def drop(self, target: Target) -> None:
        """Try ``target`` no more: its failure is not one that passes."""
        self._targets = [each for each in self._targets if each != target]

    def __iter__(self) -> Iterator[tuple[float, Target]]:
        """Pairs of the seconds to wait first, and the target to try then."""
        delay = 0.0
        for _ in range(self._retries + 1):
            if not self._targets:
                return
            for target in tuple(self._targets):
                if target in self._targets:
                    yield delay, target
                    delay = 0.0
            delay = self._pause
