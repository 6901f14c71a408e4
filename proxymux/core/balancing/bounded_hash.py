"""Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016).

A key belongs to the next member on the ring, unless that has too many connections already: then to the next that has
not.  All members are on the ring, and those that are not used are passed over: one that goes down and comes back moves
only its own keys.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Final

from proxymux.core.balancing.policy import LOOKS, Allowed
from proxymux.core.balancing.ring import Ring
from proxymux.core.balancing.round_robin import RoundRobin
from proxymux.core.balancing.walking import first_allowed
from proxymux.core.member import Member

#: A member has no more than so many times its fair part of all connections, the new one included, rounded up ...
MOST_LOAD: Final = 1.25
#: ... or so many, which are never too many: the few connections of one client stay together.
FEW: Final = 8
#: Points of a member whose weight is the mean.  How many keys it gets varies by 1/√points, which is 4 %: of ten equal
#: members hardly one ever has more than 12 % of all keys.  With 160 points one has in every seventh cluster.
_POINTS: Final = 640
#: The most points of all members, roughly; they take 10 MB.  Of more than 409 members each has fewer than 640.
_MOST_POINTS: Final = 1 << 18
_connections: Final[Callable[[Member], int]] = attrgetter("connections")


class BoundedHash:
    """The balancer of ``policy=hash``.  What has an empty key goes to members in turn, as with HAProxy and nginx."""

    def __init__(self) -> None:
        self._without_key = RoundRobin()
        self._ring = Ring(functools.partial(blake2b, digest_size=64))
        self._used: Sequence[Member] = ()
        self._total_share = 1.0
        #: The connections of all members that are used: counted now and then, with one more for each choice since.
        self._total = 0
        #: Choices until they are counted again.
        self._left = 0

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        weights = {member: member.weight for member in members if member.weight}
        total = sum(weights.values())
        most = min(_POINTS * len(weights), _MOST_POINTS)
        counts = {member: max(1, round(weight * most / total)) for member, weight in weights.items()}
        self._ring.update(counts, used)
        self._used = list(used)
        self._total_share = sum(member.share for member in used)
        self._left = 0
        self._without_key.update(members, used)

    def choose(self, key: bytes, allowed: Allowed | None) -> Member | None:
        if not key:
            return self._without_key.choose(key, allowed)
        place = int.from_bytes(blake2b(key, digest_size=4).digest(), "little")
        member = self._ring.owner(place)
        if member is None:
            return None
        if not self._left:
            self._total = sum(map(_connections, self._used))
            self._left = 1 + len(self._used) // LOOKS
        self._left -= 1
        self._total += 1
        connections, most = member.connections, MOST_LOAD * self._total / self._total_share
        if (connections < FEW or connections < most * member.share) and (allowed is None or allowed(member)):
            return member
        return self._walk_on(place, most, allowed or _all)

    def _walk_on(self, place: int, most: float, allowed: Allowed) -> Member | None:
        """Find another than the first member.

        :param most: connections that are too many for a share of 1.
        """

        def takes(member: Member) -> bool:
            connections = member.connections
            return (connections < FEW or connections < most * member.share) and allowed(member)

        ring, used = self._ring, self._used
        member = first_allowed(ring.from_place(place), used, place, takes)
        # Perhaps all that have room are not allowed.
        return first_allowed(ring.from_place(place), used, place, allowed) if member is None else member


def _all(member: Member) -> bool:
    return True
