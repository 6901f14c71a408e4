"""The service: listens, begins a session for every client, drains when it is stopped, and reloads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.admin.access_log import AccessLog
from proxymux.admin.statistics import Statistics
from proxymux.core.events import Events
from proxymux.core.target import Target
from proxymux.coroutines import ended
from proxymux.errors import ConfigError, ProxymuxError
from proxymux.gateway.pid_file import PidFile
from proxymux.interfaces import IDecider
from proxymux.net.driver import Driver
from proxymux.net.reactor.connection import bound_to
from proxymux.pool.leases import Leases
from proxymux.process import Process, room_for_sessions
from proxymux.session.certificates import Certificates
from proxymux.session.context import Context
from proxymux.session.deny_list import DenyList
from proxymux.session.draining import Draining
from proxymux.session.listening import Listener
from proxymux.session.registry import SessionRegistry
from proxymux.user_code import describe
from proxymux.user_modules import reloading


class ProxyService(Service):
    """One router, gateway or pool of this process.  Twisted starts and stops it; signals call its other methods.

    :param context: the choices that make the service; the service adds its own observers to it.
    :param driver: does the I/O of all connections of the service.
    :param listeners: the endpoints to listen on.
    :param process: passes signals to the service and shows it in the process title; None does neither.
    :param make_decider: makes a new decider at a reload; may raise any exception.
    :param access_log: opens the access log, and raises ConfigError if it cannot; None for no access log.
    :param pid_file: created at the start and removed at the end; None for no file.
    :param certificates: of TLS listeners and upstreams, read again at a reload.
    :param statistics: counts how sessions end; None counts nothing.
    :param leases: the pool's leases, started and stopped with the service; None for a service without a pool.
    :param warnings: logged at the start, one line each, with those about the listeners.
    """

    def __init__(
        self,
        context: Context,
        driver: Driver,
        listeners: Iterable[Listener],
        process: Process | None,
        make_decider: Callable[[], IDecider],
        certificates: Certificates,
        *,
        access_log: Callable[[], AccessLog] | None = None,
        pid_file: PidFile | None = None,
        statistics: Statistics | None = None,
        leases: Leases | None = None,
        warnings: Iterable[str] = (),
    ) -> None:
        self._context = context
        self._driver = driver
        self._listeners = tuple(listeners)
        self._process = process
        self._make_decider = make_decider
        self._certificates = certificates
        self._open_access_log = access_log
        self._access_log: AccessLog | None = None
        self._pid_file = pid_file
        self.statistics = statistics
        self.leases = leases
        #: What is unwise, in one line each.
        self.warnings = (*warnings, *(line for each in self._listeners for line in each.warnings()))
        self._ports: list[IListeningPort] = []
        #: The addresses of the open ports.
        self.bound: list[Target] = []
        self.sessions = SessionRegistry(context, driver.gate, process.show if process is not None else _nothing)
        self._draining = Draining(self.sessions, context.lingering, context.clock, context.log)
        self._deny_list = DenyList(context.settings, context.admission)
        if statistics is not None:
            context.observers.append(statistics.note)

    @property
    def _log(self) -> Logger:
        return self._context.log

    @property
    def events(self) -> Events:
        """The events that user code may subscribe to."""
        return self._context.events

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many sessions have ended, by outcome."""
        return self.sessions.outcomes

    @property
    def addresses(self) -> list[str]:
        """The addresses of the open ports, each as ``ip:port`` or ``unix:/path``."""
        return [str(target) for target in self.bound]

    # Starting

    def check(self) -> None:
        """Check that files can be read and written and that the service can listen, without listening.

        :raises ConfigError: naming the option, if the service could not start.
        """
        self._deny_list.read()
        self._certificates.check()
        if self._pid_file is not None:
            self._pid_file.check()
        for listener in self._listeners:
            listener.check(self._driver.reactor, self._certificates)

    def privilegedStartService(self) -> None:
        """Listen and open the access log, before twistd gives up the privileges for ports below 1024 and root's files.

        :raises SystemExit: if the service cannot start, after one line on standard error.
        :raises ConfigError: if the service cannot start in a daemon.
        """
        super().privilegedStartService()
        self._driver.start()
        try:
            self._open_everything()
        except ConfigError as error:
            if self._pid_file is not None:
                self._pid_file.remove()
            self._log.critical("{error}", error=error)
            if os.path.samestat(os.fstat(2), os.stat(os.devnull)):
                raise  # a daemon: twistd passes the error to its starter, which SystemExit would leave waiting
            print(f"proxymux: {error}", file=sys.__stderr__, flush=True)
            raise SystemExit(1) from None
        if self.leases is not None:
            self.leases.start()
        if self._process is not None:
            self._process.add(self)
        self._certificates.start()
        self._driver.gate.capacity = room_for_sessions()
        # A script may send a signal as soon as it reads the line, so it is logged when signals are handled.
        self._driver.reactor.callWhenRunning(self._announce)

    def _open_everything(self) -> None:
        if self._pid_file is not None:
            self._pid_file.create()
        if self._open_access_log is not None:
            self._access_log = self._open_access_log()
            self._context.observers.append(self._access_log.write)
        self._deny_list.load()
        for listener in self._listeners:
            self._listen(listener)

    def _announce(self) -> None:
        for line in self.warnings:
            self._log.warn("{line}", line=line)
        for listener, address in zip(self._listeners, self.addresses, strict=False):
            self._log.info(
                "{name} listens on {address} ({description})",
                name=self._context.decider.name,
                address=address,
                description=listener.description,
            )

    def _listen(self, listener: Listener) -> None:
        problems: list[ConfigError] = []
        is_starting = True

        def failed(failure: Failure) -> None:
            problems.append(listener.problem(failure))
            if not is_starting:
                self._log.critical("{error}", error=problems[0])
                self._driver.reactor.stop()

        listening = listener.listen(self._driver, self.sessions.begin, self._certificates)
        listening.addCallbacks(self._port_opened, failed)
        is_starting = False
        if problems:
            raise problems[0]

    def _port_opened(self, port: IListeningPort) -> None:
        self._ports.append(port)
        self.bound.append(bound_to(port))

    # Sessions

    def summary(self) -> str:
        """The service's part of the process title, as the ancestor had it.

        :returns: ``NAME HOST:PORT - CUR/MAX/TOT cur/max/tot conns``: sessions now, at most at once, in total.
        """
        addresses, sessions = " ".join(self.addresses), self.sessions
        counts = f"{len(sessions)}/{sessions.most}/{sessions.total}"
        return f"{self._context.decider.name} {addresses} - {counts} cur/max/tot conns"

    # Stopping

    def stopService(self) -> Deferred[None]:
        """Drain for ``drain_timeout`` seconds, end the sessions that are left, and release everything."""
        super().stopService()
        drained = self.drain(self._context.settings.drain_timeout)
        return drained.addCallback(lambda _: ended()).addCallback(self._stopped)

    def _stopped(self, _: None) -> None:
        if self.leases is not None:
            self.leases.stop()
        self._certificates.stop()
        self._driver.stop()
        if self._access_log is not None:
            self._context.observers.remove(self._access_log.write)
            self._access_log.close()
            self._access_log = None
        if self._process is not None:
            self._process.remove(self)
        if self._pid_file is not None:
            self._pid_file.remove()
        self._log_statistics(self.statistics)

    def _log_statistics(self, *sources: Statistics | Leases | None) -> None:
        for source in sources:
            for line in source.lines() if source is not None else ():
                self._log.info("statistics: {line}", line=line)

    def drain(self, limit: float | None) -> Deferred[None]:
        """Stop accepting, and wait for the sessions to end.

        :param limit: seconds after which the sessions that are left are ended; None waits without a limit.
        :returns: fires when no session is left, or when those that are left could not be ended.
        """
        ports, self._ports = self._ports, []
        closed = DeferredList([port.stopListening() or succeed(None) for port in ports])
        if ports:
            self._log.info("stopped accepting; {count} sessions are left", count=len(self.sessions))
            self._log_statistics(self.leases)  # which say how it is now, and at the end nothing more
        return self._draining.start(limit, closed)

    def abort(self) -> None:
        """End every session now, by a reset where it does not end in good order."""
        self._draining.abort()

    # While running

    def reload(self) -> None:
        """Make a new decider and read the deny files again.  What cannot be loaded is logged and the old one kept."""
        try:
            with reloading() as files:
                self._context.decider = self._make_decider()
            read = f": read {', '.join(files)}" if files else ""
            self._log.info("reloaded {name}{read}", name=self._context.decider.name, read=read)
        except Exception as error:  # loading a router runs user code, which may raise anything
            problem = str(error) if isinstance(error, ProxymuxError) else describe(error)
            self._log.error("not reloaded, the old one stays: {problem}", problem=problem)
        try:
            self._deny_list.load()
        except ConfigError as error:
            self._log.error("not reloaded, the old one stays: {error}", error=error)
        self._certificates.reload()
        self._log_statistics(self.statistics, self.leases)

    def reopen(self) -> None:
        """Open the access log again by its name, after a log rotation has renamed the file."""
        if self._access_log is not None:
            self._access_log.reopen()


def _nothing() -> None:
    """Show nothing: the service takes no part in a process title."""
