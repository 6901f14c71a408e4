"""Watches whether the workers answer, where systemd watches the supervisor (WatchdogSec=).

systemd would end a process of its own whose router never returns; of workers it sees the supervisor only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.supervisor.worker import Worker


class Watching:
    """Asks each worker that serves, and kills one that has not answered in time.

    :param limit: seconds to wait for an answer; each worker is asked again after half of them.  0 asks nobody.
    :param workers: returns the processes.
    """

    def __init__(self, limit: float, workers: Callable[[], Sequence[Worker]], clock: IReactorTime, log: Logger) -> None:
        self._limit = limit
        self._workers = workers
        self._clock = clock
        self._log = log
        self._asked: set[Worker] = set()
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Ask from now on."""
        if self._limit:
            self._call = self._clock.callLater(self._limit / 2, self._ask)

    def stop(self) -> None:
        """Ask no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _ask(self) -> None:
        self.start()
        for worker in self._workers():
            if worker.ready_at is not None and worker not in self._asked:
                self._asked.add(worker)
                answered = worker.ask("alive", patience=self._limit)
                answered.addErrback(self._kill, worker).addBoth(self._forget, worker)

    def _kill(self, _: object, worker: Worker) -> None:
        if not worker.is_ended:
            self._log.error(
                "{worker} (process {pid}) has not answered for {limit:g} s and is killed",
                worker=worker.name,
                pid=worker.pid,
                limit=self._limit,
            )
            worker.kill()

    def _forget(self, _: object, worker: Worker) -> None:
        self._asked.discard(worker)
