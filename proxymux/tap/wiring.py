"""Puts a service together from its settings and the parts that are its own."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Awaitable, Callable, Iterable

from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)

from proxymux.admin.access_log import STDOUT, AccessLog, check_path
from proxymux.admin.statistics import Statistics
from proxymux.admin.text_log import TextLog
from proxymux.core.admission import Admission
from proxymux.core.events import EventListener, Events
from proxymux.coroutines import REMEDY, lacks_asyncio, run
from proxymux.gateway.pid_file import PidFile
from proxymux.interfaces import IDecider
from proxymux.net.connector import Connector
from proxymux.net.driver import Driver
from proxymux.net.happy_eyeballs import TargetCheck
from proxymux.net.tls.rules import ServerRules
from proxymux.pool.leases import Leases
from proxymux.process import Process
from proxymux.service import ProxyService
from proxymux.session.certificates import Certificates
from proxymux.session.context import Context, Join, JoinPool, UpstreamSource
from proxymux.session.listening import Listener
from proxymux.settings import Settings
from proxymux.user_code import describe


def make_log(settings: Settings) -> Logger:
    """Make the logger of a service, and have the text log of the process do as the service's settings say."""
    text_log = TextLog.of_process(settings.log_level)
    if settings.access_log == STDOUT:
        text_log.leaves_stdout = True
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
    events: Events | None = None,
    connector: UpstreamSource | None = None,
    join: Join | None = None,
    join_pool: JoinPool | None = None,
    target_check: TargetCheck | None = None,
    leases: Leases | None = None,
    warnings: Iterable[str] = (),
) -> ProxyService:
    """Put a service together.

    :param name: the service's name in the access log.
    :param decider: makes a decider, now and at every reload; may raise ProxymuxError.
    :param reuse: share the port with other processes (SO_REUSEPORT).
    :param ipv6_only: accept no IPv4 clients on an IPv6 address.
    :param pid_file: created while the service runs; None for no file.
    :param statistics: counts how sessions end; None counts nothing.
    :param events: None makes events without listeners.
    :param connector: provides upstreams; None connects to the targets of the decisions.
    :param join: joins clients to upstreams; None joins them by the driver.
    :param join_pool: joins clients for :class:`Share` decisions; None for services without a pool.
    :param target_check: called with every IP address before it is connected to; None allows all.
    :param leases: the pool's leases; None for services without a pool.
    :param warnings: what the operator is to be told at the start, one line each.
    :raises ProxymuxError: if ``decider`` does, or the access log cannot be written.
    """
    certificates = Certificates(ServerRules.of(settings), driver.client_tls, driver.timers, log)
    context = Context(
        service=name,
        clock=driver.clock,
        timers=driver.timers,
        lingering=driver.lingering,
        wall=time.time,
        decider=decider(),
        connector=connector or Connector(driver, settings, target_check),
        join=join or driver.join,
        join_pool=join_pool,
        tells_all=settings.log_level == "debug",
        admission=Admission.of(settings),
        certificates=certificates,
        settings=settings,
        events=events or make_events(log),
        log=log,
    )
    return ProxyService(
        context,
        driver,
        [Listener(each, settings, reuse, ipv6_only) for each in settings.endpoints],
        Process.of(driver.reactor, driver.clock),
        decider,
        certificates,
        access_log=_access_log(settings, log),
        pid_file=pid_file,
        statistics=statistics,
        leases=leases,
        warnings=warnings,
    )


def _access_log(settings: Settings, log: Logger) -> Callable[[], AccessLog] | None:
    """Return what opens the access log, after a check that it can be written; None if the settings name no log."""
    if settings.access_log is None:
        return None
    check_path(settings.access_log)

    def report(problem: str) -> None:
        log.error("{problem}", problem=problem)

    # sys.__stdout__, because twistd replaces sys.stdout by its log.
    return functools.partial(AccessLog, settings.access_log, sys.__stdout__ or sys.stdout, report)
