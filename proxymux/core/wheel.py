"""A timer wheel: very many timers, most of them cancelled before they are due, at the cost of coarse times.

Timers that are due within the same tick share a slot: setting and cancelling one are each one operation on a set, and
the reactor's clock makes one call for all of them.  (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987;
here the slots are a dict, as there is no bound on how far ahead a timer may be.)
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final

#: Seconds of one slot.  A timer is called less than this late, and at most 20 µs early, from the rounding of floats.
TICK: Final = 0.1
#: Seconds before its time at which a timer's function should do its work all the same: a timer for the rest would call
#: it over and over until then.
ROUNDING: Final = 0.001
#: Ticks by which a time may be late, from the rounding of floats, and still belong to its tick.
_SLACK: Final = 1e-4


class Timer:
    """A function to be called at a time.  Cancelling it twice, or after the call, changes nothing."""

    __slots__ = ("_arguments", "_function", "_slot", "_wheel")
    __deletable__ = ("_arguments", "_function")  # mypyc wants to be told

    def __init__(
        self, wheel: Wheel, slot: set[Timer], function: Callable[..., object], arguments: tuple[object, ...]
    ) -> None:
        self._wheel = wheel
        self._slot: set[Timer] | None = slot
        self._function = function
        self._arguments = arguments

    def cancel(self) -> None:
        """Prevent the call."""
        if self._slot is not None:
            self._slot.remove(self)
            self._slot = None
            self._wheel.count -= 1
            del self._function, self._arguments  # they may lead to whoever keeps the timer: that would be a circle

    def call(self) -> None:
        """Make the call, unless the timer was cancelled meanwhile."""
        if self._slot is not None:
            self._slot = None
            self._wheel.count -= 1
            function, arguments = self._function, self._arguments
            del self._function, self._arguments
            function(*arguments)


class Wheel:
    """A set of timers by their due times, in seconds of the caller's clock.  The caller makes their calls."""

    def __init__(self) -> None:
        self._slots: dict[int, set[Timer]] = {}
        self._order: list[int] = []
        #: How many timers are set.
        self.count = 0

    def add(self, due: float, function: Callable[..., object], *arguments: object) -> Timer:
        """Set a timer that calls ``function(*arguments)`` at ``due``."""
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
        """The time of the first slot, whose timers may all have been cancelled; None if there is no slot."""
        return self._order[0] * TICK if self._order else None

    def due(self, now: float) -> list[Timer]:
        """Remove and return the timers that are due, in order of their ticks.  The caller has to call each of them."""
        due: list[Timer] = []
        while self._order and self._order[0] <= now / TICK + _SLACK:
            due.extend(self._slots.pop(heapq.heappop(self._order)))
        return due
