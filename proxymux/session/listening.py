"""Listening on Twisted's server endpoints, with the backlog of the settings and, behind ``haproxy:``, a PROXY header.

An endpoint listens by calling its reactor's public ``listenTCP``, ``listenSSL``, ``listenUNIX`` or ``adoptStreamPort``.
Here the endpoint is given a reactor whose four methods are ours.  They set the backlog, and read the PROXY header
before TLS begins, as its specification requires, whatever the endpoint is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, ServerFactory
from twisted.python.failure import Failure

from proxymux.core.admission import Networks
from proxymux.errors import BadCertificate, ConfigError
from proxymux.net.driver import Driver
from proxymux.net.reactor.twisted_tls import unwrap, wrap
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.reactor.unix_port import adopt_unix
from proxymux.net.tls.certificates import pem_files
from proxymux.net.tls.hello import GivenTls, MakeEngine, ServerTls
from proxymux.paths import exposure
from proxymux.session.arrival import ArrivalFactory, HeaderFactory
from proxymux.session.binding import BindingReactor
from proxymux.session.certificates import Certificates
from proxymux.session.checking import CheckingReactor, NotAdopted
from proxymux.session.endpoint_text import EndpointText, mistake, split, tls_mistake
from proxymux.session.inherited import InheritedSockets
from proxymux.session.kept import KeptSockets
from proxymux.session.opening import open_tcp, open_unix
from proxymux.session.runner import SessionRunner
from proxymux.session.unix_path import UnixPath
from proxymux.settings import Settings

#: The permissions of a Unix socket, unless ``mode=`` says otherwise: owner and group may connect.
_UNIX_MODE: Final = 0o660
#: Those that Twisted's endpoint gives if ``mode=`` says nothing.
_TWISTED_MODE: Final = 0o666


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint that a service listens on.

    :param description: a Twisted server endpoint description, perhaps behind ``haproxy:``, ``tls:PATH:`` or both.
    :param settings: the settings of the service.
    :param reuse: let other processes listen on the same port; the system divides the clients among them (SO_REUSEPORT).
    :param ipv6_only: accept no IPv4 clients on an IPv6 address.
    :param given: a socket of the endpoint that another process has opened, to be accepted on; None opens one.
    :param option: the option that names the endpoint.
    :param is_elsewhere: another process opens the sockets, so that the check does not ask whether that is possible.
    """

    description: str
    settings: Settings
    reuse: bool = False
    ipv6_only: bool = False
    given: socket.socket | None = None
    option: str = "--listen"
    is_elsewhere: bool = False

    @property
    def by_cpu(self) -> bool:
        """True if each client is for the worker of the CPU that its packets come in on."""
        return self.settings.workers_by_cpu

    @property
    def takes_header(self) -> bool:
        """True if a connection begins with a PROXY header."""
        return split(self.description)[0]

    @property
    def certificate_path(self) -> str | None:
        """The path of ``tls:PATH:``, or None."""
        return split(self.description)[1]

    @property
    def is_alone(self) -> bool:
        """True if no other process accepts on the listener's socket, or will."""
        return self.given is None and self.text.kind != "systemd" and not KeptSockets.of_process().is_on

    @property
    def text(self) -> EndpointText:
        """The description in its parts, without what stands before the endpoint."""
        return EndpointText.read(self._endpoint_description)

    @property
    def _endpoint_description(self) -> str:
        return split(self.description)[2]

    def listen(
        self, driver: Driver, begin: Callable[[], SessionRunner], certificates: Certificates
    ) -> Deferred[IListeningPort]:
        """Listen.

        :param begin: makes the runner of a session for every client.
        :returns: fires with the port, or fails with what :meth:`problem` takes.
        :raises ConfigError: if the description is not that of an endpoint.
        """
        endpoint = self.endpoint(_ListeningReactor(driver, self, begin, certificates))
        return endpoint.listen(ArrivalFactory(driver.timers, begin, self._tls(certificates)))

    def bind(self, reactor: Reactor, count: int) -> BindingReactor:
        """Open the sockets of the endpoint for so many workers, and accept nothing.

        :returns: has the sockets, which belong to the caller.
        :raises ConfigError: if that is not possible.
        """
        binding = BindingReactor(reactor, self, count)
        problems: list[Failure] = []
        self.endpoint(binding).listen(Factory()).addErrback(problems.append)
        if problems:
            raise self.problem(problems[0])
        return binding

    def release(self) -> None:
        """Close the given socket, if there is one: as long as it is open, clients come into its queue."""
        if self.given is not None:
            self.given.close()

    def check(self, reactor: Reactor, certificates: Certificates) -> None:
        """Check that :meth:`listen` would not fail now, without listening.

        :raises ConfigError: if it would.
        """
        if not (self.is_elsewhere and self.text.kind == "systemd"):
            self.endpoint(_GivenReactor(reactor))
        self._tls(certificates)
        if not self.is_elsewhere:
            self.check_address(reactor)

    def check_address(self, reactor: Reactor) -> None:
        """Bind the address and release it again, without listening.

        :raises ConfigError: if that is not possible now.
        """
        problems: list[Failure] = []
        checking = CheckingReactor(reactor, self.reuse, KeptSockets.of_process())
        self.endpoint(checking).listen(Factory()).addErrback(problems.append)
        if problems and not problems[0].check(NotAdopted):
            raise self.problem(problems[0])

    def _tls(self, certificates: Certificates) -> ServerTls | None:
        """TLS by the certificates at the path of ``tls:PATH:``; None for a listener that has none."""
        path = self.certificate_path
        if path is None:
            return None
        try:
            return certificates.tls_at(path)
        except BadCertificate as problem:
            raise ConfigError(self.option, f"{self.description}: {problem}") from None

    def make_engine_again(self, reactor: Reactor) -> MakeEngine:
        """Read the files of an endpoint that does TLS itself once more.

        :returns: what makes the engines of its connections from now on.
        :raises Exception: whatever the endpoint raises.
        """
        given = _GivenReactor(reactor)
        self.endpoint(given).listen(Factory())
        if given.make_engine is None:
            raise ConfigError(self.option, f"{self.description}: the endpoint has no TLS any more")
        return given.make_engine

    def warnings(self) -> list[str]:
        """What is unwise about the endpoint, in one line each: a private key that every user can read."""
        path, key = self.certificate_path, self.text.private_key
        keys = [] if key is None else [key]
        try:
            dangers = map(exposure, keys if path is None else pem_files(path))
        except BadCertificate:
            return []  # the start says what is wrong
        return [f"{self.option}: {danger}" for danger in dangers if danger is not None]

    def problem(self, failure: Failure) -> ConfigError:
        """Make the error for the operator from a failure to listen."""
        error = failure.value
        if not isinstance(error, CannotListenError):
            return ConfigError(self.option, f"{self.description!r}: {mistake(self._endpoint_description, error)}")
        where = f"[{error.interface}]" if ":" in str(error.interface) else error.interface or "0.0.0.0"
        place = where if error.port is None or isinstance(error.port, str) else f"{where}:{error.port}"
        cause = error.socketError
        return ConfigError(
            self.option,
            f"{self.description}: cannot listen on {place}: {getattr(cause, 'strerror', None) or cause};"
            " choose an address that is free and that you may use",
        )

    def endpoint(self, reactor: object) -> IStreamServerEndpoint:
        """The endpoint, without what stands before it.

        :param reactor: has its methods that listen called with the arguments of Twisted's own.
        :raises ConfigError: if the description is not that of an endpoint.
        """
        _, path, description = split(self.description)
        wrong = None if path is None else tls_mistake(path, description)
        if wrong is not None:
            raise ConfigError(self.option, f"{self.description!r}: {wrong}")
        self._check_rules()
        if self.text.kind == "systemd":
            if self.given is not None:  # a copy, as the endpoint closes what it has
                return AdoptedStreamServerEndpoint(reactor, os.dup(self.given.fileno()), self.given.family)
            return AdoptedStreamServerEndpoint(reactor, *InheritedSockets.of_process().take(self.text, self))
        try:
            endpoint: IStreamServerEndpoint = serverFromString(reactor, self._endpoint_description)
        except Exception as error:
            raise self.problem(Failure(error)) from error
        return endpoint

    def _check_rules(self) -> None:
        """Check that the listener can ask of its TLS clients what the settings say.

        :raises ConfigError: if it cannot, and would serve whom it should not, or nobody.
        """
        if self.text.kind == "ssl" and self.settings.tls_client_ca is not None:
            raise ConfigError(
                "--tls-client-ca", f"{self.description}: ssl: demands no certificate by it; use tls:PATH:tcp:PORT"
            )
        if self.certificate_path is not None and self.settings.tls_client_ca is None and self.settings.tls_allow:
            raise ConfigError("--tls-allow", "no client is asked for its certificate; give --tls-client-ca, too")

    def backlog_of(self, endpoint_backlog: int) -> int:
        """The length of the listen queue: the endpoint's if the description names one, otherwise the settings'.

        :param endpoint_backlog: what the endpoint asks for, perhaps Twisted's default.
        """
        return endpoint_backlog if "backlog" in self.text.named else self.settings.backlog

    def mode_of(self, endpoint_mode: int) -> int:
        """The permissions of a Unix socket: the endpoint's if it names some, otherwise those of owner and group.

        :param endpoint_mode: what the endpoint asks for, perhaps Twisted's default.
        """
        is_named = "mode" in self.text.named or endpoint_mode != _TWISTED_MODE
        return endpoint_mode if is_named else _UNIX_MODE


