"""Settings: what a service is told, each thing in one place.

A setting stands in a class once.  The command line with its help, the keyword arguments of a ``.tac`` file, the
messages about bad values and the option tables of the docs are made from it, and what acts on it reads it here.
The settings of each service are a subclass: :class:`proxymux.router.settings.RouterSettings`,
:class:`proxymux.gateway.settings.GatewaySettings` and :class:`proxymux.pool.settings.PoolSettings`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal

from proxymux.core.admission import Network, parse_network
from proxymux.core.excerpt import excerpt
from proxymux.errors import ConfigError
from proxymux.fields import (
    Choice,
    Count,
    Duration,
    OptionalChoice,
    OptionalCount,
    OptionalDuration,
    OptionalText,
    Setting,
    Values,
)

if TYPE_CHECKING:
    from typing_extensions import Self

ProxyVersion = Literal["v1", "v2"]
LogLevel = Literal["debug", "info", "warn", "error"]
Relay = Literal["auto", "fd", "transport"]

_VERSIONS: Final[tuple[ProxyVersion, ...]] = ("v1", "v2")
_LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "warn", "error")
_RELAYS: Final[tuple[Relay, ...]] = ("auto", "fd", "transport")
#: The largest number of seconds for which the system can be told to wait before it probes a peer.
_MOST_KEEPALIVE: Final = 32767
LAST_PORT: Final = 65535


def some(text: str) -> str:
    """A text that is not empty.

    :raises ValueError: if it is.
    """
    if not text:
        raise ValueError
    return text


@dataclass(kw_only=True)
class Settings:
    """The settings that all services share.

    :raises ConfigError: naming the option that has a bad value.
    """

    listen: Values[str] = Values(
        (),
        some,
        "Twisted server endpoint; haproxy: before it takes PROXY protocol headers",
        "Twisted server endpoints",
        metavar="ENDPOINT",
    )
    trust_proxy: Values[Network] = Values(
        ("127.0.0.0/8", "::1/128"),
        parse_network,
        "CIDR that may send a PROXY header on a haproxy: listener",
        "CIDRs",
        Network,
        metavar="CIDR",
        shown="loopback",
    )
    allow: Values[Network] = Values(
        (), parse_network, "CIDR that may connect", "CIDRs", Network, metavar="CIDR", shown="all"
    )
    deny: Values[Network] = Values(
        (), parse_network, "CIDR that may not connect; wins over --allow", "CIDRs", Network, metavar="CIDR"
    )
    deny_file: Values[str] = Values(
        (), some, "file of one CIDR a line, # comments; read again on HUP", "files", metavar="FILE"
    )
    max_connections: OptionalCount = OptionalCount(None, "clients at once")
    max_per_client: OptionalCount = OptionalCount(None, "clients at once from one address")
    decide_timeout: Duration = Duration(30, "until a client must have led to a decision")
    max_buffer: Count = Count(65536, "kept of a client while undecided; more closes it", unit="bytes")
    backlog: Count = Count(4096, "clients that the listen queue holds")
    idle_timeout: Duration = Duration(0, "without a byte either way that end a connection", is_zero_off=True)
    drain_timeout: Duration = Duration(10, "that TERM and INT wait for connections to end", takes_zero=True)
    send_proxy: OptionalChoice[ProxyVersion] = OptionalChoice(
        None, _VERSIONS, "PROXY protocol header to every upstream", shown="off"
    )
    access_log: OptionalText = OptionalText(
        None, "file, or - for stdout, that gets one JSON line a connection", "a file or -", metavar="FILE", shown="off"
    )
    log_level: Choice[LogLevel] = Choice("info", _LEVELS, "what the text log has, and worse")
    relay: Choice[Relay] = Choice("auto", _RELAYS, "what carries the bytes")
    tcp_keepalive: OptionalCount = OptionalCount(
        None, "of silence until a peer is probed", unit="seconds", high=_MOST_KEEPALIVE
    )
    tcp_user_timeout: OptionalDuration = OptionalDuration(
        None, "that sent bytes may go unacknowledged", low=0.001, high=86400
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where to listen."""
        return self.listen

    @property
    def connect_timeout(self) -> float:
        """Seconds for one attempt to connect, where the decision does not say; the ancestor's."""
        return 20.0

    @classmethod
    def fields(cls) -> tuple[Setting[object, object], ...]:
        """All settings, in the order of the constructor."""
        return tuple(getattr(cls, each.name) for each in fields(cls))

    @classmethod
    def check_names(cls, names: Iterable[str]) -> None:
        """See that there are such settings.

        :raises ConfigError: for the first that there is not, naming the nearest that there is.
        """
        known = [each.name for each in cls.fields()]
        for name in names:
            if name not in known:
                meant = nearest(name, known)
                raise ConfigError(name, f"there is no such option; {meant or ', '.join(known) + ' are'}")

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Self:
        """The settings that ``given`` names, the rest by default.

        :param given: values by name, as text or as they are; None and an empty list are "not given".
        :raises ConfigError: for a value that is not accepted, and for a name that there is not.
        """
        cls.check_names(given)
        make: Callable[..., Self] = cls
        return make(**{name: value for name, value in given.items() if value is not None and value not in ([], ())})


def nearest(name: str, known: Iterable[str]) -> str:
    """Which of ``known`` may be meant by a name that is none of them, as the end of a message; empty if none may."""
    found = difflib.get_close_matches(name, known, 1)
    return f"{found[0]} may be meant" if found else ""


def address_endpoint(option: str, text: str) -> str:
    """The server endpoint for ``HOST:PORT``.

    :raises ConfigError: naming ``option``, if it is not that.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host:
        raise ConfigError(option, f"{excerpt(text)} is not accepted; HOST:PORT such as 0.0.0.0:8000 is")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > LAST_PORT:
        raise ConfigError(option, f"{excerpt(port)} is not accepted; a port from 0 to {LAST_PORT} is")
    return host_endpoint(host, int(port))


def host_endpoint(host: str, port: int) -> str:
    """The server endpoint for a host, which is an IP address or a name of this machine, and a port."""
    escaped = host.replace("\\", "\\\\").replace(":", "\\:")
    return f"tcp:{port}:interface={escaped}"
