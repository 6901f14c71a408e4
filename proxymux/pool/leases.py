"""Carrying out what the leasing decides, whatever a lease is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxymux.core.leasing import Leasing
from proxymux.core.slots import Dismiss, Give, Open, Order, Slot
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers


class Leases:
    """Does what the leasing says, and tells it when time has passed.

    :param timers: measure, and wake it when something has waited too long.
    """

    def __init__(self, timers: Timers, leasing: Leasing) -> None:
        self.timers = timers
        self.leasing = leasing
        self.now = timers.seconds
        self._look: Timer | None = None
        self._look_at = 0.0
        self.is_stopped = False
        #: Clients that are in.
        self.clients = 0

    def start(self) -> None:
        """Begin."""
        self.is_stopped = False

    def stop(self) -> None:
        """Close everything."""
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

    def returned(self, slot: Slot) -> None:
        """Whoever had a slot alone has ended, and so has its connection."""
        orders = self.leasing.closed(slot, self.now())
        if not self.is_stopped:
            self.carry_out(orders)

    def carry_out(self, orders: Iterable[Order]) -> None:
        """Do what the leasing says."""
        for order in orders:
            if type(order) is Give:
                self.give(order.slot, order.work)
            elif type(order) is Open:
                self.open(order.slot)
            else:
                assert type(order) is Dismiss
                self.dismiss(order)
        due = self.leasing.next_look(self.now())
        if due is not None and not self.is_stopped and (self._look is None or due < self._look_at):
            if self._look is not None:
                self._look.cancel()
            self._look_at = due
            self._look = self.timers.after(max(0.0, due - self.now()), self._look_again)

    def give(self, slot: Slot, work: Any) -> None:
        """``work`` has the slot."""
        raise NotImplementedError

    def open(self, slot: Slot) -> None:
        """Connect the slot."""
        raise NotImplementedError

    def dismiss(self, order: Dismiss) -> None:
        """Some work gets no upstream."""
        raise NotImplementedError

    def _look_again(self) -> None:
        self._look = None
        self.carry_out(self.leasing.go_on(self.now()))
