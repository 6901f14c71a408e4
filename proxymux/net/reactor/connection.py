"""A connection on one of Twisted's transports: TLS, and whatever an endpoint's plug-in brings."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPullProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.identity import SocketAddress
from proxymux.core.wheel import Timer
from proxymux.net.connection import EARLY, LINGER, LOOK_AGAIN, UNOWNED, Producer, bytes_to_send
from proxymux.net.timers import Timers


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class TransportConnection(Protocol):
    """A :class:`~proxymux.net.connection.Connection`.

    :param timers: for the deadline of a close.
    :param owner: an :class:`~proxymux.interfaces.IConnectionOwner`.
    """

    transport: Any
    notices_resets = False
    is_flushed = False

    def __init__(self, timers: Timers, owner: Any) -> None:
        self.owner = owner
        self.is_lost = False
        self.is_finished = False
        self._early = b""
        self.when_lost: Callable[[], None] | None = None
        self._timers = timers
        self._deadline: Timer | None = None
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
            self._early += data
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
        owner, self.owner = self.owner, UNOWNED
        owner.lost(None if reason.check(ConnectionDone) else reason.value)
        if self.when_lost is not None:
            self.when_lost()

    # What an owner does with it

    @property
    def peer(self) -> SocketAddress:
        return _address(self.transport.getPeer())

    @property
    def local(self) -> SocketAddress:
        return _address(self.transport.getHost())

    @property
    def is_tls(self) -> bool:
        return bool(ISSLTransport.providedBy(self.transport))

    @property
    def half_closes(self) -> bool:
        return not self.is_tls

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

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def pause(self) -> None:
        if not self.is_lost:
            self.transport.pauseProducing()

    def resume(self) -> None:
        # A transport that has seen FIN would report it again.
        if not self.is_lost and not self.is_finished:
            self.transport.resumeProducing()

    def register_producer(self, producer: Producer) -> None:
        if not self.is_lost:
            self.transport.registerProducer(producer, True)
            self._guarded = True

    def unregister_producer(self) -> None:
        if self._guarded and not self.is_lost:
            self.transport.unregisterProducer()
        self._guarded = False

    def finish(self) -> None:
        self.unregister_producer()
        if self.is_lost:
            return
        if self.half_closes:
            self.transport.loseWriteConnection()
        else:
            self.close()

    def close(self) -> None:
        if self.is_lost:
            return
        self.unregister_producer()
        self.transport.loseConnection()
        # A TLS close waits for the peer without a limit of its own (twisted#7926), any close for a peer that reads.
        if not self.is_lost and self._deadline is None:
            self._deadline = self._timers.after(LINGER, self._close_harder if self.is_tls else self._expired)

    def abort(self) -> None:
        if not self.is_lost:
            self.unregister_producer()
            self.transport.abortConnection()

    def reset(self) -> None:
        if self.is_lost:
            return
        if bytes_to_send(self.transport.fileno()):
            self._deadline = self._timers.after(LOOK_AGAIN, self._reset_again)
        else:
            self.abort()

    def _reset_again(self) -> None:
        self._deadline = None
        self.reset()

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        self.unregister_producer()
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
        self._deadline = self._timers.after(LINGER, self._expired)
        self._under_tls().loseConnection()

    def _expired(self) -> None:
        self._deadline = None
        self.abort()


@implementer(IPullProducer)
class _Flush:
    """A pull producer that produces nothing: a transport asks it for more when its buffer is empty."""

    def __init__(self, transport: Any, connection: TransportConnection, flushed: Callable[[], None]) -> None:
        self._transport, self._connection, self._flushed = transport, connection, flushed
        self._asked = False

    def resumeProducing(self) -> None:
        if not self._asked:  # the transport asks once at the registration, whatever its buffer holds
            self._asked = True
            return
        self._transport.unregisterProducer()
        self._connection._guarded = False
        self._flushed()

    def stopProducing(self) -> None:
        """The connection is lost: its owner is told so."""


def _address(address: Any) -> SocketAddress:
    if isinstance(address, UNIXAddress):
        return f"unix:{(address.name or b'').decode('utf-8', 'backslashreplace')}", 0
    return str(address.host), int(address.port)
