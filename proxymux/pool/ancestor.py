"""Reads the configuration of the Node.js pool that this one replaces: environment variables or an object."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict, TypeVar

from proxymux.core.excerpt import excerpt
from proxymux.core.target import parse_address
from proxymux.errors import BadAddress, ConfigError
from proxymux.pool.settings import FUNNEL_HINT, SETUP_HINT, PoolSettings
from proxymux.settings import LAST_PORT, LogLevel, host_endpoint

_LEVELS: Final[dict[str, LogLevel]] = {"0": "error", "1": "error", "2": "info", "3": "debug"}
_FLAGS: Final = {"0": False, "1": True, "": False, "false": False, "true": True}
#: The most targets that a pool may have.
MAX_TARGETS: Final = 10_000
#: Stands in for the variables of the listening address where ``--listen`` gives it.
_UNUSED_ADDRESS: Final = {"LOCAL_HOST": "0.0.0.0", "LOCAL_PORT": "0"}

Choice = TypeVar("Choice")


class AncestorValues(TypedDict, total=False):
    """The ancestor's configuration, under the names of our settings; None means "not given"."""

    target: tuple[str, ...]
    listen: str | None
    ipv6_only: bool
    max_connections: int | None
    async_: bool
    inactivity_timeout: int | None
    keep_alive: bool
    log_level: LogLevel | None


def read_pool_settings(given: Mapping[str, object], config: object, environment: Mapping[str, str]) -> PoolSettings:
    """Make the settings of a pool from its options and from the ancestor's configuration.

    :param given: options by the names of :class:`~proxymux.pool.settings.PoolSettings`; they override the ancestor's.
    :param config: the ancestor's configuration object, or None.
    :param environment: the process environment; its variables are read if neither ``config`` nor a target is given.
    :raises ConfigError: naming the option, key or variable that is missing or whose value is not accepted.
    """
    settings = PoolSettings.read({**_from_ancestor(given, config, environment), **given})
    if given.get("mode") == "funnel" and given.get("codec") is None:
        raise ConfigError("--mode", f"{FUNNEL_HINT}, or --codec raw if its guesses are good enough")
    if given.get("async_"):
        if settings.chosen_mode != "funnel":
            raise ConfigError("--async", f"is for funnel mode; this is {settings.chosen_mode} mode, see --mode")
        if settings.codec == "raw":
            raise ConfigError("--async", "needs to know where replies end; give a --codec that does")
    return settings


def _from_ancestor(given: Mapping[str, object], config: object, environment: Mapping[str, str]) -> AncestorValues:
    if config is not None:
        return from_object(config)
    if given.get("target") or given.get("router"):
        return {}
    if "PROXY_CONNECTIONS_CNT" not in environment:
        raise ConfigError("--target", f"missing; {SETUP_HINT}")
    return from_environment({**(_UNUSED_ADDRESS if given.get("listen") else {}), **environment})


def from_environment(environment: Mapping[str, str]) -> AncestorValues:
    """Read the ancestor's variables.  An empty variable counts as not set.

    :raises ConfigError: naming the variable that is missing or whose value is not accepted.
    """
    given = {name: value for name, value in environment.items() if value}
    count = _count("PROXY_CONNECTIONS_CNT", given.get("PROXY_CONNECTIONS_CNT"))
    targets = []
    for number in range(1, count + 1):
        host, port = (_required(f"TARGET_{what}_{number}", given) for what in ("HOST", "PORT"))
        targets.append(_target(f"TARGET_HOST_{number}", host, f"TARGET_PORT_{number}", port))
    beyond = [
        name for name in given if (match := re.fullmatch(r"TARGET_HOST_(\d{1,9})", name)) and int(match[1]) > count
    ]
    if beyond:
        raise ConfigError("PROXY_CONNECTIONS_CNT", f"is {count}, but {min(beyond)} is set too; make them agree")
    return AncestorValues(
        target=tuple(targets),
        listen=host_endpoint(_required("LOCAL_HOST", given), _port("LOCAL_PORT", _required("LOCAL_PORT", given))),
        ipv6_only=_flag("LOCAL_IPV6_ONLY", given.get("LOCAL_IPV6_ONLY")),
        max_connections=_limit("LOCAL_MAX_CONNECTIONS", given.get("LOCAL_MAX_CONNECTIONS")),
        async_=_flag("EXCHANGE_FUNNEL_ASYNC", given.get("EXCHANGE_FUNNEL_ASYNC")),
        inactivity_timeout=_limit("PROXY_INACTIVE_TIMEOUT", given.get("PROXY_INACTIVE_TIMEOUT")),
        keep_alive=any(_flag(name, given.get(name)) for name in _keep_alive_names(count)),
        log_level=_level("LOG_LEVEL", given.get("LOG_LEVEL")),
    )


