"""Draining: waits for the sessions to end, and after a limit closes those that are left, then resets them.

Connections that linger after their sessions are given their time, too, as far as the limit allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.net.lingering import Lingering
from proxymux.session.registry import SessionRegistry

#: Seconds from closing the sessions that are left to resetting them, and from there to giving up on them.
_GRACE: Final = 1.0
#: Seconds between two lines about how many sessions are left.
_TELL_INTERVAL: Final = 1.0


class Draining:
    """Waits for the sessions of a service to end.

    :param sessions: the registry of these sessions.
    :param lingering: the connections that linger after them.
    :param clock: measures the limit.
    :param log: for the number of sessions that are left.
    :param cut: called when sessions are ended that have not ended by themselves.
    """

    def __init__(
        self,
        sessions: SessionRegistry,
        lingering: Lingering,
        clock: IReactorTime,
        log: Logger,
        cut: Callable[[], None] = lambda: None,
    ) -> None:
        self._cut = cut
        self._told_at = 0.0
        self._sessions = sessions
        self._lingering = lingering
        self._clock = clock
        self._log = log
        self._waiting: list[Deferred[None]] = []
        #: Sets of ports that are being closed.
        self._closing = 0
        #: Nothing else is to be waited for.
        self._is_over = False
        self._timer: IDelayedCall | None = None

    def start(self, limit: float | None, ports_closed: Deferred[list[tuple[bool, None]]]) -> Deferred[None]:
        """Begin to wait for the sessions to end.

        :param limit: seconds after which the sessions that are left are ended; None waits without a limit.
        :param ports_closed: fires when the service accepts no more.
        :returns: fires when it has, and no session is left, or those that are left could not be ended.
        """
        self._sessions.when_ended = self._session_ended
        self._lingering.when_ended = self._fire_if_done
        if limit is not None and not self._is_done and self._timer is None:
            self._timer = self._clock.callLater(limit, self._close_sessions)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        self._is_over = False
        self._closing += 1
        ports_closed.addBoth(self._ports_closed)
        return done

    def _ports_closed(self, _: object) -> None:
        self._closing -= 1
        self._fire_if_done()

    def _fire_if_done(self) -> None:
        """Fire the Deferreds of :meth:`start` if nothing is left: no session, no lingering connection, no open port.

        The ports are waited for even if the last session ends before: the process ends when the Deferreds have fired,
        and a Unix socket that was not closed by then would stay behind.
        """
        if self._is_done:
            self._cancel_timer()
            self._is_over = True
        if self._is_over and not self._closing:
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                done.callback(None)

    @property
    def _is_done(self) -> bool:
        return not len(self._sessions) and not len(self._lingering)

    def _session_ended(self) -> None:
        now = self._clock.seconds()
        if len(self._sessions) and now - self._told_at >= _TELL_INTERVAL:
            self._told_at = now
            self._log.info("waiting for {count} sessions to end", count=len(self._sessions))
        self._fire_if_done()

    def abort(self) -> None:
        """End every session now: the first call closes it in good order, the second resets it if it is still there."""
        self._cancel_timer()
        if len(self._sessions):
            self._cut()
        for session in self._sessions:
            session.drain()
            session.drain()
        self._lingering.abort()

    def _close_sessions(self) -> None:
        """Close the sessions that are left at the limit in good order, and reset them soon after."""
        if len(self._sessions):
            self._cut()
            self._log.warn("closing {count} sessions that have not ended in time", count=len(self._sessions))
        self._timer = self._clock.callLater(_GRACE, self._reset_sessions)
        for session in self._sessions:
            session.drain()

    def _reset_sessions(self) -> None:
        self._timer = None
        self.abort()
        if not self._is_done:
            self._timer = self._clock.callLater(_GRACE, self._give_up)

    def _give_up(self) -> None:
        """Fire although sessions are left, so that they do not keep the process from ending."""
        self._timer = None
        if len(self._sessions):
            self._log.error("{count} sessions could not be ended", count=len(self._sessions))
        self._is_over = True
        self._fire_if_done()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
