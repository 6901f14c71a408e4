"""Connections: one socket each, a client's or an upstream's, whose events go to the connection's present owner.

There are two kinds: :class:`~proxymux.net.epoll.connection.EpollConnection` has a plain socket that the hub watches,
:class:`~proxymux.net.reactor.connection.TransportConnection` has any of Twisted's transports.
"""

from __future__ import annotations

import fcntl
import sys
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from proxymux.core.identity import SocketAddress

if TYPE_CHECKING:
    from OpenSSL import SSL

    from proxymux.net.tls.engine import TlsEngine

#: Seconds after which a close becomes an abort.
CLOSE_LIMIT: Final = 10.0
#: Bytes that may wait to be sent on a connection before its producer is paused.
PLENTY: Final = 1 << 16
#: Seconds between two looks at how much the kernel has still to send.
LOOK_AGAIN: Final = 0.05


class ConnectionOwner(Protocol):
    """Is told by a connection what happens on it."""

    def made(self) -> None:
        """The connection is established.  A TLS handshake is still to come."""

    def secured(self) -> None:
        """The TLS handshake is done and the peer's certificate is valid."""

    def received(self, data: bytes) -> None:
        """The peer has sent ``data``."""

    def finished(self) -> None:
        """The peer has sent FIN.  Called at most once; not every transport can tell a FIN from a loss."""

    def flushed(self) -> None:
        """Our own FIN has been sent, after every byte."""

    def lost(self, reason: Exception | None) -> None:
        """The connection is closed or broken.  Called exactly once, as the last of all.

        :param reason: None if it was closed in good order.
        """


class Producer(Protocol):
    """Sends on a connection, and pauses while too much waits to be sent: Twisted's push producer."""

    def pauseProducing(self) -> None:
        """Send no more for now."""

    def resumeProducing(self) -> None:
        """Send on."""

    def stopProducing(self) -> None:
        """Stop for good: the connection is lost."""


class Connection(Protocol):
    """One connection, whatever its driver."""

    #: Is told what happens.  Assigning another owner passes the connection on.
    owner: ConnectionOwner
    #: The connection is closed or broken.
    is_lost: bool
    #: The peer has sent FIN.
    is_finished: bool
    #: Called when the connection is lost, after the owner of that time has been told.
    when_lost: Callable[[], None] | None

    @property
    def handle(self) -> SSL.Connection | None:
        """What encrypts the connection, its handshake perhaps not done; None on a plain one."""

    @property
    def is_truncated(self) -> bool:
        """True if the peer has ended a TLS connection without close_notify."""

    @property
    def half_closes(self) -> bool:
        """True if one direction can end while the other goes on."""

    @property
    def notices_resets(self) -> bool:
        """True if a reset is reported at once even while reading is paused; otherwise poll :attr:`is_reset`."""

    @property
    def is_flushed(self) -> bool:
        """True if no byte waits to be sent; False also where that is not known."""

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet, or never took if the connection is lost; with TLS plain ones, and
        all of a record of which some are missing.
        """

    @property
    def peer(self) -> SocketAddress:
        """The address of the other end."""

    @property
    def local(self) -> SocketAddress:
        """The address of this end."""

    @property
    def is_reset(self) -> bool:
        """True if the peer has reset the connection."""

    def start_tls(self, engine: TlsEngine, received: bytes = b"") -> None:
        """Speak TLS from here on.  The owner is told of the end of the handshake, or of the loss if it fails.

        :param received: bytes that the peer has sent already.
        """

    def take_early(self) -> bytes:
        """Return, and forget, the bytes that came while the owner was :data:`EARLY`."""

    def send(self, data: bytes) -> None:
        """Send ``data``; what the peer does not take yet is kept in the send buffer."""

    def pause(self) -> None:
        """Stop reading for now."""

    def resume(self) -> None:
        """Read on."""

    def register_producer(self, producer: Producer, plenty: int = PLENTY) -> None:
        """Pause ``producer`` while more than ``plenty`` bytes wait to be sent, until none do."""

    def unregister_producer(self) -> None:
        """Undo :meth:`register_producer`."""

    def finish(self) -> None:
        """Send FIN after everything that was sent; where the connection cannot half-close, close it."""

    def close(self) -> None:
        """Close after everything was sent, within :data:`CLOSE_LIMIT` seconds."""

    def close_now(self) -> None:
        """Close without waiting for the peer.  What the kernel has taken is still delivered; the rest is lost."""

    def abort(self) -> None:
        """Reset the connection now.  Unsent bytes are lost."""

    def reset(self) -> None:
        """Reset the connection once the peer's system has acknowledged everything that was sent.

        A reset overtakes what waits in our kernel's buffer, and the kernel does not report when that is empty: it is
        polled every :data:`LOOK_AGAIN` seconds.
        """

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        """Call ``flushed`` once the kernel has taken all that was sent; never if the connection is lost before."""


class _NoOwner:
    """An owner that ignores everything."""

    def made(self) -> None: ...
    def secured(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def finished(self) -> None: ...
    def flushed(self) -> None: ...
    def lost(self, reason: Exception | None) -> None: ...


#: The owner of a connection that is of no use any more: what it receives is dropped.
UNOWNED: Final = _NoOwner()
#: The owner of a connection between two owners: what it receives meanwhile is kept for :meth:`Connection.take_early`.
EARLY: Final = _NoOwner()


def bytes_to_send(descriptor: int) -> int:
    """Bytes in the kernel's send buffer that the peer has not acknowledged; 0 where the system cannot be asked."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
