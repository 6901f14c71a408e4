"""Proxy mode: each client has an upstream of its own, and each target at most one client at a time."""

from __future__ import annotations

from proxymux.core.commands import ConnectFailure
from proxymux.core.decision import Forward
from proxymux.core.identity import Client
from proxymux.core.leasing import Leasing
from proxymux.core.member import Member
from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.core.reach import PATIENCE
from proxymux.core.slots import Dismiss, Slot, Work
from proxymux.core.target import Target
from proxymux.net.connecting import Connecting, ConnectListener
from proxymux.net.connection import Connection
from proxymux.net.connector import Connector
from proxymux.net.timers import Timers
from proxymux.pool.bypass import Bypass, Bypasses, is_cancel_request
from proxymux.pool.following import TargetFollowing
from proxymux.pool.leases import LeasingRunner


class ExclusiveLeases:
    """Connects each client to the target of a free slot.  Sessions use it in the place of a connector.

    :param timers: the clock, and the timer that ends the wait of a client at ``--queue-timeout``.
    :param connector: opens the connections to the targets.
    :param leasing: chooses the slots; made with ``exclusive=True``.
    """

    def __init__(self, timers: Timers, connector: Connector, leasing: Leasing) -> None:
        self.leasing = leasing
        self.connector = connector
        self.runner = LeasingRunner(timers, leasing, self)
        self.following: TargetFollowing | None = None
        self.bypasses = Bypasses(timers, connector, leasing)
        #: The clients whose upstreams are being connected, by their slots.
        self.connecting: dict[Slot, Waiting] = {}

    @property
    def clients(self) -> int:
        """The number of clients that wait for an upstream or have one."""
        return self.runner.clients

    @property
    def holds(self) -> LeasingRunner:
        """What holds the targets."""
        return self.runner

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
        """Make a request for an upstream, which begins at its ``start()``.

        :param forward: ignored: the slot, not the decision, names the target.
        :param listener: is given the connection, or the failure.
        """
        return Waiting(self, forward, client, listener)

    # Called by the LeasingRunner, one method for each order of the leasing

    def give(self, slot: Slot, work: Work) -> None:
        assert isinstance(work, Waiting)
        work.given(slot)

    def open(self, slot: Slot) -> None:
        """Never called: an exclusive leasing gives a slot to a client first, and the client then opens it."""
        raise AssertionError(f"{slot} is to be opened for nobody")

    def abandon(self, slot: Slot) -> None:
        if slot in self.connecting:
            self.connecting[slot].give_up()

    def close(self, slot: Slot) -> None:
        """Give up the connect of ``slot``; a connection is its client's alone, and stays."""
        if slot in self.connecting:
            self.connecting[slot].lose_slot()

    def dismiss(self, order: Dismiss) -> None:
        assert isinstance(order.work, Waiting)
        order.work.dismissed(ConnectFailure(order.reason, order.outcome))


