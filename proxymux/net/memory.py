"""Connections in memory, for tests of routers: they keep what is sent, and receive what the test passes to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxymux.core.identity import SocketAddress
from proxymux.net.connection import PLENTY, UNOWNED, ConnectionOwner, Producer

_NOWHERE: Final[SocketAddress] = ("", 0)


class MemoryConnection:
    """A :class:`~proxymux.net.connection.Connection` without a socket, whose peer reads at once and never closes.

    :param peer: the address to report for the other end.
    :param local: the address to report for this end.
    """

    handle = None
    is_truncated = False
    half_closes = True
    notices_resets = True
    is_flushed = True
    unsent = 0
    is_finished = False

    def __init__(self, peer: SocketAddress = _NOWHERE, local: SocketAddress = _NOWHERE) -> None:
        self.peer = peer
        self.local = local
        self.owner: ConnectionOwner = UNOWNED
        self.is_lost = False
        self.when_lost: Callable[[], None] | None = None
        #: All bytes that were sent on the connection.
        self.sent = b""

    def receive(self, data: bytes) -> None:
        """Deliver ``data`` to the owner as if the peer had sent it, even while reading is paused.  Tests call it."""
        self.owner.received(data)

    @property
    def is_reset(self) -> bool:
        return self.is_lost

    def start_tls(self, engine: object, received: bytes = b"") -> None:
        raise NotImplementedError("a connection in memory has no TLS")

    def take_early(self) -> bytes:
        return b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def pause(self) -> None:
        """Do nothing: :meth:`receive` delivers even while reading is paused."""

    def resume(self) -> None:
        """Do nothing: reading is never paused."""

    def register_producer(self, producer: Producer, plenty: int = PLENTY) -> None:
        """Do nothing: no byte ever waits to be sent, so no producer needs to be paused."""

    def unregister_producer(self) -> None:
        """Do nothing, as :meth:`register_producer`."""

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        flushed()

    def finish(self) -> None:
        self.owner.flushed()

    def close(self) -> None:
        self._end(None)

    close_now = close

    def abort(self) -> None:
        self._end(ConnectionAbortedError("aborted"))

    reset = abort

    def _end(self, reason: Exception | None) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        owner, self.owner = self.owner, UNOWNED
        owner.lost(reason)
        if self.when_lost is not None:
            self.when_lost()
