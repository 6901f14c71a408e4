"""The settings of a pool, beside those that all services share."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass, replace
from typing import Final, Literal

from proxymux.core.codecs import CODEC_NAMES
from proxymux.core.codecs.limits import Limits, limits_of
from proxymux.core.pool_target import PoolTarget, parse_pool_target
from proxymux.core.target import ClusterName
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
from proxymux.settings import WATCH_HELP, WATCH_NOTHING, Settings

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


def _target(text: str) -> PoolTarget:
    """Read a target.  The paths of files are made absolute at once, since a daemon changes its directory."""
    target = parse_pool_target(text)
    if target.tls is None:
        return target
    ca, cert = (None if path is None else os.path.abspath(path) for path in (target.tls.ca, target.tls.cert))
    return replace(target, tls=replace(target.tls, ca=ca, cert=cert))


@dataclass
class PoolSettings(Settings):
    """The settings of a pool.

    :raises ConfigError: naming the option that has a bad value or contradicts another.
    """

    config: Whatever = Whatever(None, "the ancestor's configuration object", metavar="OBJECT", is_option=False)
    warmup: Flag = Flag("connect to all targets before there are clients, not when they are wanted")
    _: KW_ONLY
    target: Values[PoolTarget] = Values(
        (),
        _target,
        "HOST:PORT to which there may be one connection, or as many as it is repeated, with ;tls=NAME by TLS; or the"
        " name of a --cluster, for all its members",
        "HOST:PORT",
        PoolTarget,
        metavar="HOST:PORT",
    )
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
    router: OptionalText = OptionalText(
        None, "file or module whose route(request) says where each request goes", metavar="FILE"
    )
    watch: Flag = Flag(WATCH_HELP)
    connections_per_target: Count = Count(1, "to each HOST:PORT that the router names, beside the targets")
    ipv6_only: Flag = Flag("take no IPv4 clients on an IPv6 address", is_option=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memcache_auth and self.codec != "memcache":
            raise ConfigError("--memcache-auth", f"is for --codec memcache, not {self.codec}")
        if self.memcache_auth and self.chosen_mode == "fifo":
            raise ConfigError("--memcache-auth", "needs an upstream for each client that logs in; fifo has one for all")
        if self.chosen_mode == "fifo" and self.has_clusters:
            raise ConfigError("--mode", "fifo has one target, and a cluster has any number of them; funnel is accepted")
        if self.chosen_mode == "fifo" and len(self.target) != 1 and self.router is None:
            raise ConfigError("--mode", f"fifo has one target, not {len(self.target)}; funnel is accepted")
        if self.send_proxy is not None and self.chosen_mode != "proxy":
            raise ConfigError("--send-proxy", "is for proxy mode: a connection that clients share is no one client's")
        if self.rate is not None and self.chosen_mode != "proxy":
            raise ConfigError("--rate", "is for proxy mode: a connection that clients share is no one client's")
        self._check_routing()
        for option, is_given in (("--auth-file", self.auth_file is not None), ("--database", self.database != 0)):
            if is_given and (self.codec != "resp" or self.chosen_mode == "proxy"):
                raise ConfigError(option, "is for --codec resp, in fifo and funnel mode")
        if self.workers is not None and self.workers > len(self.target) and not (self.has_clusters or self.routes):
            raise ConfigError(
                "--workers", f"{self.workers} share {len(self.target)} upstreams; give one --target for each, or more"
            )
        names = [cluster.name for cluster in self.cluster]
        for target in self.target:
            if isinstance(target.address, ClusterName) and target.address.name not in names:
                known = f"those of --cluster are: {', '.join(names) or 'none'}"
                problem = f"{target.address} is neither HOST:PORT nor the name of a cluster; {known}"
                raise ConfigError("--target", problem)
        if not self.listen:
            raise ConfigError("--listen", f"missing; {SETUP_HINT}")

    def _check_routing(self) -> None:
        """Refuse what would have requests routed where there are none."""
        if self.router is not None and self.codec == "raw":
            raise ConfigError(
                "--router", "routes requests, which raw does not know; give --codec resp, memcache, http …"
            )
        if self.router is not None and self.chosen_mode == "proxy":
            raise ConfigError(
                "--router", "routes requests, which nobody looks at in proxy mode; --mode funnel is accepted"
            )
        if self.watch and self.router is None:
            raise ConfigError("--watch", WATCH_NOTHING)
        if self.connections_per_target != 1 and self.router is None:
            raise ConfigError("--connections-per-target", "is for the addresses that a --router names")
        if self.router is not None or self.chosen_mode == "proxy":
            return
        sharding = [each.name for each in self.cluster if each.shards and each.name in self._target_names]
        asked = [each for each in self.cluster if each.key_of == "key" and each.name in sharding]
        if asked and self.codec == "raw":
            raise ConfigError(
                "--cluster", f"{asked[0]}: hash=key is for a codec with keys; give --codec resp, memcache …"
            )
        if sharding and self.codec != "raw" and len(self.target) > 1:
            raise ConfigError("--target", f"{sharding[0]} places keys, so it is the only target, or a --router chooses")

    @property
    def _target_names(self) -> list[str]:
        return [each.address.name for each in self.target if isinstance(each.address, ClusterName)]

    @property
    def routes(self) -> bool:
        """Each request has a place of its own: a router says which, or its key does."""
        if self.router is not None:
            return True
        if self.chosen_mode == "proxy" or self.codec == "raw":
            return False
        return any(each.shards and each.name in self._target_names for each in self.cluster)

    @property
    def has_clusters(self) -> bool:
        """Some of the targets are clusters, so nobody knows how many there are."""
        return any(isinstance(each.address, ClusterName) for each in self.target)

    @property
    def chosen_mode(self) -> Mode:
        """The value of ``--mode`` if it is given, else the mode by the ancestor's rule; with a cluster it is funnel."""
        by_rule = "funnel" if self.has_clusters else mode_by_rule(len(self.target), self.max_connections)
        return self.mode or by_rule

    def share_of(self, worker: int, workers: int) -> PoolSettings:
        """The settings of one of several workers, among which the upstreams are divided.

        With a cluster all targets stay: what there is to divide is known while it runs, and then divided by
        :func:`~proxymux.pool.following.share_of_slots`.

        :param worker: its number, from 1.
        :param workers: how many there are.
        """
        target = self.target if self.has_clusters or self.routes else self.target[worker - 1 :: workers]
        return replace(self, target=target, mode=self.chosen_mode, workers=None)

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
