"""The service: listens, begins a session for every client, drains when it is stopped, and reloads."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.admin.access_log import AccessLog
from proxymux.admin.counters import Counters
from proxymux.admin.sample_folder import SampleFolder
from proxymux.admin.statistics import Statistics
from proxymux.core.events import Events
from proxymux.core.target import Target
from proxymux.coroutines import ended
from proxymux.discovery.clusters import Clusters
from proxymux.discovery.steering import Steering
from proxymux.errors import ConfigError, ProxymuxError
from proxymux.gateway.pid_file import PidFile
from proxymux.interfaces import IDecider
from proxymux.net.driver import Driver
from proxymux.net.listen_queue import handshakes_over
from proxymux.net.moving import Mover
from proxymux.net.reactor.accepting import accept_rest, begin_closing
from proxymux.net.reactor.connection import bound_to
from proxymux.net.tls.ticket_keys import TicketKeys
from proxymux.pool.leases import Leases
from proxymux.process import Process, room_for_sessions
from proxymux.session.certificates import Certificates
from proxymux.session.context import NUMBERS, Context
from proxymux.session.deny_list import DenyList
from proxymux.session.draining import Draining
from proxymux.session.listening import Listener
from proxymux.session.registry import SessionRegistry
from proxymux.session.trace import Traces
from proxymux.user_code import describe
from proxymux.user_modules import reloading

if TYPE_CHECKING:
    from proxymux.admin.endpoint import AdminEndpoint


class Companion(Protocol):
    """Runs beside services, from the start of the first to the end of the last that has it."""

    def start(self, service: Any) -> None:
        """A service has started: it listens."""

    def stop(self, service: Any) -> Deferred[object]:
        """It has ended; fires, within a limit, when nothing is left to do for it."""


class ProxyService(Service):
    """One router, gateway or pool of this process.  Twisted starts and stops it; signals call its other methods.

    :param context: the choices that make the service; the service adds its own observers to it.
    :param driver: does the I/O of all connections of the service.
    :param listeners: the endpoints to listen on.
    :param process: passes signals to the service and shows it in the process title; None does neither.
    :param make_decider: makes a new decider at a reload; may raise any exception.
    :param access_log: opens the access log, and raises ConfigError if it cannot; None for no access log.
    :param samples: keeps the first bytes of the sessions; None keeps none.
    :param pid_file: created at the start and removed at the end; None for no file.
    :param certificates: of TLS listeners and upstreams, read again at a reload.
    :param statistics: counts how sessions end; None counts nothing.
    :param counters: are given the reloads; None counts nothing.
    :param clusters: follow their sources while the service runs.
    :param steering: does with the targets what the operator says.
    :param leases: the pool's leases, started and stopped with the service; None for a service without a pool.
    :param admin: the endpoints that show the process, started and stopped with the service.
    :param companions: run beside the service.
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
        clusters: Clusters,
        steering: Steering,
        access_log: Callable[[], AccessLog] | None = None,
        samples: SampleFolder | None = None,
        pid_file: PidFile | None = None,
        statistics: Statistics | None = None,
        counters: Counters | None = None,
        leases: Leases | None = None,
        admin: Iterable[AdminEndpoint] = (),
        companions: Iterable[Companion] = (),
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
        self._samples = samples
        self._pid_file = pid_file
        self.statistics = statistics
        #: What happens in the service, in numbers for the admin endpoint.
        self.counters = counters
        self.leases = leases
        #: The service accepts no more.
        self.is_draining = False
        self.clusters = clusters
        self.steering = steering
        #: The endpoints that show the process.
        self.admin = tuple(admin)
        self._companions = tuple(companions)
        #: What is unwise, in one line each.
        self.warnings = (
            *warnings,
            *(samples.warnings() if samples is not None else ()),
            *(line for listener in self._listeners for line in listener.warnings()),
            *(line for endpoint in self.admin for line in endpoint.warnings()),
        )
        self._ports: list[tuple[Listener, IListeningPort]] = []
        #: Ports on the sockets of other workers, by whose they are.
        self._lent: dict[int, list[IListeningPort]] = {}
        #: The addresses of the open ports.
        self.bound: list[Target] = []
        self.sessions = SessionRegistry(context, driver.gate, process.show if process is not None else _nothing)
        cut = process.note_cut if process is not None else _nothing
        self._draining = Draining(self.sessions, context.lingering, context.clock, context.log, cut)
        #: Whom the service refuses.
        self.deny_list = DenyList(context.settings, context.admission)
        if statistics is not None:
            context.observers.append(statistics.note)

    @property
    def log(self) -> Logger:
        """The logger of the service."""
        return self._context.log

    @property
    def title(self) -> str:
        """What the service is called in the log."""
        return self._context.decider.name

    @property
    def drain_timeout(self) -> float:
        """Seconds that a stop waits for the sessions to end."""
        return self._context.settings.drain_timeout

    @property
    def service_name(self) -> str:
        """The service's name in the access log."""
        return self._context.service

    @property
    def pool(self) -> Leases | None:
        """The pool's leases, with the state of the pool; None for a service without a pool."""
        return self.leases

    @property
    def traces(self) -> Traces | None:
        """What is remembered of the sessions; None if nothing is."""
        return self._context.traces

    @property
    def events(self) -> Events:
        """The events that user code may subscribe to."""
        return self._context.events

    @property
    def outcomes(self) -> Counter[str]:
        """How many sessions have ended, by outcome."""
        return self.sessions.outcomes

    @property
    def clock(self) -> IReactorTime:
        """Measures the service's limits."""
        return self._context.clock

    @property
    def mover(self) -> Mover | None:
        """Moves the connections of sessions to another process; None if that is not possible."""
        return self._driver.mover

    @property
    def room(self) -> int:
        """How many descriptors of further sessions fit into the limit of the process."""
        capacity = self._driver.gate.capacity
        return 2 * max(0, (room_for_sessions() if capacity is None else capacity) - len(self.sessions))

    @property
    def tickets(self) -> TicketKeys:
        """The keys of the tickets by which TLS clients resume, for processes that are to have the same."""
        return self._certificates.tickets

    @property
    def addresses(self) -> list[str]:
        """The addresses of the open ports, each as ``ip:port`` or ``unix:/path``."""
        return [str(target) for target in self.bound]

    @property
    def admin_address(self) -> str | None:
        """Where ``--admin`` listens; None if it does not."""
        return admin_address(self.admin)

    @property
    def connections(self) -> int:
        """Clients now."""
        return len(self.sessions)

    # Starting

    def check(self) -> None:
        """Check that files can be read and written and that the service can listen, without listening.

        :raises ConfigError: naming the option, if the service could not start.
        """
        self.deny_list.read()
        self._certificates.check()
        self.clusters.check()
        if self._samples is not None:
            self._samples.check()
        if self._pid_file is not None:
            self._pid_file.check()
        for listener in self._listeners:
            listener.check(self._driver.reactor, self._certificates)
        for endpoint in self.admin:
            endpoint.check()

    def privilegedStartService(self) -> None:
        """Listen and open the access log, before twistd gives up the privileges for ports below 1024 and root's files.

        :raises SystemExit: if the service cannot start, after one line on standard error.
        :raises ConfigError: if the service cannot start in a daemon.
        """
        super().privilegedStartService()
        with ending_the_start(self.log):
            self.open()
        # A script may send a signal as soon as it reads the line, so it is logged when signals are handled.
        self._driver.reactor.callWhenRunning(self._announce)

    def open(self) -> None:
        """Listen, and open the access log.

        :raises ConfigError: if the service cannot start.
        """
        self._driver.start()
        try:
            self._open_everything()
        except ConfigError:
            self.clusters.stop()
            if self._pid_file is not None:
                self._pid_file.remove()
            raise
        if self.leases is not None:
            self.leases.start()
        if self._process is not None:
            # Sessions are asked for by their numbers: no two services of a process have the same.
            self._context.first_session += len(self._process.services) * NUMBERS
            self._process.add(self)
        self._certificates.start()
        for companion in self._companions:
            companion.start(self)
        self._driver.gate.capacity = room_for_sessions()

    def _open_everything(self) -> None:
        if self._pid_file is not None:
            self._pid_file.create()
        if self._open_access_log is not None:
            self._access_log = self._open_access_log()
            self._context.observers.append(self._access_log.write)
        self.deny_list.load()
        self.clusters.start()
        for listener in self._listeners:
            self._listen(listener, partial(self._port_opened, listener))
        for endpoint in self.admin:
            endpoint.start()

    def _announce(self) -> None:
        for line in self.warnings:
            self.log.warn("{line}", line=line)
        for listener, address in zip(self._listeners, self.addresses, strict=False):
            self.log.info(
                "{name} listens on {address} ({description})",
                name=self._context.decider.name,
                address=address,
                description=listener.description,
            )
        for endpoint in self.admin:
            endpoint.announce()

    def _listen(self, listener: Listener, opened: Callable[[IListeningPort], None]) -> None:
        problems: list[ConfigError] = []
        is_starting = True

        def failed(failure: Failure) -> None:
            problems.append(listener.problem(failure))
            if not is_starting:
                self.log.critical("{error}", error=problems[0])
                self._driver.reactor.stop()

        listening = listener.listen(self._driver, self.sessions.begin, self._certificates)
        listening.addCallbacks(opened, failed)
        is_starting = False
        if problems:
            raise problems[0]

    def _port_opened(self, listener: Listener, port: IListeningPort) -> None:
        self._ports.append((listener, port))
        self.bound.append(bound_to(port))
        if self._process is not None:  # which was told of the service before, if the port has needed time
            self._process.check_ready()

    def accept_for(self, place: int, given: Iterable[tuple[int, socket.socket]]) -> None:
        """Accept on the sockets of another worker, too, until :meth:`give_back`.

        :param place: whose they are.
        :param given: each with the index of the listener whose connections it takes; closed here.
        """
        for index, sock in given:
            with sock:
                self._listen(replace(self._listeners[index], given=sock), self._lent.setdefault(place, []).append)

    def give_back(self, place: int) -> None:
        """Accept no more on the sockets of another worker."""
        for port in self._lent.pop(place, ()):
            port.stopListening()

    # Sessions

    def summary(self) -> str:
        """The service's part of the process title, as the ancestor had it.

        :returns: ``NAME HOST:PORT - CUR/MAX/TOT cur/max/tot conns``: sessions now, at most at once, in total.
        """
        addresses, sessions = " ".join(self.addresses), self.sessions
        counts = f"{len(sessions)}/{sessions.most}/{sessions.total}"
        return f"{self._context.decider.name} {addresses} - {counts} cur/max/tot conns"

    @property
    def is_serving(self) -> bool:
        """True once every listener listens."""
        return len(self.bound) == len(self._listeners)

    @property
    def ended(self) -> int:
        """How many sessions have ended here."""
        return self.outcomes.total()

    def status(self) -> str:
        """How many connections there are and have been, and where, for systemd."""
        sessions = self.sessions
        return f"{self.title} {' '.join(self.addresses)}: {len(sessions)} connections, {sessions.total} in total"

    # Stopping

    def stopService(self) -> Deferred[None]:
        """Drain for ``drain_timeout`` seconds, end the sessions that are left, and release everything."""
        super().stopService()
        drained = self.drain(self.drain_timeout)
        drained.addCallback(lambda _: ended()).addCallback(self._close_logs)
        return drained.addCallback(self._stopped)

    def _close_logs(self, _: object) -> Deferred[list[tuple[bool, None]]]:
        """Wait for what is still to be written, within a limit."""
        if self._access_log is not None:
            self._context.observers.remove(self._access_log.write)
        logs = [each for each in (self._access_log, self._samples) if each is not None]
        self._access_log = None
        return DeferredList([each.close(self._driver.reactor, self._context.clock) for each in logs])

    def _stopped(self, _: None) -> Deferred[None]:
        if self.leases is not None:
            self.leases.stop()
        self.clusters.stop()
        self._certificates.stop()
        self._driver.stop()
        if self._process is not None:
            self._process.remove(self)
        if self._pid_file is not None:
            self._pid_file.remove()
        self._log_statistics(self.statistics)
        ends: list[Deferred[Any]] = [endpoint.stop() or succeed(None) for endpoint in self.admin]
        ends += [companion.stop(self) for companion in self._companions]
        closed = DeferredList(ends)
        return closed.addCallback(lambda _: None)

    def _log_statistics(self, *sources: Statistics | Leases | None) -> None:
        for source in sources:
            for line in source.lines() if source is not None else ():
                self.log.info("statistics: {line}", line=line)

    def drain(self, limit: float | None) -> Deferred[None]:
        """Accept who waits in the listen queues already, then nobody, and wait for the sessions to end.

        :param limit: seconds after which the sessions that are left are ended; None waits without a limit.
        :returns: fires when no session is left, or when those that are left could not be ended.
        """
        self.is_draining = True
        ports, self._ports = self._ports, []
        wait = max((begin_closing(port) for listener, port in ports if listener.is_alone), default=0.0)
        closing = [port for _, port in ports]
        closed = handshakes_over(self._context.clock, wait, limit).addCallback(lambda _: _close(closing))
        for port in (lent for each in self._lent.values() for lent in each):
            accept_rest(port)
        for lent in tuple(self._lent):
            self.give_back(lent)
        for listener in self._listeners:
            listener.release()
        if ports:
            self.log.info("stopped accepting; {count} sessions are left", count=len(self.sessions))
            self._log_statistics(self.leases)  # which say how it is now, and at the end nothing more
        return self._draining.start(limit, closed)

    def abort(self) -> None:
        """End every session now, by a reset where it does not end in good order."""
        self._draining.abort()

    # While running

    def reload(self) -> list[str]:
        """Make a new decider and read the deny files again.  What cannot be loaded is logged and the old one kept.

        :returns: what could not be loaded, in one line each.
        """
        problems: list[str] = []
        try:
            with reloading() as files:
                self._context.decider = self._make_decider()
            read = f": read {', '.join(files)}" if files else ""
            self.log.info("reloaded {name}{read}", name=self._context.decider.name, read=read)
        except Exception as error:  # loading a router runs user code, which may raise anything
            problem = str(error) if isinstance(error, ProxymuxError) else describe(error)
            self.log.error("not reloaded, the old one stays: {problem}", problem=problem)
            problems.append(problem)
        try:
            self.deny_list.load()
        except ConfigError as error:
            self.log.error("not reloaded, the old one stays: {error}", error=error)
            problems.append(str(error))
        problems += self._certificates.reload()
        self.clusters.look()
        for endpoint in self.admin:
            problems += endpoint.reload()
        if self.counters is not None:
            self.counters.reloaded(not problems)
        self._log_statistics(self.statistics, self.leases)
        return problems

    def reloaded(self) -> Deferred[object]:
        """Fires at once: :meth:`reload` returns when all is done."""
        return succeed(None)

    def rollover(self) -> None:
        """Say that there are no workers to replace."""
        self.log.info("there are no workers to replace; see --workers")

    def decide_by(self, decider: IDecider) -> None:
        """Have ``decider`` decide about the sessions that begin from now on."""
        self._context.decider = decider

    def reopen(self) -> None:
        """Open the access log again by its name, after a log rotation has renamed the file.

        Samples are kept again, if their folder was full and is not any more.
        """
        if self._access_log is not None:
            self._access_log.reopen()
        if self._samples is not None:
            self._samples.reopen()


def admin_address(endpoints: Iterable[AdminEndpoint]) -> str | None:
    """Where that of ``--admin`` among some endpoints listens; None if none does."""
    found = (endpoint.address for endpoint in endpoints if endpoint.option == "--admin")
    return next((str(address) for address in found if address is not None), None)


@contextlib.contextmanager
def ending_the_start(log: Logger) -> Iterator[None]:
    """End the start of the process with one line on standard error, if ConfigError is raised within.

    :raises SystemExit: then.
    :raises ConfigError: likewise, in a daemon: twistd passes the error to its starter, which SystemExit would leave
        waiting.
    """
    try:
        yield
    except ConfigError as error:
        log.critical("{error}", error=error)
        if os.path.samestat(os.fstat(2), os.stat(os.devnull)):
            raise
        print(f"proxymux: {error}", file=sys.__stderr__, flush=True)
        raise SystemExit(1) from None


def _close(ports: Iterable[IListeningPort]) -> Deferred[list[tuple[bool, None]]]:
    """Accept who waits at the ports, and close them."""
    for port in ports:
        accept_rest(port)
    return DeferredList([port.stopListening() or succeed(None) for port in ports])


def _nothing() -> None:
    """Show nothing: the service takes no part in a process title."""
