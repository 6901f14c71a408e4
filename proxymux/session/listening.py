"""Listening on Twisted's server endpoints, with the backlog of the settings and, behind ``haproxy:``, a PROXY header.

An endpoint listens by calling its reactor's public ``listenTCP``, ``listenSSL``, ``listenUNIX`` or ``adoptStreamPort``.
Here the endpoint is given a reactor whose four methods are ours.  They set the backlog, and read the PROXY header
before TLS begins, as its specification requires, whatever the endpoint is.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from proxymux.core.admission import Networks
from proxymux.errors import ConfigError
from proxymux.net.connection import explain
from proxymux.net.driver import Driver
from proxymux.net.reactor.twisted_tls import admit_any_alpn, unwrap
from proxymux.net.tls.hello import GivenTls
from proxymux.session.arrival import ArrivalFactory, HeaderFactory
from proxymux.session.runner import SessionRunner
from proxymux.settings import Settings

_PROXY_PREFIX = "haproxy:"


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint that a service listens on.

    :param description: a Twisted server endpoint description, perhaps behind ``haproxy:``.
    :param settings: the settings of the service.
    :param reuse: let other processes listen on the same port; the system divides the clients among them (SO_REUSEPORT).
    :param ipv6_only: accept no IPv4 clients on an IPv6 address.
    """

    description: str
    settings: Settings
    reuse: bool = False
    ipv6_only: bool = False

    @property
    def takes_header(self) -> bool:
        """True if a connection begins with a PROXY header."""
        return self.description.startswith(_PROXY_PREFIX)

    def listen(self, driver: Driver, begin: Callable[[], SessionRunner]) -> Deferred[IListeningPort]:
        """Listen.

        :param begin: makes the runner of a session for every client.
        :returns: fires with the port, or fails with what :meth:`problem` takes.
        :raises ConfigError: if the description is not that of an endpoint.
        """
        endpoint = self._endpoint(_ListeningReactor(driver, self, begin))
        return endpoint.listen(ArrivalFactory(driver.timers, begin))

    def check(self, clock: IReactorTime) -> None:
        """Bind the address and release it again, without listening.

        :raises ConfigError: if :meth:`listen` would fail now.
        """
        problems: list[Failure] = []
        self._endpoint(_CheckingReactor(clock, self.reuse)).listen(Factory()).addErrback(problems.append)
        if problems:
            raise self.problem(problems[0])

    def problem(self, failure: Failure) -> ConfigError:
        """Make the error for the operator from a failure to listen."""
        reason: object = explain(failure)
        error = failure.value
        if isinstance(error, CannotListenError):
            where = f"[{error.interface}]" if ":" in str(error.interface) else error.interface or "0.0.0.0"
            place = where if error.port is None or isinstance(error.port, str) else f"{where}:{error.port}"
            cause = error.socketError
            reason = f"{place}: {getattr(cause, 'strerror', None) or cause}"
        return ConfigError(
            "--listen",
            f"{self.description}: cannot listen on {reason}; choose an address that is free and that you may use",
        )

    def _endpoint(self, reactor: _ListeningReactor | _CheckingReactor) -> IStreamServerEndpoint:
        try:
            endpoint: IStreamServerEndpoint = serverFromString(reactor, self.description.removeprefix(_PROXY_PREFIX))
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(
                "--listen",
                f"{self.description!r}: {reason}; a Twisted server endpoint such as tcp:8000 or"
                " tcp:8000:interface=127.0.0.1 is accepted",
            ) from error
        return endpoint

    def backlog_of(self, endpoint_backlog: int) -> int:
        """The length of the listen queue: the endpoint's if the description names one, otherwise the settings'.

        :param endpoint_backlog: what the endpoint asks for, perhaps Twisted's default.
        """
        return endpoint_backlog if "backlog=" in self.description else self.settings.backlog


