"""Where an etcd is, and what of it is meant: ``etcd://[user:password@]host:2379[,host2:2379…]/prefix/``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from proxymux.core.excerpt import excerpt
from proxymux.core.target import InetTarget, parse_address
from proxymux.discovery.http_tls import TlsFiles
from proxymux.errors import BadAddress

DEFAULT_PORT: Final = 2379
#: The most hosts of one address.  No etcd cluster has more voting members than seven.
MOST_HOSTS: Final = 9
#: The most bytes of the prefix, of the user's name and of the password.
LONGEST_PART: Final = 1024

_ACCEPTED: Final = "etcd://[user:password@]host:2379[,host2:2379...]/prefix/ is accepted, and etcds:// for TLS"
_SCHEMES: Final = {"etcd": False, "etcds": True}
_FILES: Final = ("ca", "cert")


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """The members of an etcd cluster, who asks them, and the prefix of the keys that are meant.

    :param hosts: in the order in which they are tried.
    :param prefix: begins and ends with a slash.
    :param tls: None is plain HTTP.
    :param user: None to give no name.
    """

    hosts: tuple[InetTarget, ...]
    prefix: str
    tls: TlsFiles | None = None
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @property
    def prefixes(self) -> tuple[bytes, bytes]:
        """The prefix with and without its slash at the beginning: keys are written either way."""
        prefix = self.prefix.encode("utf-8", "surrogateescape")
        return prefix, prefix[1:]

    def __str__(self) -> str:
        """The address without user, password and files."""
        hosts = ",".join(map(str, self.hosts))
        return f"{'etcd' if self.tls is None else 'etcds'}://{hosts}{self.prefix}"


def parse_etcd_address(text: str) -> EtcdAddress:
    """Read the address of an etcd.  User, password and prefix may hold bytes as ``%40``.

    A prefix without a slash at its end gets one: what is under ``/users`` is not under ``/users2``.

    :raises BadAddress: if it is none; the text says what is wrong, without user and password.
    """
    scheme, colon, rest = text.partition("://")
    if not colon or scheme not in _SCHEMES:
        raise BadAddress(f"the address of an etcd begins with etcd:// or etcds://; {_ACCEPTED}")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    if "@" in path or "@" in query or "@" in login or "#" in rest or "?" in query:
        # Perhaps these are parts of a password, so nothing of them is shown.
        raise BadAddress("write @ / ? # % of a user, a password or a prefix as %40 %2F %3F %23 %25")
    prefix = _prefix(path)
    user, _, password = login.partition(":")
    if at and not user:
        raise BadAddress(f"there is no user before the @; {_ACCEPTED}")
    files = _files(query, _SCHEMES[scheme])
    return EtcdAddress(
        _hosts(hosts),
        prefix,
        TlsFiles(**files) if _SCHEMES[scheme] else None,
        _decoded(user, "the user") if at else None,
        _decoded(password, "the password"),
    )


def _hosts(text: str) -> tuple[InetTarget, ...]:
    if not text:
        raise BadAddress(f"there is no host; {_ACCEPTED}")
    hosts = tuple(map(_host, text.split(",")))
    if len(hosts) > MOST_HOSTS:
        raise BadAddress(f"{len(hosts)} hosts are too many; up to {MOST_HOSTS} are accepted")
    if len(set(hosts)) < len(hosts):
        raise BadAddress("a host is given twice")
    return hosts


def _host(text: str) -> InetTarget:
    has_port = ":" in text.rpartition("]")[2] if text.startswith("[") else ":" in text
    return parse_address(text if has_port or not text else f"{text}:{DEFAULT_PORT}")


def _prefix(path: str) -> str:
    prefix = _decoded(path, "the prefix").strip("/")
    if not prefix:
        raise BadAddress(f"there is no prefix; {_ACCEPTED}")
    return f"/{prefix}/"


def _decoded(text: str, what: str) -> str:
    decoded = unquote_to_bytes(text)
    if len(decoded) > LONGEST_PART:
        raise BadAddress(f"{what} is longer than {LONGEST_PART} bytes")
    return decoded.decode("utf-8", "surrogateescape")


def _files(query: str, is_tls: bool) -> dict[str, str]:
    files: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True, errors="surrogateescape"):
        if key not in _FILES:
            raise BadAddress(f"{excerpt(key)} is no option of an etcd; ca=FILE and cert=FILE are")
        if not is_tls:
            raise BadAddress(f"{key}: is for TLS; begin the address with etcds://")
        if not value or key in files:
            raise BadAddress(f"{key}: one file is accepted")
        files[key] = value
    return files
