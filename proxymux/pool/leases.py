"""Carries out the orders of a leasing and drives its timer; the same for shared and for exclusive upstreams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from proxymux.core.holding import MOST_HOLDS, Hold
from proxymux.core.leasing import Leasing
from proxymux.core.slots import Abandon, Close, Dismiss, Give, Open, Order, Slot, Work
from proxymux.core.target import Target
from proxymux.core.wheel import Timer
from proxymux.errors import NotHeld
from proxymux.net.holding import TargetHolds
from proxymux.net.timers import Timers
from proxymux.pool.following import SlotsWanted, TargetFollowing
from proxymux.pool.health_reports import HealthReports

#: Targets that a message names.
_MOST_NAMED: Final = 10


class Leases(Protocol):
    """What a pool service needs of its slots: start, stop and report.  The Places implement it, too."""

    @property
    def holds(self) -> TargetHolds:
        """What holds the targets."""

    def start(self) -> None:
        """Begin to serve; with ``--warmup`` connect all slots."""

    def stop(self) -> None:
        """Stop serving, and close the connections that no client has for itself."""

    def lines(self) -> list[str]:
        """The counts of :meth:`state`, formatted as log lines."""

    def state(self) -> dict[str, float]:
        """The counts of clients and upstreams under pgbouncer's names; ``maxwait`` is in seconds."""


class SlotLeases(Leases, Protocol):
    """The slots of one leasing.  Pool and ExclusiveLeases implement it."""

    leasing: Leasing
    runner: LeasingRunner
    #: Follows the clusters among the targets; None if none of them is one.
    following: TargetFollowing | None


class Lessor(Protocol):
    """Carries out the orders of the leasing: one method for each kind of order."""

    def give(self, slot: Slot, work: Work) -> None:
        """Let ``work`` use the slot from now on: send the batch, or connect the client that waits."""

    def open(self, slot: Slot) -> None:
        """Begin to connect a slot that is not yet given to any work."""

    def abandon(self, slot: Slot) -> None:
        """Give up the connect of a slot that was given to a client, which gets another slot."""

    def close(self, slot: Slot) -> None:
        """Close the connection of a slot that is barred, or give up its connect; nothing is done if it has neither."""

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
        #: Since when targets have been held, in the clock's seconds.
        self._held: dict[Target, float] = {}
        #: Tells how it goes with the targets.
        self.reports = HealthReports()
        #: The slots that are wanted, and those that will be when the orders of now have been carried out.
        self._wanted = self._next_wanted = SlotsWanted()
        #: How many lists of orders are being carried out, one within another.
        self._depth = 0
        #: Slots are opened before there is work for them.
        self.opens_all = False
        self.is_stopped = True
        #: Clients that have come and not yet left, whether they wait or not.
        self.clients = 0

    def start(self) -> None:
        """Begin to set timers; with ``--warmup`` connect all slots."""
        self.is_stopped = False
        self._warm_up()

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
        slots = self.leasing.present
        active = sum((slot.outstanding > 0 or slot.is_taken) and not slot.is_opening for slot in slots)
        return {
            "cl_active": self.clients - self.leasing.waiting,
            "cl_waiting": self.leasing.waiting,
            "sv_active": active,
            "sv_idle": sum(slot.is_open and not (slot.outstanding or slot.is_taken) for slot in slots),
            "sv_login": sum(slot.is_opening for slot in slots),
            "maxwait": self.leasing.max_wait(self.now()),
        }

    # For the service, as TargetHolds

    def hold(self, target: Target) -> bool:
        targets = {slot.target for slot in self.leasing.slots}
        if target in self._held:
            return False
        if target not in targets:
            known = sorted(map(str, targets))
            more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
            raise NotHeld(f"{target} is none of the pool's targets: {', '.join(known[:_MOST_NAMED])}{more}")
        if len(self._held) >= MOST_HOLDS:
            raise NotHeld(f"{target}: {MOST_HOLDS} targets are held already; release one")
        self._held[target] = self.now()
        self.carry_out(self.leasing.hold_target(target, self.now()))
        return True

    def release(self, target: Target) -> bool:
        if self._held.pop(target, None) is None:
            return False
        self.carry_out(self.leasing.release_target(target, self.now()))
        return True

    def show(self) -> list[Hold]:
        now, waiting = self.now(), self.leasing.waiting
        return [Hold(str(target), now - since, waiting) for target, since in self._held.items()]

    # For the TargetFollowing, as SlotsListener

    def follow(self, wanted: SlotsWanted) -> None:
        # What an order leads to may tell that a target is down, and what is left of the orders must not come after
        # those that follow from that.
        self._next_wanted = wanted
        if not self._depth:
            self._follow()

    def _follow(self) -> None:
        leasing, now = self.leasing, self.now()
        before, self._wanted = self._wanted, self._next_wanted
        targets, down, is_whole = self._wanted
        changed = before.down ^ down
        if targets is before.targets and is_whole == before.is_whole and len(changed) <= 1:
            # The usual case, at a fifth of the cost of the other.
            orders = [order for target in changed for order in leasing.bar_target(target, target in down, now)]
        else:
            orders = leasing.set_targets(targets, now, down, is_whole)
            self.reports.keep({target.address for target in targets})
        if not self.is_stopped:
            self.carry_out(orders)
            self._warm_up()

    def _warm_up(self) -> None:
        if self.opens_all:
            self.carry_out(self.leasing.start(self.now()))

    # For the lessor

    def submit(self, work: Work) -> None:
        """Get ``work`` a slot at once, or put it in the queue."""
        orders = self.leasing.submit(work, self.now())
        if orders or self.leasing.queue[0] is work:
            self.carry_out(orders)
        # Else other work has waited before, and the timer is set for that.

    def withdraw(self, work: Work) -> None:
        """Have ``work`` wait no more, if it does."""
        orders = self.leasing.withdraw(work, self.now())
        if not self.is_stopped:
            self.carry_out(orders)

    def returned(self, slot: Slot) -> None:
        """Tell the leasing that the connection of ``slot`` is closed, and give the slot to work that waits."""
        orders = self.leasing.closed(slot, self.now())
        if not self.is_stopped:
            self.carry_out(orders)

    def carry_out(self, orders: Iterable[Order]) -> None:
        """Have the lessor carry out ``orders``, and set the timer for the leasing's next time limit."""
        lessor = self._lessor
        self._depth += 1
        try:
            for order in orders:
                if type(order) is Give:
                    lessor.give(order.slot, order.work)
                elif type(order) is Open:
                    lessor.open(order.slot)
                elif type(order) is Abandon:
                    lessor.abandon(order.slot)
                elif type(order) is Close:
                    lessor.close(order.slot)
                else:
                    assert type(order) is Dismiss
                    lessor.dismiss(order)
        finally:
            self._depth -= 1
        due = self.leasing.next_look(self.now())
        if due is not None and not self.is_stopped and (self._limit_timer is None or due < self._limit_at):
            if self._limit_timer is not None:
                self._limit_timer.cancel()
            self._limit_at = due
            self._limit_timer = self._timers.after(max(0.0, due - self.now()), self._time_passed)
        if self._next_wanted is not self._wanted and not self._depth:
            self._follow()

    def _time_passed(self) -> None:
        self._limit_timer = None
        self.carry_out(self.leasing.go_on(self.now()))
