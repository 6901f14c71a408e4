"""Carrying out what the leasing decides, whatever a lease is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from proxymux.core.leasing import Leasing
from proxymux.core.slots import Dismiss, Give, Open, Order, Slot, Work
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers


class Leases(Protocol):
    """What a service knows of the upstreams that its clients share."""

    leasing: Leasing

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Close everything."""

    def lines(self) -> list[str]:
        """The state for the log."""

    def state(self) -> dict[str, float]:
        """The state in pgbouncer's words; ``maxwait`` is in seconds, all else are counts."""


class Lessor(Protocol):
    """Has the slots, and the work that waits for them."""

    def give(self, slot: Slot, work: Work) -> None:
        """``work`` has the slot."""

    def open(self, slot: Slot) -> None:
        """Connect the slot."""

    def dismiss(self, order: Dismiss) -> None:
        """Some work gets no slot."""


class LeasingRunner:
    """Has a lessor do what the leasing says, and tells the leasing when time has passed.

    :param timers: measure, and wake it when something has waited too long.
    """

    def __init__(self, timers: Timers, leasing: Leasing, lessor: Lessor) -> None:
        self.leasing = leasing
        self.now = timers.seconds
        self._timers = timers
        self._lessor = lessor
        self._look: Timer | None = None
        self._look_at = 0.0
        self.is_stopped = False
        #: Clients that are in.
        self.clients = 0

    def start(self) -> None:
        """Begin."""
        self.is_stopped = False

    def stop(self) -> None:
        """Look for nothing any more, and carry out nothing for slots that are returned."""
        self.is_stopped = True
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def lines(self) -> list[str]:
        """The state for the log."""
        return [" ".join(f"{name} {value:g}" for name, value in self.state().items())]

    def state(self) -> dict[str, float]:
        """The state in pgbouncer's words; ``maxwait`` is in seconds, all else are counts."""
        slots = self.leasing.slots
        active = sum((slot.outstanding > 0 or slot.is_taken) and not slot.is_opening for slot in slots)
        return {
            "cl_active": self.clients - self.leasing.waiting,
            "cl_waiting": self.leasing.waiting,
            "sv_active": active,
            "sv_idle": sum(slot.is_open and not (slot.outstanding or slot.is_taken) for slot in slots),
            "sv_login": sum(slot.is_opening for slot in slots),
            "maxwait": self.leasing.max_wait(self.now()),
        }

    def submit(self, work: Work) -> None:
        """There is work that wants a slot, or waits for one."""
        self.carry_out(self.leasing.submit(work, self.now()))

    def returned(self, slot: Slot) -> None:
        """The connection of a slot is closed."""
        orders = self.leasing.closed(slot, self.now())
        if not self.is_stopped:
            self.carry_out(orders)

    def carry_out(self, orders: Iterable[Order]) -> None:
        """Have done what the leasing says."""
        lessor = self._lessor
        for order in orders:
            if type(order) is Give:
                lessor.give(order.slot, order.work)
            elif type(order) is Open:
                lessor.open(order.slot)
            else:
                assert type(order) is Dismiss
                lessor.dismiss(order)
        due = self.leasing.next_look(self.now())
        if due is not None and not self.is_stopped and (self._look is None or due < self._look_at):
            if self._look is not None:
                self._look.cancel()
            self._look_at = due
            self._look = self._timers.after(max(0.0, due - self.now()), self._look_again)

    def _look_again(self) -> None:
        self._look = None
        self.carry_out(self.leasing.go_on(self.now()))
