"""The timers of a service: one wheel for all its connections, turned by one call of the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.core.wheel import TICK, Timer, Wheel

#: Seconds that the clock is called early, less than the wheel allows for, lest floats make it a tick late.
_SLACK: Final = TICK * 1e-5


class Timers:
    """Calls functions later, give or take a :data:`~proxymux.core.wheel.TICK`.

    :param clock: the time.
    :param log: where a function that raises is reported; the others are called all the same.
    """

    def __init__(self, clock: IReactorTime, log: Logger) -> None:
        self._clock = clock
        self._log = log
        self._wheel = Wheel()
        self._call: IDelayedCall | None = None
        self._called_at = 0.0
        self._is_stopping = False
        self.seconds: Callable[[], float] = clock.seconds

    def after(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> Timer:
        """Have ``function(*arguments)`` called in ``seconds``."""
        due = self.seconds() + seconds
        timer = self._wheel.add(due, function, *arguments)
        if self._call is None or due <= self._called_at - TICK:
            self._schedule()
        return timer

    def stop(self) -> None:
        """Leave nothing to the clock, from when the last timer is gone."""
        self._is_stopping = True
        self._schedule()

    def _schedule(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        due = self._wheel.next_due
        # An empty slot is waited for, too: setting and cancelling one timer after another must not touch the clock.
        if due is not None and (self._wheel.count or not self._is_stopping):
            self._called_at = due
            self._call = self._clock.callLater(max(0.0, due - _SLACK - self.seconds()), self._turn)

    def _turn(self) -> None:
        self._call = None
        for timer in self._wheel.due(self.seconds()):
            try:
                timer.call()
            except Exception:
                self._log.failure("a timer's function")
        if self._call is None:
            self._schedule()