def from_object(config: object) -> AncestorValues:
    """Read the ancestor's configuration object: a mapping, or anything with its keys as attributes.

    :raises ConfigError: naming the key that is missing or whose value is not accepted.
    """
    count = _count("proxyConnectionsCount", _get(config, "proxyConnectionsCount"))
    servers = _get(config, "targetServers")
    if isinstance(servers, (str, bytes)) or not isinstance(servers, Sequence):
        raise ConfigError("targetServers", "is no list; a list of host and port is wanted")
    if len(servers) != count:
        raise ConfigError(
            "proxyConnectionsCount", f"{count} does not match the number of target servers, {len(servers)}"
        )
    targets = []
    for number, server in enumerate(servers, 1):
        name = f"targetServers {number}"
        host, port = _get(server, "host"), _get(server, "port")
        if host is None or port is None:
            raise ConfigError(name, "has no host or no port")
        targets.append(_target(f"{name}: host", str(host), f"{name}: port", port))
    host, port = _get(config, "localServerHost"), _get(config, "localServerPort")
    return AncestorValues(
        target=tuple(targets),
        listen=None if port is None else host_endpoint(str(host or "0.0.0.0"), _port("localServerPort", port)),
        ipv6_only=_flag("localServerIpv6Only", _get(config, "localServerIpv6Only")),
        max_connections=_limit("localServerMaxConnections", _get(config, "localServerMaxConnections")),
        async_=_flag("exchangeFunnelAsync", _get(config, "exchangeFunnelAsync")),
        inactivity_timeout=_limit("proxyInactivityTimeout", _get(config, "proxyInactivityTimeout")),
        keep_alive=any(_flag("keepAlive", _get(server, "keepAlive")) for server in servers),
        log_level=_level("logLevel", _get(config, "logLevel")),
    )


def _get(config: object, name: str) -> object:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)


def _keep_alive_names(count: int) -> list[str]:
    return [f"TARGET_CONN_{number}_KEEP_ALIVE" for number in range(1, count + 1)]


def _required(name: str, given: Mapping[str, str]) -> str:
    if name not in given:
        raise ConfigError(name, "is required")
    return given[name]


def _whole_number(name: str, value: object, low: int, high: int, accepted: str) -> int:
    text = str(value) if not isinstance(value, bool) else ""
    if not re.fullmatch(r"-?[0-9]{1,10}", text, re.ASCII) or not low <= int(text) <= high:
        raise ConfigError(name, f"{excerpt(value)} is not accepted; {accepted} is")
    return int(text)


def _count(name: str, value: object) -> int:
    if value is None:
        raise ConfigError(name, "is required")
    return _whole_number(name, value, 1, MAX_TARGETS, f"a number of targets from 1 to {MAX_TARGETS}")


def _port(name: str, value: object) -> int:
    return _whole_number(name, value, 0, LAST_PORT, f"a port from 0 to {LAST_PORT}")


def _limit(name: str, value: object) -> int | None:
    if value is None:
        return None
    number = _whole_number(name, value, -(2**31), 2**31 - 1, "a whole number, or -1 for off")
    return number if number > 0 else None


def _choice(name: str, value: object, choices: Mapping[str, Choice], accepted: str) -> Choice:
    text = str(value).lower() if not isinstance(value, bool) else str(int(value))
    if text not in choices:
        raise ConfigError(name, f"{excerpt(value)} is not accepted; {accepted} is")
    return choices[text]


def _flag(name: str, value: object) -> bool:
    return value is not None and _choice(name, value, _FLAGS, "0 or 1")


def _level(name: str, value: object) -> LogLevel | None:
    return None if value is None else _choice(name, value, _LEVELS, "0, 1, 2 or 3")


def _target(host_name: str, host: str, port_name: str, port: object) -> str:
    number = _whole_number(port_name, port, 1, LAST_PORT, f"a port from 1 to {LAST_PORT}")
    text = f"[{host}]:{number}" if ":" in host and not host.startswith("[") else f"{host}:{number}"
    try:
        parse_address(text)
    except BadAddress as error:
        raise ConfigError(host_name, str(error)) from None
    return text
