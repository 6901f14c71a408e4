"""Connecting with Twisted's client endpoints."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.target import Address, UnixTarget
from proxymux.net.connection import EARLY
from proxymux.net.happy_eyeballs import DialListener
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.socket_options import SocketOptions
from proxymux.net.timers import Timers


@implementer(IProtocolFactory)
class OneProtocol:
    """A factory of one connection, whose protocol was made before."""

    def __init__(self, protocol: IProtocol) -> None:
        self._protocol: IProtocol | None = protocol

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        # The protocol leads to its transport, and that to this factory: it is not kept, lest they are a circle.
        protocol, self._protocol = self._protocol, None
        return protocol

    def doStart(self) -> None:
        """Nothing is needed before the connection."""

    def doStop(self) -> None:
        """Nothing is left after the connection."""


def endpoint_for(reactor: Reactor, target: Address, bind: str | None) -> IStreamClientEndpoint:
    """The client endpoint that connects to ``target``.

    :param target: a path or an IP address; a name has been looked up before.
    :param bind: the local IP address to connect from, or None.
    """
    # The connector's limit for the attempt is the only one.  Twisted's own, of 30 seconds, might come before it; None,
    # which its annotations leave out, is no limit.
    unlimited = cast("float", None)
    if isinstance(target, UnixTarget):
        return UNIXClientEndpoint(reactor, target.path, timeout=unlimited)
    kind = TCP6ClientEndpoint if ":" in target.host else TCP4ClientEndpoint
    local = (bind, 0) if bind is not None else None
    return kind(reactor, target.host, target.port, timeout=unlimited, bindAddress=local)


class EndpointAttempt:
    """An :class:`~proxymux.net.happy_eyeballs.Attempt` by an endpoint.

    :param timers: for the deadline of the connection's close.
    :param listener: is told how the attempt ends.
    :param socket_options: of the connection, or None for a Unix socket.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        timers: Timers,
        listener: DialListener,
        socket_options: SocketOptions | None,
    ) -> None:
        self._listener: DialListener | None = listener
        self._socket_options = socket_options
        self._connection = TransportConnection(timers, EARLY)
        self._connecting: Deferred[IProtocol] = endpoint.connect(OneProtocol(self._connection))
        self._connecting.addCallbacks(self._connected, self._failed)

    def _connected(self, _: IProtocol) -> None:
        connection = self._connection
        if self._listener is None:
            connection.abort()
            return
        if self._socket_options is not None:
            self._socket_options.apply(connection.transport.getHandle())
        connection.pause()
        # The endpoint has put a wrapper around the connection that claims only the last of its interfaces: a FIN of the
        # peer would be taken for a loss.  Tried with Twisted 24.11 and 26.10.
        connection.transport.protocol = connection
        self._listener.connected(connection)

    def _failed(self, failure: Failure) -> None:
        if self._listener is not None:
            problem = failure.value
            assert isinstance(problem, Exception)
            self._listener.failed(problem)

    def cancel(self) -> None:
        self._listener = None
        self._connecting.cancel()
