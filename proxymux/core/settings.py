"""Settings: the options that every service shares, read once from text into values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from proxymux.core.admission import Network, parse_network
from proxymux.errors import BadAddress, ConfigError

LOOPBACK = (parse_network("127.0.0.0/8"), parse_network("::1/128"))


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError
    return value


def _some_seconds(text: str) -> float:
    value = _seconds(text)
    if not value:
        raise ValueError
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not int(text):
        raise ValueError
    return int(text)


def _count_or_off(text: str) -> int | None:
    return None if text == "off" else _count(text)


def _one_of(*choices: str) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return choose


def _path(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _networks(texts: str | Iterable[str]) -> tuple[Network, ...]:
    return tuple(parse_network(text) for text in ([texts] if isinstance(texts, str) else texts))


def _texts(texts: str | Iterable[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _option(default: Any, read: Callable[[Any], Any], accepted: str) -> Any:
    return field(default=default, metadata={"read": read, "accepted": accepted})


@dataclass(frozen=True, slots=True)
class Settings:
    """The shared options.  A name here with dashes for its underscores is the option's."""

    listen: tuple[str, ...] = _option((), _texts, "Twisted server endpoints")
    trust_proxy: tuple[Network, ...] = _option(LOOPBACK, _networks, "CIDRs")
    allow: tuple[Network, ...] = _option((), _networks, "CIDRs")
    deny: tuple[Network, ...] = _option((), _networks, "CIDRs")
    deny_file: tuple[str, ...] = _option((), _texts, "files")
    max_connections: int | None = _option(None, _count_or_off, "a whole number of at least 1, or off")
    max_per_client: int | None = _option(None, _count_or_off, "a whole number of at least 1, or off")
    decide_timeout: float = _option(30.0, _some_seconds, "a number of seconds greater than 0")
    max_buffer: int = _option(65536, _count, "a whole number of bytes of at least 1")
    backlog: int = _option(4096, _count, "a whole number of at least 1")
    idle_timeout: float = _option(0.0, _seconds, "a number of seconds of at least 0; 0 is off")
    drain_timeout: float = _option(10.0, _seconds, "a number of seconds of at least 0")
    send_proxy: Literal["v1", "v2"] | None = _option(None, _one_of("v1", "v2"), "v1 or v2")
    access_log: str | None = _option(None, _path, "a file or -")
    log_level: str = _option("info", _one_of("debug", "info", "warn", "error"), "debug, info, warn or error")
    relay: str = _option("auto", _one_of("auto", "transport"), "auto or transport")


def read_settings(given: Mapping[str, Any]) -> Settings:
    """The settings that ``given`` names, the rest by default.

    :param given: values by the names of :class:`Settings`, as text or as they are; None and an empty list are "not
        given".
    :raises ConfigError: for a value that is not accepted, and for a name that there is not.
    """
    known = {each.name: each for each in fields(Settings)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise ConfigError(name, f"there is no such option; {', '.join(known)} are")
        if value is None or value == [] or value == ():
            continue
        metadata = known[name].metadata
        option = "--" + name.replace("_", "-")
        try:
            values[name] = metadata["read"](value if isinstance(value, (list, tuple)) else str(value))
        except BadAddress as error:
            raise ConfigError(option, str(error)) from None
        except (ValueError, TypeError):
            raise ConfigError(option, f"{value!r:.60} is not accepted; {metadata['accepted']} is") from None
    return Settings(**values)
