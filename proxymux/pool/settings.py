"""The settings of a pool, beside those that all services share."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Final, Literal

from proxymux.core.codecs import CODEC_NAMES
from proxymux.core.codecs.limits import Limits, limits_of
from proxymux.core.target import parse_target
from proxymux.errors import ConfigError
from proxymux.fields import (
    AbsoluteFile,
    Count,
    Duration,
    Flag,
    OptionalChoice,
    OptionalCount,
    OptionalText,
    Switch,
    Text,
    Values,
    Whatever,
)
from proxymux.settings import Settings

Mode = Literal["proxy", "fifo", "funnel"]

_MODES: Final[tuple[Mode, ...]] = ("proxy", "fifo", "funnel")
SETUP_HINT: Final = "give --target HOST:PORT and --listen, or set PROXY_CONNECTIONS_CNT, TARGET_HOST_1, TARGET_PORT_1 …"
#: What is wrong with Funnel mode where no codec says where messages end.
FUNNEL_HINT: Final = (
    "in funnel mode requests go to several upstreams, and without a codec those that depend on each other (a login, a"
    " transaction) may not go to the same; give --codec resp, http, memcache …"
)


def mode_by_rule(targets: int, max_connections: int | None) -> Mode:
    """The mode that the ancestor chooses by the numbers of targets and of connections."""
    if targets == max_connections:
        return "proxy"
    return "fifo" if targets == 1 else "funnel"


def _target(text: str) -> str:
    parse_target(text)
    return text


@dataclass
class PoolSettings(Settings):
    """The settings of a pool.

    :raises ConfigError: naming the option that has a bad value or contradicts another.
    """

    config: Whatever = Whatever(None, "the ancestor's configuration object", metavar="OBJECT", is_option=False)
    warmup: Flag = Flag("connect to all targets before there are clients, not when they are wanted")
    _: KW_ONLY
    target: Values[str] = Values(
        (), _target, "HOST:PORT to which there may be one connection, or as many as it is repeated", "HOST:PORT",
        metavar="HOST:PORT",
    )  # fmt: skip
    mode: OptionalChoice[Mode] = OptionalChoice(
        None,
        _MODES,
        "how clients share upstreams",
        shown="by the numbers of targets and of connections",
    )
    async_: Flag = Flag("funnel: send requests on upstreams that have not answered the one before")
    codec: Text = Text("raw", f"{CODEC_NAMES}, or package.module:attr", metavar="NAME")
    max_message: OptionalCount = OptionalCount(
        None,
        "of a value, a body or a line, at most",
        unit="bytes",
        takes_off=False,
        shown="512 MiB, lines 16 MiB",
    )
    memcache_auth: Flag = Flag("memcache: clients log in as memcached's -Y asks for, each on an upstream of its own")
    keep_alive: Flag = Flag("TCP keep-alive on upstreams; it is always on, see --tcp-keepalive", shown="on")
    raw_gap: Duration = Duration(5, "of silence that end a reply, where no codec can tell", unit="milliseconds")
    inactivity_timeout: Duration = Duration(
        0,
        "until an idle upstream is closed, or in proxy mode a silent client with its own",
        unit="milliseconds",
        is_zero_off=True,
    )
    queue_limit: Count = Count(1024, "requests, or clients in proxy mode, that may wait")
    queue_timeout: Duration = Duration(30, "that they may wait")
    request_timeout: Duration = Duration(60, "until a reply must be whole, in fifo and funnel mode")
    auth_file: AbsoluteFile = AbsoluteFile(
        None, "file of the user whom upstreams log in as, and of those whom clients log in as, with the codec resp"
    )
    database: Count = Count(0, "database that all clients share, with the codec resp", low=0)
    max_outstanding: Count = Count(
        1 << 20, "of replies that one client may have unread before its next request is sent", unit="bytes"
    )
    max_reply_memory: Count = Count(
        256 << 20, "of unread replies for all clients; more ends the client that has most", unit="bytes"
    )
    retry_idempotent: Switch = Switch(
        True,
        ("on", "off"),
        "on",
        "whether an idempotent request is sent once more if its upstream closes without a reply",
    )
    config_object: OptionalText = OptionalText(
        None, "package.module:ATTR, the ancestor's configuration object", metavar="NAME"
    )
    listeners: OptionalText = OptionalText(
        None, "file or module whose functions are named after events: connected, request …", metavar="MODULE"
    )
    ipv6_only: Flag = Flag("take no IPv4 clients on an IPv6 address", is_option=False)

    def __post_init__(self) -> None:
        if self.memcache_auth and self.codec != "memcache":
            raise ConfigError("--memcache-auth", f"is for --codec memcache, not {self.codec}")
        if self.memcache_auth and self.chosen_mode == "fifo":
            raise ConfigError("--memcache-auth", "needs an upstream for each client that logs in; fifo has one for all")
        if self.chosen_mode == "fifo" and len(self.target) != 1:
            raise ConfigError("--mode", f"fifo has one target, not {len(self.target)}; funnel is accepted")
        if self.send_proxy is not None and self.chosen_mode != "proxy":
            raise ConfigError("--send-proxy", "is for proxy mode: a connection that clients share is no one client's")
        for option, is_given in (("--auth-file", self.auth_file is not None), ("--database", self.database != 0)):
            if is_given and (self.codec != "resp" or self.chosen_mode == "proxy"):
                raise ConfigError(option, "is for --codec resp, in fifo and funnel mode")
        if not self.listen:
            raise ConfigError("--listen", f"missing; {SETUP_HINT}")

    @property
    def chosen_mode(self) -> Mode:
        """The value of ``--mode`` if it is given, else the mode by the ancestor's rule."""
        return self.mode or mode_by_rule(len(self.target), self.max_connections)

    @property
    def limits(self) -> Limits:
        """The limits of messages."""
        return limits_of(self.max_message)

    @property
    def codec_choices(self) -> dict[str, object]:
        """The settings that are for one codec alone, as arguments of its constructor."""
        return {"asks_for_login": True} if self.memcache_auth else {}

    @property
    def of_sessions(self) -> PoolSettings:
        """The settings for the sessions.

        In Proxy mode ``inactivity_timeout`` applies to a client together with its upstream, so it becomes the sessions'
        ``idle_timeout`` unless that is given.
        """
        if self.chosen_mode != "proxy" or self.idle_timeout:
            return self
        return replace(self, idle_timeout=self.inactivity_timeout / 1000)
