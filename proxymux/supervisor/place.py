"""The place of a worker: there is one for each of ``--workers``, with listening sockets of its own.

While nobody serves there, a neighbour accepts on its sockets.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.core.restarts import Restarts
from proxymux.supervisor.channel import Message
from proxymux.supervisor.worker import Worker

#: Seconds that a process may take until it serves; then it is ended.
START_LIMIT: Final = 60.0


class Surroundings(Protocol):
    """What a place needs of the supervisor."""

    def make_worker(self, place: Place) -> Worker:
        """Start a process for a place.

        :raises OSError: if the system gives none.
        """

    def place_served(self, place: Place) -> None:
        """A worker serves at the place, where none did before."""

    def place_deserted(self, place: Place) -> None:
        """Nobody serves at the place for the time being."""

    def place_renewed(self, place: Place, limit: float | None) -> None:
        """A fresh worker serves at the place, and those before it are to leave.

        :param limit: seconds after which they end what is left; None for no limit.
        """

    def worker_gone(self, worker: Worker) -> None:
        """The process of a worker has ended."""

    def worker_said(self, worker: Worker, message: Message, descriptors: list[int]) -> None:
        """A worker has sent a message of its own accord."""


class Place:
    """One place, with the worker that serves there and those that have served and have sessions left.

    :param number: from 1.
    """

    def __init__(self, number: int, surroundings: Surroundings, clock: IReactorTime, log: Logger) -> None:
        self.number = number
        #: Serves, or is to serve; None while the next start is waited for.
        self.worker: Worker | None = None
        #: Is to take the worker's place.
        self.successor: Worker | None = None
        #: Workers that accept no more.
        self.leaving: list[Worker] = []
        #: How often a worker was started because another had ended.
        self.restarts = 0
        self._surroundings = surroundings
        self._clock = clock
        self._log = log
        self._delays = Restarts()
        self._is_closed = False
        self._call: IDelayedCall | None = None
        self._succeeding: Deferred[str | None] | None = None
        #: Until when each process that does not serve yet has to.
        self._limits: dict[Worker, IDelayedCall] = {}

    @property
    def is_serving(self) -> bool:
        """True if a worker accepts here."""
        return self.worker is not None and self.worker.ready_at is not None

    @property
    def workers(self) -> list[Worker]:
        """All processes of the place."""
        present = [each for each in (self.worker, self.successor) if each is not None]
        return present + self.leaving

    def start(self) -> None:
        """Start the place's worker."""
        self._call = None
        if self._is_closed or self.worker is not None:
            return
        try:
            self.worker = self._make_worker()
        except OSError as error:
            self._log.error("worker {number} cannot be started: {error}", number=self.number, error=error)
            self._surroundings.place_deserted(self)
            self._start_later(0.0)

    def succeed(self) -> Deferred[str | None]:
        """Start a fresh process, which takes the place once it serves; the worker then accepts no more.

        :returns: fires with None, or with the reason why the worker stays.
        """
        done: Deferred[str | None] = Deferred()
        if self._is_closed:
            done.callback("the service is being stopped")
            return done
        if self.worker is None:
            self.start_now()  # whoever starts here now is fresh
            done.callback(None)
            return done
        if self.successor is not None:
            done.callback(f"worker {self.number} is being replaced already")
            return done
        try:
            self.successor = self._make_worker()
        except OSError as error:
            done.callback(str(error))
        else:
            self._succeeding = done
        return done

    def _make_worker(self) -> Worker:
        worker = self._surroundings.make_worker(self)
        self._limits[worker] = self._clock.callLater(START_LIMIT, self._end_start, worker)
        return worker

    def _end_start(self, worker: Worker) -> None:
        self._log.error(
            "{worker} does not serve after {limit:g} s and is killed", worker=worker.name, limit=START_LIMIT
        )
        worker.kill()

    def _stop_limit(self, worker: Worker) -> None:
        limit = self._limits.pop(worker, None)
        if limit is not None and limit.active():
            limit.cancel()

    def start_now(self) -> None:
        """Start the place's worker, if that was only to be done later: what kept it from starting may be mended."""
        if self._call is not None:
            self._call.cancel()
            self.start()

    def close(self) -> None:
        """Start no more workers."""
        self._is_closed = True
        if self._call is not None:
            self._call.cancel()
            self._call = None

    # Called by the workers

    def worker_ready(self, worker: Worker) -> None:
        self._stop_limit(worker)
        if worker is self.successor:
            self.successor = None
            if self.worker is not None:
                self.leaving.append(self.worker)
            self.worker = worker
            self._succeeded(None)
        elif worker is self.worker:
            self._surroundings.place_served(self)

    def worker_failed(self, worker: Worker, problem: str) -> None:
        self._log.error("{worker} cannot start: {problem}", worker=worker.name, problem=problem)
        if worker is self.successor:
            self._succeeded(problem)

    def worker_said(self, worker: Worker, message: Message, descriptors: list[int]) -> None:
        self._surroundings.worker_said(worker, message, descriptors)

    def worker_leaves(self, worker: Worker, limit: float) -> None:
        if worker is self.worker and self.successor is None and not self._is_closed:
            self.succeed().addCallback(self._left, worker, limit)

    def _left(self, problem: str | None, worker: Worker, limit: float) -> None:
        """Have a worker that was told to end do so, even if there is none that takes its place."""
        if problem is not None and worker is self.worker and not self._is_closed:
            self.leaving.append(worker)
            self.worker = None
            self._surroundings.place_deserted(self)
            self._start_later(0.0)
        self._surroundings.place_renewed(self, limit)

    def worker_ended(self, worker: Worker, how: str) -> None:
        self._stop_limit(worker)
        if how:
            self._log.error("{worker} (process {pid}) has ended: {how}", worker=worker.name, pid=worker.pid, how=how)
        if worker in self.leaving:
            self.leaving.remove(worker)
        elif worker is self.successor:
            self.successor = None
            self._succeeded("the new process has ended")
        elif worker is self.worker:
            self.worker = None
            self._replace(worker)
        self._surroundings.worker_gone(worker)

    def _replace(self, worker: Worker) -> None:
        if not self._is_closed:
            self._surroundings.place_deserted(self)
        if self.successor is not None:  # which takes the place now, instead of later
            self.worker, self.successor = self.successor, None
            self._succeeded(None)
        elif not self._is_closed:
            self.restarts += 1
            self._start_later(0.0 if worker.ready_at is None else self._clock.seconds() - worker.ready_at)

    def _start_later(self, served: float) -> None:
        delay = self._delays.delay(served)
        if delay:
            self._log.warn("worker {number} is started again in {delay:g} s", number=self.number, delay=delay)
        self._call = self._clock.callLater(delay, self.start)

    def _succeeded(self, problem: str | None) -> None:
        if self._succeeding is not None:
            done, self._succeeding = self._succeeding, None
            done.callback(problem)
