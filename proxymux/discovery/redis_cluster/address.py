"""Where a Redis Cluster is: ``rediscluster://[user:password@]host:6379[,host2:6379…][?refresh=…]``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from proxymux.core.excerpt import excerpt
from proxymux.core.redis_cluster.talk import Login
from proxymux.core.target import InetTarget, parse_address
from proxymux.discovery.http_tls import TlsFiles
from proxymux.errors import BadAddress

DEFAULT_PORT: Final = 6379
#: The most hosts of one address; one that answers is enough.
MOST_HOSTS: Final = 16
#: The most bytes of the user's name and of the password.
LONGEST_PART: Final = 1024
#: Seconds from one look to the next, if nothing is said, and the bounds of what may be said.
REFRESH: Final = 5.0
LEAST_REFRESH: Final = 1.0
MOST_REFRESH: Final = 3600.0

_ACCEPTED: Final = (
    "rediscluster://[user:password@]host:6379[,host2:6379...] is accepted, and redisclusters:// for TLS; behind a ?"
    " refresh=SECONDS may stand"
)
_SCHEMES: Final = {"rediscluster": False, "redisclusters": True}
_OPTIONS: Final = ("refresh", "ca", "cert")


@dataclass(frozen=True, slots=True)
class RedisClusterAddress:
    """A Redis Cluster, and who asks its nodes.

    :param hosts: some of the nodes, in the order in which they are asked.
    :param refresh: seconds from one look to the next.
    :param tls: None is none.
    :param login: None to show none.
    """

    hosts: tuple[InetTarget, ...]
    refresh: float = REFRESH
    tls: TlsFiles | None = None
    login: Login | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The address without user, password and files."""
        scheme = "rediscluster" if self.tls is None else "redisclusters"
        return f"{scheme}://{','.join(map(str, self.hosts))}"


def parse_redis_cluster_address(text: str) -> RedisClusterAddress:
    """Read an address.  User and password may hold bytes as ``%40``; the user may be empty.

    :raises BadAddress: if it is none; the text says what is wrong, without user and password.
    """
    scheme, colon, rest = text.partition("://")
    if not colon or scheme not in _SCHEMES:
        raise BadAddress(f"the address of a Redis Cluster begins with rediscluster:// or redisclusters://; {_ACCEPTED}")
    authority, _, query = rest.partition("?")
    login, at, hosts = authority.rpartition("@")
    if "@" in login or "/" in authority or "#" in rest or "@" in query or "?" in query:
        # Perhaps these are parts of a password, so nothing of them is shown.
        raise BadAddress(f"write @ / ? # % of a user or a password as %40 %2F %3F %23 %25, and no path; {_ACCEPTED}")
    user, _, password = login.partition(":")
    if at and not password:
        raise BadAddress(f"there is no password before the @; {_ACCEPTED}")
    is_tls, options = _SCHEMES[scheme], _options(query)
    if not is_tls and ("ca" in options or "cert" in options):
        raise BadAddress("ca, cert: are for TLS; begin the address with redisclusters://")
    return RedisClusterAddress(
        _hosts(hosts),
        _refresh(options.get("refresh")),
        TlsFiles(options.get("ca"), options.get("cert")) if is_tls else None,
        Login(_decoded(user, "the user"), _decoded(password, "the password")) if at else None,
    )


def _hosts(text: str) -> tuple[InetTarget, ...]:
    if not text:
        raise BadAddress(f"there is no host; {_ACCEPTED}")
    hosts = tuple(_host(each) for each in text.split(","))
    if len(hosts) > MOST_HOSTS:
        raise BadAddress(f"{len(hosts)} hosts are too many; up to {MOST_HOSTS} are accepted")
    if len(set(hosts)) < len(hosts):
        raise BadAddress("a host is given twice")
    return hosts


def _host(text: str) -> InetTarget:
    has_port = not text.endswith("]") if text.startswith("[") else ":" in text
    try:
        return parse_address(text if has_port else f"{text}:{DEFAULT_PORT}")
    except BadAddress:  # it is not shown, as it may be a login whose @ is missing
        raise BadAddress(f"a host is none; {_ACCEPTED}") from None


def _decoded(text: str, what: str) -> bytes:
    decoded = unquote_to_bytes(text)
    if len(decoded) > LONGEST_PART:
        raise BadAddress(f"{what} is longer than {LONGEST_PART} bytes")
    return decoded


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="surrogateescape"):
        if name not in _OPTIONS:
            raise BadAddress(f"{excerpt(name)} is no option of a Redis Cluster; {', '.join(_OPTIONS)} are")
        if not value or name in options:
            raise BadAddress(f"{name}: one value is accepted")
        options[name] = value
    return options


def _refresh(text: str | None) -> float:
    if text is None:
        return REFRESH
    is_number = re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text, re.ASCII)
    if not is_number or not LEAST_REFRESH <= float(text) <= MOST_REFRESH:
        bounds = f"from {LEAST_REFRESH:g} to {MOST_REFRESH:g}"
        raise BadAddress(f"refresh: {excerpt(text)} is not accepted; a number of seconds {bounds} is")
    return float(text)
