"""The pool service: its options, and how it is put together."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from proxymux.core.events import EVENTS
from proxymux.errors import BadCodec, ConfigError, ProxymuxError, RouterError
from proxymux.pool.ancestor import from_object
from proxymux.settings import Settings
from proxymux.tap.options import SharedOptions, fail
from proxymux.tap.pool_settings import PoolSettings, given

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.logger import Logger

    from proxymux.core.codecs import Codec
    from proxymux.service import ProxyService


class Options(SharedOptions):
    """Command line of ``twistd proxymux-pool``."""

    synopsis = "[options] --listen ENDPOINT --target HOST:PORT …"
    longdesc = (
        "A connection multiplexer: many clients share few upstream connections. Each --target is one connection. With"
        " as many of them as --max-connections every client has one for itself (proxy); with one, clients take turns"
        " (fifo); else a request takes the one that is least busy (funnel). Without options it reads the ancestor's"
        " environment variables. Signals: QUIT waits for every connection to end, TERM and INT for --drain-timeout, a"
        " second one ends them now; HUP reloads the deny files; USR1 reopens log files."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["mode", None, None, "proxy, fifo or funnel [default: by the numbers of targets and of connections]"],
        [
            "codec",
            None,
            None,
            "raw, line, length:N, resp, http, memcache, modbus or package.module:attr [default: raw]",
        ],
        ["raw-gap", None, None, "milliseconds of silence that end a reply, where no codec can tell [default: 5]"],
        ["inactivity-timeout", None, None, "milliseconds until an idle upstream is closed, 0 is off [default: 0]"],
        ["queue-limit", None, None, "requests, or clients in proxy mode, that may wait [default: 1024]"],
        ["queue-timeout", None, None, "seconds that they may wait [default: 30]"],
        ["request-timeout", None, None, "seconds until a reply must be whole [default: 60]"],
        ["config-object", None, None, "package.module:ATTR, the ancestor's configuration object"],
        [
            "listeners",
            None,
            None,
            "file or module whose functions are named after events: connected, request …",
        ],
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        ["async", None, "funnel: send requests on upstreams that have not answered the one before"],
        ["keep-alive", None, "TCP keep-alive on upstreams; it is always on, see --tcp-keepalive"],
        ["warmup", None, "connect to all targets before there are clients"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["target"] = []

    def opt_target(self, value: str) -> None:
        """HOST:PORT that may have one connection; repeat it for more, to the same or to others."""
        self["target"].append(value)

    def postOptions(self) -> None:
        """Look at what the options say together.

        :raises ConfigError: if that makes no sense.
        """
        self.pool = PoolSettings(self, given(self, os.environ))
        for name, value in self.pool.defaults.items():
            if self[name] is None:
                self[name] = value
        self.shared = self.settings(self.pool.listen)


def makeService(options: Options) -> IService:
    """The service that the command line asks for."""
    from twisted.internet import reactor

    try:
        service = make_pool(reactor, options.pool, options.shared)
        service.check()
    except ProxymuxError as error:
        fail(error)
    if options["check"]:
        print("ok")
        raise SystemExit(0)
    return service


def Multiplexer(config: Any = None, warmup: bool = False, **settings: Any) -> ProxyService:
    """A pool service for a ``.tac`` file.

    :param config: the ancestor's configuration object; None is to read its environment variables, unless ``settings``
        has targets.
    :param warmup: connect to all targets before there are clients.
    :param settings: the options with underscores for dashes, for example ``codec="resp"``.
    :raises ProxymuxError: if a value is not accepted.
    """
    from twisted.internet import reactor

    options = Options()
    options["warmup"] = warmup
    for name, value in settings.items():
        option = name.strip("_").replace("_", "-")
        if option not in options:
            raise ConfigError(name, "there is no such option")
        many = isinstance(options[option], list)
        one = value if value is None or isinstance(value, (str, bool)) else str(value)
        options[option] = ([value] if isinstance(value, str) else list(value)) if many else one
    pool = PoolSettings(options, given(options, os.environ) if config is None else from_object(config))
    for name, value in pool.defaults.items():
        if options[name] is None:
            options[name] = value
    service = make_pool(reactor, pool, options.settings(pool.listen))
    service.check()
    return service


def make_pool(reactor: Any, own: PoolSettings, settings: Settings, log: Logger | None = None) -> ProxyService:
    """Put a pool service together.

    :param log: where it logs to; None is to twistd's log, from the level that the settings say.
    :raises ProxymuxError: if its codec or its listeners cannot be loaded.
    """
    import random

    from proxymux.core.leasing import Leasing
    from proxymux.core.target import parse_target
    from proxymux.net.connector import Connector
    from proxymux.pool.exclusive import ExclusiveLeases
    from proxymux.pool.modes import DetachedRelay, PipedRelay, Sharing
    from proxymux.pool.observed import ObservedRelay
    from proxymux.pool.pool import Pool
    from proxymux.pool.share_decider import ShareDecider
    from proxymux.tap.wiring import CONNECT_TIMEOUT, make_driver, make_events, make_log, make_service

    log = log or make_log(settings.log_level)
    driver = make_driver(reactor, settings, log)
    events = make_events(log)
    codec = load_codec(own.codec)
    pipelined = not codec.gap and (own.is_async or (own.mode == "fifo" and codec.pipelines))
    exclusive = own.mode == "proxy"
    leasing = Leasing(
        map(parse_target, own.targets),
        pipelined=pipelined,
        exclusive=exclusive,
        queue_limit=own.queue_limit,
        queue_timeout=own.queue_timeout,
        jitter=lambda: random.uniform(0.5, 1.5),
    )
    connector = Connector(driver, CONNECT_TIMEOUT, settings.send_proxy)
    if exclusive:
        leases: Any = ExclusiveLeases(driver.timers, connector, leasing)
        connector = leases
        observed = ObservedRelay(reactor, driver.timers, own.raw_gap, events, log)
        join: Any = PipedRelay(driver.join, observed.join, events).join
        if own.inactivity is not None and not settings.idle_timeout:
            settings = replace(settings, idle_timeout=own.inactivity)
    else:
        leases = Pool(
            reactor, driver.timers, connector, codec, leasing, events, log, driver.call_soon,
            is_ordered=own.mode == "fifo", raw_gap=own.raw_gap, request_timeout=own.request_timeout,
            idle_timeout=own.inactivity, warmup=own.warmup,
        )  # fmt: skip
        connector = Sharing()  # type: ignore[assignment]
        join = DetachedRelay(leases, driver.join, pipelined, pipelined or codec.pipelines).join
    if own.listeners is not None:
        _subscribe(events, own.listeners)
    return make_service(
        driver,
        "pool",
        lambda: ShareDecider(f"pool ({own.mode})", own.targets, settings.send_proxy),
        settings,
        log,
        events=events,
        connector=connector,
        join=join,
        leases=leases,
        ipv6_only=own.ipv6_only,
    )


def load_codec(name: str) -> Codec:
    """The codec of that name, one of ours or the user's; what the user's need not say is filled in.

    :raises ConfigError: if there is none.
    """
    from proxymux.core.codecs import complete, make_codec

    try:
        if ":" not in name or name.startswith("length:"):
            return make_codec(name)
    except BadCodec as error:
        raise ConfigError("--codec", str(error)) from None
    from proxymux.router.loading import find

    try:
        found, _, _ = find(name)
    except RouterError as error:
        raise ConfigError("--codec", str(error)) from None
    try:
        codec = found() if isinstance(found, type) else found
    except Exception as error:  # the user's constructor may do anything
        raise ConfigError("--codec", f"{name}: {type(error).__name__}: {error}") from None
    missing = [f"{each}()" for each in ("requests", "replies", "failure") if not callable(getattr(codec, each, None))]
    missing += [each for each in ("name", "gap") if not hasattr(codec, each)]
    if missing:
        raise ConfigError("--codec", f"{name}: it has no {missing[0]}; see docs/pool.rst for what a codec has")
    return complete(codec)


def _subscribe(events: Any, name: str) -> None:
    from proxymux.router.loading import find

    try:
        found, _, filename = find(name)
    except RouterError as error:
        raise ConfigError("--listeners", str(error)) from None
    functions = {event: getattr(found, event, None) for event in EVENTS}
    heard = {event: function for event, function in functions.items() if callable(function)}
    if not heard:
        raise ConfigError("--listeners", f"{filename}: it defines none of {', '.join(EVENTS)}")
    for event, function in heard.items():
        events.on(event, function)
