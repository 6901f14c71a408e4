"""Connections on Twisted's transports: where there is no epoll, and whatever an endpoint's plug-in brings."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from typing import cast

from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IListeningPort,
    IPullProducer,
    IPushProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.identity import SocketAddress, unmapped
from proxymux.core.target import InetTarget, Target, UnixTarget
from proxymux.core.wheel import Timer
from proxymux.net.connection import (
    CLOSE_LIMIT,
    EARLY,
    LOOK_AGAIN,
    PLENTY,
    UNOWNED,
    ConnectionOwner,
    Producer,
    bytes_to_send,
)
from proxymux.net.reactor.tls import TransportTls
from proxymux.net.reactor.twisted_types import Transport
from proxymux.net.socket_address import with_zone
from proxymux.net.timers import Timers
from proxymux.net.tls.engine import TlsEngine


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class TransportConnection(Protocol):
    """A :class:`~proxymux.net.connection.Connection` that is the protocol of one of Twisted's transports.

    :param timers: for the deadline of a close.
    :param owner: is told what happens on the connection.
    """

    transport: Transport
    notices_resets = False
    is_flushed = False

    def __init__(self, timers: Timers, owner: ConnectionOwner) -> None:
        self.owner = owner
        self.is_lost = False
        self.is_finished = False
        self._early = b""
        #: Bytes that were to be sent when the connection was lost.
        self._dropped = 0
        self.when_lost: Callable[[], None] | None = None
        self._timers = timers
        self._deadline: Timer | None = None
        self._has_producer = False
        #: Encrypts the connection, where TLS is ours; a plug-in's transport may encrypt by itself.
        self._tls: TransportTls | None = None
        #: Why TLS has failed.
        self._failure: ConnectionError | None = None
        self._plenty = PLENTY

    # Called by the transport

    def connectionMade(self) -> None:
        for option in ("setTcpNoDelay", "setTcpKeepAlive"):  # which a Unix socket has not
            switch = getattr(self.transport, option, None)
            if switch is not None:
                switch(True)
        self.owner.made()

    def handshakeCompleted(self) -> None:
        self.owner.secured()

    def dataReceived(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.received(self, data)
        else:
            self.deliver(data)

    def deliver(self, data: bytes) -> None:
        """Give plain bytes of the peer to the owner."""
        if self.owner is EARLY:
            self._early += data
        else:
            self.owner.received(data)

    def readConnectionLost(self) -> None:
        if not self.is_finished and self.is_reset:
            # Twisted takes a hang-up without anything to read for a FIN (24.11 and 26.10, epoll and poll).  After a FIN
            # the peer has all that it was sent, after a reset it has not.
            self._failure = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            self.abort()
        elif self._tls is not None:
            self._tls.fin_received(self)
        else:
            self.note_finished()

    def note_finished(self) -> None:
        """Tell the owner that the peer has ended its direction."""
        if not self.is_finished and not self.is_lost:
            self.is_finished = True
            self.owner.finished()

    def writeConnectionLost(self) -> None:
        self.owner.flushed()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._tls is not None:
            self._tls.engine.release()
        owner, self.owner = self.owner, UNOWNED
        owner.lost(self._failure or (None if reason.check(ConnectionDone) else cast("Exception", reason.value)))
        if self.when_lost is not None:
            self.when_lost()

    # Called by the owner

    @property
    def peer(self) -> SocketAddress:
        return _client_address(self.transport.getPeer())

    @property
    def local(self) -> SocketAddress:
        return _client_address(self.transport.getHost())

    @property
    def handle(self) -> SSL.Connection | None:
        if self._tls is not None:
            return self._tls.engine.connection
        return self.transport.getHandle() if ISSLTransport.providedBy(self.transport) else None

    @property
    def is_truncated(self) -> bool:
        return self._tls is not None and self._tls.is_truncated

    @property
    def half_closes(self) -> bool:
        return not ISSLTransport.providedBy(self.transport)

    @property
    def unsent(self) -> int:
        waiting = self.waiting
        return self._dropped + (waiting if self._tls is None else self._tls.plain_of(waiting))

    @property
    def waiting(self) -> int:
        """Bytes in the transport's buffer."""
        # A plug-in's transport may lack the attributes, which were tried with Twisted 24.11 and 26.10.
        transport: object = self._below_tls()
        buffered = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        return buffered + int(getattr(transport, "_tempDataLen", 0))

    @property
    def is_reset(self) -> bool:
        if self.is_lost:
            return True
        poll = select.poll()
        poll.register(self.transport.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))

    def take_early(self) -> bytes:
        early, self._early = self._early, b""
        return early

    def start_tls(self, engine: TlsEngine, received: bytes = b"") -> None:
        self._tls = TransportTls(engine)
        self._tls.received(self, received)
        if self.is_finished:
            self._tls.fin_received(self)  # the FIN has come before

    def break_off(self, error: ConnectionError) -> None:
        """End the connection, as TLS has failed; the alert that is still to be sent is sent first."""
        self._failure = error
        self.close()

    def send(self, data: bytes) -> None:
        if self.is_lost:
            self._dropped += len(data)
        elif self._tls is not None:
            self._tls.send(self, data)
        else:
            self.transport.write(data)

    def pause(self) -> None:
        if not self.is_lost:
            self.transport.pauseProducing()

    def resume(self) -> None:
        # A transport that has seen FIN would report it again.
        if not self.is_lost and not self.is_finished:
            self.transport.resumeProducing()

    def register_producer(self, producer: Producer, plenty: int = PLENTY) -> None:
        if not self.is_lost:
            if plenty != self._plenty:
                self._plenty = self._below_tls().bufferSize = plenty
            self.transport.registerProducer(cast("IPushProducer", producer), True)
            self._has_producer = True

    def unregister_producer(self) -> None:
        if self._has_producer and not self.is_lost:
            self.transport.unregisterProducer()
        self._has_producer = False

    def finish(self) -> None:
        self.unregister_producer()
        if self.is_lost:
            return
        if self._tls is not None:
            self._tls.shutdown(self)
        if self.half_closes:
            self.transport.loseWriteConnection()
        else:
            self.close()

    def close(self) -> None:
        if self.is_lost:
            return
        self.unregister_producer()
        if self._tls is not None:
            self._tls.shutdown(self)
        self.transport.loseConnection()
        # Twisted sets no limit itself: a TLS close waits for the peer's close_notify (twisted#7926), any close for a
        # peer that does not read.
        if not self.is_lost and self._deadline is None:
            limited = self._expired if self.half_closes else self._close_below_tls
            self._deadline = self._timers.after(CLOSE_LIMIT, limited)

    def close_now(self) -> None:
        if not self.is_lost:
            self.unregister_producer()
            if self._tls is not None:
                self._tls.shutdown(self)
            self._below_tls().loseConnection()

    def abort(self) -> None:
        if not self.is_lost:
            self.unregister_producer()
            self.transport.abortConnection()

    def reset(self) -> None:
        if self.is_lost:
            return
        if bytes_to_send(self.transport.fileno()):
            if self._deadline is not None:
                self._deadline.cancel()
            self._deadline = self._timers.after(LOOK_AGAIN, self._reset_again)
        else:
            self.abort()

    def _reset_again(self) -> None:
        self._deadline = None
        self.reset()

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        self.unregister_producer()
        if not self.is_lost:
            self._has_producer = True
            transport = self._below_tls()
            transport.registerProducer(_FlushProducer(transport, self, flushed), False)
            # A transport with an empty buffer would not ask its producer before the next write.
            transport.startWriting()

    def producer_gone(self) -> None:
        """Take note that a producer has unregistered itself from the transport."""
        self._has_producer = False

    def _below_tls(self) -> Transport:
        transport = self.transport
        while ISSLTransport.providedBy(transport) and hasattr(transport, "transport"):
            transport = transport.transport
        return transport

    def _close_below_tls(self) -> None:
        """Close the TCP connection in good order, as the peer has not answered the close of TLS."""
        self._deadline = self._timers.after(CLOSE_LIMIT, self._expired)
        self._below_tls().loseConnection()

    def _expired(self) -> None:
        self._deadline = None
        self.abort()


