"""Turns: clients of an address that has failed too often are looked at one after another, as its budget allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from proxymux.core.failure_budget import FailureBudget, neighbourhood
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers


@dataclass(slots=True)
class _Queue:
    """Those of one address, the first that came first; there is one timer for all."""

    waiting: dict[Deferred[None], None] = field(default_factory=dict)
    timer: Timer | None = None


class Turns:
    """Lets clients wait.

    :param budget: says for how long.
    :param timers: measure and wait.
    """

    def __init__(self, budget: FailureBudget, timers: Timers) -> None:
        self._budget = budget
        self._timers = timers
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def must_wait(self, host: str) -> bool:
        """True if it is not the turn of a client that comes now."""
        if self._queues and neighbourhood(host) in self._queues:
            return True
        return self._budget.wait(host, self._timers.seconds()) > 0

    def wait(self, host: str) -> Deferred[None]:
        """Fires when it is the client's turn; cancelled, it gives its place to the next."""
        name = neighbourhood(host)
        queue = self._queues.setdefault(name, _Queue())

        def leave(place: Deferred[Any]) -> None:
            del queue.waiting[place]
            if not queue.waiting and queue.timer is not None:
                queue.timer.cancel()
                del self._queues[name]

        place: Deferred[None] = Deferred(leave)
        queue.waiting[place] = None
        if len(queue.waiting) == 1:
            self._wait(name, queue)
        return place

    def _wait(self, name: str, queue: _Queue) -> None:
        queue.timer = self._timers.after(self._budget.wait(name, self._timers.seconds()), self._call, name, queue)

    def _call(self, name: str, queue: _Queue) -> None:
        queue.timer = None
        while queue.waiting:
            if self._budget.wait(name, self._timers.seconds()) > 0:
                self._wait(name, queue)
                return
            place = next(iter(queue.waiting))
            del queue.waiting[place]
            place.callback(None)
        del self._queues[name]
