"""The pool's own options, from the command line and in the ancestor's ways."""

from __future__ import annotations

from typing import Any, Final

from proxymux.errors import BadAddress, ConfigError, RouterError
from proxymux.pool.ancestor import AncestorConfig, from_environment, from_object, mode_by_rule
from proxymux.settings import count, one_of, read_option, some_seconds
from proxymux.tap.options import host_endpoint

_MODES: Final = ("proxy", "fifo", "funnel")
_HOW_TO: Final = "give --target HOST:PORT and --listen, or set PROXY_CONNECTIONS_CNT, TARGET_HOST_1, TARGET_PORT_1 …"


def given(options: Any, environment: Any) -> AncestorConfig:
    """What is said in the ancestor's ways.

    :raises ConfigError: naming the variable, or what is missing.
    """
    if options["config-object"] is not None:
        return _load_config(options["config-object"])
    if options["target"]:
        return AncestorConfig()
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


def _load_config(name: str) -> AncestorConfig:
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

    def __init__(self, options: Any, config: AncestorConfig) -> None:
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
        if options["send-proxy"] is not None and self.mode != "proxy":
            raise ConfigError("--send-proxy", "is for proxy mode: a connection that clients share is no one client's")
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
