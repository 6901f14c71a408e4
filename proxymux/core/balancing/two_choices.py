"""Random two choices: of two members drawn by their shares, the one with fewer connections for its share.

Nothing but the members' own counts is looked at, so that many processes which do not know of each other balance well.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

from proxymux.core.balancing.policy import MOST_ASKED, Allowed
from proxymux.core.member import Member

#: Pairs that are drawn while both refuse.
_DRAWS: Final = MOST_ASKED // 2


class TwoChoices:
    """The balancer of ``policy=random``.

    :param random: returns a random number from 0 to below 1.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._used: Sequence[Member] = ()
        #: The sums of their shares: where on the line from 0 to the whole the next one's part begins.
        self._sums: list[float] = []

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        self._used = list(used)
        self._sums = list(accumulate(member.share for member in used))

    def choose(self, key: bytes, allowed: Allowed | None) -> Member | None:
        if not self._used:
            return None
        for _ in range(1 if allowed is None else _DRAWS):
            one, other = self._draw(self._used, self._sums)
            if other.connections * one.share < one.connections * other.share:
                one, other = other, one
            if allowed is None or allowed(one):
                return one
            if allowed(other):
                return other
        return None if allowed is None else self._choose_of_all(allowed)

    def _choose_of_all(self, allowed: Allowed) -> Member | None:
        """Ask every member; most refuse."""
        members = [member for member in self._used if allowed(member)]
        if not members:
            return None
        one, other = self._draw(members, list(accumulate(member.share for member in members)))
        return other if other.connections * one.share < one.connections * other.share else one

    def _draw(self, members: Sequence[Member], sums: list[float]) -> tuple[Member, Member]:
        """Draw two different members; the same twice if there is only one."""
        last = len(sums) - 1
        if not last:
            return members[0], members[0]
        first = bisect(sums, self._random() * sums[last], 0, last)
        # The second is drawn from what is left when the part of the first is cut out.
        begin = sums[first - 1] if first else 0.0
        share = sums[first] - begin
        at = self._random() * (sums[last] - share)
        second = bisect(sums, at if at < begin else at + share, 0, last)
        if second == first:  # by rounding
            second = first - 1 if first else 1
        return members[first], members[second]
