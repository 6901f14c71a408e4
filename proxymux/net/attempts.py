"""The order in which the targets of one connect are tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxymux.core.target import Target

#: Seconds between two rounds of attempts, as in the ancestor.
PAUSE: Final = 0.1


class Attempts:
    """The order of the attempts of one connect: every target in turn, then ``retries`` further rounds.

    It is an iterator over pairs of the seconds to wait and the target to try then.

    :param targets: tried in this order in each round.
    :param retries: rounds after the first.
    :param pause: seconds between two rounds.
    """

    # Not a generator: one that is given up half-way, as nearly all are, has an exception thrown into it.

    __slots__ = ("_pause", "_retries", "_round", "_targets")

    def __init__(self, targets: tuple[Target, ...], retries: int, pause: float = PAUSE) -> None:
        self._targets = targets
        self._retries = retries
        self._pause = pause
        #: What is left of this round.
        self._round = list(targets)

    def drop(self, target: Target) -> None:
        """Try ``target`` no more, as its failure is permanent."""
        self._targets = tuple(each for each in self._targets if each != target)
        self._round = [each for each in self._round if each != target]

    def __iter__(self) -> Iterator[tuple[float, Target]]:
        return self

    def __next__(self) -> tuple[float, Target]:
        delay = 0.0
        if not self._round:
            if not self._targets or not self._retries:
                raise StopIteration
            self._retries -= 1
            self._round = list(self._targets)
            delay = self._pause
        return delay, self._round.pop(0)
