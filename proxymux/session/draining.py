"""Draining: sessions are waited for, and after a limit closed in good order, then reset."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.session.registry import SessionRegistry

#: Seconds between closing the sessions that are left and resetting those that do not end even then.
_GRACE: Final = 1.0


class Draining:
    """Waits for the sessions of a service to end.

    :param sessions: those that are waited for.
    :param clock: measures the limit.
    :param log: where it says how many are left.
    """

    def __init__(self, sessions: SessionRegistry, clock: IReactorTime, log: Logger) -> None:
        self._sessions = sessions
        self._clock = clock
        self._log = log
        self._waiting: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None

    def start(self, limit: float | None) -> Deferred[None]:
        """Begin to wait; fires when :meth:`look` finds that no session is left.

        :param limit: seconds after which those that are left are ended, or None.
        """
        self._sessions.when_ended = self._session_ended
        if limit is not None and len(self._sessions) and self._timer is None:
            self._timer = self._clock.callLater(limit, self._cut)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        return done

    def look(self) -> None:
        """See whether the last session has ended."""
        if not len(self._sessions):
            self._cancel_timer()
            self._fire()

    def _session_ended(self) -> None:
        self._log.info("waiting for {count} sessions to end", count=len(self._sessions))
        self.look()

    def abort(self) -> None:
        """End every session now."""
        self._cancel_timer()
        for session in self._sessions:
            session.drain()
            session.drain()

    def _cut(self) -> None:
        """The limit has passed: close in good order, and soon reset what does not end."""
        self._log.warn("closing {count} sessions that have not ended in time", count=len(self._sessions))
        self._timer = self._clock.callLater(_GRACE, self._cut_hard)
        for session in self._sessions:
            session.drain()

    def _cut_hard(self) -> None:
        self._timer = None
        self.abort()
        if len(self._sessions):
            self._timer = self._clock.callLater(_GRACE, self._leave)

    def _leave(self) -> None:
        """What keeps a session from ending does not keep the process from it."""
        self._timer = None
        if len(self._sessions):
            self._log.error("{count} sessions could not be ended", count=len(self._sessions))
        self._fire()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)
