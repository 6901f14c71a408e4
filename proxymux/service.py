"""A service: it listens, keeps its runner sessions, drains and reloads."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.admin.access_log import AccessLog
from proxymux.admin.statistics import Statistics
from proxymux.core.admission import Network, parse_networks
from proxymux.core.outcome import Record
from proxymux.core.target import InetTarget, Target, UnixTarget
from proxymux.errors import BadAddress, ConfigError
from proxymux.gateway.pid_file import PidFile
from proxymux.net.driver import Driver
from proxymux.pool.leases import Leases
from proxymux.process import Process, room_for_sessions
from proxymux.session.context import Context
from proxymux.session.listening import Listener
from proxymux.session.runner import SessionRunner

#: Seconds between closing what is left and resetting what even then does not go.
_GRACE = 1.0


class ProxyService(Service):
    """One service of this process.

    :param reactor: to listen and measure time with.
    :param context: the choices that make it what it is.
    :param driver: what carries its connections.
    :param listeners: where it listens.
    :param process: whose signals and title it takes part in, or None.
    :param drain_timeout: seconds that a stop waits for sessions to end.
    :param access_log: opens the access log, or None.
    :param deny: networks denied for good.
    :param deny_files: files of networks denied until the next reload.
    :param load: makes a decider afresh, for a reload.
    :param pid_file: is there while it runs, or None.
    :param statistics: notes how sessions end, or None.
    :param leases: what its clients share, or None.
    """

    def __init__(
        self,
        reactor: Any,
        context: Context,
        driver: Driver,
        listeners: Iterable[Listener],
        process: Process | None,
        drain_timeout: float,
        access_log: Callable[[], AccessLog] | None,
        deny: tuple[Network, ...],
        deny_files: tuple[str, ...],
        load: Callable[[], Any],
        pid_file: PidFile | None = None,
        statistics: Statistics | None = None,
        leases: Leases | None = None,
    ) -> None:
        self._reactor = reactor
        self._context = context
        self._driver = driver
        self._listeners = tuple(listeners)
        self._process = process
        self._drain_timeout = drain_timeout
        self._open_access_log = access_log
        self._access_log: AccessLog | None = None
        self._deny = deny
        self._deny_files = deny_files
        self._load = load
        self._pid_file = pid_file
        self.statistics = statistics
        self.leases = leases
        self._log: Logger = context.log
        self._ports: list[IListeningPort] = []
        #: Where it listens.
        self.bound: list[Target] = []
        self._sessions: dict[int, SessionRunner] = {}
        self._most = self._total = 0
        self._is_draining = False
        self._drained: list[Deferred[None]] = []
        self._drain_timer: IDelayedCall | None = None
        #: How many sessions have ended, by outcome.
        self.outcomes: Counter[str] = Counter()
        self.events = context.events
        context.observers += [self._count, self._tell_listeners]
        if statistics is not None:
            context.observers.append(statistics.note)

    @property
    def addresses(self) -> list[str]:
        """Where it listens: ``ip:port`` or ``unix:/path``."""
        return [str(place) for place in self.bound]

    # Starting

    def check(self) -> None:
        """See whether it could start.

        :raises ConfigError: if it could not.
        """
        self._read_deny_files()
        for listener in self._listeners:
            listener.check(self._reactor)

    def privilegedStartService(self) -> None:
        """Listen and open the access log, while ports below 1024 and root's files are still within reach.

        :raises SystemExit: if that cannot be done, after one line on standard error.
        """
        super().privilegedStartService()
        self._driver.start()
        try:
            if self._pid_file is not None:
                self._pid_file.create()
            if self._open_access_log is not None:
                self._access_log = self._open_access_log()
                self._context.observers.append(self._access_log.write)
            self._context.admission.deny(self._deny + self._read_deny_files())
            for listener in self._listeners:
                self._listen(listener)
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
        self._reactor.callWhenRunning(self._announce)

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
                self._reactor.stop()

        listener.listen(self._driver, self._begin).addCallbacks(self._listens, fails)
        is_starting = False
        if problems:
            raise problems[0]

    def _listens(self, port: IListeningPort) -> None:
        self._ports.append(port)
        self.bound.append(_where(port))

    # Sessions

    def _begin(self) -> SessionRunner:
        self._driver.gate.enter()
        self._total += 1
        session = SessionRunner(self._total, self._context, self._over)
        self._sessions[session.number] = session
        self._most = max(self._most, len(self._sessions))
        if self._process is not None:
            self._process.show()
        return session

    def _count(self, record: Record) -> None:
        self.outcomes[record.outcome.value] += 1

    def _tell_listeners(self, record: Record) -> None:
        if self.events.heard("ended"):
            self.events.emit("ended", self._log, record)

    def _over(self, session: SessionRunner) -> None:
        del self._sessions[session.number]
        self._driver.gate.leave()
        if self._process is not None:
            self._process.show()
        if self._is_draining:
            self._log.info("waiting for {count} sessions to end", count=len(self._sessions))
            self._see_whether_drained()

    def summary(self) -> str:
        """``NAME HOST:PORT - CUR/MAX/TOT cur/max/tot conns``, as the ancestor's title had it."""
        where = " ".join(self.addresses)
        return (
            f"{self._context.decider.name} {where} - {len(self._sessions)}/{self._most}/{self._total} cur/max/tot conns"
        )

    # Stopping

    def stopService(self) -> Deferred[None]:
        """Drain for as long as ``drain_timeout`` allows, then end what is left."""
        super().stopService()
        return self.drain(self._drain_timeout).addCallback(self._stopped)

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
        self._tell_statistics()

    def _tell_statistics(self) -> None:
        for each in (self.statistics, self.leases):
            for line in each.lines() if each is not None else ():
                self._log.info("statistics: {line}", line=line)

    def drain(self, limit: float | None) -> Deferred[None]:
        """Stop accepting; fires when the last session has ended.

        :param limit: seconds after which those that are left are ended, or None.
        """
        self._is_draining = True
        ports, self._ports = self._ports, []
        stopped: Deferred[Any] = DeferredList([port.stopListening() or succeed(None) for port in ports])
        if ports:
            self._log.info("stopped accepting; {count} sessions are left", count=len(self._sessions))
        if limit is not None and self._sessions and self._drain_timer is None:
            self._drain_timer = self._reactor.callLater(limit, self._cut)
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        stopped.addCallback(lambda _: self._see_whether_drained())
        return done

    def abort(self) -> None:
        """End every session now."""
        self._cancel_cut()
        for session in tuple(self._sessions.values()):
            session.drain()
            session.drain()

    def _cut(self) -> None:
        """The time to drain is over: close in good order, and soon reset what does not go."""
        self._log.warn("closing {count} sessions that have not ended in time", count=len(self._sessions))
        self._drain_timer = self._reactor.callLater(_GRACE, self._cut_hard)
        for session in tuple(self._sessions.values()):
            session.drain()

    def _cut_hard(self) -> None:
        self._drain_timer = None
        self.abort()
        if self._sessions:
            self._drain_timer = self._reactor.callLater(_GRACE, self._leave)

    def _leave(self) -> None:
        """Whatever keeps a session from ending does not keep the process from it."""
        self._drain_timer = None
        if self._sessions:
            self._log.error("{count} sessions could not be ended", count=len(self._sessions))
        self._tell_drained()

    def _cancel_cut(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
            self._drain_timer = None

    def _see_whether_drained(self) -> None:
        if not self._sessions:
            self._cancel_cut()
            self._tell_drained()

    def _tell_drained(self) -> None:
        waiting, self._drained = self._drained, []
        for done in waiting:
            done.callback(None)

    # While running

    def reload(self) -> None:
        """Load the router and the deny files again; what fails to load is reported and the old one stays."""
        try:
            self._context.decider = self._load()
            self._log.info("reloaded {name}", name=self._context.decider.name)
        except Exception as error:  # a router's module may do anything when it is looked at
            self._log.error("not reloaded, the old one stays: {error}", error=error)
        try:
            self._context.admission.deny(self._deny + self._read_deny_files())
        except ConfigError as error:
            self._log.error("not reloaded, the old one stays: {error}", error=error)
        self._tell_statistics()

    def reopen(self) -> None:
        """Open the access log again, after a rotation."""
        if self._access_log is not None:
            self._access_log.reopen()

    def _read_deny_files(self) -> tuple[Network, ...]:
        networks: tuple[Network, ...] = ()
        for name in self._deny_files:
            try:
                with open(name, encoding="utf-8") as file:
                    networks += parse_networks(file)
            except BadAddress as error:
                raise ConfigError("--deny-file", f"{name}, {error}") from None
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not a text file"
                raise ConfigError("--deny-file", f"{name}: {reason}; name a readable file of CIDRs") from None
        return networks


def _where(port: IListeningPort) -> Target:
    address: Any = port.getHost()
    if isinstance(address, UNIXAddress):
        return UnixTarget((address.name or b"").decode("utf-8", "backslashreplace"))
    return InetTarget(address.host, address.port, True)
