"""Drivers: the ways to do I/O.  Everything above ``net`` uses connections through this interface alone.

There are two: :class:`~proxymux.net.epoll.driver.EpollDriver`, with plain sockets that an epoll of our own watches, and
:class:`~proxymux.net.reactor.driver.ReactorDriver`, with Twisted's transports, which the first uses for whatever is
not a plain socket.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.logger import Logger

from proxymux.core.target import Address
from proxymux.errors import ConfigError
from proxymux.net.accept_gate import AcceptGate
from proxymux.net.clock import monotonic
from proxymux.net.connection import Connection
from proxymux.net.epoll.driver import EpollDriver
from proxymux.net.epoll.hub import BUFFER_SIZE
from proxymux.net.exchange import Exchange, JoinOptions
from proxymux.net.happy_eyeballs import Attempt, DialListener
from proxymux.net.lingering import Lingering
from proxymux.net.moving import Mover
from proxymux.net.reactor.driver import ReactorDriver
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.socket_options import SocketOptions
from proxymux.net.timers import Timers
from proxymux.net.tls.client import ClientContexts
from proxymux.net.tls.rules import ClientRules
from proxymux.settings import Settings


class Driver(Protocol):
    """Accepts, dials and joins the connections of one service."""

    @property
    def reactor(self) -> Reactor:
        """Twisted's reactor, in which every driver runs."""

    @property
    def clock(self) -> IReactorTime:
        """Measures all limits and durations, and makes delayed calls: the monotonic clock, or a test's."""

    @property
    def timers(self) -> Timers:
        """The timers of the connections, which are coarse and cheap."""

    @property
    def lingering(self) -> Lingering:
        """The clients' connections that wait for their peers to close, after their sessions."""

    @property
    def client_tls(self) -> ClientContexts:
        """The contexts of TLS to upstreams."""

    @property
    def mover(self) -> Mover | None:
        """Moves connections to another process; None if that is not possible."""

    @property
    def gate(self) -> AcceptGate:
        """Shut while no more connections can be accepted."""

    def accept(
        self, port: IListeningPort, factory: IProtocolFactory, accepted: Callable[[Connection], None] | None
    ) -> None:
        """Accept the connections of a port that listens already.

        :param factory: the port's; builds the protocol of each transport.
        :param accepted: called with each connection, in the place of ``factory``; None if the factory is needed, for
            a plug-in's TLS.
        """

    def dial(self, target: Address, bind: str | None, listener: DialListener) -> Attempt:
        """Begin to connect to an address.

        :param target: a path or an IP address, not a name.
        :param bind: the local IP address to connect from, or None.
        """

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
        """Carry the bytes of both connections until the exchange ends."""

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call ``function`` after the events of this turn, or at once where no turn is under way."""

    def start(self) -> None:
        """Prepare for connections: called before the first port is given to :meth:`accept`."""

    def stop(self) -> None:
        """Remove readers and timers from the reactor, as soon as the last connection is closed."""


def make_driver(
    reactor: Reactor,
    settings: Settings,
    log: Logger,
    buffer_size: int = BUFFER_SIZE,
    clock: IReactorTime | None = None,
) -> Driver:
    """The driver that the operator chooses with ``--relay``.

    ``auto`` is ``fd`` where the system has epoll.

    :param buffer_size: bytes of one read.
    :param clock: measures all limits and durations; None is the monotonic clock.
    :raises ConfigError: if it is ``fd`` and the system has no epoll.
    """
    relay, socket_options = settings.relay, SocketOptions.of(settings)
    if relay == "fd" and not hasattr(select, "epoll"):
        raise ConfigError("--relay", "fd: this system has no epoll; auto or transport is accepted")
    client_tls = ClientContexts(ClientRules.of(settings))
    driver = ReactorDriver(reactor, clock or monotonic(reactor), log, socket_options, client_tls)
    if relay == "transport" or not hasattr(select, "epoll"):
        return driver
    return EpollDriver(driver, log, socket_options, buffer_size)
