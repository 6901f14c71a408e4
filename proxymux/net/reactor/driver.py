"""The driver whose connections are Twisted's transports."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.logger import Logger

from proxymux.core.target import Address, InetTarget
from proxymux.net.accept_gate import AcceptGate
from proxymux.net.connection import Connection
from proxymux.net.exchange import Exchange, JoinOptions
from proxymux.net.happy_eyeballs import Attempt, DialListener
from proxymux.net.lingering import Lingering
from proxymux.net.reactor.accepting import TransportAccepting
from proxymux.net.reactor.dialling import EndpointAttempt, endpoint_for
from proxymux.net.reactor.relay import join_connections
from proxymux.net.reactor.twisted_types import ListeningPort, Reactor
from proxymux.net.socket_options import SocketOptions
from proxymux.net.timers import Timers
from proxymux.net.tls.client import ClientContexts


class ReactorDriver:
    """A :class:`~proxymux.net.driver.Driver` whose connections are transports of ``reactor``.

    :param clock: measures all limits and durations.
    :param log: where pauses of accepting are reported.
    :param socket_options: of every TCP connection.
    :param client_tls: of TLS to upstreams.
    """

    #: A transport cannot be taken to another process.
    mover = None

    def __init__(
        self,
        reactor: Reactor,
        clock: IReactorTime,
        log: Logger,
        socket_options: SocketOptions,
        client_tls: ClientContexts,
    ) -> None:
        self.reactor = reactor
        self.clock = clock
        self.client_tls = client_tls
        self.timers = Timers(clock, log)
        self.lingering = Lingering(self.timers)
        self.gate = AcceptGate(self.timers, self.lingering, lambda problem: log.warn("{problem}", problem=problem))
        self._socket_options = socket_options

    def accept(
        self, port: IListeningPort, factory: IProtocolFactory, accepted: Callable[[Connection], None] | None
    ) -> None:
        own = self.prepare(port)
        if own is not None:
            TransportAccepting(own, self.gate, factory)

    def prepare(self, port: IListeningPort) -> ListeningPort | None:
        """Set the socket options of a listening port, which its connections inherit.

        :returns: the port; None if it is not one of Twisted's own classes and accepts in its own way.
        """
        if not hasattr(port, "socket"):
            return None
        own = cast("ListeningPort", port)
        if own.socket.family != socket.AF_UNIX:
            self._socket_options.apply(own.socket)
        return own

    def dial(self, target: Address, bind: str | None, listener: DialListener) -> Attempt:
        socket_options = self._socket_options if isinstance(target, InetTarget) else None
        return EndpointAttempt(endpoint_for(self.reactor, target, bind), self.timers, listener, socket_options)

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
        return join_connections(self.timers, client, upstream, options)

    def call_soon(self, function: Callable[[], None]) -> None:
        function()

    def start(self) -> None:
        """Do nothing: a transport needs no preparation."""

    def stop(self) -> None:
        self.gate.close()
        self.timers.stop()
