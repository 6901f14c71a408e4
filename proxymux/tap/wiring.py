"""Puts a service together from its settings and the parts that are its own."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)

from proxymux.admin.access_log import STDOUT, AccessLog, check_path
from proxymux.admin.counters import Counters
from proxymux.admin.sample_folder import SampleFolder
from proxymux.admin.statistics import Statistics
from proxymux.admin.text_log import TextLog
from proxymux.core.admission import Admission
from proxymux.core.events import EventListener, Events
from proxymux.coroutines import REMEDY, lacks_asyncio, run
from proxymux.discovery.clusters import Clusters
from proxymux.discovery.steering import Steering
from proxymux.gateway.pid_file import PidFile
from proxymux.interfaces import IDecider
from proxymux.net.connector import Connector
from proxymux.net.driver import Driver
from proxymux.net.happy_eyeballs import TargetCheck
from proxymux.net.holding import HoldQueue
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.ticket_keys import TicketKeys
from proxymux.pool.leases import Leases
from proxymux.process import Process
from proxymux.service import Companion, ProxyService
from proxymux.session.certificates import Certificates
from proxymux.session.context import Context, Join, JoinPool, UpstreamSource
from proxymux.session.listening import Listener
from proxymux.session.trace import Traces
from proxymux.settings import Settings
from proxymux.supervisor.seat import Seat
from proxymux.supervisor.serving import WorkerProcess
from proxymux.supervisor.table import RATES
from proxymux.tap.clusters import make_clusters
from proxymux.tap.sharing import make_denied, make_membership
from proxymux.tap.showing import idle_options, make_admin
from proxymux.tap.watching import make_watch
from proxymux.user_code import describe

#: Bytes of the secret that makes the keys of clients' addresses.
_SECRET_SIZE: Final = 16
#: The descriptor of standard output: twistd replaces ``sys.stdout`` by its log.
_STDOUT: Final = 1


def make_log(settings: Settings) -> Logger:
    """Make the logger of a service, and have the text log of the process do as the service's settings say."""
    text_log = TextLog.of_process(settings.log_level)
    if settings.access_log == STDOUT:
        text_log.leaves_stdout = True
    if settings.log_format != "text":
        text_log.form = settings.log_format
    if settings.log_syslog is not None:
        text_log.syslog = settings.log_syslog, settings.log_facility
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(settings.log_level))
    return Logger("proxymux", observer=FilteringLogObserver(globalLogPublisher, [predicate]))


def make_events(log: Logger) -> Events:
    """Make the events of a service, which log what their listeners raise."""

    def report(listener: EventListener, error: BaseException) -> None:
        name = getattr(listener, "__qualname__", repr(listener))
        remedy = f"; {REMEDY}" if lacks_asyncio(error) else ""
        log.error("listener {name} raised {error}{remedy}", name=name, error=describe(error), remedy=remedy)

    def spawn(listener: EventListener, awaitable: Awaitable[object]) -> None:
        async def await_and_report() -> None:
            try:
                await awaitable
            except (Exception, SystemExit, KeyboardInterrupt) as error:  # the latter two would end the reactor
                report(listener, error)

        run(await_and_report())

    return Events(report, spawn)


def make_counters(settings: Settings) -> Counters | None:
    """Make what counts for the admin endpoint; None if the settings name none, as counting costs time."""
    if settings.admin is None:
        return None
    return Counters(None if Seat.current is None else Seat.current.counters)


