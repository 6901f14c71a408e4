"""The settings that all services share.

Each setting is declared once, as a field of a class.  The command line with its help, the keyword arguments of a
``.tac`` file, the messages about bad values and the option tables of the docs are made from that declaration.
The settings of each service are a subclass: :class:`proxymux.router.settings.RouterSettings`,
:class:`proxymux.gateway.settings.GatewaySettings` and :class:`proxymux.pool.settings.PoolSettings`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal, get_args

from proxymux.core.admission import Network, parse_network
from proxymux.core.cluster_spec import ClusterSpec, parse_cluster
from proxymux.core.decision import MAX_SECONDS
from proxymux.core.excerpt import excerpt
from proxymux.errors import ConfigError
from proxymux.fields import (
    AbsoluteFile,
    Choice,
    Count,
    Duration,
    Names,
    OptionalAddress,
    OptionalChoice,
    OptionalCount,
    OptionalDuration,
    OptionalRate,
    OptionalText,
    Secret,
    Setting,
    Switch,
    Values,
    Workers,
)

if TYPE_CHECKING:
    from typing_extensions import Self

ProxyVersion = Literal["v1", "v2"]
TlsVersion = Literal["1.2", "1.3"]
LogLevel = Literal["debug", "info", "warn", "error"]
LogFormat = Literal["text", "json"]
Facility = Literal["daemon", "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]
Relay = Literal["auto", "fd", "transport"]

_PROXY_VERSIONS: Final[tuple[ProxyVersion, ...]] = ("v1", "v2")
_TLS_VERSIONS: Final[tuple[TlsVersion, ...]] = ("1.2", "1.3")
_LOG_LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "warn", "error")
_LOG_FORMATS: Final[tuple[LogFormat, ...]] = ("text", "json")
_FACILITIES: Final[tuple[Facility, ...]] = get_args(Facility)
_RELAYS: Final[tuple[Relay, ...]] = ("auto", "fd", "transport")
#: The most seconds of silence before a keep-alive probe that the system accepts.
_MAX_KEEPALIVE: Final = 32767
LAST_PORT: Final = 65535
#: What ``--watch`` is for, in those services that have a router; and why it is refused without one.
WATCH_HELP: Final = "load the router again when its file or a module beside it changes, as HUP does; for development"
WATCH_NOTHING: Final = "there is no --router whose files it could watch"


def non_empty(text: str) -> str:
    """Return ``text``.

    :raises ValueError: if it is empty.
    """
    if not text:
        raise ValueError
    return text


def protocol_name(text: str) -> str:
    """Return ``text``, the name of an application protocol (ALPN, RFC 7301), without spaces around it.

    :raises ValueError: if it is empty, not ASCII, or longer than 255 characters.
    """
    name = text.strip()
    if not name.isascii() or not 0 < len(name) < 256:
        raise ValueError
    return name


def certificate_name(text: str) -> str:
    """Return ``text``, a name in a certificate or its digest; a digest without colons and in lower case.

    :raises ValueError: if it is empty.
    """
    digest = text.replace(":", "").lower()
    return digest if re.fullmatch("[0-9a-f]{64}", digest) else non_empty(text)


@dataclass(kw_only=True)
class Settings:
    """The settings that all services share.

    :raises ConfigError: naming the option that has a bad value.
    """

    listen: Values[str] = Values(
        (),
        non_empty,
        "Twisted server endpoint; tls:PATH: before it ends TLS there, haproxy: takes PROXY protocol headers",
        "a Twisted server endpoint such as tcp:8000",
        metavar="ENDPOINT",
    )
    trust_proxy: Values[Network] = Values(
        ("127.0.0.0/8", "::1/128"),
        parse_network,
        "CIDR that may send a PROXY header on a haproxy: listener",
        "a CIDR",
        Network,
        metavar="CIDR",
        shown="loopback",
    )
    allow: Values[Network] = Values(
        (), parse_network, "CIDR that may connect", "a CIDR", Network, metavar="CIDR", shown="all"
    )
    deny: Values[Network] = Values(
        (), parse_network, "CIDR that may not connect; wins over --allow", "a CIDR", Network, metavar="CIDR"
    )
    deny_file: Values[str] = Values(
        (), non_empty, "file of one CIDR a line, # comments; read again on HUP", "a file", metavar="FILE"
    )
    deny_cluster: Secret = Secret(
        None,
        "etcd://HOST:PORT/PREFIX/ whose values are CIDRs that may not connect, beside those of --deny; followed",
        "a text such as etcd://HOST:PORT/PREFIX/",
        metavar="URL",
        shown="off",
    )
    max_connections: OptionalCount = OptionalCount(None, "clients at once")
    max_per_client: OptionalCount = OptionalCount(None, "clients at once from one address")
    max_rate: OptionalRate = OptionalRate(None, "new clients from one address, of IPv6 from one /64")
    decide_timeout: Duration = Duration(30, "until a client must have led to a decision")
    max_buffer: Count = Count(65536, "kept of a client while undecided; more closes it", unit="bytes")
    backlog: Count = Count(4096, "clients that the listen queue holds")
    idle_timeout: Duration = Duration(0, "without a byte either way that end a connection", is_zero_off=True)
    rate: OptionalCount = OptionalCount(
        None, 'a second that each direction of a connection carries; a router\'s "rate" wins', unit="bytes"
    )
    workers: Workers = Workers(
        None, "processes that serve under one supervisor, which replaces them without losing a connection at USR2"
    )
    workers_by_cpu: Switch = Switch(
        False, ("on", "off"), "on", "whether a TCP client is for the worker of the CPU that its packets come in on"
    )
    rollover_timeout: OptionalDuration = OptionalDuration(
        None, "until a worker that was replaced ends the connections it still has", low=0.001, high=MAX_SECONDS
    )
    drain_timeout: Duration = Duration(10, "that TERM and INT wait for connections to end", takes_zero=True)
    queue_limit: Count = Count(1024, "clients that may wait for targets that are held")
    queue_timeout: Duration = Duration(30, "that they may wait")
    cluster: Values[ClusterSpec] = Values(
        (),
        parse_cluster,
        "NAME=SOURCE, a named set of targets; SOURCE is targets with commas, file:, srv://, etcd://, consul:// or"
        " rediscluster://, and ;policy=, ;health= and others may follow",
        "NAME=SOURCE",
        ClusterSpec,
        metavar="NAME=SOURCE",
        is_secret=True,  # a source may have a password in it
    )
    send_proxy: OptionalChoice[ProxyVersion] = OptionalChoice(
        None, _PROXY_VERSIONS, "PROXY protocol header to every upstream", shown="off"
    )
    tls_client_ca: AbsoluteFile = AbsoluteFile(
        None, "PEM file of the authorities whose certificates TLS clients must show", shown="none demanded"
    )
    tls_crl: AbsoluteFile = AbsoluteFile(None, "PEM file of the revoked ones among them", shown="none")
    tls_allow: Values[str] = Values(
        (),
        certificate_name,
        "common name, alternative name or SHA-256 digest of a client certificate that may connect",
        "names such as alice, DNS:web.example or URI:spiffe://cluster/ns/web, and digests",
        metavar="NAME",
        shown="all that --tls-client-ca has signed",
    )
    tls_min: Choice[TlsVersion] = Choice("1.2", _TLS_VERSIONS, "lowest TLS version of listeners and upstreams")
    tls_alpn: Names = Names(
        protocol_name, "application protocols of TLS listeners, in the order of preference", "names such as h2,http/1.1"
    )
    tls_key_password_file: AbsoluteFile = AbsoluteFile(
        None, "file with the password of encrypted TLS keys", shown="none"
    )
    tls_ca: AbsoluteFile = AbsoluteFile(
        None, "PEM file of the authorities that TLS upstreams are verified by", shown="OpenSSL's trust store"
    )
    tls_cert: AbsoluteFile = AbsoluteFile(
        None, "PEM file with the key and certificate chain that TLS upstreams are shown", shown="none"
    )
    admin: OptionalText = OptionalText(
        None,
        "endpoint of metrics, health and sessions: a Twisted server endpoint; a port alone is one of 127.0.0.1",
        "a port, or a Twisted server endpoint such as tcp:9090:interface=127.0.0.1",
        metavar="ENDPOINT",
        shown="off",
    )
    admin_token_file: AbsoluteFile = AbsoluteFile(
        None, "file with the token that POST requests there need; read again on HUP", shown="none: they are refused"
    )
    admin_host: Values[str] = Values(
        (),
        non_empty,
        "name by which --admin is asked for, beside addresses, localhost and this machine's name",
        "a host name",
        metavar="NAME",
    )
    fleet: Secret = Secret(
        None,
        "etcd://HOST:PORT/PREFIX/ under which instances are listed, and one-time tokens used once in all of them",
        "a text such as etcd://HOST:PORT/PREFIX/",
        metavar="URL",
        shown="off",
    )
    access_log: OptionalText = OptionalText(
        None, "file, or - for stdout, that gets one JSON line a connection", "a file or -", metavar="FILE", shown="off"
    )
    capture: AbsoluteFile = AbsoluteFile(
        None,
        "folder that gets the first bytes of each client as a file, for proxymux check; they are users' data",
        metavar="DIR",
        shown="off",
    )
    capture_limit: Count = Count(1000, "files in the folder of --capture, at most")
    log_level: Choice[LogLevel] = Choice("info", _LOG_LEVELS, "what the text log has, and worse")
    log_format: Choice[LogFormat] = Choice("text", _LOG_FORMATS, "what a line of the text log is")
    log_syslog: OptionalAddress = OptionalAddress(
        None,
        "syslog server, or socket such as /dev/log, that gets the text log instead of twistd's file",
        shown="off",
    )
    log_facility: Choice[Facility] = Choice("daemon", _FACILITIES, "facility of the lines for --log-syslog")
    relay: Choice[Relay] = Choice("auto", _RELAYS, "what carries the bytes")
    tcp_keepalive: OptionalCount = OptionalCount(
        None, "of silence until a peer is probed", unit="seconds", high=_MAX_KEEPALIVE
    )
    tcp_user_timeout: OptionalDuration = OptionalDuration(
        None, "that sent bytes may go unacknowledged", low=0.001, high=86400
    )

    def __post_init__(self) -> None:
        if self.workers_by_cpu and self.workers is None:
            raise ConfigError("--workers-by-cpu", "there are no workers; give --workers, too")
        names = [cluster.name for cluster in self.cluster]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError("--cluster", f"{name}: there are two of that name")

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The descriptions of the Twisted server endpoints to listen on."""
        return self.listen

    @property
    def connect_timeout(self) -> float:
        """Seconds for one attempt to connect, where the decision does not name them; 20 as in the ancestor."""
        return 20.0

    @classmethod
    def fields(cls) -> tuple[Setting[object, object], ...]:
        """All settings of the class, in the order of the constructor's arguments."""
        return tuple(getattr(cls, each.name) for each in fields(cls))

    @classmethod
    def check_names(cls, names: Iterable[str]) -> None:
        """Check that each name is the name of a setting.

        :raises ConfigError: for the first name that is not, suggesting the most similar one that is.
        """
        known = [each.name for each in cls.fields()]
        for name in names:
            if name not in known:
                suggestion = nearest(name, known)
                raise ConfigError(name, f"there is no such option; {suggestion or ', '.join(known) + ' are'}")

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Self:
        """Make settings from the values that are given, and from the defaults of the others.

        :param given: values by the settings' names, as text or already converted; None and an empty list or tuple count
            as not given.
        :raises ConfigError: for a value that is not accepted, and for a name that no setting has.
        """
        cls.check_names(given)
        constructor: Callable[..., Self] = cls
        return constructor(
            **{name: value for name, value in given.items() if value is not None and value not in ([], ())}
        )


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Suggest, as the end of an error message, the most similar of ``known``; an empty text if none is similar.

    :param prefix: stands before the suggestion.
    """
    similar = difflib.get_close_matches(name, known, 1)
    return f"did you mean {prefix}{similar[0]}?" if similar else ""


def address_endpoint(option: str, text: str) -> str:
    """Convert ``HOST:PORT`` to the description of a Twisted server endpoint.

    :param option: the option that has the text, for the error message.
    :raises ConfigError: naming ``option``, if ``text`` is not ``HOST:PORT``.
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
    """The description of the Twisted server endpoint for a port of ``host``, an IP address or name of this machine."""
    escaped = host.replace("\\", "\\\\").replace(":", "\\:")
    return f"tcp:{port}:interface={escaped}"
