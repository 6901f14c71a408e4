"""The ring of consistent hashing: each member has points on it, and a key belongs to the next point's member.

A point is the hash of its member's label and a number.  So the ring is the same in every process that knows the same
members, and a change of one member moves only keys that come to it or leave it.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from typing import Final, NamedTuple, Protocol

from proxymux.core.member import Member

#: Points of members that are not used stay on the ring, and are passed over, while they are not so many times the rest.
_MOST_PASSED: Final = 8
#: Bits of a point that say whose it is; those above are its place, from 0 to 2³² - 1.
_SLOT_BITS: Final = 20
_SLOT_MASK: Final = (1 << _SLOT_BITS) - 1


class _Digest(Protocol):
    def digest(self) -> bytes: ...


class _Placed(NamedTuple):
    """What is known of a member that is on the ring.

    :param label: of which its points were made.
    :param slot: stands for it in them.
    :param size: how many there are.
    """

    label: str
    slot: int
    size: int


class Ring:
    """The points of the members.

    :param hash_function: hashes ``label-number``, which gives a point for each four bytes of its digest.
    """

    def __init__(self, hash_function: Callable[[bytes], _Digest]) -> None:
        self._hash = hash_function
        self._placed: dict[Member, _Placed] = {}
        #: All points, in their order.  A number is a third of a tuple's size, and compares faster.
        self._points: list[int] = []
        #: Whose the points are, by the slot; None is passed over.
        self._owners: list[Member | None] = []
        self._free: list[int] = []

    def update(self, counts: Mapping[Member, int], used: Collection[Member]) -> None:
        """Take the members of now.  The time it takes grows with the points that change, and a little with all others.

        :param counts: how many points each has.
        :param used: those to which keys may belong, all of which have points.
        """
        if sum(counts[member] for member in used) * (_MOST_PASSED + 1) < sum(counts.values()):
            counts = {member: counts[member] for member in used}
        self._place(counts)
        self._owners = [None] * len(self._owners)
        for member in used:
            self._owners[self._placed[member].slot] = member

    def owner(self, place: int) -> Member | None:
        """The first owner from a place on; None if no member is used.

        :param place: from 0 to 2³² - 1.
        """
        points = self._points
        index = bisect_left(points, place << _SLOT_BITS)
        if index == len(points):
            return next(self.from_place(0), None)
        owner = self._owners[points[index] & _SLOT_MASK]
        return next(self.from_place(place), None) if owner is None else owner

    def from_place(self, place: int) -> Iterator[Member]:
        """The owners of the points from a place on, once around; one may come several times."""
        points, owners = self._points, self._owners
        start = bisect_left(points, place << _SLOT_BITS)
        for index in chain(range(start, len(points)), range(start)):
            owner = owners[points[index] & _SLOT_MASK]
            if owner is not None:
                yield owner

    def __len__(self) -> int:
        return len(self._points)

    def _place(self, counts: Mapping[Member, int]) -> None:
        dropped: set[int] = set()
        added: list[int] = []
        for member, placed in list(self._placed.items()):
            if member not in counts or placed.label != member.label:
                dropped.update(self._make(placed, 0, placed.size))
                self._free.append(placed.slot)
                del self._placed[member]
        for member, count in counts.items():
            before = self._placed.get(member)
            if before is None:
                before = _Placed(member.label, self._take_slot(), 0)
            if count < before.size:
                dropped.update(self._make(before, count, before.size))
            elif count > before.size:
                added += self._make(before, before.size, count)
            self._placed[member] = before._replace(size=count)
        if dropped:
            self._points = [point for point in self._points if point not in dropped]
        if added:
            added.sort()
            self._points += added
            self._points.sort()  # two runs, which are only merged

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._owners.append(None)
        return len(self._owners) - 1

    def _make(self, placed: _Placed, first: int, end: int) -> Iterator[int]:
        """The points of a member from the first to before the end."""
        # A name may hold what is no Unicode; it must not fail here.
        label = placed.label.encode("utf-8", "surrogatepass")
        each = len(self._hash(b"").digest()) // 4
        begin = first // each
        digests = [self._hash(b"%b-%d" % (label, number)).digest() for number in range(begin, -(-end // each))]
        data = b"".join(digests)
        places = struct.unpack_from(f"<{end - first}I", data, 4 * (first - begin * each))
        return (place << _SLOT_BITS | placed.slot for place in places)
