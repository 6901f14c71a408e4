"""Least connections: the member with the fewest connections for its share; among equals they take turns.

Nobody says when a connection has ended.  So a member is looked at again when it would be chosen, and besides a few
with each choice, all in turn: of up to :data:`LOOKS` members the one with the fewest is always found, and of a
thousand, what has ended counts after 63 choices at the latest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import cycle, islice
from typing import Final

from proxymux.core.balancing.policy import LOOKS, MOST_ASKED, Allowed
from proxymux.core.balancing.turns import Turn, set_turns
from proxymux.core.member import Member

#: Entries that may have been replaced, beside one for each member, before the heap is made anew.
_SPARE: Final = 64

#: Its load (connections times period) when it was last looked at, then its turn as in :data:`Turn`.
_Entry = tuple[int, int, int, int, Member]


class LeastConnections:
    """The balancer of ``policy=least-connections``."""

    def __init__(self) -> None:
        self._now = 0
        #: The entry of each member; the heap has it, and may have others that it replaced.
        self._entries: dict[Member, _Entry] = {}
        self._heap: list[_Entry] = []
        self._round: Iterator[Member] = iter(())

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        before: dict[Member, Turn] = {member: entry[1:] for member, entry in self._entries.items()}
        turns = set_turns(members, used, self._now, before)
        self._entries = {turn[3]: (turn[3].connections * turn[2], *turn) for turn in turns}
        self._round = cycle(list(used))
        self._renew()

    def choose(self, key: bytes, allowed: Allowed | None) -> Member | None:
        self._look_again()
        heap, entries = self._heap, self._entries
        refused: list[_Entry] = []
        chosen = None
        while heap and len(refused) < MOST_ASKED:
            entry = heap[0]
            load, due, place, period, member = entry
            if entries[member] is not entry:
                heappop(heap)
            elif member.connections * period > load:
                entry = entries[member] = (member.connections * period, due, place, period, member)
                heapreplace(heap, entry)
            elif allowed is None or allowed(member):
                chosen = self._take_turn(entry)
                break
            else:
                refused.append(heappop(heap))
        for entry in refused:
            heappush(heap, entry)
        if chosen is None and allowed is not None and len(refused) < len(entries):
            chosen = self._choose_of_all(allowed)
        return chosen

    def _take_turn(self, entry: _Entry) -> Member:
        """Note that the member of the first entry is chosen."""
        load, due, place, period, member = entry
        # Who had more connections for a time does not make up for the turns of that time.
        self._now = max(self._now, due)
        fresh = self._entries[member] = (load, self._now + period, place, period, member)
        heapreplace(self._heap, fresh)
        return member

    def _choose_of_all(self, allowed: Allowed) -> Member | None:
        """Ask every member; most refuse."""
        entry = min((entry for entry in self._looked_at() if allowed(entry[4])), default=None)
        if entry is None:
            return None
        load, due, place, period, member = entry
        self._now = max(self._now, due)
        self._entries[member] = load, self._now + period, place, period, member
        self._renew()
        return member

    def _looked_at(self) -> Iterator[_Entry]:
        for _, due, place, period, member in self._entries.values():
            yield member.connections * period, due, place, period, member

    def _look_again(self) -> None:
        """Look for connections that have ended, at the members whose turn it is."""
        entries, heap = self._entries, self._heap
        for member in islice(self._round, min(LOOKS, len(entries))):
            load, due, place, period, _ = entries[member]
            if member.connections * period < load:
                entry = entries[member] = (member.connections * period, due, place, period, member)
                heappush(heap, entry)
        if len(heap) > 2 * len(entries) + _SPARE:
            self._renew()

    def _renew(self) -> None:
        self._heap = list(self._entries.values())
        heapify(self._heap)
