"""Makes an input small of which something was found: what is left matters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from proxymux.cli.fuzz.pieces import Pieces

#: The byte that takes the place of those that do not matter, and the most bytes for which that is tried.
_PLAIN: Final = ord("x")
_MOST_SHOWN: Final = 64


class Shrinking:
    """One input, on its way.

    :param pieces: shows what was found.
    :param shows: whether a smaller one does.
    :param attempts: how often that is asked, at most.
    """

    def __init__(self, pieces: Pieces, shows: Callable[[Pieces], Awaitable[bool]], attempts: int) -> None:
        self._pieces = pieces
        self._shows = shows
        self._left = attempts

    async def run(self) -> Pieces:
        """The smallest input that was found."""
        await self._shrink(lambda: len(self._pieces.cuts), lambda start, end: self._pieces.without_cuts(start, end))
        await self._shrink(lambda: len(self._pieces.data), lambda start, end: self._pieces.without(start, end))
        await self._shrink(lambda: len(self._pieces.cuts), lambda start, end: self._pieces.without_cuts(start, end))
        await self._simplify()
        return self._pieces

    async def _shrink(self, length: Callable[[], int], without: Callable[[int, int], Pieces]) -> None:
        """Leave out parts, the larger ones first, as long as it helps."""
        size = length()
        while size > 0 and self._left > 0:
            start = 0
            while start < length() and self._left > 0:
                if not await self._take(without(start, start + size)):
                    start += size
            size //= 2

    async def _simplify(self) -> None:
        if len(self._pieces.data) > _MOST_SHOWN:
            return
        for place, byte in enumerate(self._pieces.data):
            if byte != _PLAIN and self._left > 0:
                await self._take(self._pieces.with_byte(place, _PLAIN))

    async def _take(self, pieces: Pieces) -> bool:
        """Go on with ``pieces`` if they show it, too."""
        self._left -= 1
        if not await self._shows(pieces):
            return False
        self._pieces = pieces
        return True
