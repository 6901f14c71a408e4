"""Round robin: the members take turns, smoothly and by their shares."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace

from proxymux.core.balancing.policy import MOST_ASKED, Allowed
from proxymux.core.balancing.turns import Turn, set_turns
from proxymux.core.member import Member


class RoundRobin:
    """The balancer of ``policy=round-robin``.  A member that is asked and refuses has had its turn."""

    def __init__(self) -> None:
        self._now = 0
        #: The next turn of each member that is used; the first is due.
        self._turns: list[Turn] = []

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        before = {turn[3]: turn for turn in self._turns}
        self._turns = set_turns(members, used, self._now, before)
        heapify(self._turns)

    def choose(self, key: bytes, allowed: Allowed | None) -> Member | None:
        turns = self._turns
        for _ in range(min(len(turns), MOST_ASKED)):
            due, place, period, member = turns[0]
            heapreplace(turns, (due + period, place, period, member))
            self._now = due
            if allowed is None or allowed(member):
                return member
        return None if allowed is None else self._choose_of_all(allowed)

    def _choose_of_all(self, allowed: Allowed) -> Member | None:
        """Ask every member; most refuse."""
        turn = min((turn for turn in self._turns if allowed(turn[3])), default=None)
        if turn is None:
            return None
        due, place, period, member = turn
        self._turns[self._turns.index(turn)] = due + period, place, period, member
        heapify(self._turns)
        return member