class Waiting(Work):
    """One client that waits for a slot, then for the connection of the slot, and then holds the slot until it ends."""

    #: A slot has the connection, not a member.
    member: Member | None = None

    __slots__ = (
        "_bypass",
        "_client",
        "_connecting",
        "_has_left",
        "_is_cancel",
        "_last_failure",
        "_leases",
        "_listener",
        "_runner",
        "_slot",
    )

    def __init__(self, leases: ExclusiveLeases, forward: Forward, client: Client, listener: ConnectListener) -> None:
        super().__init__(alone=True)
        self._runner = leases.runner
        self._leases = leases
        self._client = client
        self._listener: ConnectListener | None = listener
        self._slot: Slot | None = None
        self._connecting: Connecting | None = None
        self._last_failure: str | None = None
        #: The client has sent FIN.
        self._has_left = False
        #: What the client has sent is a cancel request.
        self._is_cancel = False
        #: The connection beside the slots; None if there is none.
        self._bypass: Bypass | None = None

    def start(self) -> None:
        """Ask for a slot: get it at once, or join the queue."""
        self._runner.clients += 1
        self._runner.submit(self)

    def heard(self, data: bytes, is_finished: bool) -> None:
        """Take note of what the client has done before its upstream was there."""
        self._is_cancel, self._has_left = is_cancel_request(data), is_finished
        self._look()

    def _look(self) -> None:
        """Remove a client from the queue that has left, or whose bytes must not be sent late.

        A client that has closed its connection looks like one that has only sent its last byte, and waits for the
        answer.  While the client waits for a slot both count as gone: what the one has sent must not be done later.
        """
        listener = self._listener
        if listener is None or not self.is_queued or not (self._is_cancel or self._has_left):
            return
        self._runner.withdraw(self)
        self._runner.clients -= 1
        self._listener = None
        if self._is_cancel:
            self._bypass = self._leases.bypasses.begin(self._client, listener)
        else:
            listener.gave_up(ConnectFailure("left while it waited for an upstream", Outcome.CLIENT_ABORTED))

    def cancel(self) -> None:
        """Withdraw the client: leave the queue, or cancel the connect and return the slot."""
        if self._bypass is not None:
            self._bypass.cancel()
        if self._listener is None:
            return
        self._listener = None
        self._runner.clients -= 1
        connecting, self._connecting = self._connecting, None
        slot, self._slot = self._slot, None
        if slot is not None:
            self._leases.connecting.pop(slot, None)
        if connecting is not None:
            connecting.cancel()
        if slot is not None:
            self._runner.returned(slot)
        else:
            self._runner.withdraw(self)

    def given(self, slot: Slot) -> None:
        """Connect to the target of ``slot``, which is now this client's."""
        self._slot = slot
        self._leases.connecting[slot] = self
        self._connecting = self._leases.connector.connect(slot.forward, self._client, self)
        self._connecting.start()

    def give_up(self) -> None:
        """Give up the connect, as it takes long, and ask for another slot."""
        reason = self._cut_short(f"no connection within {PATIENCE:g} s, another target is tried", ConnectFault.TIMEOUT)
        self.gave_up(ConnectFailure(reason))

    def lose_slot(self) -> None:
        """Give up the connect, as nobody is to be connected to its target any more, and ask for another slot."""
        self._last_failure = self._cut_short("the target was taken away while it was connected to", ConnectFault.OTHER)
        slot = self._ask_again()
        self._runner.returned(slot)

    def _cut_short(self, reason: str, fault: ConnectFault) -> str:
        """Cancel the connect.

        :returns: its target and the reason, in one line.
        """
        connecting, slot = self._connecting, self._slot
        assert connecting is not None
        assert slot is not None
        connecting.cancel()
        self.attempt_failed(slot.target, reason, fault)
        return f"{slot.target}: {reason}"

    def _ask_again(self) -> Slot:
        """Join the queue again, as the next, and return the slot that was of no use."""
        slot, self._slot = self._slot, None
        self._connecting = None
        assert slot is not None
        del self._leases.connecting[slot]
        if self._listener is not None:
            self._runner.leasing.again(self, self._runner.now())
            self._look()
        return slot

    def dismissed(self, failure: ConnectFailure) -> None:
        """Tell the listener that this client gets no slot, and why."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._runner.clients -= 1
            listener.gave_up(ConnectFailure(self._last_failure or failure.reason, failure.outcome))

    # Called by the Connecting, as its listener

    def trying(self, target: Target) -> None:
        if self._listener is not None:
            self._listener.trying(target)

    def attempt_failed(self, target: Target, reason: str, fault: ConnectFault) -> None:
        if self._listener is not None:
            self._listener.attempt_failed(target, reason, fault)

    def connected(self, connection: Connection) -> None:
        listener, slot = self._listener, self._slot
        self._listener = self._connecting = None
        assert slot is not None
        del self._leases.connecting[slot]
        self._runner.leasing.connected(slot, self._runner.now())
        self._runner.reports.connected(slot)
        connection.when_lost = self._connection_lost
        if listener is None:
            connection.abort()
        else:
            listener.connected(connection)

    def gave_up(self, failure: ConnectFailure) -> None:
        self._last_failure = failure.reason
        slot, runner = self._ask_again(), self._runner
        runner.reports.not_connected(slot, failure.reason)
        runner.carry_out(runner.leasing.failed(slot, runner.now()))

    def _connection_lost(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            self._runner.clients -= 1
            self._runner.returned(slot)
