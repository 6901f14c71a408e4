"""Putting a service together from its settings."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Awaitable, Callable

from twisted.internet.defer import ensureDeferred
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)

from proxymux.admin.access_log import AccessLog, check_path
from proxymux.admin.statistics import Statistics
from proxymux.core.admission import Admission
from proxymux.core.events import EventListener, Events
from proxymux.gateway.pid_file import PidFile
from proxymux.interfaces import IDecider
from proxymux.net.connector import Connector
from proxymux.net.driver import Driver
from proxymux.net.happy_eyeballs import TargetCheck
from proxymux.pool.leases import Leases
from proxymux.process import Process
from proxymux.service import ProxyService
from proxymux.session.context import Context, Join, JoinPool, UpstreamSource
from proxymux.session.listening import Listener
from proxymux.settings import LogLevel as LogLevelName
from proxymux.settings import Settings


def make_log(level: LogLevelName) -> Logger:
    """The text log, from ``level`` upwards."""
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(level))
    return Logger("proxymux", observer=FilteringLogObserver(globalLogPublisher, [predicate]))


def make_events(log: Logger) -> Events:
    """Events whose listeners' errors go to ``log``."""

    def report(listener: EventListener, error: BaseException) -> None:
        name = getattr(listener, "__qualname__", repr(listener))
        log.error("listener {name} raised {kind}: {error}", name=name, kind=type(error).__name__, error=error)

    def spawn(listener: EventListener, awaitable: Awaitable[object]) -> None:
        async def see_through() -> None:
            try:
                await awaitable
            except Exception as error:
                report(listener, error)

        ensureDeferred(see_through())

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
) -> ProxyService:
    """A service that decides by what ``decider`` makes, now and at every reload.

    :param reuse: share the port with other processes.
    :param connector: gets upstreams; None is to connect to what the decision says.
    :param join: joins clients to them; None is the driver's.
    :param join_pool: has clients share upstreams, where the decider decides so.
    :param target_check: asked about every IP address before it is connected to.
    :param leases: what the service shares among its clients, if it does.
    :raises ProxymuxError: if it makes none.
    """
    context = Context(
        service=name,
        clock=driver.reactor,
        timers=driver.timers,
        wall=time.time,
        decider=decider(),
        connector=connector or Connector(driver, settings, target_check),
        join=join or driver.join,
        join_pool=join_pool,
        admission=Admission.of(settings),
        settings=settings,
        events=events or make_events(log),
        log=log,
    )
    return ProxyService(
        context,
        driver,
        [Listener(each, settings, reuse, ipv6_only) for each in settings.endpoints],
        Process.of(driver.reactor),
        decider,
        access_log=_access_log(settings, log),
        pid_file=pid_file,
        statistics=statistics,
        leases=leases,
    )


def _access_log(settings: Settings, log: Logger) -> Callable[[], AccessLog] | None:
    if settings.access_log is None:
        return None
    check_path(settings.access_log)

    def report(error: OSError) -> None:
        log.error("--access-log: a line could not be written: {error}", error=error)

    # twistd puts its log in the place of sys.stdout.
    return functools.partial(AccessLog, settings.access_log, sys.__stdout__ or sys.stdout, report)
