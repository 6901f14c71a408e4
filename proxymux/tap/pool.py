"""The pool service: its options, and how it is put together."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from proxymux.core.events import EVENTS
from proxymux.core.pool_config import PoolConfig, from_environment, from_object, mode_by_rule
from proxymux.core.settings import Settings, count, one_of, read_option, some_seconds
from proxymux.errors import BadAddress, BadCodec, ConfigError, ProxymuxError, RouterError
from proxymux.tap.options import SharedOptions, fail, host_endpoint

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.logger import Logger

    from proxymux.service import ProxyService

_MODES: Final = ("proxy", "fifo", "funnel")
#: Codecs whose servers take the next request before they have answered the one before, as far as is known.
_PIPELINED: Final = ("resp", "memcache")
_HOW_TO: Final = "give --target HOST:PORT and --listen, or set PROXY_CONNECTIONS_CNT, TARGET_HOST_1, TARGET_PORT_1 …"


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
        self.pool = PoolSettings(self, _given(self, os.environ))
        for name, value in self.pool.defaults.items():
            if self[name] is None:
                self[name] = value
        self.shared = self.settings(self.pool.listen)


def _given(options: Any, environment: Any) -> PoolConfig:
    """What is said in the ancestor's ways."""
    if options["config-object"] is not None:
        return _load_config(options["config-object"])
    if options["target"]:
        return PoolConfig()
    if "PROXY_CONNECTIONS_CNT" not in environment:
        raise ConfigError("--target", f"missing; {_HOW_TO}")
    return from_environment({**environment, **_not_needed(options, environment)})


def _not_needed(options: Any, environment: Any) -> dict[str, str]:
    """Where options say it, the environment need not."""
    if not options["listen"]:
        return {}
    return {
        name: value for name, value in {"LOCAL_HOST": "0.0.0.0", "LOCAL_PORT": "0"}.items() if name not in environment
    }


def _load_config(name: str) -> PoolConfig:
    from proxymux.router.loading import find

    try:
        found, _, _ = find(name)
    except RouterError as error:
        raise ConfigError("--config-object", str(error)) from None
    return from_object(found)


class PoolSettings:
    """The pool's own options, read.

    :param config: what is said in the ancestor's ways; options win.
    :raises ConfigError: naming the option that has a bad value.
    """

    def __init__(self, options: Any, config: PoolConfig) -> None:
        def read(name: str, default: str, reader: Any, accepted: str) -> Any:
            given = options[name]
            return read_option(f"--{name}", default if given is None else given, reader, accepted)

        self.targets = list(options["target"] or config.targets)
        for target in self.targets:
            _check_target(target)
        most = config.max_connections if options["max-connections"] is None else options["max-connections"]
        self.mode = read("mode", mode_by_rule(len(self.targets), _number(most)), one_of(*_MODES), ", ".join(_MODES))
        self.is_async = bool(options["async"] or config.is_async)
        if options["async"] and self.mode != "funnel":
            raise ConfigError("--async", f"is for funnel mode; this is {self.mode} mode, see --mode")
        if self.mode == "fifo" and len(self.targets) != 1:
            raise ConfigError("--mode", f"fifo has one target, not {len(self.targets)}; funnel is accepted")
        self.codec: str = "raw" if options["codec"] is None else options["codec"]
        if options["async"] and self.codec == "raw":
            raise ConfigError("--async", "needs to know where replies end; give a --codec that does")
        self.raw_gap: float = read("raw-gap", "5", some_seconds, "a number of milliseconds greater than 0") / 1000
        self.inactivity: float | None = (
            read("inactivity-timeout", str(config.inactivity or 0), _milliseconds, "a number of milliseconds") or None
        )
        self.queue_limit: int = read("queue-limit", "1024", count, "a whole number of at least 1")
        self.queue_timeout: float = read("queue-timeout", "30", some_seconds, "a number of seconds greater than 0")
        self.request_timeout: float = read("request-timeout", "60", some_seconds, "a number of seconds greater than 0")
        self.warmup = bool(options["warmup"])
        self.listeners: str | None = options["listeners"]
        self.ipv6_only = config.ipv6_only
        self.listen: list[str] = list(options["listen"])
        if not self.listen and config.port is not None:
            self.listen.append(host_endpoint("LOCAL_PORT", config.host or "0.0.0.0", str(config.port)))
        if not self.listen:
            raise ConfigError("--listen", f"missing; {_HOW_TO}")
        #: What the ancestor's ways say of shared options.
        self.defaults: dict[str, str | None] = {
            "max-connections": None if config.max_connections is None else str(config.max_connections),
            "log-level": config.log_level,
        }


