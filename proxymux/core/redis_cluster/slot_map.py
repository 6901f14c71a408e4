"""The map of the hash slots: which slot a key is in, and which primary serves it."""

from __future__ import annotations

import binascii
from array import array
from collections.abc import Iterable
from typing import Final

from proxymux.core.balancing.key_hash import tagged
from proxymux.core.target import InetTarget
from proxymux.errors import BadMessage

#: How many hash slots there are.
SLOTS: Final = 16384
#: The most primaries.  The specification of Redis Cluster suggests 1,000 nodes at most.
MOST_PRIMARIES: Final = 4096


def slot_of(key: bytes) -> int:
    """The hash slot of a key: CRC-16 (XMODEM) of it, or of its tag.

    A tag is what stands between the first ``{`` and the first ``}`` behind it, if that is not empty.
    """
    return binascii.crc_hqx(tagged(key, b"{}"), 0) % SLOTS


class SlotMap:
    """Which primary serves each slot.  A value: it does not change.

    :param ranges: first slot, last slot, and the primary of these.
    :raises BadMessage: if a range is none, one slot is in two of them, or there are more than :data:`MOST_PRIMARIES`.
    """

    __slots__ = ("_numbers", "places")

    def __init__(self, ranges: Iterable[tuple[int, int, InetTarget]] = ()) -> None:
        numbers: dict[InetTarget, int] = {}
        # For each slot the number of its place, from 1; 0 is that nobody serves it.
        self._numbers = array("H", bytes(2 * SLOTS))
        for first, last, place in ranges:
            if not 0 <= first <= last < SLOTS:
                raise BadMessage(f"Redis Cluster: no range of slots: {first} to {last}")
            if any(self._numbers[first : last + 1]):
                raise BadMessage(f"Redis Cluster: a slot from {first} to {last} is given to two")
            number = numbers.setdefault(place, len(numbers) + 1)
            if number > MOST_PRIMARIES:
                raise BadMessage(f"Redis Cluster: more than {MOST_PRIMARIES} primaries")
            self._numbers[first : last + 1] = array("H", [number]) * (last + 1 - first)
        #: The primaries that serve a slot, those too whose last one has been moved.
        self.places = tuple(numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SlotMap):
            return NotImplemented
        return self.places == other.places and self._numbers == other._numbers

    def __repr__(self) -> str:
        return f"<SlotMap {self.served} of {SLOTS} slots at {len(self.places)} primaries>"

    def place_of(self, slot: int) -> InetTarget | None:
        """The primary that serves a slot; None if nobody does.

        :param slot: as :func:`slot_of` makes it.
        """
        number = self._numbers[slot]
        return self.places[number - 1] if number else None

    @property
    def served(self) -> int:
        """How many slots somebody serves."""
        return SLOTS - self._numbers.count(0)

    def moved(self, slot: int, place: InetTarget) -> SlotMap:
        """The map in which one slot is elsewhere, as a redirect says, until all of the map is asked for."""
        changed = SlotMap()
        changed.places = self.places if place in self.places else (*self.places, place)
        changed._numbers = self._numbers[:]
        changed._numbers[slot] = changed.places.index(place) + 1
        return changed
