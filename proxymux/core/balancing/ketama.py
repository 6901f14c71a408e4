"""Ketama: places keys as nutcracker (twemproxy) 0.5 does with ``distribution: ketama``, key by key."""

from __future__ import annotations

import functools
import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from proxymux.core.balancing.hashed import HashedBalancer
from proxymux.core.balancing.ring import Ring
from proxymux.core.member import Member

#: Points of a member whose weight is the mean.
_POINTS: Final = 160
#: Points that one digest gives.
_PER_DIGEST: Final = 4
_SINGLE: Final = struct.Struct("f")


class Ketama(HashedBalancer):
    """The balancer of ``policy=ketama``."""

    def __init__(self, hash_name: str, hash_tag: str) -> None:
        super().__init__(hash_name, hash_tag)
        self._ring = Ring(functools.partial(hashlib.md5, usedforsecurity=False))
        self._counts: dict[Member, int] = {}

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        super().update(members, used)
        total = sum(member.weight for member in used)
        by_weight = {weight: _points_of(weight, total, len(used)) for weight in {member.weight for member in used}}
        # The points of a member that goes stay until they are in the way: it may be back soon.
        counts = {member: self._counts[member] for member in members if member in self._counts}
        for member in used:
            counts[member] = by_weight[member.weight]
        self._counts = counts
        self._ring.update(counts, used)

    def _owner(self, place: int) -> Member | None:
        return self._ring.owner(place)

    def _walk(self, place: int) -> Iterator[Member]:
        return self._ring.from_place(place)


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