def _check_target(text: str) -> None:
    from proxymux.core.target import parse_target

    try:
        parse_target(text)
    except BadAddress as error:
        raise ConfigError("--target", str(error)) from None


def _number(most: object) -> int | None:
    return int(str(most)) if most is not None and str(most).isdecimal() else None


def _milliseconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 2**31:
        raise ValueError
    return value / 1000


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
    pool = PoolSettings(options, _given(options, os.environ) if config is None else from_object(config))
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
    from proxymux.net.pool.exclusive import ExclusiveLeases
    from proxymux.net.pool.modes import DetachedRelay, PipedRelay, Sharing
    from proxymux.net.pool.observed import ObservedRelay
    from proxymux.net.pool.pool import Pool
    from proxymux.pool.decider import FixedDecider
    from proxymux.tap.wiring import CONNECT_TIMEOUT, make_events, make_ground, make_log, make_service

    log = log or make_log(settings.log_level)
    ground = make_ground(reactor, settings, log)
    events = make_events(log)
    codec = load_codec(own.codec)
    pipelined = not codec.gap and (own.is_async or (own.mode == "fifo" and own.codec in _PIPELINED))
    exclusive = own.mode == "proxy"
    leasing = Leasing(
        map(parse_target, own.targets),
        pipelined=pipelined,
        exclusive=exclusive,
        queue_limit=own.queue_limit,
        queue_timeout=own.queue_timeout,
        jitter=lambda: random.uniform(0.5, 1.5),
    )
    connector = Connector(ground.timers, ground.dialler, ground.tls_dialler, CONNECT_TIMEOUT, settings.send_proxy)
    if exclusive:
        leases: Any = ExclusiveLeases(ground.timers, connector, leasing)
        connector = leases
        observed = ObservedRelay(reactor, ground.timers, own.raw_gap, events, log)
        relay: Any = PipedRelay(ground.relay, observed, events)
        if own.inactivity is not None and not settings.idle_timeout:
            settings = replace(settings, idle_timeout=own.inactivity)
    else:
        leases = Pool(
            reactor, ground.timers, connector, codec, leasing, events, log, ground.soon,
            is_ordered=own.mode == "fifo", raw_gap=own.raw_gap, request_timeout=own.request_timeout,
            idle_timeout=own.inactivity, warmup=own.warmup,
        )  # fmt: skip
        connector = Sharing()  # type: ignore[assignment]
        relay = DetachedRelay(
            leases, ground.relay, pipelined, pipelined or own.codec in _PIPELINED, len(own.targets) > 1
        )
    if own.listeners is not None:
        _subscribe(events, own.listeners)
    return make_service(
        ground,
        "pool",
        lambda: FixedDecider(f"pool ({own.mode})", own.targets, settings.send_proxy),
        settings,
        log,
        events=events,
        connector=connector,
        relay=relay,
        leases=leases,
        ipv6_only=own.ipv6_only,
    )


def load_codec(name: str) -> Any:
    """The codec of that name, one of ours or the user's.

    :raises ConfigError: if there is none.
    """
    from proxymux.core.codecs import make_codec

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
    codec = found() if isinstance(found, type) else found
    missing = [each for each in ("requests", "replies", "failure") if not callable(getattr(codec, each, None))]
    if missing:
        raise ConfigError("--codec", f"{name}: it has no {missing[0]}(); see ICodec in docs/pool.rst")
    return codec


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
