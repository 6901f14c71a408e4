"""Ketama: places keys as nutcracker (twemproxy) 0.5 does, key by key."""

from __future__ import annotations

import functools
import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Final

from proxymux.core.balancing.key_hash import KEY_HASHES, tagged
from proxymux.core.balancing.policy import Allowed
from proxymux.core.balancing.ring import Ring
from proxymux.core.balancing.walking import first_allowed
from proxymux.core.member import Member

#: Points of a member whose weight is the mean.
_POINTS: Final = 160
#: Points that one digest gives.
_PER_DIGEST: Final = 4
_SINGLE: Final = struct.Struct("f")
#: Keys whose members are remembered, and the most bytes of one.  They take 2 MB.  To place a key takes more than 1 µs.
MOST_REMEMBERED: Final = 8192
LONGEST_REMEMBERED: Final = 100


class Ketama:
    """The balancer of ``policy=ketama``.

    A member that is not used, or that is not allowed, is as one that nutcracker has ejected.  A member that starts
    slowly has all of its keys at once.

    :param hash_name: one of :data:`~proxymux.core.balancing.key_hash.KEY_HASHES`.
    :param hash_tag: see :func:`~proxymux.core.balancing.key_hash.tagged`.
    """

    def __init__(self, hash_name: str, hash_tag: str) -> None:
        self._hash = KEY_HASHES[hash_name]
        self._tag = hash_tag.encode("ascii")
        self._ring = Ring(functools.partial(hashlib.md5, usedforsecurity=False))
        self._used: Sequence[Member] = ()
        self._counts: dict[Member, int] = {}
        self._remembered: dict[bytes, Member] = {}

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        total = sum(member.weight for member in used)
        by_weight = {weight: _points_of(weight, total, len(used)) for weight in {member.weight for member in used}}
        # The points of a member that goes stay until they are in the way: it may be back soon.
        counts = {member: self._counts[member] for member in members if member in self._counts}
        for member in used:
            counts[member] = by_weight[member.weight]
        self._counts = counts
        self._used = list(used)
        self._ring.update(counts, used)
        self._remembered.clear()

    def choose(self, key: bytes, allowed: Allowed | None) -> Member | None:
        member = self._remembered.get(key) or self._owner(key)
        if member is None or allowed is None or allowed(member):
            return member
        place = self._place(key)
        return first_allowed(self._ring.from_place(place), self._used, place, allowed)

    def _owner(self, key: bytes) -> Member | None:
        """The member that a key belongs to."""
        member = self._ring.owner(self._place(key))
        if member is not None and len(key) <= LONGEST_REMEMBERED:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = member
        return member

    def _place(self, key: bytes) -> int:
        # nutcracker gives an empty key the place 0, whatever the hash.
        return self._hash(tagged(key, self._tag)) if key else 0


def _points_of(weight: int, total: int, count: int) -> int:
    """The points of a member, as nutcracker counts them with numbers of single precision: with 25 equal members each
    has 156, not 160.

    :param total: of the weights of all members in use.
    :param count: of these members.
    """
    part = _single(_single(weight) / _single(total))
    digests = _single(_single(part * _POINTS) / _PER_DIGEST * count)
    return math.floor(digests) * _PER_DIGEST


def _single(number: float) -> float:
    """The nearest number of single precision."""
    value: float = _SINGLE.unpack(_SINGLE.pack(number))[0]
    return value
