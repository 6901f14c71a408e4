"""A rollover: the workers are replaced one after another by fresh processes, with fresh code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from proxymux.supervisor.place import Place


class Rollover:
    """Replaces the workers of all places.

    :param places: of the service.
    :param timeout: seconds after which a worker that was replaced ends what is left; None for no limit.
    :param succeeded: called with each place that has a fresh worker, to have the old one hand over and leave; what it
        returns fires when the next one can be replaced.
    """

    def __init__(
        self,
        places: Sequence[Place],
        timeout: float | None,
        succeeded: Callable[[Place, float | None], Deferred[object]],
        log: Logger,
    ) -> None:
        self._places = places
        self._timeout = timeout
        self._succeeded = succeeded
        self._log = log
        #: The places whose turn is still to come; None while there is no rollover.
        self._rest: Iterator[Place] | None = None

    @property
    def is_running(self) -> bool:
        """True while workers are being replaced."""
        return self._rest is not None

    def start(self) -> None:
        """Begin; one that is under way goes on, as its workers are fresh."""
        if self.is_running:
            self._log.info("a rollover is under way already")
            return
        self._log.info("replacing {count} workers", count=len(self._places))
        self._rest = iter(self._places)
        self._next()

    def stop(self) -> None:
        """Replace no more workers."""
        self._rest = None

    def _next(self) -> None:
        place = next(self._rest, None) if self._rest is not None else None
        if place is None:
            if self._rest is not None:
                self._rest = None
                self._log.info("all workers are replaced")
            return
        place.succeed().addCallback(self._replaced, place)

    def _replaced(self, problem: str | None, place: Place) -> None:
        if self._rest is None:
            return
        if problem is not None:
            self._rest = None
            self._log.error("the rollover stops, the old workers stay: {problem}", problem=problem)
            return
        self._succeeded(place, self._timeout).addCallback(lambda _: self._next())
