"""Connections: one socket each, a client's or an upstream's, whose events go to whoever owns it at the time.

There are two kinds: :class:`~proxymux.net.epoll.connection.EpollConnection` has a plain socket that the hub watches,
:class:`~proxymux.net.reactor.connection.TransportConnection` has any of Twisted's transports, TLS above all.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from collections.abc import Callable
from typing import Any, Final, Protocol

from proxymux.core.identity import SocketAddress

#: Seconds that a close may take, the peer's TLS close_notify included, before it becomes an abort.
LINGER: Final = 10.0
#: Seconds between two looks at how much the system has still to send.
LOOK_AGAIN: Final = 0.05


class ConnectionOwner(Protocol):
    """Is told by a connection what happens to it."""

    def made(self) -> None:
        """The connection is there.  On a TLS connection the handshake is still to come."""

    def secured(self) -> None:
        """The TLS handshake is done and the peer's certificate was found good."""

    def received(self, data: bytes) -> None:
        """Bytes have come."""

    def finished(self) -> None:
        """The peer has sent FIN.  Comes at most once; not every transport can tell it from a loss."""

    def flushed(self) -> None:
        """Our own FIN has been sent, after every byte."""

    def lost(self, reason: Exception | None) -> None:
        """The connection is gone.  Comes once and last.

        :param reason: None if it was closed in good order.
        """


class Producer(Protocol):
    """Is paused while a connection has too much to send: Twisted's push producer."""

    def pauseProducing(self) -> None:
        """Send no more for now."""

    def resumeProducing(self) -> None:
        """Send on."""

    def stopProducing(self) -> None:
        """The connection is lost."""


class Connection(Protocol):
    """One connection."""

    #: Assign another to pass the connection on.
    owner: ConnectionOwner
    #: The connection is gone.
    is_lost: bool
    #: The peer has sent FIN.
    is_finished: bool
    #: Called when the connection is gone, whoever owns it then.
    when_lost: Callable[[], None] | None

    @property
    def is_tls(self) -> bool:
        """The connection is encrypted by us."""

    @property
    def half_closes(self) -> bool:
        """One direction can end while the other goes on."""

    @property
    def notices_resets(self) -> bool:
        """A reset is told at once even while nothing is read; or else :attr:`is_reset` has to be asked."""

    @property
    def is_flushed(self) -> bool:
        """True if nothing waits to be sent; False if that is not known."""

    @property
    def transport(self) -> Any:
        """Twisted's, where there is one."""

    @property
    def peer(self) -> SocketAddress:
        """Where the other end is."""

    @property
    def local(self) -> SocketAddress:
        """Where this end is."""

    @property
    def is_reset(self) -> bool:
        """True if the peer has reset the connection."""

    def take_early(self) -> bytes:
        """Bytes that came while nobody owned the connection; they are not kept any longer."""

    def send(self, data: bytes) -> None:
        """Send ``data`` as soon as the peer takes it."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def register_producer(self, producer: Producer) -> None:
        """Have ``producer`` paused while too much waits to be sent."""

    def unregister_producer(self) -> None:
        """Undo :meth:`register_producer`."""

    def finish(self) -> None:
        """Send FIN after everything that was sent; where the connection cannot do that, close it."""

    def close(self) -> None:
        """Close after everything was sent, within :data:`LINGER` seconds, TLS within twice as many."""

    def abort(self) -> None:
        """Reset the connection.  What was not sent is lost."""

    def reset(self) -> None:
        """Reset the connection once the peer's system has everything that was sent to it.

        A reset overtakes what waits in our own system's buffer, and nobody says when that is empty: it is asked.
        """

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        """Call ``flushed`` once all that was sent has gone to the system; never if the connection is lost before."""


class _Unowned:
    """Owns a connection that nobody looks at."""

    def made(self) -> None: ...
    def secured(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def finished(self) -> None: ...
    def flushed(self) -> None: ...
    def lost(self, reason: Exception | None) -> None: ...


#: Owner of a connection that nobody looks at any more: what comes is dropped.
UNOWNED: Final = _Unowned()
#: Owner of a connection on the way to its next owner, who will find in it what has come.
EARLY: Final = _Unowned()


def explain(reason: BaseException | None) -> str:
    """One line on why a connection was lost."""
    if reason is None:
        return "closed"
    if isinstance(reason, OSError) and reason.errno:
        return os.strerror(reason.errno).lower()
    return " ".join(str(reason).split()).rstrip(".") or type(reason).__name__


def bytes_to_send(descriptor: int) -> int:
    """How much the system has taken and the peer has not acknowledged; 0 where it cannot be asked."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
