"""Alarms: what wakes the reactor at a monotonic time.

The reactor's own delayed calls cannot: Twisted reckons their times by the time of day, and after that is set back by an
hour each of them comes an hour late.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.net.reactor.twisted_types import Reactor

_NANOSECONDS: Final = 1_000_000_000
#: Bytes of a timer descriptor's count, timerfd_create(2).
_COUNT: Final = 8


class Alarm(Protocol):
    """Rings in the reactor's thread, once for each time that it is set."""

    def set(self, seconds: float) -> None:
        """Ring in so many seconds from now, and not at the time that was set before."""

    def close(self) -> None:
        """Never ring again, and release what the alarm has of the system."""


def make_alarm(reactor: Reactor, ring: Callable[[], None]) -> Alarm:
    """The alarm that this system has: a timer descriptor on Linux, a thread elsewhere.

    :param ring: called when it rings.
    """
    try:
        return DescriptorAlarm(reactor, ring)
    except (AttributeError, OSError):  # no such function here, or the system has no room for another descriptor
        return ThreadAlarm(reactor, ring)


class _TimeSpec(ctypes.Structure):
    """The C structures ``timespec`` and ``itimerspec``, of two of them."""

    _fields_ = [
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    ]


@implementer(IReadDescriptor)
class DescriptorAlarm:
    """A timer descriptor, which the reactor reads: timerfd_create(2), which Python itself has from 3.13 only.

    :raises AttributeError: if the system's C library has none.
    :raises OSError: if there can be no more descriptors.
    """

    def __init__(self, reactor: Reactor, ring: Callable[[], None]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._set_time = library.timerfd_settime
        self._fd: int = library.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._time = _TimeSpec()
        self._reactor = reactor
        self._ring = ring
        reactor.addReader(self)

    def set(self, seconds: float) -> None:
        # A time of no nanoseconds would switch it off.
        whole, self._time.nanoseconds = divmod(max(1, math.ceil(seconds * _NANOSECONDS)), _NANOSECONDS)
        self._time.seconds = whole
        self._set_time(self._fd, 0, ctypes.byref(self._time), None)

    def close(self) -> None:
        if self._fd >= 0:
            self._reactor.removeReader(self)
            fd, self._fd = self._fd, -1
            os.close(fd)

    # Called by the reactor

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "clock"

    def doRead(self) -> None:
        try:
            os.read(self._fd, _COUNT)
        except BlockingIOError:
            return  # it has been set anew since the reactor saw it ring
        self._ring()

    def connectionLost(self, reason: Failure) -> None:
        """Ignore the end of the reactor, which says this to every reader when it stops."""


class ThreadAlarm:
    """A thread that waits, for systems without timer descriptors."""

    def __init__(self, reactor: Reactor, ring: Callable[[], None]) -> None:
        self._reactor = reactor
        self._ring = ring
        self._changed = threading.Condition()
        self._due: float | None = None
        self._is_closed = False
        threading.Thread(target=self._wait, daemon=True, name="proxymux clock").start()

    def set(self, seconds: float) -> None:
        with self._changed:
            self._due = time.monotonic() + seconds
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _wait(self) -> None:
        with self._changed:
            while not self._is_closed:
                left = None if self._due is None else self._due - time.monotonic()
                if left is None or left > 0:
                    self._changed.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
                else:
                    self._due = None
                    self._reactor.callFromThread(self._rung)

    def _rung(self) -> None:
        if not self._is_closed:
            self._ring()
