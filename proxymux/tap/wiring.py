"""Putting a service together from its settings."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)

from proxymux.admin.accesslog import AccessLog, check_path
from proxymux.core.admission import Admission, Networks
from proxymux.core.events import Events, Listener
from proxymux.core.settings import Settings
from proxymux.core.tally import Tally
from proxymux.net import listening
from proxymux.net.connector import Connector
from proxymux.net.ground import Ground
from proxymux.net.hub import BUFFER_SIZE
from proxymux.net.path import Limits, Path
from proxymux.net.pool.leases import Leases
from proxymux.net.tuning import Tuning
from proxymux.pidfile import PidFile
from proxymux.process import Process
from proxymux.service import ProxyService

#: Seconds for one attempt to connect, where the decision does not say; the ancestor's.
CONNECT_TIMEOUT = 20.0


def make_log(level: str) -> Logger:
    """The text log, from ``level`` upwards."""
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(level))
    return Logger("proxymux", observer=FilteringLogObserver(globalLogPublisher, [predicate]))


def make_events(log: Logger) -> Events:
    """Events whose listeners' errors go to ``log``."""

    def report(listener: Listener, error: BaseException) -> None:
        name = getattr(listener, "__qualname__", repr(listener))
        log.error("listener {name} raised {kind}: {error}", name=name, kind=type(error).__name__, error=error)

    def spawn(listener: Listener, awaitable: Any) -> None:
        async def see_through() -> None:
            try:
                await awaitable
            except Exception as error:
                report(listener, error)

        ensureDeferred(see_through())

    return Events(report, spawn)


def make_ground(reactor: Any, settings: Settings, log: Logger, buffer_size: int = BUFFER_SIZE) -> Ground:
    """What carries the connections of a service.

    :param buffer_size: bytes that the fd relay reads at once.
    :raises ConfigError: if the system does not have it.
    """
    return Ground(reactor, settings.relay, log, Tuning(settings.tcp_keepalive, settings.tcp_user_timeout), buffer_size)


def make_service(
    ground: Ground,
    name: str,
    decider: Callable[[], Any],
    settings: Settings,
    log: Logger,
    *,
    connect_timeout: float = CONNECT_TIMEOUT,
    reuse: bool = False,
    ipv6_only: bool = False,
    pid_file: PidFile | None = None,
    tally: Tally | None = None,
    events: Events | None = None,
    connector: Any = None,
    relay: Any = None,
    leases: Leases | None = None,
) -> ProxyService:
    """A service that decides by what ``decider`` makes, now and at every reload.

    :param connect_timeout: seconds for one attempt to connect, where the decision does not say.
    :param reuse: share the port with other processes.
    :param connector: gets upstreams; None is to connect to what the decision says.
    :param relay: joins clients to them; None is the ground's.
    :param leases: what the service shares among its clients, if it does.
    :raises ProxymuxError: if it makes none.
    """
    reactor = ground.reactor
    path = Path(
        service=name,
        clock=reactor,
        timers=ground.timers,
        wall=time.time,
        decider=decider(),
        connector=connector
        or Connector(ground.timers, ground.dialler, ground.tls_dialler, connect_timeout, settings.send_proxy),
        relay=relay or ground.relay,
        admission=Admission(settings.allow, settings.deny, settings.max_connections, settings.max_per_client),
        limits=Limits(settings.decide_timeout, settings.max_buffer, settings.idle_timeout or None),
        events=events or make_events(log),
        log=log,
    )
    trusted = Networks(settings.trust_proxy)
    return ProxyService(
        reactor,
        path,
        ground,
        [listening.Listener(each, settings.backlog, trusted, reuse, ipv6_only) for each in settings.listen],
        Process.of(reactor),
        settings.drain_timeout,
        _access_log(settings, log),
        settings.deny,
        settings.deny_file,
        decider,
        pid_file,
        tally,
        leases,
    )


def _access_log(settings: Settings, log: Logger) -> Callable[[], AccessLog] | None:
    if settings.access_log is None:
        return None
    check_path(settings.access_log)

    def report(error: OSError) -> None:
        log.error("--access-log: a line could not be written: {error}", error=error)

    # twistd puts its log in the place of sys.stdout.
    return functools.partial(AccessLog, settings.access_log, sys.__stdout__ or sys.stdout, report)
