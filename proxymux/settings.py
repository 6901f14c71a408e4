"""Settings: the options that every service shares, read once from text into values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from proxymux.core.admission import Network, parse_network
from proxymux.core.decision import MAX_SECONDS
from proxymux.core.excerpt import excerpt
from proxymux.errors import BadAddress, ConfigError

LOOPBACK = (parse_network("127.0.0.0/8"), parse_network("::1/128"))


#: The largest count; what the system takes is a C int.
_MOST = 2**31 - 1


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= MAX_SECONDS:
        raise ValueError
    return value


def some_seconds(text: str) -> float:
    """A number of seconds greater than 0."""
    value = _seconds(text)
    if not value:
        raise ValueError
    return value


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or not 1 <= int(text) <= _MOST:
        raise ValueError
    return int(text)


def count_or_off(text: str) -> int | None:
    """A whole number of at least 1, or None for ``off``."""
    return None if text == "off" else count(text)


def _keepalive(text: str) -> int | None:
    value = count_or_off(text)
    if value is not None and value > 32767:  # what the system takes
        raise ValueError
    return value


def _user_timeout(text: str) -> float | None:
    if text == "off":
        return None
    value = float(text)
    if not 0.001 <= value <= 86400:
        raise ValueError
    return value


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words."""

    def choose(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return choose


def _path(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _option(default: Any, read: Callable[[str], Any], accepted: str) -> Any:
    return field(default=default, metadata={"read": read, "accepted": accepted, "many": False})


def _options(default: Any, read: Callable[[str], Any], accepted: str) -> Any:
    """One that may be given more than once."""
    return field(default=default, metadata={"read": read, "accepted": accepted, "many": True})


@dataclass(frozen=True, slots=True)
class Settings:
    """The shared options.  A name here with dashes for its underscores is the option's."""

    listen: tuple[str, ...] = _options((), _path, "Twisted server endpoints")
    trust_proxy: tuple[Network, ...] = _options(LOOPBACK, parse_network, "CIDRs")
    allow: tuple[Network, ...] = _options((), parse_network, "CIDRs")
    deny: tuple[Network, ...] = _options((), parse_network, "CIDRs")
    deny_file: tuple[str, ...] = _options((), _path, "files")
    max_connections: int | None = _option(None, count_or_off, "a whole number of at least 1, or off")
    max_per_client: int | None = _option(None, count_or_off, "a whole number of at least 1, or off")
    decide_timeout: float = _option(30.0, some_seconds, "a number of seconds greater than 0")
    max_buffer: int = _option(65536, count, "a whole number of bytes of at least 1")
    backlog: int = _option(4096, count, "a whole number of at least 1")
    idle_timeout: float = _option(0.0, _seconds, "a number of seconds of at least 0; 0 is off")
    drain_timeout: float = _option(10.0, _seconds, "a number of seconds of at least 0")
    send_proxy: Literal["v1", "v2"] | None = _option(None, one_of("v1", "v2"), "v1 or v2")
    access_log: str | None = _option(None, _path, "a file or -")
    log_level: str = _option("info", one_of("debug", "info", "warn", "error"), "debug, info, warn or error")
    relay: str = _option("auto", one_of("auto", "fd", "transport"), "auto, fd or transport")
    tcp_keepalive: int | None = _option(None, _keepalive, "a whole number of seconds from 1 to 32767, or off")
    tcp_user_timeout: float | None = _option(None, _user_timeout, "a number of seconds from 0.001 to 86400, or off")


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
        values[name] = _read("--" + name.replace("_", "-"), known[name].metadata, value)
    return Settings(**values)


def read_option(option: str, text: str, read: Callable[[str], Any], accepted: str) -> Any:
    """The value of one of a service's own options.

    :param read: raises ValueError for a text that is not accepted.
    :param accepted: in words.
    :raises ConfigError: naming the option.
    """
    return _read(option, {"read": read, "accepted": accepted, "many": False}, text)


def _read(option: str, metadata: Mapping[str, Any], value: object) -> Any:
    texts = value if metadata["many"] and isinstance(value, (list, tuple)) else [value]
    try:
        read = tuple(metadata["read"](_text(text, metadata["many"])) for text in texts)
    except BadAddress as error:
        raise ConfigError(option, str(error)) from None
    except (ValueError, TypeError, OverflowError):
        raise ConfigError(option, f"{excerpt(value)} is not accepted; {metadata['accepted']} is") from None
    return read if metadata["many"] else read[0]


def _text(value: object, textual: bool) -> str:
    """What was given, as text; a number may stand for itself where a number is wanted."""
    if isinstance(value, str):
        return value
    if textual or isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return repr(value)
