"""The pool service: its options, and how it is put together.

Functions import OpenSSL and the network code when they are called, not before: twistd imports this module for
``--help``, too, which has to be fast.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from proxymux.errors import BadCertificate, ConfigError
from proxymux.pool.ancestor import read_pool_settings
from proxymux.pool.loading import load_codec, load_config, load_credentials, load_listeners, warnings
from proxymux.pool.settings import PoolSettings
from proxymux.tap.keywords import takes
from proxymux.tap.options import DEMO_LISTEN, SettingsOptions, check_demo, make_checked

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.internet.interfaces import IReactorTime
    from twisted.logger import Logger

    from proxymux.net.reactor.twisted_types import Reactor
    from proxymux.service import ProxyService
    from proxymux.supervisor.supervisor import Supervisor
    from proxymux.tap.supervising import Outside

#: The settings of the demo; its target is known when that listens.
_OF_DEMO: Final = {"mode": "funnel", "codec": "http", "target": ["127.0.0.1:1", "127.0.0.1:1"]}


class Options(SettingsOptions[PoolSettings]):
    """The command line of ``twistd proxymux-pool``."""

    kind = PoolSettings
    title = "The pool"
    synopsis = "[options] --listen ENDPOINT --target HOST:PORT …"
    longdesc = (
        "A connection multiplexer: many clients share few upstream connections. Each --target is one connection. With"
        " as many of them as --max-connections every client has one for itself (proxy); with one, clients take turns"
        " (fifo); else a request takes the one that is least busy (funnel). Without options it reads the ancestor's"
        " environment variables. Signals: QUIT waits for every connection to end, TERM and INT for --drain-timeout, a"
        " second one ends them now; HUP reloads the deny files and the auth file; USR1 reopens log files;"
        " USR2 replaces the workers, if there are any."
    )

    optFlags: ClassVar[list[list[str | None]]] = [
        ["demo", None, "start an HTTP server and a pool of two connections to it, and say what to try"]
    ]

    def read(self, given: Mapping[str, object]) -> PoolSettings:
        """Make the settings from the options that were given, and from the ancestor's configuration for the others.

        :raises UsageError: for an option that cannot be given with ``--demo``.
        :raises ConfigError: naming the option or the environment variable that is missing or has a bad value.
        """
        if not self["demo"]:
            return _read(given)
        check_demo(given, ("target", "codec", "mode", "router", "config_object"))
        return PoolSettings.read({"listen": DEMO_LISTEN, **given, **_OF_DEMO})


def _read(given: Mapping[str, object]) -> PoolSettings:
    config, name = given.get("config"), given.get("config_object")
    if config is None and name is not None:
        config = load_config(str(name))
    return read_pool_settings(given, config, os.environ)


def makeService(options: Options) -> IService:
    """Make the service for a command line; called by twistd."""
    from proxymux.net.reactor.twisted_types import installed_reactor

    if options["demo"]:
        from proxymux.tap.demo.pool import make_demo

        return make_checked(options, lambda: make_demo(installed_reactor(), options.settings))
    from proxymux.tap.supervising import make_of_command

    reactor, settings = installed_reactor(), options.settings
    return make_checked(
        options,
        lambda: make_of_command("proxymux-pool", options, reactor, lambda: make(settings), _outside(settings)),
    )


def _outside(settings: PoolSettings) -> Outside:
    from proxymux.tap.supervising import Outside
    from proxymux.tap.wiring import make_listeners

    return Outside(make_listeners(settings, ipv6_only=settings.ipv6_only))


def make(settings: PoolSettings) -> ProxyService:
    """Make the service with this process's reactor.

    :raises ProxymuxError: if it cannot be made.
    """
    from proxymux.net.reactor.twisted_types import installed_reactor

    return make_pool(installed_reactor(), settings)


@takes(PoolSettings, _read)
def Multiplexer(settings: PoolSettings) -> ProxyService | Supervisor:
    """Make a pool service for a ``.tac`` file.

    The arguments are the options, with underscores for dashes (and ``async_``).  The ancestor's configuration object
    may come before them: ``Multiplexer(config, warmup=True, codec="resp")``.  Without the object and without a
    ``target`` the ancestor's environment variables are read.

    :raises ProxymuxError: if a value is not accepted.
    """
    from proxymux.net.reactor.twisted_types import installed_reactor
    from proxymux.tap.supervising import make_of_file

    return make_of_file(settings, installed_reactor(), lambda: make(settings), _outside(settings))


def make_pool(
    reactor: Reactor, settings: PoolSettings, log: Logger | None = None, clock: IReactorTime | None = None
) -> ProxyService:
    """Put a pool service together.

    :param log: the service's logger; None makes one for twistd's log, with the level of the settings.
    :param clock: measures all limits and durations; None is the monotonic clock.
    :raises ProxymuxError: if the codec, the event listeners or the files of TLS to a target cannot be loaded.
    """
    from proxymux.core.codecs.resp import RespCodec
    from proxymux.net.driver import make_driver
    from proxymux.pool.fixed_decider import FixedDecider
    from proxymux.pool.following import WHOLE, WorkerShare
    from proxymux.pool.modes import exclusive_mode, shared_mode
    from proxymux.pool.request_router import load_router
    from proxymux.pool.routed_mode import routed_mode
    from proxymux.supervisor.seat import Seat
    from proxymux.tap.clusters import make_clusters
    from proxymux.tap.wiring import make_counters, make_events, make_log, make_service

    share = WHOLE
    if Seat.current is not None:
        share = WorkerShare(Seat.current.number, Seat.current.workers)
        settings = settings.share_of(*share)
    log = log or make_log(settings)
    driver = make_driver(reactor, settings, log, clock=clock)
    events = make_events(log)
    for target in settings.target:
        if target.tls is not None:
            try:
                driver.client_tls.check(target.tls)
            except BadCertificate as problem:
                raise ConfigError("--target, --tls-ca or --tls-cert", str(problem)) from None
    make_mode = routed_mode if settings.routes else exclusive_mode if settings.chosen_mode == "proxy" else shared_mode
    codec = load_codec(settings.codec, settings.limits, **settings.codec_choices)
    counters = make_counters(settings)
    clusters = make_clusters(settings, driver, log)
    mode = make_mode(settings, codec, driver, events, log, clusters, counters, share)
    if settings.listeners is not None:
        load_listeners(events, settings.listeners)
    setups = codec.setups if isinstance(codec, RespCodec) else None
    if setups is not None:
        setups.database = settings.database

    def make_decider() -> FixedDecider:
        if setups is not None and settings.auth_file is not None:
            setups.credentials = load_credentials(settings.auth_file)
        if settings.router is not None and mode.places is not None:
            mode.places.router = load_router(settings.router, codec, log, tuple(clusters))
        return FixedDecider(f"pool ({settings.chosen_mode})", mode.decision)

    return make_service(
        driver,
        "pool",
        make_decider,
        settings.of_sessions,
        log,
        counters=counters,
        events=events,
        connector=mode.connector,
        join=mode.join,
        join_pool=mode.join_pool,
        leases=mode.leases,
        clusters=clusters,
        ipv6_only=settings.ipv6_only,
        warnings=warnings(settings),
    )
