"""A service: it listens, begins sessions, drains and reloads."""

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
from proxymux.errors import ConfigError
from proxymux.gateway.pid_file import PidFile
from proxymux.interfaces import IDecider
from proxymux.net.driver import Driver
from proxymux.net.reactor.connection import bound_to
from proxymux.pool.leases import Leases
from proxymux.process import Process, room_for_sessions
from proxymux.session.context import Context
from proxymux.session.deny_list import DenyList
from proxymux.session.draining import Draining
from proxymux.session.listening import Listener
from proxymux.session.registry import SessionRegistry


class ProxyService(Service):
    """One service of this process.

    :param context: the choices that make it what it is; its observers are completed here.
    :param driver: carries its connections.
    :param listeners: where it listens.
    :param process: whose signals and title it takes part in, or None.
    :param load: makes a decider afresh, for a reload.
    :param access_log: opens the access log, or None.
    :param pid_file: is there while it runs, or None.
    :param statistics: counts how sessions end, or None.
    :param leases: what its clients share, or None.
    """

    def __init__(
        self,
        context: Context,
        driver: Driver,
        listeners: Iterable[Listener],
        process: Process | None,
        load: Callable[[], IDecider],
        *,
        access_log: Callable[[], AccessLog] | None = None,
        pid_file: PidFile | None = None,
        statistics: Statistics | None = None,
        leases: Leases | None = None,
    ) -> None:
        self._context = context
        self._driver = driver
        self._listeners = tuple(listeners)
        self._process = process
        self._load = load
        self._open_access_log = access_log
        self._access_log: AccessLog | None = None
        self._pid_file = pid_file
        self.statistics = statistics
        self.leases = leases
        self._ports: list[IListeningPort] = []
        #: Where it listens.
        self.bound: list[Target] = []
        self.sessions = SessionRegistry(context, driver.gate, process.show if process is not None else _nothing)
        self._draining = Draining(self.sessions, context.clock, context.log)
        self._deny_list = DenyList(context.settings, context.admission)
        if statistics is not None:
            context.observers.append(statistics.note)

    @property
    def _log(self) -> Logger:
        return self._context.log

    @property
    def events(self) -> Events:
        """What user code may listen to."""
        return self._context.events

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many sessions have ended, by outcome."""
        return self.sessions.outcomes

    @property
    def addresses(self) -> list[str]:
        """Where it listens: ``ip:port`` or ``unix:/path``."""
        return [str(place) for place in self.bound]

    # Starting

    def check(self) -> None:
        """See whether it could start.

        :raises ConfigError: if it could not.
        """
        self._deny_list.read()
        for listener in self._listeners:
            listener.check(self._driver.reactor)

    def privilegedStartService(self) -> None:
        """Listen and open the access log, while ports below 1024 and root's files are still within reach.

        :raises SystemExit: if that cannot be done, after one line on standard error.
        """
        super().privilegedStartService()
        self._driver.start()
        try:
            self._open()
        except ConfigError as error:
            if self._pid_file is not None:
                self._pid_file.remove()
            self._log.critical("{error}", error=error)
            if os.path.samestat(os.fstat(2), os.stat(os.devnull)):
                raise  # a daemon: twistd hands it to whoever has started it, and would wait for ever after an exit
            print(f"proxymux: {error}", file=sys.__stderr__, flush=True)
            raise SystemExit(1) from None
        if self.leases is not None:
            self.leases.start()
        if self._process is not None:
            self._process.add(self)
        self._driver.gate.capacity = room_for_sessions()
        # Whoever reads that it listens may send it a signal: it is said when signals are answered.
        self._driver.reactor.callWhenRunning(self._announce)

    def _open(self) -> None:
        if self._pid_file is not None:
            self._pid_file.create()
        if self._open_access_log is not None:
            self._access_log = self._open_access_log()
            self._context.observers.append(self._access_log.write)
        self._deny_list.load()
        for listener in self._listeners:
            self._listen(listener)

    def _announce(self) -> None:
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

        def fails(failure: Failure) -> None:
            problems.append(listener.problem(failure))
            if not is_starting:
                self._log.critical("{error}", error=problems[0])
                self._driver.reactor.stop()

        listener.listen(self._driver, self.sessions.begin).addCallbacks(self._listens, fails)
        is_starting = False
        if problems:
            raise problems[0]

    def _listens(self, port: IListeningPort) -> None:
        self._ports.append(port)
        self.bound.append(bound_to(port))

    # Sessions

    def summary(self) -> str:
        """``NAME HOST:PORT - CUR/MAX/TOT cur/max/tot conns``, as the ancestor's title had it."""
        where, sessions = " ".join(self.addresses), self.sessions
        counts = f"{len(sessions)}/{sessions.most}/{sessions.total}"
        return f"{self._context.decider.name} {where} - {counts} cur/max/tot conns"

    # Stopping

    def stopService(self) -> Deferred[None]:
        """Drain for as long as the settings allow, then end what is left."""
        super().stopService()
        return self.drain(self._context.settings.drain_timeout).addCallback(self._stopped)

    def _stopped(self, _: None) -> None:
        if self.leases is not None:
            self.leases.stop()
        self._driver.stop()
        if self._access_log is not None:
            self._context.observers.remove(self._access_log.write)
            self._access_log.close()
            self._access_log = None
        if self._process is not None:
            self._process.remove(self)
        if self._pid_file is not None:
            self._pid_file.remove()
        self._log_statistics()

    def _log_statistics(self) -> None:
        for each in (self.statistics, self.leases):
            for line in each.lines() if each is not None else ():
                self._log.info("statistics: {line}", line=line)

    def drain(self, limit: float | None) -> Deferred[None]:
        """Stop accepting; fires when the last session has ended.

        :param limit: seconds after which those that are left are ended, or None.
        """
        ports, self._ports = self._ports, []
        stopped = DeferredList([port.stopListening() or succeed(None) for port in ports])
        if ports:
            self._log.info("stopped accepting; {count} sessions are left", count=len(self.sessions))
        done = self._draining.start(limit)
        stopped.addCallback(lambda _: self._draining.look())
        return done

    def abort(self) -> None:
        """End every session now."""
        self._draining.abort()

    # While running

    def reload(self) -> None:
        """Load the router and the deny files again; what fails to load is reported and the old one stays."""
        try:
            self._context.decider = self._load()
            self._log.info("reloaded {name}", name=self._context.decider.name)
        except Exception as error:  # a router's module may do anything when it is looked at
            self._log.error("not reloaded, the old one stays: {error}", error=error)
        try:
            self._deny_list.load()
        except ConfigError as error:
            self._log.error("not reloaded, the old one stays: {error}", error=error)
        self._log_statistics()

    def reopen(self) -> None:
        """Open the access log again, after a rotation."""
        if self._access_log is not None:
            self._access_log.reopen()


def _nothing() -> None:
    """Show nothing: the service takes no part in a process title."""
