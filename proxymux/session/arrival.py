"""Arrivals: accepted connections on their way to becoming sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from zope.interface import implementer

from proxymux.core.admission import Networks, parse_ip_address
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.proxy_protocol import parse
from proxymux.errors import BadHeader
from proxymux.net.connection import UNOWNED, Connection
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.reactor.tls import hand_to
from proxymux.net.timers import Timers
from proxymux.session.runner import SessionRunner


@implementer(IAddress)
class Introduced:
    """Stands for the address of a client whose session has begun with a PROXY header."""

    def __init__(self, runner: SessionRunner) -> None:
        self.runner = runner


class ArrivalFactory(Factory):
    """Makes a session of every connection.

    :param timers: for the connections.
    :param begin: makes the session.
    """

    noisy = False

    def __init__(self, timers: Timers, begin: Callable[[], SessionRunner]) -> None:
        self._timers = timers
        self._begin = begin

    def buildProtocol(self, addr: Any) -> TransportConnection:
        connection = TransportConnection(self._timers, UNOWNED)
        connection.owner = _Arrival(self, connection, addr.runner if isinstance(addr, Introduced) else None)
        return connection

    takes_plain = True

    def welcome(self, connection: Connection, runner: SessionRunner | None = None) -> None:
        """Make a session of a connection, or give it to the one that its PROXY header has begun."""
        if runner is None:
            runner = self._begin()
            if not runner.opening(connection):
                return
        runner.attach(connection)


class HeaderFactory(Factory):
    """Reads a PROXY header from every connection before ``inner`` has it.

    :param trusted: networks whose clients may send one; every other connection is refused.
    """

    noisy = False

    def __init__(self, timers: Timers, begin: Callable[[], SessionRunner], inner: Any, trusted: Networks) -> None:
        self._timers = timers
        self._begin = begin
        self.inner = inner
        self._trusted = trusted

    def buildProtocol(self, addr: Any) -> TransportConnection:
        connection = TransportConnection(self._timers, UNOWNED)
        connection.owner = _Arrival(self, connection, None)
        return connection

    @property
    def takes_plain(self) -> bool:
        """True if nothing has to be done on a transport before a connection can be a session's."""
        return isinstance(self.inner, ArrivalFactory)

    def welcome(self, connection: Connection, runner: SessionRunner | None = None) -> None:
        """Make a session of a connection, once its header has come."""
        runner = self._begin()
        if runner.opening(connection):
            if self._is_trusted(connection):
                connection.owner = _HeaderReader(connection, runner, self.inner)
                connection.resume()
            else:
                runner.bar(Ending(Outcome.REFUSED, "may not send a PROXY header (--trust-proxy)"))

    def _is_trusted(self, connection: Connection) -> bool:
        host, _ = connection.peer
        if host.startswith("unix:"):
            return True  # the socket's permissions say who may connect
        address = parse_ip_address(host)
        return address is not None and address in self._trusted


class _Arrival:
    """Owns the connection of a transport until that is connected."""

    def __init__(
        self, factory: ArrivalFactory | HeaderFactory, connection: Connection, runner: SessionRunner | None
    ) -> None:
        self._factory = factory
        self._connection = connection
        self._runner = runner

    def made(self) -> None:
        self._factory.welcome(self._connection, self._runner)

    def secured(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def finished(self) -> None: ...
    def flushed(self) -> None: ...
    def lost(self, reason: Exception | None) -> None: ...


class _HeaderReader:
    """Owns a connection until its PROXY header is whole."""

    def __init__(self, connection: Connection, runner: SessionRunner, inner: Any) -> None:
        self._connection = connection
        self._runner = runner
        self._inner = inner
        self._buffer = b""

    def made(self) -> None:
        """It was made before."""

    def secured(self) -> None:
        """The header comes before TLS."""

    def received(self, data: bytes) -> None:
        self._buffer += data
        try:
            parsed = parse(self._buffer)
        except BadHeader as error:
            self._runner.bar(Ending(Outcome.PROTOCOL_ERROR, f"PROXY header: {error}"))
            return
        if parsed is not None:
            header, length = parsed
            self._runner.introduced(header)
            self._hand_over(self._buffer[length:])

    def _hand_over(self, received: bytes) -> None:
        if isinstance(self._inner, ArrivalFactory):
            self._inner.welcome(self._connection, self._runner)
            if received and self._connection.owner is self._runner:
                self._runner.received(received)
            return
        assert isinstance(self._connection, TransportConnection)
        try:
            inner = self._inner.buildProtocol(Introduced(self._runner))
            hand_to(self._connection.transport, inner, received)
        except Exception as error:  # of an endpoint's TLS, before it has a connection: nobody else would end this one
            self._connection.transport.protocol = self._connection
            self._runner.bar(Ending(Outcome.BAD_HANDSHAKE, f"TLS: {type(error).__name__}: {error}"))

    def finished(self) -> None:
        self._runner.bar(Ending(Outcome.UNDECIDED, "client finished before its PROXY header was whole"))

    def flushed(self) -> None:
        """Nobody has sent FIN."""

    def lost(self, reason: Exception | None) -> None:
        self._runner.lost(reason)
