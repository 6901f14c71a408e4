"""A leg: one connection, a client's or an upstream's, whose events go to whoever owns it at the time."""

from __future__ import annotations

import fcntl
import select
import sys
import termios
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPullProducer,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.interfaces import ILegOwner

#: Seconds that a close may take, the peer's TLS close_notify included, before it becomes an abort.
LINGER: Final = 10.0
#: Seconds between two looks at how much the system has still to send.
_LOOK_AGAIN: Final = 0.05


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Leg(Protocol):
    """One connection.

    :param clock: for the deadline of a close.
    :param owner: an :class:`~proxymux.interfaces.ILegOwner`; assign another to hand the connection over.
    """

    transport: Any

    def __init__(self, clock: IReactorTime, owner: Any) -> None:
        self.owner = owner
        self.is_lost = False
        self.is_finished = False
        #: Bytes that came while nobody owned the leg.
        self.early = b""
        self._clock = clock
        self._deadline: IDelayedCall | None = None
        self._guarded = False

    # What Twisted tells us

    def connectionMade(self) -> None:
        for option in ("setTcpNoDelay", "setTcpKeepAlive"):
            switch = getattr(self.transport, option, None)
            if switch is not None:
                switch(True)
        self.owner.made()

    def handshakeCompleted(self) -> None:
        self.owner.secured()

    def dataReceived(self, data: bytes) -> None:
        if self.owner is EARLY:
            self.early += data
        else:
            self.owner.received(data)

    def readConnectionLost(self) -> None:
        self.is_finished = True
        self.owner.finished()

    def writeConnectionLost(self) -> None:
        self.owner.flushed()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.owner.lost(reason)

    # What an owner does with it

    @property
    def is_tls(self) -> bool:
        """True if the connection is encrypted by us."""
        return bool(ISSLTransport.providedBy(self.transport))

    @property
    def half_closes(self) -> bool:
        """True if one direction can end while the other goes on."""
        return not self.is_tls

    @property
    def is_reset(self) -> bool:
        """True if the peer has reset the connection; a transport whose reading is paused does not notice by itself."""
        if self.is_lost:
            return True
        poll = select.poll()
        poll.register(self.transport.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))

    def send(self, data: bytes) -> None:
        """Send ``data`` as soon as the peer takes it."""
        self.transport.write(data)

    def pause(self) -> None:
        """Read no more for now."""
        if not self.is_lost:
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        # A transport that has seen FIN would report it again.
        if not self.is_lost and not self.is_finished:
            self.transport.resumeProducing()

    def guard(self, producer: Any) -> None:
        """Have ``producer`` paused while too much waits to be sent."""
        if not self.is_lost:
            self.transport.registerProducer(producer, True)
            self._guarded = True

    def unguard(self) -> None:
        """Undo :meth:`guard`."""
        if self._guarded and not self.is_lost:
            self.transport.unregisterProducer()
        self._guarded = False

    def finish(self) -> None:
        """Send FIN after everything that was sent; where the connection cannot do that, close it."""
        self.unguard()
        if self.is_lost:
            return
        if self.half_closes:
            self.transport.loseWriteConnection()
        else:
            self.close()

    def close(self) -> None:
        """Close after everything was sent, within :data:`LINGER` seconds, TLS within twice as many."""
        if self.is_lost:
            return
        self.unguard()
        self.transport.loseConnection()
        # A TLS close waits for the peer without a limit of its own (twisted#7926), any close for a peer that reads.
        if not self.is_lost and self._deadline is None:
            self._deadline = self._clock.callLater(LINGER, self._close_harder if self.is_tls else self._expired)

    def abort(self) -> None:
        """Reset the connection.  What was not sent is lost."""
        if not self.is_lost:
            self.unguard()
            self.transport.abortConnection()

    def reset(self) -> None:
        """Reset the connection once the peer's system has everything that was sent to it.

        A reset overtakes what waits in our own system's buffer, and nobody says when that is empty: it is asked.
        """
        if self.is_lost:
            return
        if _bytes_to_send(self.transport.fileno()):
            self._deadline = self._clock.callLater(_LOOK_AGAIN, self._reset_again)
        else:
            self.abort()

    def _reset_again(self) -> None:
        self._deadline = None
        self.reset()

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        """Call ``flushed`` once all that was sent has gone to the system; never if the connection is lost before."""
        self.unguard()
        if not self.is_lost:
            self._guarded = True
            transport = self._under_tls()
            transport.registerProducer(_Flush(transport, self, flushed), False)
            # An empty buffer would not be looked at again by itself.
            transport.startWriting()

    def _under_tls(self) -> Any:
        transport = self.transport
        while ISSLTransport.providedBy(transport) and hasattr(transport, "transport"):
            transport = transport.transport
        return transport

    def _close_harder(self) -> None:
        """A TLS close that the peer has not answered: close below, where what was sent still arrives."""
        self._deadline = self._clock.callLater(LINGER, self._expired)
        self._under_tls().loseConnection()

    def _expired(self) -> None:
        self._deadline = None
        self.abort()


def _bytes_to_send(descriptor: int) -> int:
    """How much the system has taken and the peer has not acknowledged; 0 where it cannot be asked."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


@implementer(IPullProducer)
class _Flush:
    """A pull producer that produces nothing: a transport asks it for more when its buffer is empty."""

    def __init__(self, transport: Any, leg: Leg, flushed: Callable[[], None]) -> None:
        self._transport, self._leg, self._flushed = transport, leg, flushed
        self._asked = False

    def resumeProducing(self) -> None:
        if not self._asked:  # the transport asks once at the registration, whatever its buffer holds
            self._asked = True
            return
        self._transport.unregisterProducer()
        self._leg._guarded = False
        self._flushed()

    def stopProducing(self) -> None:
        """The connection is lost: its owner is told so."""


@implementer(ILegOwner)
class _Unowned:
    """Owns a leg that nobody looks at."""

    def made(self) -> None: ...
    def secured(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def finished(self) -> None: ...
    def flushed(self) -> None: ...
    def lost(self, reason: Failure) -> None: ...


#: Owner of a leg that nobody looks at any more: what comes is dropped.
UNOWNED: Final = _Unowned()
#: Owner of a leg on the way to its next owner, who will find in it what has come.
EARLY: Final = _Unowned()


def explain(reason: Failure) -> str:
    """One line on why a connection was lost."""
    if reason.check(ConnectionDone):
        return "closed"
    return " ".join(str(reason.value).split()).rstrip(".") or type(reason.value).__name__
