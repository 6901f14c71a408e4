"""Connections in memory: what is sent on them is kept, and they are told what comes.  Routers are tested over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxymux.core.identity import SocketAddress
from proxymux.net.connection import UNOWNED, ConnectionOwner, Producer

_NOWHERE: Final[SocketAddress] = ("", 0)


class MemoryConnection:
    """A :class:`~proxymux.net.connection.Connection` whose peer takes everything at once and never ends.

    :param peer: where the other end is said to be.
    :param local: where this end is said to be.
    """

    is_tls = False
    half_closes = True
    notices_resets = True
    is_flushed = True
    is_finished = False
    transport = None

    def __init__(self, peer: SocketAddress = _NOWHERE, local: SocketAddress = _NOWHERE) -> None:
        self.peer = peer
        self.local = local
        self.owner: ConnectionOwner = UNOWNED
        self.is_lost = False
        self.when_lost: Callable[[], None] | None = None
        #: All bytes that were sent.
        self.sent = b""

    def receive(self, data: bytes) -> None:
        """Have the peer send ``data``, whether reading is paused or not."""
        self.owner.received(data)

    @property
    def is_reset(self) -> bool:
        return self.is_lost

    def take_early(self) -> bytes:
        return b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def pause(self) -> None:
        """What comes is delivered all the same."""

    def resume(self) -> None:
        """It was never paused."""

    def register_producer(self, producer: Producer) -> None:
        """The peer takes everything, so that no producer is ever paused."""

    def unregister_producer(self) -> None:
        """Undo :meth:`register_producer`."""

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        flushed()

    def finish(self) -> None:
        self.owner.flushed()

    def close(self) -> None:
        self._end(None)

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
