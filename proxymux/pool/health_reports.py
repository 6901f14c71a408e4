"""What a pool finds out about the health of its targets by using them, for whoever wants to know."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from proxymux.core.slots import Bar, Slot
from proxymux.core.target import Target


class TargetHealth(Protocol):
    """Is told how a pool fares with its targets.  It may have the pool's slots changed before it returns."""

    def succeeded(self, target: Target) -> None:
        """A connect has succeeded; or, after a request that failed, the first reply has come."""

    def failed(self, target: Target, reason: str) -> None:
        """A connect, or a request that was sent, has failed.

        :param reason: why, in one line.
        """


class HealthReports:
    """Tells a :class:`TargetHealth` of a pool's connects and requests, where there is one.

    After a request has failed, a connect is no success: a target that takes connections and answers nothing would look
    well.  Nothing is told of slots that have retired.
    """

    def __init__(self) -> None:
        #: Is told; None is nobody.
        self.listener: TargetHealth | None = None
        #: Targets where a request has failed, and none was answered since.
        self._suspects: set[Target] = set()

    def connected(self, slot: Slot) -> None:
        """Tell of a connection that is of use."""
        if self.listener is not None and slot.target not in self._suspects:
            self.listener.succeeded(slot.target)

    def not_connected(self, slot: Slot, reason: str) -> None:
        """Tell of a connect that has failed."""
        if self.listener is not None and Bar.RETIRED not in slot.bars:
            self.listener.failed(slot.target, reason)

    def request_failed(self, slot: Slot, reason: str) -> bool:
        """Tell of requests that have failed together, as their upstream did.

        :returns: True if the next reply of the target has to be told by :meth:`answered`, whichever slot it comes on.
        """
        if self.listener is None or Bar.RETIRED in slot.bars:
            return False
        is_first = slot.target not in self._suspects
        self._suspects.add(slot.target)
        self.listener.failed(slot.target, reason)
        return is_first

    def answered(self, slot: Slot) -> None:
        """Tell of a reply; nothing is told if no request has failed before it."""
        if slot.target in self._suspects:
            self._suspects.discard(slot.target)
            if self.listener is not None:
                self.listener.succeeded(slot.target)

    def keep(self, targets: Collection[Target]) -> None:
        """Forget all targets but these."""
        self._suspects.intersection_update(targets)
