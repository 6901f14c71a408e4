"""A timer wheel: very many timers, most of them cancelled before they are due, at the cost of coarse times.

Timers that are due within the same tick share a slot, so that setting and cancelling one are each one operation on a
set, and the clock outside has one call to make for all of them.  (Varghese and Lauck, "Hashed and hierarchical timing
wheels", 1987; here the slots are a dict, as there is no bound on how far ahead a timer may be.)
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any, Final

#: Seconds that share a slot.  A timer is early by no more than what floats are off by (20 µs), and late by less
#: than this.
TICK: Final = 0.1
#: Seconds that nobody waits for: whoever is called this much early would be called over and over until it is time.
ROUNDING: Final = 0.001
#: Ticks that a time may be off by, from adding floats, and still be in its own.
_SLACK: Final = 1e-4


class Timer:
    """A call to be made.  Cancelling it again, or after it was made, changes nothing."""

    __slots__ = ("_arguments", "_function", "_slot", "_wheel")

    def __init__(
        self, wheel: Wheel, slot: set[Timer], function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self._wheel = wheel
        self._slot: set[Timer] | None = slot
        self._function = function
        self._arguments = arguments

    def cancel(self) -> None:
        """The call is not to be made."""
        if self._slot is not None:
            self._slot.remove(self)
            self._slot = None
            self._wheel.count -= 1

    def call(self) -> None:
        """Make the call, unless it was cancelled meanwhile."""
        if self._slot is not None:
            self._slot = None
            self._wheel.count -= 1
            self._function(*self._arguments)


class Wheel:
    """Timers by their due times, which are in seconds of whatever clock the caller has."""

    def __init__(self) -> None:
        self._slots: dict[int, set[Timer]] = {}
        self._order: list[int] = []
        #: How many timers are set.
        self.count = 0

    def add(self, due: float, function: Callable[..., Any], *arguments: Any) -> Timer:
        """Have ``function(*arguments)`` called at ``due``."""
        tick = math.ceil(due / TICK - _SLACK)
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = set()
            heapq.heappush(self._order, tick)
        timer = Timer(self, slot, function, arguments)
        slot.add(timer)
        self.count += 1
        return timer

    @property
    def next_due(self) -> float | None:
        """When the first slot is due, or None if there is none.  Its timers may all have been cancelled."""
        return self._order[0] * TICK if self._order else None

    def due(self, now: float) -> list[Timer]:
        """The timers that are due, in order of their ticks.  Whoever takes them calls them."""
        due: list[Timer] = []
        while self._order and self._order[0] <= now / TICK + _SLACK:
            due.extend(self._slots.pop(heapq.heappop(self._order)))
        return due
