"""Checks of targets with several workers: one of them checks for all, and the others are told what it has found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from proxymux.core.cluster import MOST_MEMBERS
from proxymux.supervisor.channel import Message
from proxymux.supervisor.place import Place
from proxymux.supervisor.worker import Worker

#: The end of one check: the cluster's name, the target, and why it has failed; None in the place of that if it passed.
Result = Sequence[Any]
#: The most targets that are remembered to be down.
MOST_FAILING: Final = MOST_MEMBERS


class Checking:
    """Says which worker checks the targets, and passes on what it has found.

    :param places: of the service.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._checker: Worker | None = None
        #: Why the last check of a target has failed, by the cluster's name and the target.
        self._failing: dict[tuple[str, str], str] = {}

    @property
    def failing(self) -> list[tuple[str, str, str]]:
        """The targets whose last check has failed, for a worker that starts."""
        return [(*key, problem) for key, problem in self._failing.items()]

    def choose(self) -> None:
        """Have the worker at the first place that serves check the targets, and no other."""
        serving = (place.worker for place in self._places if place.is_serving)
        chosen = next((worker for worker in serving if worker is not None), None)
        before, self._checker = self._checker, chosen
        if chosen is before:
            return
        if before is not None:
            before.send({"do": "check", "is_checker": False})
        if chosen is not None:
            chosen.send({"do": "check", "is_checker": True})

    def tell(self, teller: Worker, results: Sequence[Result]) -> None:
        """Remember what a worker has found, and pass it on to the others."""
        for cluster, target, problem in results:
            self._failing.pop((cluster, target), None)
            if problem is not None:
                self._failing[cluster, target] = problem
                if len(self._failing) > MOST_FAILING:
                    del self._failing[next(iter(self._failing))]  # the one not told of for the longest: it has left
        for place in self._places:
            for worker in place.workers:
                if worker is not teller:
                    worker.send({"do": "checked", "results": list(results)})


class CheckResults:
    """What a worker has found and the supervisor does not know yet: told together, not each for itself.

    :param send: sends a message to the supervisor.
    :param soon: calls a function a little later.
    """

    def __init__(self, send: Callable[[Message], None], soon: Callable[[Callable[[], None]], object]) -> None:
        self._send = send
        self._soon = soon
        self._results: list[Result] = []

    def add(self, cluster: str, target: str, problem: str | None) -> None:
        """Note the end of a check."""
        self._results.append((cluster, target, problem))
        if len(self._results) == 1:
            self._soon(self._tell)

    def _tell(self) -> None:
        results, self._results = self._results, []
        self._send({"is": "checked", "results": results})
