"""Proxy mode: every client has an upstream for itself, and there are no more of them than targets."""

from __future__ import annotations

from proxymux.core.commands import ConnectFailure
from proxymux.core.decision import Forward
from proxymux.core.identity import Client
from proxymux.core.leasing import Leasing
from proxymux.core.slots import Dismiss, Slot, Work
from proxymux.core.target import Target
from proxymux.net.connection import Connection
from proxymux.net.connector import Connecting, ConnectListener, Connector
from proxymux.net.timers import Timers
from proxymux.pool.leases import LeasingRunner


class ExclusiveLeases:
    """Connects each client to the target of a free slot.  Takes a connector's place.

    :param timers: measure, and wake it when a client has waited too long.
    :param connector: connects.
    :param leasing: an exclusive one.
    """

    def __init__(self, timers: Timers, connector: Connector, leasing: Leasing) -> None:
        self.leasing = leasing
        self.connector = connector
        self.runner = LeasingRunner(timers, leasing, self)

    @property
    def clients(self) -> int:
        """Clients that are in."""
        return self.runner.clients

    # For the service

    def start(self) -> None:
        self.runner.start()

    def stop(self) -> None:
        self.runner.stop()

    def lines(self) -> list[str]:
        return self.runner.lines()

    def state(self) -> dict[str, float]:
        return self.runner.state()

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> Waiting:
        """Begin to get ``listener`` an upstream; the targets of ``forward`` are not looked at."""
        return Waiting(self, forward, client, listener)

    # Orders

    def give(self, slot: Slot, work: Work) -> None:
        assert isinstance(work, Waiting)
        work.given(slot)

    def open(self, slot: Slot) -> None:
        """Slots are opened for the clients that have them, and never before."""
        raise AssertionError(f"{slot} is to be opened for nobody")

    def dismiss(self, order: Dismiss) -> None:
        assert isinstance(order.work, Waiting)
        order.work.dismissed(ConnectFailure(order.reason, order.outcome))


class Waiting(Work):
    """A client that waits for its upstream."""

    __slots__ = ("_client", "_connecting", "_connector", "_listener", "_reason", "_runner", "_slot")

    def __init__(self, leases: ExclusiveLeases, forward: Forward, client: Client, listener: ConnectListener) -> None:
        super().__init__(alone=True)
        self._runner = leases.runner
        self._connector = leases.connector
        self._client = client
        self._listener: ConnectListener | None = listener
        self._slot: Slot | None = None
        self._connecting: Connecting | None = None
        self._reason: str | None = None

    def start(self) -> None:
        """Take a slot, or wait for one."""
        self._runner.clients += 1
        self._runner.submit(self)

    def cancel(self) -> None:
        """The upstream is not wanted any more."""
        if self._listener is None:
            return
        self._listener = None
        self._runner.clients -= 1
        connecting, self._connecting = self._connecting, None
        slot, self._slot = self._slot, None
        if connecting is not None:
            connecting.cancel()
        if slot is not None:
            self._runner.returned(slot)
        else:
            self._runner.leasing.withdraw(self)

    def given(self, slot: Slot) -> None:
        """There is a slot."""
        self._slot = slot
        forward = Forward(slot.target, retries=0)
        self._connecting = self._connector.connect(forward, self._client, self)
        self._connecting.start()

    def dismissed(self, failure: ConnectFailure) -> None:
        """There will be none."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._runner.clients -= 1
            listener.gave_up(ConnectFailure(self._reason or failure.reason, failure.outcome))

    # What the connecting tells

    def trying(self, target: Target) -> None:
        if self._listener is not None:
            self._listener.trying(target)

    def attempt_failed(self, target: Target, reason: str) -> None:
        if self._listener is not None:
            self._listener.attempt_failed(target, reason)

    def connected(self, connection: Connection) -> None:
        listener, slot = self._listener, self._slot
        self._listener = self._connecting = None
        assert slot is not None
        self._runner.leasing.connected(slot)
        connection.when_lost = self._over
        if listener is None:
            connection.abort()
        else:
            listener.connected(connection)

    def gave_up(self, failure: ConnectFailure) -> None:
        slot, self._slot = self._slot, None
        self._connecting = None
        assert slot is not None
        self._reason = failure.reason
        runner = self._runner
        if self._listener is not None:
            runner.leasing.again(self, runner.now())
        runner.carry_out(runner.leasing.failed(slot, runner.now()))

    def _over(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            self._runner.clients -= 1
            self._runner.returned(slot)