@implementer(IPullProducer)
class _FlushProducer:
    """Calls ``flushed`` once the send buffer of a transport is empty.

    It is a pull producer that produces nothing: a transport asks such a one for more when its buffer is empty.
    """

    def __init__(self, transport: Transport, connection: TransportConnection, flushed: Callable[[], None]) -> None:
        self._transport, self._connection, self._flushed = transport, connection, flushed
        self._asked = False

    def resumeProducing(self) -> None:
        if not self._asked:  # the transport asks once at the registration, whatever its buffer holds
            self._asked = True
            return
        self._transport.unregisterProducer()
        self._connection.producer_gone()
        self._flushed()

    def stopProducing(self) -> None:
        """Ignore the loss of the connection: its owner is told of it."""


def _address(address: IAddress) -> SocketAddress:
    if isinstance(address, UNIXAddress):
        return f"unix:{(address.name or b'').decode('utf-8', 'backslashreplace')}", 0
    if isinstance(address, IPv6Address):
        return with_zone(str(address.host), int(address.scopeID)), int(address.port)
    assert isinstance(address, IPv4Address)
    return str(address.host), int(address.port)


def _client_address(address: IAddress) -> SocketAddress:
    host, port = _address(address)
    return unmapped(host), port


def bound_to(port: IListeningPort) -> Target:
    """Where a listening port listens."""
    host, number = _address(port.getHost())
    return UnixTarget(host.removeprefix("unix:")) if host.startswith("unix:") else InetTarget(host, number, True)
