"""The monotonic clock: measures all limits and durations, whatever becomes of the time of day meanwhile.

Twisted's reactors measure by ``time.time()``, which an operator or NTP may set: back by an hour, and a time limit of
three seconds ends after an hour; forth, and all of them end at once.
"""

from __future__ import annotations

import functools
import heapq
import math
import time
from collections.abc import Callable
from typing import Final, cast

from twisted.internet.base import DelayedCall, ReactorBase
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from proxymux.net.alarm import Alarm, make_alarm
from proxymux.net.reactor.twisted_types import Reactor

#: So many calls are kept, cancelled ones among them, before the cancelled ones are cleared away.
_KEPT: Final = 64

MakeAlarm = Callable[[Reactor, Callable[[], None]], Alarm]


@implementer(IReactorTime)
class MonotonicClock:
    """Makes delayed calls in the thread of ``reactor``, by an alarm of its own.

    It has an alarm, which may be a descriptor among the reactor's readers, only while there are calls to be made: who
    cancels the calls that they have made leaves nothing behind.

    :param log: where a function that raises is reported; the others are called all the same.
    :param alarm: makes the alarm.
    """

    #: The monotonic time in seconds.
    seconds = staticmethod(time.monotonic)

    def __init__(self, reactor: Reactor, log: Logger, alarm: MakeAlarm = make_alarm) -> None:
        self._reactor = reactor
        self._log = log
        self._make_alarm = alarm
        self._alarm: Alarm | None = None
        #: The time that the alarm is set to.
        self._rings_at = math.inf
        #: A heap by time, in which cancelled calls may be left.
        self._calls: list[DelayedCall] = []
        #: How many calls are still to be made.
        self._active = 0

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> DelayedCall:
        """Call a function in ``delay`` seconds, or soon after."""
        call = DelayedCall(self.seconds() + delay, callable, args, kw, self._cancel, self._move, self.seconds)
        heapq.heappush(self._calls, call)
        self._active += 1
        self._set_alarm()
        return call

    def getDelayedCalls(self) -> list[DelayedCall]:
        """The calls that are still to be made."""
        return [call for call in self._calls if call.active()]

    def _set_alarm(self) -> None:
        """Have the alarm ring for the first call, if it would ring later."""
        due = self._calls[0].time
        if due < self._rings_at:
            if self._alarm is None:
                self._alarm = self._make_alarm(self._reactor, self._ring)
            self._rings_at = due
            self._alarm.set(max(0.0, due - self.seconds()))

    def _ring(self) -> None:
        """Make the calls that are due, but none that they add: a call that sets the next would go on for ever."""
        self._rings_at = math.inf
        now, due = self.seconds(), []
        while self._calls and self._calls[0].time <= now:
            due.append(heapq.heappop(self._calls))
        for call in due:
            if call.cancelled:
                continue
            if call.delayed_time:
                call.activate_delay()
                heapq.heappush(self._calls, call)
                continue
            self._active -= 1
            call.called = 1
            try:
                call.func(*call.args, **call.kw)
            except Exception:
                self._log.failure("a delayed call")
        self._clear_away()
        if self._calls:
            self._set_alarm()

    def _cancel(self, call: DelayedCall) -> None:
        call.cancelled = 1
        self._active -= 1
        self._clear_away()

    def _clear_away(self) -> None:
        """Forget the cancelled calls where they are most of all, and close the alarm where there are no others."""
        if not self._active:
            self._calls.clear()
            if self._alarm is not None:
                self._alarm.close()
                self._alarm, self._rings_at = None, math.inf
        elif len(self._calls) > max(_KEPT, 2 * self._active):
            self._calls = self.getDelayedCalls()
            heapq.heapify(self._calls)

    def _move(self, _: DelayedCall) -> None:
        """Take note that a call is due sooner than before."""
        heapq.heapify(self._calls)
        self._set_alarm()


@functools.cache
def _clock_of(reactor: Reactor) -> MonotonicClock:
    return MonotonicClock(reactor, Logger("proxymux"))


def monotonic(reactor: Reactor | IReactorTime) -> IReactorTime:
    """The one clock that measures limits and durations in a reactor.

    :param reactor: one of Twisted's; anything else that has a time, such as the ``Clock`` of a test, is its own clock.
    """
    return _clock_of(cast("Reactor", reactor)) if isinstance(reactor, ReactorBase) else cast("IReactorTime", reactor)
