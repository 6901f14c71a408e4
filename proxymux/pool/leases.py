"""Carries out the orders of a leasing and drives its timer; the same for shared and for exclusive upstreams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from proxymux.core.leasing import Leasing
from proxymux.core.slots import Abandon, Dismiss, Give, Open, Order, Slot, Work
from proxymux.core.wheel import Timer
from proxymux.net.timers import Timers


class Leases(Protocol):
    """What a pool service needs of its slots: start, stop and report.  Pool and ExclusiveLeases implement it."""

    leasing: Leasing

    def start(self) -> None:
        """Begin to serve; with ``--warmup`` connect all slots."""

    def stop(self) -> None:
        """Stop serving, and close the connections that no client has for itself."""

    def lines(self) -> list[str]:
        """The counts of :meth:`state`, formatted as log lines."""

    def state(self) -> dict[str, float]:
        """The counts of clients and upstreams under pgbouncer's names; ``maxwait`` is in seconds."""


class Lessor(Protocol):
    """Carries out the orders of the leasing: one method for each kind of order."""

    def give(self, slot: Slot, work: Work) -> None:
        """Let ``work`` use the slot from now on: send the batch, or connect the client that waits."""

    def open(self, slot: Slot) -> None:
        """Begin to connect a slot that is not yet given to any work."""

    def abandon(self, slot: Slot) -> None:
        """Give up the connect of a slot that was given to a client, which gets another slot."""

    def dismiss(self, order: Dismiss) -> None:
        """Tell the client of ``order.work`` that it gets no slot, with the order's outcome and reason."""


class LeasingRunner:
    """Has the lessor carry out the orders of the leasing, and wakes the leasing when a time limit has passed.

    :param timers: the clock, and the timer for the leasing's next time limit.
    """

    def __init__(self, timers: Timers, leasing: Leasing, lessor: Lessor) -> None:
        self.leasing = leasing
        self.now = timers.seconds
        self._timers = timers
        self._lessor = lessor
        self._limit_timer: Timer | None = None
        self._limit_at = 0.0
        self.is_stopped = False
        #: Clients that have come and not yet left, whether they wait or not.
        self.clients = 0

    def start(self) -> None:
        """Begin to set timers."""
        self.is_stopped = False

    def stop(self) -> None:
        """Set no more timers, and give slots that are returned to no other work."""
        self.is_stopped = True
        if self._limit_timer is not None:
            self._limit_timer.cancel()
            self._limit_timer = None

    def lines(self) -> list[str]:
        """The counts of :meth:`state` in one log line."""
        return [" ".join(f"{name} {value:g}" for name, value in self.state().items())]

    def state(self) -> dict[str, float]:
        """The counts of clients (cl) and upstreams (sv) under pgbouncer's names; ``maxwait`` is in seconds."""
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
        """Get ``work`` a slot at once, or put it in the queue."""
        self.carry_out(self.leasing.submit(work, self.now()))

    def returned(self, slot: Slot) -> None:
        """Tell the leasing that the connection of ``slot`` is closed, and give the slot to work that waits."""
        orders = self.leasing.closed(slot, self.now())
        if not self.is_stopped:
            self.carry_out(orders)

    def carry_out(self, orders: Iterable[Order]) -> None:
        """Have the lessor carry out ``orders``, and set the timer for the leasing's next time limit."""
        lessor = self._lessor
        for order in orders:
            if type(order) is Give:
                lessor.give(order.slot, order.work)
            elif type(order) is Open:
                lessor.open(order.slot)
            elif type(order) is Abandon:
                lessor.abandon(order.slot)
            else:
                assert type(order) is Dismiss
                lessor.dismiss(order)
        due = self.leasing.next_look(self.now())
        if due is not None and not self.is_stopped and (self._limit_timer is None or due < self._limit_at):
            if self._limit_timer is not None:
                self._limit_timer.cancel()
            self._limit_at = due
            self._limit_timer = self._timers.after(max(0.0, due - self.now()), self._time_passed)

    def _time_passed(self) -> None:
        self._limit_timer = None
        self.carry_out(self.leasing.go_on(self.now()))
