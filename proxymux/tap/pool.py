"""The pool service: its options, and how it is put together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from proxymux.pool.ancestor import read_pool_settings
from proxymux.pool.settings import PoolSettings
from proxymux.tap.keywords import takes
from proxymux.tap.options import SettingsOptions, make_checked

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.logger import Logger

    from proxymux.core.codecs import Codec
    from proxymux.core.events import Events
    from proxymux.core.leasing import Leasing
    from proxymux.net.driver import Driver
    from proxymux.pool.leases import Leases
    from proxymux.service import ProxyService
    from proxymux.session.context import Join, UpstreamSource

#: Codecs whose servers take the next request before they have answered the one before, as far as is known.
_PIPELINED: Final = ("resp", "memcache")


class Options(SettingsOptions[PoolSettings]):
    """Command line of ``twistd proxymux-pool``."""

    kind = PoolSettings
    synopsis = "[options] --listen ENDPOINT --target HOST:PORT …"
    longdesc = (
        "A connection multiplexer: many clients share few upstream connections. Each --target is one connection. With"
        " as many of them as --max-connections every client has one for itself (proxy); with one, clients take turns"
        " (fifo); else a request takes the one that is least busy (funnel). Without options it reads the ancestor's"
        " environment variables. Signals: QUIT waits for every connection to end, TERM and INT for --drain-timeout, a"
        " second one ends them now; HUP reloads the deny files; USR1 reopens log files."
    )

    def read(self, given: Mapping[str, object]) -> PoolSettings:
        """The settings for what was given, the rest in the ancestor's ways.

        :raises ConfigError: naming the option, or the variable, that is missing or has a bad value.
        """
        return _read(given)


def _read(given: Mapping[str, object]) -> PoolSettings:
    config, name = given.get("config"), given.get("config_object")
    if config is None and name is not None:
        from proxymux.pool.loading import load_config

        config = load_config(str(name))
    return read_pool_settings(given, config, os.environ)


def makeService(options: Options) -> IService:
    """The service that the command line asks for."""
    from twisted.internet import reactor

    return make_checked(options, lambda: make_pool(reactor, options.settings))


@takes(PoolSettings, _read)
def Multiplexer(settings: PoolSettings) -> ProxyService:
    """A pool service for a ``.tac`` file.

    Its arguments are the options, with underscores for dashes (and ``async_``), after the ancestor's configuration
    object, if there is one: ``Multiplexer(config, warmup=True, codec="resp")``. Without that and without a ``target``
    the ancestor's environment variables are read.

    :raises ProxymuxError: if a value is not accepted.
    """
    from twisted.internet import reactor

    service = make_pool(reactor, settings)
    service.check()
    return service


def make_pool(reactor: object, settings: PoolSettings, log: Logger | None = None) -> ProxyService:
    """Put a pool service together.

    :param log: where it logs to; None is to twistd's log, from the level that the settings say.
    :raises ProxymuxError: if its codec or its listeners cannot be loaded.
    """
    from proxymux.net.driver import make_driver
    from proxymux.pool.loading import load_codec, load_listeners
    from proxymux.pool.share_decider import ShareDecider
    from proxymux.tap.wiring import make_events, make_log, make_service

    log = log or make_log(settings.log_level)
    driver = make_driver(reactor, settings, log)
    events = make_events(log)
    make_mode = _exclusive if settings.chosen_mode == "proxy" else _shared
    leases, connector, join = make_mode(settings, load_codec(settings.codec), driver, events, log)
    if settings.listeners is not None:
        load_listeners(events, settings.listeners)
    return make_service(
        driver,
        "pool",
        lambda: ShareDecider(f"pool ({settings.chosen_mode})", settings.target),
        settings.of_sessions,
        log,
        events=events,
        connector=connector,
        join=join,
        leases=leases,
        ipv6_only=settings.ipv6_only,
    )


def _exclusive(
    settings: PoolSettings, codec: Codec, driver: Driver, events: Events, log: Logger
) -> tuple[Leases, UpstreamSource, Join]:
    """Proxy mode: a client has its upstream for itself."""
    from proxymux.net.connector import Connector
    from proxymux.pool.exclusive import ExclusiveLeases
    from proxymux.pool.modes import PipedRelay
    from proxymux.pool.observed import ObservedRelay

    leasing = _leasing(settings, _is_pipelined(settings, codec), True)
    leases = ExclusiveLeases(driver.timers, Connector(driver, settings), leasing)
    observed = ObservedRelay(driver.reactor, driver.timers, settings.raw_gap / 1000, events, log)
    return leases, leases, PipedRelay(driver.join, observed.join, events).join


def _shared(
    settings: PoolSettings, codec: Codec, driver: Driver, events: Events, log: Logger
) -> tuple[Leases, UpstreamSource, Join]:
    """FIFO and Funnel mode: clients share upstreams."""
    from proxymux.net.connector import Connector
    from proxymux.pool.modes import DetachedRelay, Sharing
    from proxymux.pool.pool import Pool

    pipelined = _is_pipelined(settings, codec)
    pool = Pool(
        driver.reactor,
        driver.timers,
        Connector(driver, settings),
        codec,
        _leasing(settings, pipelined, False),
        events,
        log,
        driver.call_soon,
        settings,
    )
    batches = pipelined or settings.codec in _PIPELINED
    return pool, Sharing(), DetachedRelay(pool, driver.join, pipelined, batches, len(settings.target) > 1).join


def _is_pipelined(settings: PoolSettings, codec: Codec) -> bool:
    return not codec.gap and (settings.async_ or (settings.chosen_mode == "fifo" and settings.codec in _PIPELINED))


def _leasing(settings: PoolSettings, pipelined: bool, exclusive: bool) -> Leasing:
    import random

    from proxymux.core.leasing import Leasing
    from proxymux.core.target import parse_target

    return Leasing(
        map(parse_target, settings.target),
        pipelined=pipelined,
        exclusive=exclusive,
        queue_limit=settings.queue_limit,
        queue_timeout=settings.queue_timeout,
        jitter=lambda: random.uniform(0.5, 1.5),
    )