class _ListeningReactor:
    """The reactor, but its methods that listen set the backlog, read the PROXY header and accept by the driver.

    Endpoints call them with the arguments of Twisted's own methods.
    """

    def __init__(self, driver: Driver, listener: Listener, begin: Callable[[], SessionRunner]) -> None:
        self._driver = driver
        self._reactor = driver.reactor
        self._listener = listener
        self._begin = begin

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        backlog = self._listener.backlog_of(backlog)
        outer = self._with_header(factory)
        if self._listener.reuse or self._listener.ipv6_only:
            with _bound_socket(interface, port, self._listener.reuse, self._listener.ipv6_only) as sock:
                sock.listen(backlog)
                sock.setblocking(False)
                adopted = self._reactor.adoptStreamPort(sock.fileno(), sock.family, outer)  # duplicates the descriptor
            return self._accept(adopted, outer)
        return self._accept(self._reactor.listenTCP(port, outer, backlog=backlog, interface=interface), outer)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: IOpenSSLServerConnectionCreator,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        admit_any_alpn(contextFactory)
        secure = TLSMemoryBIOFactory(contextFactory, False, factory)
        secure.noisy = False
        return self.listenTCP(port, secure, backlog, interface)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> IListeningPort:
        backlog = self._listener.backlog_of(backlog)
        outer = self._with_header(factory)
        port = self._reactor.listenUNIX(address, outer, backlog=backlog, mode=mode, wantPID=wantPID)
        return self._accept(port, outer)

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: socket.AddressFamily, factory: IProtocolFactory
    ) -> IListeningPort:
        outer = self._with_header(factory)
        return self._accept(self._reactor.adoptStreamPort(fileDescriptor, addressFamily, outer), outer)

    def _with_header(self, factory: IProtocolFactory) -> ServerFactory:
        """Return ``factory``, with our own TLS, and behind a reader of the PROXY header if the listener takes one.

        An endpoint's TLS is replaced by ours only where nothing is between it and our own factory.
        """
        inner, make_engine = unwrap(factory)
        if make_engine is not None and isinstance(inner, ArrivalFactory):
            factory = ArrivalFactory(self._driver.timers, self._begin, GivenTls(make_engine))
        if self._listener.takes_header:
            factory = HeaderFactory(
                self._driver.timers, self._begin, factory, Networks(self._listener.settings.trust_proxy)
            )
        return cast("ServerFactory", factory)  # Twisted's annotations ask for this class, its code takes any factory

    def _accept(self, port: IListeningPort, factory: IProtocolFactory) -> IListeningPort:
        accepted = None
        if isinstance(factory, (ArrivalFactory, HeaderFactory)) and factory.takes_plain:
            accepted = factory.arrived
        self._driver.accept(port, factory, accepted)
        return port


class _CheckingReactor:
    """The reactor, but its methods that listen only check that they could: TCP binds the address and releases it.

    Endpoints call them with the arguments of Twisted's own methods; all raise :class:`CannotListenError`.
    """

    def __init__(self, clock: IReactorTime, reuse: bool) -> None:
        self._clock = clock
        self._reuse = reuse

    def __getattr__(self, name: str) -> object:
        return getattr(self._clock, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> None:
        _bound_socket(interface, port, self._reuse).close()

    def listenSSL(
        self, port: int, factory: IProtocolFactory, contextFactory: object, backlog: int = 50, interface: str = ""
    ) -> None:
        if hasattr(contextFactory, "getContext"):  # Twisted's own factories have it, those of a plug-in may not
            contextFactory.getContext()  # raises here, not at the first client, if the key does not fit the certificate
        self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> None:
        folder = os.path.dirname(address) or "."
        try:
            if not os.path.isdir(folder):
                raise FileNotFoundError(errno.ENOENT, f"no folder {folder}")
            if not os.access(folder, os.W_OK):
                raise PermissionError(errno.EACCES, f"no permission to write in {folder}")
            if os.path.exists(address) and _is_accepting(address):
                raise OSError(errno.EADDRINUSE, "Address already in use")
        except OSError as error:
            raise CannotListenError(address, None, error) from error

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> None:
        try:
            os.fstat(fileDescriptor)
        except OSError as error:
            raise CannotListenError(f"descriptor {fileDescriptor}", None, error) from error


def _bound_socket(interface: str, port: int, reuse: bool, ipv6_only: bool = False) -> socket.socket:
    """Return a TCP socket that is bound to an address and does not listen yet.

    :param interface: an IP address; an empty text stands for every IPv4 address.
    :param port: 0 takes any free port.
    :param reuse: set SO_REUSEPORT.
    :param ipv6_only: set IPV6_V6ONLY, on an IPv6 address.
    :raises CannotListenError: if the address is in use, not ours, or not permitted.
    """
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    try:
        if not 0 <= port <= 65535:  # bind() would take the port modulo 65536
            raise OSError(errno.EINVAL, "a port is a number from 0 to 65535")
        address = socket.getaddrinfo(interface or "0.0.0.0", port, family, socket.SOCK_STREAM)[0][4]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ipv6_only and family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if reuse:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise CannotListenError(interface, port, error) from error
    return sock


def _is_accepting(path: str) -> bool:
    """True if a process accepts connections on the Unix socket at ``path``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0
