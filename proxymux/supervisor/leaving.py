"""Leaving: the workers are told to end, waited for, and killed if they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.supervisor.worker import Worker

#: Seconds beyond the time to drain after which a worker that has not ended is killed.
GRACE: Final = 5.0


class Leaving:
    """Ends all workers of a service.

    :param workers: returns those that have not ended.
    :param note_cut: called if one has to be killed.
    """

    def __init__(
        self, workers: Callable[[], list[Worker]], note_cut: Callable[[], None], clock: IReactorTime, log: Logger
    ) -> None:
        self._workers = workers
        self._note_cut = note_cut
        self._clock = clock
        self._log = log
        self._ended: Deferred[None] | None = None
        self._killing: IDelayedCall | None = None

    def start(self, limit: float | None) -> Deferred[None]:
        """Have all workers stop accepting, and end when their sessions have.

        :param limit: seconds after which the sessions that are left are ended; None waits without a limit.
        :returns: fires when no worker is left.
        """
        for worker in self._workers():
            worker.stop(limit)
        if limit is not None and self._killing is None:
            self._kill_after(limit)
        if not self._workers():
            return succeed(None)
        if self._ended is None:
            self._ended = Deferred()
        done: Deferred[None] = Deferred()
        self._ended.chainDeferred(done)
        return done

    def abort(self) -> None:
        """Have all of them end their sessions, and themselves, now."""
        for worker in self._workers():
            worker.abort()
        self._kill_after(0.0)

    def worker_gone(self) -> None:
        """Note that a worker has ended."""
        if self._ended is not None and not self._workers():
            ended, self._ended = self._ended, None
            ended.callback(None)

    def stop(self) -> None:
        """Kill nobody any more."""
        if self._killing is not None:
            self._killing.cancel()
            self._killing = None

    def _kill_after(self, seconds: float) -> None:
        """Have workers that do not end by themselves end :data:`GRACE` seconds after they should have."""
        self.stop()
        if self._workers():
            self._killing = self._clock.callLater(seconds + GRACE, self._kill_all)

    def _kill_all(self) -> None:
        self._killing = None
        for worker in self._workers():
            self._log.error("{worker} does not end and is killed", worker=worker.name)
            worker.kill()
        self._note_cut()
