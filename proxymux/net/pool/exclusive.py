"""Proxy mode: every client has an upstream for itself, and there are no more of them than targets."""

from __future__ import annotations

from proxymux.core.client import Client
from proxymux.core.decision import Forward
from proxymux.core.leasing import Dismiss, Leasing, Slot, Work
from proxymux.core.states import ConnectFailure
from proxymux.core.target import Target
from proxymux.net.connector import Connecting, Connector, Customer
from proxymux.net.leg import Leg
from proxymux.net.pool.leases import Leases
from proxymux.net.timers import Timers


class ExclusiveLeases(Leases):
    """Connects each client to the target of a free slot.  Takes a connector's place.

    :param connector: connects.
    """

    def __init__(self, timers: Timers, connector: Connector, leasing: Leasing) -> None:
        super().__init__(timers, leasing)
        self.connector = connector

    def connect(self, forward: Forward, client: Client, customer: Customer) -> Waiting:
        """Begin to get ``customer`` an upstream; the targets of ``forward`` are not looked at."""
        return Waiting(self, forward, client, customer)

    def give(self, slot: Slot, work: Waiting) -> None:
        work.given(slot)

    def dismiss(self, order: Dismiss) -> None:
        waiting: Waiting = order.work
        waiting.dismissed(ConnectFailure(order.reason, order.outcome))


class Waiting(Work):
    """A client that waits for its upstream."""

    __slots__ = ("_client", "_connecting", "_customer", "_forward", "_leases", "_reason", "_slot")

    def __init__(self, leases: ExclusiveLeases, forward: Forward, client: Client, customer: Customer) -> None:
        super().__init__(alone=True)
        self._leases = leases
        self._forward = forward
        self._client = client
        self._customer: Customer | None = customer
        self._slot: Slot | None = None
        self._connecting: Connecting | None = None
        self._reason: str | None = None

    def start(self) -> None:
        """Take a slot, or wait for one."""
        self._leases.clients += 1
        self._leases.carry_out(self._leases.leasing.submit(self, self._leases.now()))

    def cancel(self) -> None:
        """The upstream is not wanted any more."""
        if self._customer is None:
            return
        self._customer = None
        self._leases.clients -= 1
        connecting, self._connecting = self._connecting, None
        slot, self._slot = self._slot, None
        if connecting is not None:
            connecting.cancel()
        if slot is not None:
            self._leases.returned(slot)
        else:
            self._leases.leasing.withdraw(self)

    def given(self, slot: Slot) -> None:
        """There is a slot."""
        self._slot = slot
        forward = Forward(str(slot.target), retries=0, send_proxy=self._forward.send_proxy)
        self._connecting = self._leases.connector.connect(forward, self._client, self)
        self._connecting.start()

    def dismissed(self, failure: ConnectFailure) -> None:
        """There will be none."""
        customer, self._customer = self._customer, None
        if customer is not None:
            self._leases.clients -= 1
            customer.gave_up(ConnectFailure(self._reason or failure.reason, failure.outcome))

    # What the connecting tells

    def trying(self, target: Target) -> None:
        if self._customer is not None:
            self._customer.trying(target)

    def attempt_failed(self, target: Target, reason: str) -> None:
        if self._customer is not None:
            self._customer.attempt_failed(target, reason)

    def connected(self, leg: Leg) -> None:
        customer, slot = self._customer, self._slot
        self._customer = self._connecting = None
        assert slot is not None
        self._leases.leasing.connected(slot)
        leg.when_lost = self._over
        if customer is None:
            leg.abort()
        else:
            customer.connected(leg)

    def gave_up(self, failure: ConnectFailure) -> None:
        slot, self._slot = self._slot, None
        self._connecting = None
        assert slot is not None
        self._reason = failure.reason
        leases = self._leases
        if self._customer is not None:
            leases.leasing.again(self, leases.now())
        leases.carry_out(leases.leasing.failed(slot, leases.now()))

    def _over(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            self._leases.clients -= 1
            self._leases.returned(slot)
