"""Arrival: gives an accepted connection to a session; on a ``haproxy:`` listener its PROXY header is read before."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.protocol import Factory
from zope.interface import implementer

from proxymux.core.admission import Networks, parse_ip_address
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.proxy_protocol import parse
from proxymux.errors import BadHeader
from proxymux.net.connection import UNOWNED, Connection
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.reactor.twisted_tls import pass_on
from proxymux.net.timers import Timers
from proxymux.net.tls.hello import ServerTls
from proxymux.session.runner import SessionRunner


@implementer(IAddress)
class SessionAddress:
    """Passes the session that a PROXY header has begun through an endpoint's own factory, for example that of TLS.

    The factory is given it as the address of the peer, and passes it on to :meth:`ArrivalFactory.buildProtocol`.

    :param runner: the runner of the session.
    """

    def __init__(self, runner: SessionRunner) -> None:
        self.runner = runner


class ArrivalFactory(Factory):
    """Begins a session for every connection.

    :param timers: the timers of connections that have a transport.
    :param begin: makes the session's runner.
    :param tls: of the listener, or None.
    """

    noisy = False
    #: True: :meth:`arrived` may be called with connections that have no transport.
    takes_plain = True

    def __init__(self, timers: Timers, begin: Callable[[], SessionRunner], tls: ServerTls | None = None) -> None:
        self._timers = timers
        self._begin = begin
        self._tls = tls

    def buildProtocol(self, addr: IAddress | None) -> TransportConnection:
        connection = TransportConnection(self._timers, UNOWNED)
        connection.owner = _Arrival(self, connection, addr.runner if isinstance(addr, SessionAddress) else None)
        return connection

    def arrived(self, connection: Connection, runner: SessionRunner | None = None, received: bytes = b"") -> None:
        """Give an accepted connection to a session.  Drivers call it for connections that have no transport.

        :param runner: the runner of the session that the PROXY header has begun; None begins a session.
        :param received: what has come after the header.
        """
        if runner is None:
            runner = self._begin()
            if not runner.opening(connection):
                return
        runner.attach(connection, self._tls, received)


class HeaderFactory(Factory):
    """Begins a session for every connection, and reads a PROXY header before ``inner`` gets the connection.

    :param timers: the timers of connections that have a transport.
    :param begin: makes the session's runner.
    :param inner: the factory of the listener's endpoint: an :class:`ArrivalFactory`, or one of TLS around it.
    :param trusted: networks whose clients may send a header; every other connection is refused.
    """

    noisy = False

    def __init__(
        self, timers: Timers, begin: Callable[[], SessionRunner], inner: IProtocolFactory, trusted: Networks
    ) -> None:
        self._timers = timers
        self._begin = begin
        self.inner = inner
        self._trusted = trusted

    def buildProtocol(self, addr: IAddress | None) -> TransportConnection:
        connection = TransportConnection(self._timers, UNOWNED)
        connection.owner = _Arrival(self, connection, None)
        return connection

    @property
    def takes_plain(self) -> bool:
        """True if :meth:`arrived` may be called with connections that have no transport; TLS needs one."""
        return isinstance(self.inner, ArrivalFactory)

    def arrived(self, connection: Connection, runner: SessionRunner | None = None) -> None:
        """Begin a session for an accepted connection and read its PROXY header.

        :param runner: always None.
        """
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
    """Owns a connection until its transport is established, and then gives it to the factory."""

    def __init__(
        self, factory: ArrivalFactory | HeaderFactory, connection: Connection, runner: SessionRunner | None
    ) -> None:
        self._factory = factory
        self._connection = connection
        self._runner = runner

    def made(self) -> None:
        self._factory.arrived(self._connection, self._runner)

    def secured(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def finished(self) -> None: ...
    def flushed(self) -> None: ...
    def lost(self, reason: Exception | None) -> None: ...


class _HeaderReader:
    """Owns a connection until its PROXY header is complete.

    :param runner: the runner of the client's session, which is given the header.
    :param inner: the factory that gets the connection afterwards.
    """

    def __init__(self, connection: Connection, runner: SessionRunner, inner: IProtocolFactory) -> None:
        self._connection = connection
        self._runner = runner
        self._inner = inner
        self._buffer = b""

    def made(self) -> None:
        """Never called: the connection was established before."""

    def secured(self) -> None:
        """Never called: the header comes before TLS."""

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
            self._pass_on(self._buffer[length:])

    def _pass_on(self, received: bytes) -> None:
        """Give the connection to the inner factory, with the bytes that came after the header."""
        if isinstance(self._inner, ArrivalFactory):
            self._inner.arrived(self._connection, self._runner, received)
            return
        assert isinstance(self._connection, TransportConnection)
        try:
            pass_on(self._connection, self._inner, SessionAddress(self._runner), received)
        except Exception as error:  # of the endpoint's TLS, before there is a connection that would report it
            self._runner.bar(Ending(Outcome.BAD_HANDSHAKE, f"TLS: {type(error).__name__}: {error}"))

    def finished(self) -> None:
        self._runner.bar(Ending(Outcome.UNDECIDED, "client finished before its PROXY header was whole"))

    def flushed(self) -> None:
        """Never called: no FIN is sent before the header is complete."""

    def lost(self, reason: Exception | None) -> None:
        self._runner.lost(reason)
