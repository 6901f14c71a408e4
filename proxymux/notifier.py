"""Tells systemd how this process is: ready, reloading, stopping, alive, and how many connections there are.

The process has one, however many services run in it, and where there are workers their supervisor has it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.systemd import NotifySocket

#: Seconds between two looks at what STATUS= is to say.
STATUS_INTERVAL: Final = 5.0
#: Seconds after which what the full queue of systemd's socket did not take is sent again.
_AGAIN: Final = 0.1
#: The most messages that wait for that; the oldest go first.
_MOST_WAITING: Final = 16


class Notifier:
    """Sends the messages of sd_notify(3).  Without systemd it does nothing.

    :param socket: the way to systemd.
    :param clock: of the reactor: WATCHDOG=1 is sent as long as it turns.
    :param status: what STATUS= is to say now.
    """

    def __init__(self, socket: NotifySocket, clock: IReactorTime, status: Callable[[], str]) -> None:
        self._socket = socket
        self._clock = clock
        self._status = status
        self._shown = ""
        self._is_ready = False
        self._is_stopping = False
        #: Reloads that have begun and not ended.
        self._reloads = 0
        self._waiting: deque[tuple[str, ...]] = deque(maxlen=_MOST_WAITING)
        #: The calls to come, by what they do.
        self._calls: dict[str, IDelayedCall] = {}

    def ready(self) -> None:
        """Say that all services serve; only the first call does."""
        if self._is_ready or not self._socket.is_there:
            return
        self._is_ready = True
        pid = self._socket.new_pid
        self._tell("READY=1", *([] if pid is None else [f"MAINPID={pid}"]), self._status_line())
        self._later("status", STATUS_INTERVAL, self._show)
        if self._socket.watchdog_usec:
            self._live()

    def reloading(self, done: Deferred[object]) -> None:
        """Say that a reload has begun, and when it has ended.

        :param done: fires when all has been read, or could not be.
        """
        if not self._is_ready or self._is_stopping:
            return
        self._reloads += 1
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        done.addBoth(self._reloaded)

    def _reloaded(self, result: object) -> object:
        self._reloads -= 1
        if not self._reloads and not self._is_stopping:
            self._tell("READY=1", self._status_line())
        return result

    def stopping(self) -> None:
        """Say that the process is about to end; only the first call does."""
        if not self._is_stopping:
            self._is_stopping = True
            self._tell("STOPPING=1", self._status_line())

    def close(self) -> None:
        """Send nothing more."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        self._waiting.clear()

    def _status_line(self) -> str:
        self._shown = self._status()
        return f"STATUS={self._shown}"

    def _show(self) -> None:
        self._later("status", STATUS_INTERVAL, self._show)
        if self._status() != self._shown:
            self._tell(self._status_line())

    def _live(self) -> None:
        self._later("watchdog", self._socket.watchdog_usec / 2e6, self._live)
        self._tell("WATCHDOG=1")

    def _tell(self, *assignments: str) -> None:
        self._waiting.append(assignments)
        if "again" not in self._calls:
            self._send()

    def _send(self) -> None:
        while self._waiting:
            if not self._socket.send(*self._waiting[0]):
                self._later("again", _AGAIN, self._send)
                return
            self._waiting.popleft()

    def _later(self, what: str, seconds: float, action: Callable[[], None]) -> None:
        def call() -> None:
            del self._calls[what]
            action()

        self._calls[what] = self._clock.callLater(seconds, call)