def make_service(
    driver: Driver,
    name: str,
    decider: Callable[[], IDecider],
    settings: Settings,
    log: Logger,
    *,
    reuse: bool = False,
    ipv6_only: bool = False,
    pid_file: PidFile | None = None,
    statistics: Statistics | None = None,
    counters: Counters | None = None,
    events: Events | None = None,
    connector: UpstreamSource | None = None,
    join: Join | None = None,
    join_pool: JoinPool | None = None,
    target_check: TargetCheck | None = None,
    leases: Leases | None = None,
    clusters: Clusters | None = None,
    pprof: str | None = None,
    companions: Iterable[Companion] = (),
    warnings: Iterable[str] = (),
) -> ProxyService:
    """Put a service together.

    :param name: the service's name in the access log.
    :param decider: makes a decider, now and at every reload; may raise ProxymuxError.
    :param reuse: share the port with other processes (SO_REUSEPORT).
    :param ipv6_only: accept no IPv4 clients on an IPv6 address.
    :param pid_file: created while the service runs; None for no file.
    :param statistics: counts how sessions end; None counts nothing.
    :param counters: count what happens; None makes them if the settings name an admin endpoint.
    :param events: None makes events without listeners.
    :param connector: provides upstreams; None connects to the targets of the decisions.
    :param join: joins clients to upstreams; None joins them by the driver.
    :param join_pool: joins clients for :class:`Share` decisions; None for services without a pool.
    :param target_check: called with every IP address before it is connected to; None allows all.
    :param leases: the pool's leases; None for services without a pool.
    :param clusters: None makes those of the settings.
    :param pprof: an endpoint that shows what takes the time, and nothing else; None for none.
    :param companions: run beside the service, with those that the settings ask for.
    :param warnings: what the operator is to be told at the start, one line each.
    :raises ProxymuxError: if ``decider`` does, or the access log cannot be written.
    """
    seat = Seat.current
    samples = _samples(settings, name, driver.reactor, log)
    tickets = TicketKeys(driver.clock.seconds)
    if seat is not None:
        tickets.share(seat.tickets)
    counters = counters or make_counters(settings)
    certificates = Certificates(ServerRules.of(settings), tickets, driver.client_tls, driver.timers, log)
    holds = HoldQueue(driver.timers, settings.queue_limit, settings.queue_timeout)
    clusters = make_clusters(settings, driver, log) if clusters is None else clusters  # one without any is false
    context = Context(
        service=name,
        clock=driver.clock,
        timers=driver.timers,
        lingering=driver.lingering,
        wall=time.time,
        decider=decider(),
        connector=connector or Connector(driver, settings, target_check, holds, clusters),
        join=join or driver.join,
        join_pool=join_pool,
        clusters=clusters,
        samples=samples,
        tells_all=settings.log_level == "debug",
        admission=_admission(settings, seat),
        certificates=certificates,
        settings=settings,
        events=events or make_events(log),
        log=log,
        worker=None if seat is None else seat.number,
        first_session=0 if seat is None else seat.first_session,
    )
    process = (Process if seat is None else WorkerProcess).of(driver.reactor, driver.clock)
    # A worker is no instance of its own: its supervisor is, and watches for all.
    fleet = None if seat is not None else make_membership(settings, driver.reactor, driver.clock, process, log)
    watch = None if seat is not None else make_watch(settings, driver.clock, process, log)
    denied = make_denied(settings, driver.reactor, driver.clock, log)
    if counters is not None:
        context.observers.append(counters.note)
        context.connect_failed = counters.connect_failed
        context.traces = Traces()
    return ProxyService(
        context,
        driver,
        make_listeners(settings, reuse, ipv6_only),
        process,
        decider,
        certificates,
        access_log=_access_log(settings, driver.reactor, log, seat),
        samples=samples,
        pid_file=pid_file,
        statistics=statistics,
        counters=counters,
        leases=leases,
        clusters=clusters,
        steering=Steering(holds if leases is None else leases.holds, clusters, log),
        admin=()
        if seat is not None
        else make_admin(driver.reactor, driver.clock, process, settings, log, pprof=pprof, fleet=fleet),
        companions=[*companions, *(each for each in (fleet, denied, watch) if each is not None)],
        warnings=[*warnings, *idle_options(settings)],
    )


def make_listeners(settings: Settings, reuse: bool = False, ipv6_only: bool = False) -> list[Listener]:
    """Make the listeners of a service; those of a worker accept on the sockets that it was given.

    :param reuse: share the port with other processes (SO_REUSEPORT).
    :param ipv6_only: accept no IPv4 clients on an IPv6 address.
    """
    given = dict(enumerate(Seat.current.sockets)) if Seat.current is not None else {}
    return [
        Listener(each, settings, reuse, ipv6_only, given.get(at), is_elsewhere=Seat.current is not None)
        for at, each in enumerate(settings.endpoints)
    ]


def _admission(settings: Settings, seat: Seat | None) -> Admission:
    """The admission, which in a worker counts the clients of all."""
    if seat is None:
        return Admission.of(settings, secret=os.urandom(_SECRET_SIZE))
    return Admission.of(settings, seat.table.times(RATES), seat.secret, seat.presence)


def _access_log(settings: Settings, reactor: Reactor, log: Logger, seat: Seat | None) -> Callable[[], AccessLog] | None:
    """Return what opens the access log, after a check that it can be written; None if the settings name no log."""
    if settings.access_log is None:
        return None
    check_path(settings.access_log)
    stdout = _STDOUT if seat is None else seat.stdout  # where a worker has its own, the supervisor reads its log
    return functools.partial(AccessLog, settings.access_log, stdout, _reporter(reactor, log.error))


def _samples(settings: Settings, service: str, reactor: Reactor, log: Logger) -> SampleFolder | None:
    if settings.capture is None:
        return None
    report, note = _reporter(reactor, log.error), _reporter(reactor, log.info)
    return SampleFolder(settings.capture, settings.capture_limit, service, time.time, report, note)


def _reporter(reactor: Reactor, log: Callable[..., None]) -> Callable[[str], None]:
    """Return what logs a line, whichever thread calls it."""

    def report(line: str) -> None:
        if threading.current_thread() is threading.main_thread():
            log("{line}", line=line)
        else:
            reactor.callFromThread(log, "{line}", line=line)

    return report
