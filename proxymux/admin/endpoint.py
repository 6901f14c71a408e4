"""The admin endpoint: listens, and closes when the last service that asked for it has stopped."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.admin.access import HostNames, TokenFile
from proxymux.admin.feed import Feed
from proxymux.admin.instance import Instance
from proxymux.admin.local import LocalInstance
from proxymux.admin.profiling import Profiler
from proxymux.admin.reports import Reports
from proxymux.admin.routes import DEBUG_ROUTES, ROUTES, Paths, Route
from proxymux.admin.site import Site
from proxymux.core.target import Target
from proxymux.errors import ConfigError
from proxymux.net.reactor.connection import bound_to
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.reactor.unix_port import adopt_unix
from proxymux.session.listening import Listener
from proxymux.session.unix_path import UnixPath
from proxymux.settings import Settings

_LOOPBACK: Final = "127.0.0.1"


class AdminEndpoint:
    """Shows an instance, and lets it be steered, on an endpoint of its own.

    :param reactor: listens.
    :param clock: measures the limits of requests.
    :param option: names the endpoint, ``--admin`` or ``--pprof``.
    :param text: a description of a Twisted server endpoint, or a port of loopback.
    :param settings: have the token file and the names.
    :param instance: is shown and steered.
    :param routes: the paths that there are.
    """

    def __init__(
        self,
        reactor: Reactor,
        clock: IReactorTime,
        option: str,
        text: str,
        settings: Settings,
        instance: Instance,
        routes: tuple[Route, ...],
        log: Logger,
    ) -> None:
        self._reactor = reactor
        #: What is shown and steered.
        self.instance = instance
        #: Names the endpoint.
        self.option = option
        description = f"tcp:{text}:interface={_LOOPBACK}" if text.isascii() and text.isdigit() else text
        self._listener = Listener(description, settings, option=option)
        self._token = TokenFile(settings.admin_token_file)
        self._log = log
        paths = Paths(instance, Feed(instance, clock, log), routes)
        self._site = Site(paths, HostNames(settings.admin_host), self._token, clock, log)
        self._port: IListeningPort | None = None
        #: How many services run that asked for it.
        self._users = 0

    @property
    def address(self) -> Target | None:
        """Where it listens; None if it does not."""
        return None if self._port is None else bound_to(self._port)

    def warnings(self) -> list[str]:
        """What is unwise about it, in one line each."""
        return [*self._token.warnings(), *self._listener.warnings()]

    def check(self) -> None:
        """Check that it could listen, without listening.

        :raises ConfigError: if it could not.
        """
        self._token.load()
        if self._users == 0:
            self._check_kind()
            self._listener.check_address(self._reactor)

    def start(self) -> None:
        """Listen, unless another service has had it listen already.

        :raises ConfigError: if it cannot.
        """
        if self._users == 0:
            self._check_kind()
            self._token.load()
            problems: list[Failure] = []
            endpoint = self._listener.endpoint(_AdminReactor(self._reactor, self._listener))
            maybeDeferred(endpoint.listen, self._site).addCallbacks(self._opened, problems.append)
            if problems:
                raise self._listener.problem(problems[0])
        self._users += 1

    def announce(self) -> None:
        """Say in the log where it listens."""
        if self._port is not None:
            self._log.info("{option} listens on {address}", option=self.option, address=self.address)

    def reload(self) -> list[str]:
        """Read the token file again; what could not be read is logged, and the old token stays.

        :returns: the problem, if there is one.
        """
        try:
            self._token.load()
        except ConfigError as error:
            self._log.error("not reloaded, the old token stays: {error}", error=error)
            return [str(error)]
        return []

    def stop(self) -> Deferred[None] | None:
        """Close, if no other service needs it; the Deferred, if any, fires when it is closed."""
        self._users -= 1
        port = self._port
        if self._users or port is None:
            return None
        self._port = None
        closed: Callable[[], Deferred[None] | None] = port.stopListening
        done = closed()
        self._site.abort()
        return done

    def _opened(self, port: IListeningPort) -> None:
        self._port = port

    def _check_kind(self) -> None:
        if self._listener.takes_header or self._listener.certificate_path is not None:
            raise ConfigError(
                self.option, f"{self._listener.description}: haproxy: and tls: are for --listen; ssl: is accepted"
            )


class ShownProcess(Protocol):
    """The process that an endpoint shows."""

    @property
    def services(self) -> Sequence[Any]:
        """The services that run in it."""

    def reload(self) -> list[str]:
        """Have every service read its files again; what could not be read, in one line each."""


def local_instance(process: ShownProcess, clock: IReactorTime) -> LocalInstance:
    """The instance of a process: those of its services that run in it, and not in workers."""

    def services() -> list[Any]:
        return [each for each in process.services if hasattr(each, "sessions")]

    return LocalInstance(Reports(services, clock.seconds), services, process.reload, Profiler(clock))


def make_endpoint(
    reactor: Reactor,
    clock: IReactorTime,
    option: str,
    text: str,
    settings: Settings,
    instance: Instance,
    log: Logger,
) -> AdminEndpoint:
    """Make an endpoint that shows an instance: with ``--pprof`` only what takes the time."""
    routes = DEBUG_ROUTES if option == "--pprof" else ROUTES
    return AdminEndpoint(reactor, clock, option, text, settings, instance, routes, log)


class _AdminReactor:
    """The reactor, but its methods that listen set the backlog, and treat Unix sockets as those of ``--listen``."""

    def __init__(self, reactor: Reactor, listener: Listener) -> None:
        self._reactor = reactor
        self._listener = listener

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> IListeningPort:
        return self._reactor.listenTCP(port, factory, self._listener.backlog_of(backlog), interface)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> IListeningPort:
        path = UnixPath(os.fsdecode(address), wantPID)
        try:
            sock = path.listen(self._listener.mode_of(mode), self._listener.backlog_of(backlog))
        except OSError as error:
            raise CannotListenError(address, None, error) from error
        return adopt_unix(self._reactor, sock, factory, path.release)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: socket.AddressFamily, factory: Any) -> IListeningPort:
        if addressFamily == socket.AF_UNIX:
            return adopt_unix(self._reactor, socket.socket(fileno=os.dup(fileDescriptor)), factory)
        return self._reactor.adoptStreamPort(fileDescriptor, addressFamily, factory)
