"""The accept gate: connections are accepted only while there are descriptors for them.

When no descriptor is free, Twisted's ports accept the waiting clients all the same and close them at once.  Here the
ports stop accepting, and the clients wait in the listen queue.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from proxymux.core.wheel import Timer
from proxymux.net.lingering import Lingering
from proxymux.net.timers import Timers

#: Seconds that accepting pauses when the system has no resources for another connection.
_PAUSE: Final = 0.2
#: What accept() fails with when the system has no resources for another connection.
EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
#: Descriptors of a session: of the client and of the upstream.
_DESCRIPTORS: Final = 2
#: The most lingering connections that are closed when accept() finds no descriptor free.
_AT_ONCE: Final = 64


class AcceptGate:
    """Shut while there are as many sessions as the process has descriptors for, or accept() found none free.

    Lingering connections do not count: the oldest are closed where a session needs their descriptors.

    :param timers: for the pause in the second case.
    :param lingering: the lingering connections of the service.
    :param report: called with one line when the gate shuts.
    """

    def __init__(self, timers: Timers, lingering: Lingering, report: Callable[[str], None]) -> None:
        self._timers = timers
        self._lingering = lingering
        self._report = report
        #: The most sessions at once; None is no limit.
        self.capacity: int | None = None
        self._sessions = 0
        self._when_open: list[Callable[[], None]] = []
        self._timer: Timer | None = None

    @property
    def is_shut(self) -> bool:
        """True if no connection may be accepted now."""
        return self._timer is not None or (self.capacity is not None and self._sessions >= self.capacity)

    def enter(self) -> None:
        """Count a session that begins."""
        self._sessions += 1
        if self.capacity is not None and self._lingering:
            self._lingering.keep(_DESCRIPTORS * (self.capacity - self._sessions))

    def leave(self) -> None:
        """Count a session that has ended."""
        self._sessions -= 1
        self._open()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call ``go_on`` once, when the gate opens."""
        if not self._when_open and self._timer is None:
            self._report(
                f"accepting pauses: {self._sessions} sessions are as many as the limit of descriptors has room for;"
                " raise it (LimitNOFILE, ulimit -n)"
            )
        self._when_open.append(go_on)

    def make_room(self) -> bool:
        """Close lingering connections, as accept() has failed with one of :data:`EXHAUSTED`.

        :returns: True if there were any: their descriptors are free in the next turn of the reactor.
        """
        return bool(self._lingering.keep(len(self._lingering) - _AT_ONCE))

    def shut(self, problem: OSError) -> None:
        """Shut the gate for a moment, as accept() has failed with one of :data:`EXHAUSTED`."""
        if self._timer is None:
            self._report(f"accepting pauses with {self._sessions} sessions: {problem.strerror}")
            self._timer = self._timers.after(_PAUSE, self._pause_over)

    def close(self) -> None:
        """Forget the functions that wait, as the service has stopped."""
        self._when_open.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pause_over(self) -> None:
        self._timer = None
        self._open()

    def _open(self) -> None:
        if self._when_open and not self.is_shut:
            functions, self._when_open = self._when_open, []
            for go_on in functions:
                go_on()
