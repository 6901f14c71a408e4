"""PostgreSQL's cancel requests in Proxy mode: they pass beside the slots, as they are of use at once or never.

A client cancels a query by a second connection on which it sends nothing but a CancelRequest.  If that waited for a
slot, it would be sent after the query, and cancel whatever its session does by then.
"""

from __future__ import annotations

from typing import Final

from proxymux.core.commands import ConnectFailure
from proxymux.core.decision import Forward
from proxymux.core.identity import Client
from proxymux.core.leasing import Leasing
from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.core.target import Target
from proxymux.core.wheel import Timer
from proxymux.net.connecting import Connecting, ConnectListener
from proxymux.net.connection import Connection
from proxymux.net.connector import Connector
from proxymux.net.timers import Timers
from proxymux.sniff import NEED_DATA, postgres

#: The most cancel requests that pass at once; one more is dropped.
MOST: Final = 16
#: Seconds that one may take, its connect included.  The server closes the connection as soon as it has read it.
LIMIT: Final = 5.0


def is_cancel_request(data: bytes) -> bool:
    """True if ``data`` is a CancelRequest of PostgreSQL and nothing else."""
    found = postgres(data)
    return found is not None and found is not NEED_DATA and found.kind == "cancel" and found.length == len(data)


class Bypasses:
    """The cancel requests of a service that pass beside its slots.

    :param leasing: has the slots; they are sent to the target of the first that is not down.
    """

    def __init__(self, timers: Timers, connector: Connector, leasing: Leasing) -> None:
        self.timers = timers
        self.connector = connector
        self._leasing = leasing
        #: The number of those that pass now.
        self.count = 0

    def begin(self, client: Client, listener: ConnectListener) -> Bypass | None:
        """Connect a client, or tell the listener that there are too many, or that there is no target.

        :returns: None if the listener was told.
        """
        slot = next((slot for slot in self._leasing.slots if slot.is_awaited), None)
        if slot is None:
            listener.gave_up(ConnectFailure("there is no target for a cancel request", Outcome.UNREACHABLE))
            return None
        if self.count >= MOST:
            listener.gave_up(ConnectFailure(f"more than {MOST} cancel requests at once", Outcome.QUEUE_FULL))
            return None
        bypass = Bypass(self, slot.forward, client, listener)
        bypass.start()
        return bypass


class Bypass:
    """The connection of one cancel request.

    :param forward: where it is sent.
    """

    __slots__ = ("_bypasses", "_connecting", "_connection", "_listener", "_timer")

    def __init__(self, bypasses: Bypasses, forward: Forward, client: Client, listener: ConnectListener) -> None:
        self._bypasses = bypasses
        self._listener = listener
        self._connection: Connection | None = None
        self._timer: Timer | None = None
        self._connecting: Connecting | None = bypasses.connector.connect(forward, client, self)

    def start(self) -> None:
        """Begin to connect."""
        self._bypasses.count += 1
        self._timer = self._bypasses.timers.after(LIMIT, self._expired)
        assert self._connecting is not None
        self._connecting.start()

    def cancel(self) -> None:
        """Give up the connect; nothing changes once it has succeeded or failed."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            self._over()

    def _expired(self) -> None:
        self._timer = None
        if self._connection is not None:
            self._connection.abort()
        else:
            self.cancel()
            self._listener.gave_up(
                ConnectFailure(f"a cancel request took longer than {LIMIT:g} s", Outcome.CONNECT_TIMEOUT)
            )

    def _over(self) -> None:
        self._bypasses.count -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Called by the Connecting, as its listener

    def trying(self, target: Target) -> None:
        self._listener.trying(target)

    def attempt_failed(self, target: Target, reason: str, fault: ConnectFault) -> None:
        self._listener.attempt_failed(target, reason, fault)

    def connected(self, connection: Connection) -> None:
        self._connecting, self._connection = None, connection
        connection.when_lost = self._over
        self._listener.connected(connection)

    def gave_up(self, failure: ConnectFailure) -> None:
        self._connecting = None
        self._over()
        self._listener.gave_up(failure)
