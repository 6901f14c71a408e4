"""Holds: targets to which nobody is connected for now, and who waits until they are released."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, NamedTuple, TypeVar

from proxymux.core.target import Target
from proxymux.core.wheel import ROUNDING
from proxymux.errors import NotHeld

#: The most targets of a service that are held at once.
MOST_HOLDS: Final = 1000

Waiter = TypeVar("Waiter", bound=Hashable)


class Hold(NamedTuple):
    """One target that is held.

    :param target: as routers, tokens and ``--target`` name it.
    :param seconds: for how long it has been.
    :param waiting: who waits: clients, or of a pool in FIFO or Funnel mode requests, for all of its targets.
    """

    target: str
    seconds: float
    waiting: int


class Holds(Generic[Waiter]):
    """The targets that are held, and who waits for them.

    Each ``now`` is the current time in the clock's seconds.

    :param limit: the most that may wait, whatever for.
    :param timeout: seconds that one may wait.
    """

    def __init__(self, limit: int, timeout: float) -> None:
        self.limit = limit
        self.timeout = timeout
        #: Since when each target has been held.  Other classes only read it.
        self.targets: dict[Target, float] = {}
        #: What each waits for and since when; the first has waited longest.
        self._waiting: dict[Waiter, tuple[Target, float]] = {}

    def hold(self, target: Target, now: float) -> bool:
        """Hold ``target``.

        :returns: False if it is held already.
        :raises NotHeld: if :data:`MOST_HOLDS` others are.
        """
        if target in self.targets:
            return False
        if len(self.targets) >= MOST_HOLDS:
            raise NotHeld(f"{target}: {MOST_HOLDS} targets are held already; release one")
        self.targets[target] = now
        return True

    def release(self, target: Target) -> list[Waiter]:
        """Hold ``target`` no longer; nothing changes if it was not held.

        :returns: those who have waited for it, in their order; they wait no longer.
        """
        self.targets.pop(target, None)
        released = [waiter for waiter, (awaited, _) in self._waiting.items() if awaited == target]
        for waiter in released:
            del self._waiting[waiter]
        return released

    def join(self, waiter: Waiter, target: Target, now: float) -> bool:
        """Have ``waiter`` wait for ``target``.

        :returns: False if too many wait, in which case it does not.
        """
        if len(self._waiting) >= self.limit:
            return False
        self._waiting[waiter] = target, now
        return True

    def leave(self, waiter: Waiter) -> None:
        """Have ``waiter`` wait no longer; nothing changes if it does not."""
        self._waiting.pop(waiter, None)

    def overdue(self, now: float) -> list[Waiter]:
        """Remove and return those who have waited for too long."""
        latest = now - self.timeout + ROUNDING
        overdue = [waiter for waiter, (_, since) in self._waiting.items() if since <= latest]
        for waiter in overdue:
            del self._waiting[waiter]
        return overdue

    @property
    def next_due(self) -> float | None:
        """When the first has waited for too long; None if none waits."""
        return next((since + self.timeout for _, since in self._waiting.values()), None)

    def show(self, now: float) -> list[Hold]:
        """The targets that are held, the first that was held first."""
        return [
            Hold(str(target), now - since, sum(awaited == target for awaited, _ in self._waiting.values()))
            for target, since in self.targets.items()
        ]