class _ListeningReactor:
    """The reactor, but its methods that listen set the backlog, read the PROXY header and accept by the driver.

    Endpoints call them with the arguments of Twisted's own methods.
    """

    def __init__(
        self, driver: Driver, listener: Listener, begin: Callable[[], SessionRunner], certificates: Certificates
    ) -> None:
        self._certificates = certificates
        self._driver = driver
        self._reactor = driver.reactor
        self._listener = listener
        self._begin = begin

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        backlog = self._listener.backlog_of(backlog)
        outer = self._with_header(factory)
        if self._listener.given is not None:
            return self._adopt(self._listener.given.fileno(), self._listener.given.family, outer)
        kept, reuse, ipv6_only = KeptSockets.of_process(), self._listener.reuse, self._listener.ipv6_only
        if reuse or ipv6_only or kept.is_on:
            sockets = open_tcp(
                kept, interface, port, 1, reuse=reuse, exclusive=False, ipv6_only=ipv6_only, backlog=backlog
            )
            with sockets[0] as sock:
                return self._adopt(sock.fileno(), sock.family, outer)
        return self._accept(self._reactor.listenTCP(port, outer, backlog=backlog, interface=interface), outer)

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: IOpenSSLServerConnectionCreator,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        return self.listenTCP(port, wrap(contextFactory, factory), backlog, interface)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> IListeningPort:
        outer = self._with_header(factory)
        if self._listener.given is not None:
            return self._adopt(self._listener.given.fileno(), self._listener.given.family, outer)
        name, mode, backlog = os.fsdecode(address), self._listener.mode_of(mode), self._listener.backlog_of(backlog)
        sock, release = open_unix(KeptSockets.of_process(), UnixPath(name, wantPID), name, mode, backlog)
        return self._accept(adopt_unix(self._reactor, sock, outer, release), outer)

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: socket.AddressFamily, factory: IProtocolFactory
    ) -> IListeningPort:
        return self._adopt(fileDescriptor, addressFamily, self._with_header(factory))

    def _adopt(self, descriptor: int, family: int, outer: ServerFactory) -> IListeningPort:
        """Accept on a copy of a socket that listens already."""
        if family == socket.AF_UNIX:
            port = adopt_unix(self._reactor, socket.socket(fileno=os.dup(descriptor)), outer)
        else:
            port = self._reactor.adoptStreamPort(descriptor, socket.AddressFamily(family), outer)
        return self._accept(port, outer)

    def _with_header(self, factory: IProtocolFactory) -> ServerFactory:
        """Return ``factory``, with our own TLS, and behind a reader of the PROXY header if the listener takes one.

        An endpoint's TLS is replaced by ours only where nothing is between it and our own factory.
        """
        inner, make_engine = unwrap(factory)
        if make_engine is not None and isinstance(inner, ArrivalFactory):
            given = GivenTls(make_engine)
            self._certificates.add(given, lambda: self._listener.make_engine_again(self._reactor))
            factory = ArrivalFactory(self._driver.timers, self._begin, given)
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


class _GivenReactor:
    """The reactor, but its methods that listen take the TLS of the endpoint, and do nothing else."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.make_engine: MakeEngine | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> None:
        self.make_engine = unwrap(factory)[1]

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: IOpenSSLServerConnectionCreator,
        backlog: int = 50,
        interface: str = "",
    ) -> None:
        self.listenTCP(port, wrap(contextFactory, factory))
