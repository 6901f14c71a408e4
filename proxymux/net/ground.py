"""The ground of a service: what carries its connections, be it the hub and plain sockets or Twisted's transports."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from proxymux.core.client import Address
from proxymux.errors import ConfigError
from proxymux.net.accepting import Acceptor, Gate, peer_of
from proxymux.net.arrival import ArrivalFactory, HeaderFactory
from proxymux.net.dialling import Dialler, SocketDialler, TransportDialler
from proxymux.net.hub import BUFFER_SIZE, Hub
from proxymux.net.leg import UNOWNED
from proxymux.net.names import Guard
from proxymux.net.pipes import Pipes
from proxymux.net.relay.fd import FdRelay
from proxymux.net.relay.transport import TransportRelay
from proxymux.net.socket_leg import SocketLeg
from proxymux.net.timers import Timers
from proxymux.net.tuning import UNTUNED, Tuning


class Ground:
    """Accepts, dials and joins in one manner.

    :param reactor: for whatever Twisted does.
    :param relay: ``transport``, ``fd``, or ``auto``, which is ``fd`` where the system has epoll.
    :param tuning: of every TCP connection.
    :param buffer_size: bytes that the fd relay reads at once.
    :raises ConfigError: if it is ``fd`` and the system has none.
    """

    def __init__(
        self, reactor: Any, relay: str, log: Logger, tuning: Tuning = UNTUNED, buffer_size: int = BUFFER_SIZE
    ) -> None:
        self.reactor = reactor
        self._tuning = tuning
        self.timers = Timers(reactor, log)
        self.gate = Gate(self.timers, lambda problem: log.warn("{problem}", problem=problem))
        self.tls_dialler: Dialler = TransportDialler(reactor, self.timers, tuning)
        self._hub: Hub | None = None
        self._pipes: Pipes | None = None
        self.dialler: Dialler = self.tls_dialler
        self.relay: Any = TransportRelay(self.timers)
        if relay == "fd" and not hasattr(select, "epoll"):
            raise ConfigError("--relay", "fd: this system has no epoll; auto or transport is accepted")
        if relay != "transport" and hasattr(select, "epoll"):
            self._hub = Hub(reactor, self.timers, log, buffer_size)
            self._pipes = Pipes()
            self.dialler = SocketDialler(reactor, self.timers, tuning, self._hub)
            self.relay = FdRelay(self.timers, self._hub, self._pipes)

    def guard(self, guard: Guard) -> None:
        """Have ``guard`` look at every IP address before it is connected to."""
        self.dialler.guard = self.tls_dialler.guard = guard

    def soon(self, function: Callable[[], None]) -> None:
        """Call ``function`` when what is ready now has been looked at, or now."""
        if self._hub is not None:
            self._hub.later(function)
        else:
            function()

    def start(self) -> None:
        """Be ready for connections."""
        if self._hub is not None:
            self._hub.start()

    def stop(self) -> None:
        """Leave nothing behind, from when the last connection is gone."""
        self.gate.close()
        if self._pipes is not None:
            self._pipes.close()
        if self._hub is not None:
            self._hub.stop()
        self.timers.stop()

    def accept(self, port: Any, factory: Any) -> Any:
        """Have ``port``, which listens for ``factory``, take connections by an :class:`Acceptor`."""
        if not hasattr(port, "socket"):
            return port  # a reactor that has ports of its own
        if port.socket.family != socket.AF_UNIX:
            self._tuning.apply(port.socket)
        plain = isinstance(factory, ArrivalFactory) or (
            isinstance(factory, HeaderFactory) and isinstance(factory.inner, ArrivalFactory)
        )
        if plain and self._hub is not None:
            _PlainArrivals(self._hub, port, self.gate, factory)
        else:
            _TransportArrivals(port, self.gate, factory)
        return port


class _PlainArrivals:
    """Makes legs of sockets."""

    def __init__(self, hub: Hub, port: Any, gate: Gate, factory: ArrivalFactory | HeaderFactory) -> None:
        self._hub = hub
        self._welcome = factory.welcome
        Acceptor(port, gate, self._arrived)

    def _arrived(self, sock: socket.SocketType, address: Any, local: Address | None) -> None:
        try:
            leg = SocketLeg(self._hub, sock, UNOWNED, peer_of(address), local)
        except OSError:
            sock.close()  # it has gone again
            return
        self._welcome(leg)


class _TransportArrivals:
    """Makes Twisted's transports of sockets, as the port itself would."""

    def __init__(self, port: Any, gate: Gate, factory: Any) -> None:
        self._port = port
        self._factory = factory
        self._number = 0
        Acceptor(port, gate, self._arrived)

    def _arrived(self, sock: socket.SocketType, address: Any, local: Address | None) -> None:
        whole = socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        host, *rest = address if isinstance(address, tuple) else (address,)
        if len(rest) == 3:
            host = peer_of(address)[0]
        where = (host, *rest) if isinstance(address, tuple) else address
        protocol = self._factory.buildProtocol(self._port._buildAddr(where))
        if protocol is None:
            whole.close()
            return
        self._number += 1
        transport = self._port.transport(whole, protocol, where, self._port, self._number, self._port.reactor)
        protocol.makeConnection(transport)
