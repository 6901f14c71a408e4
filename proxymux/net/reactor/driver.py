"""The driver of Twisted's transports."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from proxymux.core.target import InetTarget, Target
from proxymux.net.accept_gate import AcceptGate
from proxymux.net.connection import Connection
from proxymux.net.exchange import Exchange, JoinOptions
from proxymux.net.happy_eyeballs import Attempt, DialListener
from proxymux.net.reactor.accepting import TransportAccepting
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.reactor.dialling import EndpointAttempt, endpoint_for
from proxymux.net.reactor.relay import join_connections
from proxymux.net.reactor.tls import ClientHandshake
from proxymux.net.socket_options import SocketOptions
from proxymux.net.timers import Timers


class ReactorDriver:
    """A :class:`~proxymux.net.driver.Driver` whose connections are transports of ``reactor``.

    :param log: where it says that accepting pauses.
    :param socket_options: of every TCP connection.
    """

    def __init__(self, reactor: Any, log: Logger, socket_options: SocketOptions) -> None:
        self.reactor = reactor
        self.timers = Timers(reactor, log)
        self.gate = AcceptGate(self.timers, lambda problem: log.warn("{problem}", problem=problem))
        self._socket_options = socket_options

    def accept(self, port: Any, factory: Any, welcome: Callable[[Connection], None] | None) -> None:
        if self.prepare(port):
            TransportAccepting(port, self.gate, factory)

    def prepare(self, port: Any) -> bool:
        """Set the socket options of a listening port.  False for a port of a reactor that has its own ways."""
        if not hasattr(port, "socket"):
            return False
        if port.socket.family != socket.AF_UNIX:
            self._socket_options.apply(port.socket)
        return True

    def dial(self, target: Target, bind: str | None, is_tls: bool, listener: DialListener) -> Attempt:
        socket_options = self._socket_options if isinstance(target, InetTarget) else None
        return EndpointAttempt(endpoint_for(self.reactor, target, bind), self.timers, listener, socket_options)

    def secure(self, connection: Connection, server_name: str, listener: DialListener) -> Attempt:
        assert isinstance(connection, TransportConnection)
        return ClientHandshake(self.timers, connection, server_name, listener)

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
        return join_connections(self.timers, client, upstream, options)

    def call_soon(self, function: Callable[[], None]) -> None:
        function()

    def start(self) -> None:
        """A transport is ready when it is made."""

    def stop(self) -> None:
        self.gate.close()
        self.timers.stop()
