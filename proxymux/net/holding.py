"""Clients that wait for a target that is held: told when it is released, or when they have waited for too long."""

from __future__ import annotations

from typing import Protocol

from proxymux.core.commands import ConnectFailure
from proxymux.core.holding import Hold, Holds
from proxymux.core.outcome import Outcome
from proxymux.core.target import Target
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers


class TargetHolds(Protocol):
    """Holds the targets of a service: those of its connector, or those of its pool."""

    def hold(self, target: Target) -> bool:
        """Have all that is new for ``target`` wait.

        :returns: False if it is held already.
        :raises NotHeld: if it cannot be held.
        """

    def release(self, target: Target) -> bool:
        """Let what waits for ``target`` go on.

        :returns: False if it was not held.
        """

    def show(self) -> list[Hold]:
        """The targets that are held."""


class HoldListener(Protocol):
    """Is told how a wait ends: by exactly one call, and by none after the wait was cancelled."""

    def released(self) -> None:
        """The target is held no longer."""

    def waited_in_vain(self, failure: ConnectFailure) -> None:
        """The wait has been too long, or too many wait."""


class HoldQueue:
    """The targets that are held from the clients of a connector, and the clients that wait for them.

    :param limit: the most that may wait (``--queue-limit``).
    :param timeout: seconds that one may wait (``--queue-timeout``).
    """

    def __init__(self, timers: Timers, limit: int, timeout: float) -> None:
        self._timers = timers
        self._holds: Holds[HeldWait] = Holds(limit, timeout)
        #: The targets that are held, for a quick look.
        self.targets = self._holds.targets
        self._timer: Timer | None = None

    def hold(self, target: Target) -> bool:
        return self._holds.hold(target, self._timers.seconds())

    def release(self, target: Target) -> bool:
        if target not in self.targets:
            return False
        released = self._holds.release(target)
        self._set_timer()
        for wait in released:
            if wait.listener is not None:  # else another's going on has cancelled it
                wait.listener.released()
        return True

    def show(self) -> list[Hold]:
        return self._holds.show(self._timers.seconds())

    def wait(self, target: Target, listener: HoldListener) -> HeldWait:
        """Have a client wait for ``target``, which is held.  It is told at once if too many wait."""
        wait = HeldWait(self, target, listener)
        if self._holds.join(wait, target, self._timers.seconds()):
            self._set_timer()
        else:
            reason = f"{target}: held, and more than {self._holds.limit} wait (--queue-limit)"
            listener.waited_in_vain(ConnectFailure(reason, Outcome.QUEUE_FULL))
        return wait

    def leave(self, wait: HeldWait) -> None:
        """Forget ``wait``."""
        self._holds.leave(wait)
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._holds.next_due
        if due is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            self._timer = self._timers.after(max(0.0, due - self._timers.seconds()), self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        overdue = self._holds.overdue(self._timers.seconds())
        self._set_timer()
        for wait in overdue:
            reason = f"{wait.target}: held, waited {self._holds.timeout:g} s (--queue-timeout)"
            if wait.listener is not None:
                wait.listener.waited_in_vain(ConnectFailure(reason, Outcome.QUEUE_TIMEOUT))


class HeldWait:
    """One client's wait, in the place of an attempt to connect."""

    __slots__ = ("_queue", "listener", "target")

    def __init__(self, queue: HoldQueue, target: Target, listener: HoldListener) -> None:
        self._queue = queue
        self.target = target
        #: None once the wait was cancelled.
        self.listener: HoldListener | None = listener

    def cancel(self) -> None:
        """End the wait without a call of its listener."""
        self.listener = None
        self._queue.leave(self)
