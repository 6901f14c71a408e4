"""Targets: the addresses that a decision may name, parsed strictly and once."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import NamedTuple

from proxymux.core.excerpt import excerpt
from proxymux.errors import BadAddress

#: One label of a host name.  The underscore is not in RFC 1123 but common in container networks.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z", re.ASCII)
_NUMBER = re.compile(r"([0-9]+|0[xX][0-9A-Fa-f]*)\Z", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}\Z", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}\Z", re.ASCII)
_CLUSTER = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
#: ``sun_path`` holds 108 bytes on Linux, one of them the closing NUL.
_UNIX_PATH_LIMIT = 107


# Targets are tuples, because they are hashed and compared for every connection, at a fifth of a dataclass's cost.


class InetTarget(NamedTuple):
    """A host (name or address) and a TCP port."""

    host: str
    port: int
    #: True if ``host`` is an IPv4 or IPv6 address, which needs no resolver.
    is_address: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixTarget(NamedTuple):
    """A Unix stream socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class ClusterName(NamedTuple):
    """The name of a cluster, whose members are addresses."""

    name: str

    def __str__(self) -> str:
        return self.name


#: What can be connected to.
Address = InetTarget | UnixTarget
#: What a decision may name.
Target = Address | ClusterName


def parse_cluster_name(text: object) -> ClusterName:
    """Read the name of a cluster: a letter, then up to 63 letters, digits and ``_ . -``.

    :raises BadAddress: if it is anything else; the text says what is wrong.
    """
    if not isinstance(text, str) or not _CLUSTER.match(text):
        raise BadAddress(
            f"{excerpt(text, 80)} is not a cluster's name: a letter, then up to 63 letters, digits, _, . and -"
        )
    return ClusterName(text)


def parse_remote(text: object) -> Target:
    """Read ``host:port``, ``[v6]:port``, ``unix:/path``, or the name of a cluster, which need not exist.

    :raises BadAddress: if it is anything else; the text says what is wrong.
    """
    return ClusterName(text) if isinstance(text, str) and _CLUSTER.match(text) else parse_target(text)


def parse_target(text: object) -> Address:
    """Read ``host:port``, ``[v6]:port`` or ``unix:/path``.

    :raises BadAddress: if it is anything else; the text says what is wrong.
    """
    if not isinstance(text, str):
        raise BadAddress(f"{excerpt(text, 80)} is not a target: host:port, [v6]:port or unix:/path as a str is")
    return _unix(text) if text.startswith("unix:") else _inet(text, "host:port, [v6]:port or unix:/path")


def parse_address(text: object) -> InetTarget:
    """Read ``host:port`` or ``[v6]:port``.

    :raises BadAddress: if it is anything else; the text says what is wrong.
    """
    accepted = "host:port or [v6]:port"
    if not isinstance(text, str) or text.startswith("unix:"):
        raise BadAddress(f"{excerpt(text, 80)} is not {accepted}")
    return _inet(text, accepted)


def _unix(text: str) -> UnixTarget:
    path = text.removeprefix("unix:")
    try:
        size = len(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        size = 0
    if not path.startswith("/") or "\0" in path or not 0 < size <= _UNIX_PATH_LIMIT:
        raise BadAddress(
            f"{excerpt(text, 120)} is not unix:/path with an absolute path of at most {_UNIX_PATH_LIMIT} bytes"
        )
    return UnixTarget(path)


def _port(text: str, port: str) -> int:
    if not _PORT.match(port) or not 1 <= int(port) <= 65535:
        raise BadAddress(f"{excerpt(text, 80)}: the port is not a number from 1 to 65535")
    return int(port)


@functools.lru_cache(maxsize=1024)  # few targets are named over and over, for every session that begins or moves
def _inet(text: str, accepted: str) -> InetTarget:
    host, colon, digits = text.rpartition(":")
    if not colon or not host:
        raise BadAddress(f"{excerpt(text, 80)} is not {accepted}")
    port = _port(text, digits)
    if host.startswith("[") and host.endswith("]"):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
            if address.scope_id is not None and not _ZONE.match(address.scope_id):
                raise ValueError
            return InetTarget(str(address), port, True)
        except ValueError:
            raise BadAddress(f"{excerpt(text, 80)}: what stands in the brackets is not an IPv6 address") from None
    if ":" in host:
        raise BadAddress(f"{excerpt(text, 80)}: write an IPv6 address in brackets, [{host:.60}]:{port}")
    labels = host.removesuffix(".").split(".")
    if _NUMBER.match(labels[-1]):  # resolvers read a name with such a last label as an IPv4 address
        try:
            return InetTarget(str(ipaddress.IPv4Address(host)), port, True)
        except ValueError:
            raise BadAddress(f"{excerpt(text, 80)}: {excerpt(host)} is not an IPv4 address") from None
    if len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        raise BadAddress(
            f"{excerpt(text, 80)}: {excerpt(host)} is not a host name (write other scripts in their xn-- form)"
        )
    return InetTarget(host, port, False)
