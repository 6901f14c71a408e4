"""Drivers: the ways to do I/O.  Everything above ``net`` knows connections by this interface alone.

There are two: :class:`~proxymux.net.epoll.driver.EpollDriver`, with plain sockets of our own, and
:class:`~proxymux.net.reactor.driver.ReactorDriver`, with Twisted's transports, which the first uses for whatever is
not a plain socket.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

from proxymux.core.target import Target
from proxymux.errors import ConfigError
from proxymux.net.accept_gate import AcceptGate
from proxymux.net.connection import Connection
from proxymux.net.epoll.driver import EpollDriver
from proxymux.net.epoll.hub import BUFFER_SIZE
from proxymux.net.exchange import Exchange, JoinOptions
from proxymux.net.happy_eyeballs import Attempt, DialListener
from proxymux.net.reactor.driver import ReactorDriver
from proxymux.net.socket_options import SocketOptions
from proxymux.net.timers import Timers
from proxymux.settings import Settings


class Driver(Protocol):
    """Accepts, connects and joins connections of one service."""

    @property
    def reactor(self) -> Any:
        """Twisted's reactor, which every driver lives in."""

    @property
    def timers(self) -> Timers:
        """The timers of its connections."""

    @property
    def gate(self) -> AcceptGate:
        """Shut while nothing can be accepted."""

    def accept(self, port: Any, factory: Any, welcome: Callable[[Connection], None] | None) -> None:
        """Accept the connections of a listening port of Twisted's.

        :param factory: the port's, which builds a protocol for each transport.
        :param welcome: takes each connection instead, if nothing has to be done on a transport first (TLS).
        """

    def dial(self, target: Target, bind: str | None, is_tls: bool, listener: DialListener) -> Attempt:
        """Connect to a target that needs no look-up.

        :param bind: the local IP address to connect from, or None.
        :param is_tls: :meth:`secure` will follow.
        """

    def secure(self, connection: Connection, server_name: str, listener: DialListener) -> Attempt:
        """Begin TLS as the client on a connection that was dialled for it.

        :param server_name: whom the peer's certificate must name.
        :param listener: is given the encrypted connection, or told why there is none, but not before this returns.
        """

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
        """Carry bytes both ways until that ends."""

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call ``function`` when the sockets that are ready now have been looked at, which may be at once."""

    def start(self) -> None:
        """Be ready for connections."""

    def stop(self) -> None:
        """Leave nothing behind in the reactor, from when the last connection is gone."""


def make_driver(
    reactor: Any,
    settings: Settings,
    log: Logger,
    buffer_size: int = BUFFER_SIZE,
) -> Driver:
    """The driver that an operator asks for with ``--relay``.

    ``auto`` is ``fd`` where the system has epoll.

    :param buffer_size: bytes that are read at once.
    :raises ConfigError: if it is ``fd`` and the system has no epoll.
    """
    relay, socket_options = settings.relay, SocketOptions.of(settings)
    if relay == "fd" and not hasattr(select, "epoll"):
        raise ConfigError("--relay", "fd: this system has no epoll; auto or transport is accepted")
    driver = ReactorDriver(reactor, log, socket_options)
    if relay == "transport" or not hasattr(select, "epoll"):
        return driver
    return EpollDriver(driver, log, socket_options, buffer_size)
