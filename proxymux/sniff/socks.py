"""SOCKS4 and 4a (the specifications of Ying-Da Lee), SOCKS5 (RFC 1928)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData

#: The most bytes of a user id or host name in SOCKS4, whose specification sets no limit.
_TEXT_LIMIT: Final = 255
#: Bytes from which on the answer is never NEED_DATA.
SOCKS4_LIMIT: Final = 8 + 2 * (_TEXT_LIMIT + 1)
SOCKS5_GREETING_LIMIT: Final = 2 + 255
SOCKS5_REQUEST_LIMIT: Final = 5 + 255 + 2

# The labels of host names, as in targets: the underscore is not in RFC 1123 but common in container networks.
_LABEL: Final = rb"(?!-)[A-Za-z0-9_-]{1,63}"
_NAME: Final = re.compile(rb"(?:%b(?<!-)\.)*%b(?<!-)\.?" % (_LABEL, _LABEL))
_NAME_BEGIN: Final = re.compile(rb"(?:%b(?<!-)\.)*(?:%b)?" % (_LABEL, _LABEL))
_ADDRESS_SIZES: Final = {1: 4, 4: 16}


@dataclass(frozen=True, slots=True)
class Socks4Request:
    """A SOCKS4 or 4a request.

    :param command: 1 is CONNECT, 2 is BIND.
    :param host: an IPv4 address; in 4a a host name, which the proxy has to look up.
    :param user: the user id.
    :param length: bytes of the request; those after it are for the upstream.
    """

    command: int
    host: str
    port: int
    user: bytes
    length: int

    @property
    def remote(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Socks5Greeting:
    """The first message of a SOCKS5 client (RFC 1928 section 3).

    :param methods: the authentication methods that the client offers; 0 is none, 2 is user name and password.
    :param length: bytes of the greeting.
    """

    methods: tuple[int, ...]
    length: int


@dataclass(frozen=True, slots=True)
class Socks5Request:
    """A SOCKS5 request, which the client sends after the answer to its greeting (RFC 1928 section 4).

    :param command: 1 is CONNECT, 2 is BIND, 3 is UDP ASSOCIATE.
    :param host: an address, without brackets, or a host name.
    :param length: bytes of the request; those after it are for the upstream.
    """

    command: int
    host: str
    port: int
    length: int

    @property
    def remote(self) -> str:
        """``host:port`` or ``[v6]:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def socks4(data: bytes) -> Socks4Request | NeedData | None:
    """The SOCKS4 or 4a request that ``data`` begins with."""
    if data[:1] not in (b"", b"\4") or data[1:2] not in (b"", b"\1", b"\2"):
        return None
    user = _text(data, 8)
    if not isinstance(user, bytes):
        return user
    port, address = int.from_bytes(data[2:4], "big"), data[4:8]
    length = 9 + len(user)
    if address[:3] != b"\0\0\0" or address[3] == 0:
        return Socks4Request(data[1], str(ipaddress.IPv4Address(address)), port, user, length)
    name = _text(data, length)
    if not isinstance(name, bytes):
        return name if _NAME_BEGIN.fullmatch(data, length) else None
    if not _NAME.fullmatch(name):
        return None
    return Socks4Request(data[1], name.decode("ascii"), port, user, length + len(name) + 1)


def _text(data: bytes, start: int) -> bytes | NeedData | None:
    """The bytes from ``start`` up to a NUL."""
    end = data.find(b"\0", start, start + _TEXT_LIMIT + 1)
    if end >= 0:
        return data[start:end]
    return NEED_DATA if len(data) <= start + _TEXT_LIMIT else None


def socks5_greeting(data: bytes) -> Socks5Greeting | NeedData | None:
    """The SOCKS5 greeting that ``data`` begins with."""
    if data[:1] not in (b"", b"\5") or data[1:2] == b"\0":
        return None
    if len(data) < 2 or len(data) < 2 + data[1]:
        return NEED_DATA
    return Socks5Greeting(tuple(data[2 : 2 + data[1]]), 2 + data[1])


def socks5_request(data: bytes) -> Socks5Request | NeedData | None:
    """The SOCKS5 request that ``data``, without the greeting, begins with."""
    head = data[:4]
    for byte, accepted in zip(head, (b"\5", b"\1\2\3", b"\0", b"\1\3\4"), strict=False):
        if byte not in accepted:
            return None
    if len(data) < 5:
        return NEED_DATA
    return _to_name(data) if data[3] == 3 else _to_address(data)


def _to_name(data: bytes) -> Socks5Request | NeedData | None:
    end = 5 + data[4]
    name = data[5:end]
    if not data[4] or not (_NAME if len(name) == data[4] else _NAME_BEGIN).fullmatch(name):
        return None
    if len(data) < end + 2:
        return NEED_DATA
    return Socks5Request(data[1], name.decode("ascii"), int.from_bytes(data[end : end + 2], "big"), end + 2)


def _to_address(data: bytes) -> Socks5Request | NeedData:
    end = 4 + _ADDRESS_SIZES[data[3]]
    if len(data) < end + 2:
        return NEED_DATA
    host = str(ipaddress.ip_address(data[4:end]))
    return Socks5Request(data[1], host, int.from_bytes(data[end : end + 2], "big"), end + 2)
