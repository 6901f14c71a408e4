"""Connecting with Twisted's endpoints."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.python.failure import Failure

from proxymux.core.target import Target, UnixTarget
from proxymux.net.connection import EARLY
from proxymux.net.happy_eyeballs import DialListener
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.reactor.tls import OneProtocol
from proxymux.net.socket_options import SocketOptions
from proxymux.net.timers import Timers


def endpoint_for(reactor: Any, target: Target, bind: str | None) -> Any:
    """The client endpoint that connects to ``target``, which needs no look-up, from the local address ``bind``."""
    # The attempt's own limit is the only one: Twisted's, of 30 seconds, might come before it.
    unlimited: Any = None
    if isinstance(target, UnixTarget):
        return UNIXClientEndpoint(reactor, target.path, timeout=unlimited)
    kind = TCP6ClientEndpoint if ":" in target.host else TCP4ClientEndpoint
    local = (bind, 0) if bind is not None else None
    return kind(reactor, target.host, target.port, timeout=unlimited, bindAddress=local)


class EndpointAttempt:
    """An endpoint that is connecting.

    :param timers: for the deadline of the connection's close.
    :param listener: is told how it ends.
    :param socket_options: of the connection, or None.
    """

    def __init__(
        self, endpoint: Any, timers: Timers, listener: DialListener, socket_options: SocketOptions | None
    ) -> None:
        self._listener: DialListener | None = listener
        self._socket_options = socket_options
        self._connecting: Deferred[TransportConnection] = endpoint.connect(
            OneProtocol(TransportConnection(timers, EARLY))
        )
        self._connecting.addCallbacks(self._connected, self._failed)

    def _connected(self, connection: TransportConnection) -> None:
        if self._listener is None:
            connection.abort()
            return
        if self._socket_options is not None:
            self._socket_options.apply(connection.transport.getHandle())
        connection.pause()
        # The endpoint has put a wrapper around the connection that claims only the last of its interfaces: it would be
        # told of the peer's FIN as of a loss.
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
