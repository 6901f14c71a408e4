"""Bytes in the pieces in which they arrive, and the ways of making them fewer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a client sends.

    :param data: all of it.
    :param cuts: the places between two pieces, in ascending order, each inside of ``data``.
    """

    data: bytes
    cuts: tuple[int, ...] = ()

    @property
    def chunks(self) -> tuple[bytes, ...]:
        """The pieces, none of which is empty; there are none of no data."""
        if not self.data:
            return ()
        edges = (0, *self.cuts, len(self.data))
        return tuple(self.data[start:end] for start, end in itertools.pairwise(edges))

    def without(self, start: int, end: int) -> Pieces:
        """The same without the bytes from ``start`` to before ``end``; cuts within fall on ``start``."""
        kept = self.data[:start] + self.data[end:]
        return Pieces(kept, _inside((cut - max(0, min(cut, end) - start) for cut in self.cuts), len(kept)))

    def without_cuts(self, start: int, end: int) -> Pieces:
        """The same without the cuts that are counted from ``start`` to before ``end``."""
        return Pieces(self.data, self.cuts[:start] + self.cuts[end:])

    def with_byte(self, place: int, byte: int) -> Pieces:
        """The same with another byte at ``place``."""
        return Pieces(self.data[:place] + bytes([byte]) + self.data[place + 1 :], self.cuts)


def one_by_one(data: bytes) -> Pieces:
    """Each byte in a piece of its own."""
    return Pieces(data, tuple(range(1, len(data))))


def cut_at(data: bytes, places: Iterable[int]) -> Pieces:
    """``data``, cut at those of ``places`` that are inside of it; their order and repetitions make no difference."""
    return Pieces(data, _inside(places, len(data)))


def _inside(places: Iterable[int], length: int) -> tuple[int, ...]:
    return tuple(sorted({place for place in places if 0 < place < length}))
