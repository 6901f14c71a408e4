"""The pool's configuration as its ancestor has it, in the environment or in an object, and its rule for the mode."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from proxymux.core.excerpt import excerpt
from proxymux.errors import ConfigError

Mode = Literal["proxy", "fifo", "funnel"]

_LEVELS: Final = {"0": "error", "1": "error", "2": "info", "3": "debug"}
_FLAGS: Final = {"0": False, "1": True, "": False, "false": False, "true": True}
#: Targets that a pool may have.
MAX_TARGETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class AncestorConfig:
    """What the ancestor could be told; None is "not given".

    :param inactivity: milliseconds; None is off.
    :param max_connections: clients at once; None is off.
    """

    targets: tuple[str, ...] = ()
    host: str | None = None
    port: int | None = None
    ipv6_only: bool = False
    max_connections: int | None = None
    is_async: bool = False
    inactivity: int | None = None
    keep_alive: bool = False
    log_level: str | None = None


def mode_by_rule(targets: int, max_connections: int | None) -> Mode:
    """The mode for a number of targets and of clients, by the ancestor's rule."""
    if targets == max_connections:
        return "proxy"
    return "fifo" if targets == 1 else "funnel"


def from_environment(environment: Mapping[str, str]) -> AncestorConfig:
    """Read the ancestor's variables; one that is empty is not set.

    :raises ConfigError: naming the variable that is missing or not accepted.
    """
    given = {name: value for name, value in environment.items() if value}
    count = _count("PROXY_CONNECTIONS_CNT", given.get("PROXY_CONNECTIONS_CNT"))
    targets = []
    for number in range(1, count + 1):
        host, port = (_required(f"TARGET_{what}_{number}", given) for what in ("HOST", "PORT"))
        targets.append(_target(host, f"TARGET_PORT_{number}", port))
    beyond = [
        name for name in given if (match := re.fullmatch(r"TARGET_HOST_(\d{1,9})", name)) and int(match[1]) > count
    ]
    if beyond:
        raise ConfigError("PROXY_CONNECTIONS_CNT", f"is {count}, but {min(beyond)} is set too; make them agree")
    return AncestorConfig(
        tuple(targets),
        _required("LOCAL_HOST", given),
        _port("LOCAL_PORT", _required("LOCAL_PORT", given)),
        _flag("LOCAL_IPV6_ONLY", given.get("LOCAL_IPV6_ONLY")),
        _limit("LOCAL_MAX_CONNECTIONS", given.get("LOCAL_MAX_CONNECTIONS")),
        _flag("EXCHANGE_FUNNEL_ASYNC", given.get("EXCHANGE_FUNNEL_ASYNC")),
        _limit("PROXY_INACTIVE_TIMEOUT", given.get("PROXY_INACTIVE_TIMEOUT")),
        any(_flag(name, given.get(name)) for name in (f"TARGET_CONN_{n}_KEEP_ALIVE" for n in range(1, count + 1))),
        _level("LOG_LEVEL", given.get("LOG_LEVEL")),
    )


def from_object(config: Any) -> AncestorConfig:
    """Read the ancestor's configuration object: a mapping, or anything with its keys as attributes.

    :raises ConfigError: naming the key that is missing or not accepted.
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
        targets.append(_target(str(host), f"{name}: port", port))
    return AncestorConfig(
        tuple(targets),
        None if _get(config, "localServerHost") is None else str(_get(config, "localServerHost")),
        None if _get(config, "localServerPort") is None else _port("localServerPort", _get(config, "localServerPort")),
        _flag("localServerIpv6Only", _get(config, "localServerIpv6Only")),
        _limit("localServerMaxConnections", _get(config, "localServerMaxConnections")),
        _flag("exchangeFunnelAsync", _get(config, "exchangeFunnelAsync")),
        _limit("proxyInactivityTimeout", _get(config, "proxyInactivityTimeout")),
        any(_flag("keepAlive", _get(server, "keepAlive")) for server in servers),
        _level("logLevel", _get(config, "logLevel")),
    )


def _get(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)


def _required(name: str, given: Mapping[str, str]) -> str:
    if name not in given:
        raise ConfigError(name, "is required")
    return given[name]


def _whole(name: str, value: Any, low: int, high: int, accepted: str) -> int:
    text = str(value) if not isinstance(value, bool) else ""
    if not re.fullmatch(r"-?[0-9]{1,10}", text, re.ASCII) or not low <= int(text) <= high:
        raise ConfigError(name, f"{excerpt(value)} is not accepted; {accepted} is")
    return int(text)


def _count(name: str, value: Any) -> int:
    if value is None:
        raise ConfigError(name, "is required")
    return _whole(name, value, 1, MAX_TARGETS, f"a number of targets from 1 to {MAX_TARGETS}")


def _port(name: str, value: Any) -> int:
    return _whole(name, value, 0, 65535, "a port from 0 to 65535")


def _limit(name: str, value: Any) -> int | None:
    if value is None:
        return None
    number = _whole(name, value, -(2**31), 2**31 - 1, "a whole number, or -1 for off")
    return number if number > 0 else None


def _choice(name: str, value: Any, choices: Mapping[str, Any], accepted: str) -> Any:
    text = str(value).lower() if not isinstance(value, bool) else str(int(value))
    if text not in choices:
        raise ConfigError(name, f"{excerpt(value)} is not accepted; {accepted} is")
    return choices[text]


def _flag(name: str, value: Any) -> bool:
    return value is not None and bool(_choice(name, value, _FLAGS, "0 or 1"))


def _level(name: str, value: Any) -> str | None:
    return None if value is None else str(_choice(name, value, _LEVELS, "0, 1, 2 or 3"))


def _target(host: str, name: str, port: Any) -> str:
    number = _whole(name, port, 1, 65535, "a port from 1 to 65535")
    return f"[{host}]:{number}" if ":" in host and not host.startswith("[") else f"{host}:{number}"
