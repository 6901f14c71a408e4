"""The timers of a service: one timer wheel for all its connections, driven by one delayed call of the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.core.wheel import TICK, Timer, Wheel

#: Seconds that the clock's call is made early, less than the wheel tolerates, lest rounding makes it a tick late.
_SLACK: Final = TICK * 1e-5


class Timers:
    """Calls functions later, up to one :data:`~proxymux.core.wheel.TICK` late.

    :param clock: measures the time and makes the delayed calls.
    :param log: where a function that raises is reported; the others are called all the same.
    """

    def __init__(self, clock: IReactorTime, log: Logger) -> None:
        self._clock = clock
        self._log = log
        self._wheel = Wheel()
        self._call: IDelayedCall | None = None
        self._called_at = 0.0
        self._is_stopping = False
        #: The monotonic time in seconds.
        self.seconds: Callable[[], float] = clock.seconds

    def after(self, seconds: float, function: Callable[..., object], *arguments: object) -> Timer:
        """Call ``function(*arguments)`` in ``seconds``, unless the timer is cancelled before."""
        due = self.seconds() + seconds
        timer = self._wheel.add(due, function, *arguments)
        if self._call is None or due <= self._called_at - TICK:
            self._schedule()
        return timer

    def exactly_after(self, seconds: float, function: Callable[..., object], *arguments: object) -> IDelayedCall:
        """As :meth:`after`, without the delay of up to a tick, at the cost of a delayed call of its own."""
        return self._clock.callLater(seconds, function, *arguments)

    def stop(self) -> None:
        """Leave no delayed call on the clock, as soon as no timer is set."""
        self._is_stopping = True
        self._schedule()

    def _schedule(self) -> None:
        call, self._call = self._call, None
        due = self._wheel.next_due
        # Also for a slot whose timers are all cancelled: setting and cancelling timers in turn must not cost a delayed
        # call each.
        if due is not None and (self._wheel.count or not self._is_stopping):
            self._called_at = due
            self._call = self._clock.callLater(max(0.0, due - _SLACK - self.seconds()), self._turn)
        # The old one after the new one: a clock has no alarm while it has no call.
        if call is not None:
            call.cancel()

    def _turn(self) -> None:
        self._call = None
        for timer in self._wheel.due(self.seconds()):
            try:
                timer.call()
            except Exception:
                self._log.failure("a timer's function")
        if not self._is_scheduled:
            self._schedule()

    @property
    def _is_scheduled(self) -> bool:
        return self._call is not None
