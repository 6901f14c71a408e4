"""Modula: places keys as nutcracker (twemproxy) 0.5 does with ``distribution: modula``, key by key."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from proxymux.core.balancing.hashed import HashedBalancer
from proxymux.core.member import Member


class Modula(HashedBalancer):
    """The balancer of ``policy=modula``.

    The hash is divided by the sum of the weights of the members that are used, and the remainder counts through them:
    each of them has as many remainders as its weight.  So nearly every key moves when a member comes or goes.
    """

    def __init__(self, hash_name: str, hash_tag: str) -> None:
        super().__init__(hash_name, hash_tag)
        self._ordered: Sequence[Member] = ()
        #: Behind the last remainder of each of them.
        self._ends: Sequence[int] = ()

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        super().update(members, used)
        self._ordered = sorted(used, key=_rank)
        self._ends = list(accumulate(member.weight for member in self._ordered))

    def _owner(self, place: int) -> Member | None:
        return self._ordered[self._index(place)] if self._ordered else None

    def _walk(self, place: int) -> Iterator[Member]:
        index = self._index(place)
        yield from self._ordered[index:]
        yield from self._ordered[:index]

    def _index(self, place: int) -> int:
        return bisect_right(self._ends, place % self._ends[-1])


def _rank(member: Member) -> tuple[int, bytes]:
    """Where a member stands among the others: nutcracker sorts its servers, the short labels before the long ones."""
    # A name may hold what is no Unicode; it must not fail here.
    label = member.label.encode("utf-8", "surrogatepass")
    return len(label), label
