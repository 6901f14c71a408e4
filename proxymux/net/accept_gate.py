"""The accept gate: connections are accepted only while there is room for them.

A port that finds no descriptor free would be told of its waiting clients again and again, and Twisted's closes them to
have peace.  Here they wait in the listen queue until there is room.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers

#: Seconds until a port looks whether the system has resources again.
_PAUSE: Final = 0.2
#: Errors of accept that say that the system has no resources left.
EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class AcceptGate:
    """Shut while there are as many sessions as the process has descriptors for, or none is free.

    :param timers: for the pause when the system has none.
    :param report: called with one line when it shuts.
    """

    def __init__(self, timers: Timers, report: Callable[[str], None]) -> None:
        self._timers = timers
        self._report = report
        #: Sessions at once.
        self.capacity: int | None = None
        self._inside = 0
        self._waiting: list[Callable[[], None]] = []
        self._timer: Timer | None = None

    @property
    def is_shut(self) -> bool:
        """There is no room."""
        return self._timer is not None or (self.capacity is not None and self._inside >= self.capacity)

    def enter(self) -> None:
        """One more session."""
        self._inside += 1

    def leave(self) -> None:
        """One less."""
        self._inside -= 1
        self._open()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call ``go_on`` once when there is room."""
        if not self._waiting and self._timer is None:
            self._report(
                f"accepting pauses: {self._inside} sessions are as many as the limit of descriptors has room for;"
                " raise it (LimitNOFILE, ulimit -n)"
            )
        self._waiting.append(go_on)

    def shut(self, problem: OSError) -> None:
        """The system has no resources for more."""
        if self._timer is None:
            self._report(f"accepting pauses with {self._inside} sessions: {problem.strerror}")
            self._timer = self._timers.after(_PAUSE, self._look_again)

    def close(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self) -> None:
        self._timer = None
        self._open()

    def _open(self) -> None:
        if self._waiting and not self.is_shut:
            waiting, self._waiting = self._waiting, []
            for go_on in waiting:
                go_on()
