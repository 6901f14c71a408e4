"""Lingering: connections that were sent their last bytes wait for the peer to close, after the end of their session.

The kernel answers a close with unread bytes, and every byte that comes after it, by a reset, which may destroy what the
peer has not read yet.  So FIN follows the last bytes, and what the peer still sends is read and thrown away until it
has closed too, or a limit is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

from proxymux.net.connection import Connection
from proxymux.net.timers import Timers

#: Seconds that a connection lingers at most; and seconds without progress after which the last bytes are given up.
LINGER: Final = 2.0
#: Times :data:`LINGER` that the last bytes may take, to a peer that reads them slowly.
_PERIODS: Final = 5
#: The most bytes of one peer that are thrown away, but for the rest of the last read.  No more is read then, and the
#: connection is reset when its time is over: to do so at once might destroy what the peer has not read yet.
MOST_READ: Final = 1 << 18


class Lingering:
    """The lingering connections of a service, the oldest first.

    They count in no limit.  Each takes a descriptor, which it gives up as soon as a new client needs it.

    :param timers: for their limits.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._owners: dict[_LingeringOwner, None] = {}
        #: Called after each connection that has closed; None calls nothing.
        self.when_ended: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._owners)

    def begin(self, connection: Connection, let_go: Callable[[], None]) -> None:
        """Send FIN after everything that was sent, and close the connection when the peer does, or at a limit.

        :param connection: gets another owner.
        :param let_go: called once, when the kernel has taken all bytes, or the connection is lost before.  From then on
            it lingers, for :data:`LINGER` seconds at most.
        """
        _LingeringOwner(self, self._timers, connection, let_go).begin()

    def keep(self, most: int) -> int:
        """Close the oldest connections, so that ``most`` are left.

        :returns: how many are being closed.  They may need a turn of the reactor to give their descriptors up.
        """
        oldest = list(islice(self._owners, max(0, len(self._owners) - max(0, most))))
        for owner in oldest:
            owner.close()
        return len(oldest)

    def abort(self) -> None:
        """Reset all of them."""
        for owner in tuple(self._owners):
            owner.abort()

    def add(self, owner: _LingeringOwner) -> None:
        """Take note of a connection whose last bytes are sent."""
        self._owners[owner] = None

    def remove(self, owner: _LingeringOwner) -> None:
        """Take note that the connection of ``owner`` is closed."""
        if owner in self._owners:
            del self._owners[owner]
            if self.when_ended is not None:
                self.when_ended()


class _LingeringOwner:
    """Owns a connection from its last bytes on."""

    __slots__ = ("_connection", "_let_go", "_lingering", "_periods", "_read", "_timer", "_timers", "_unsent")

    def __init__(
        self, lingering: Lingering, timers: Timers, connection: Connection, let_go: Callable[[], None]
    ) -> None:
        self._lingering = lingering
        self._timers = timers
        self._connection = connection
        #: None once it was called.
        self._let_go: Callable[[], None] | None = let_go
        self._unsent = connection.unsent
        self._periods = 1
        self._read = 0
        self._timer = timers.after(LINGER, self._expired)

    def begin(self) -> None:
        """Send FIN, or TLS's close_notify, after everything that was sent."""
        connection = self._connection
        connection.owner = self
        connection.resume()
        if connection.half_closes:
            connection.finish()
        else:
            connection.close()
            connection.when_flushed(self.flushed)

    def close(self) -> None:
        """Close the connection now.  What the kernel has taken is still delivered."""
        self._connection.close_now()

    def abort(self) -> None:
        """Reset the connection now."""
        self._connection.abort()

    def _expired(self) -> None:
        if self._let_go is None:
            if self._read > MOST_READ:
                self._connection.abort()
            else:
                self._connection.close_now()
            return
        before, self._unsent = self._unsent, self._connection.unsent
        if self._unsent < before and self._periods < _PERIODS:
            self._periods += 1
            self._timer = self._timers.after(LINGER, self._expired)
        else:
            self._connection.abort()

    def _call_let_go(self) -> None:
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()

    # Called by the connection

    def made(self) -> None:
        """Never called: the connection was established before."""

    def secured(self) -> None:
        """Ignore a TLS handshake that is done too late."""

    def received(self, data: bytes) -> None:
        """Throw away what the peer sends, and read no more when that is too much."""
        self._read += len(data)
        if self._read > MOST_READ:
            self._connection.pause()

    def finished(self) -> None:
        if self._let_go is None:
            self._connection.close()

    def flushed(self) -> None:
        if self._let_go is None:
            return
        self._timer.cancel()
        self._timer = self._timers.after(LINGER, self._expired)
        self._lingering.add(self)
        self._call_let_go()
        if self._connection.is_finished:
            self._connection.close()

    def lost(self, reason: Exception | None) -> None:
        self._timer.cancel()
        self._call_let_go()
        self._lingering.remove(self)
