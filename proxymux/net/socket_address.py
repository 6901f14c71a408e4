"""Addresses of sockets, as routers and logs see them."""

from __future__ import annotations

import socket
from typing import TypeAlias

from proxymux.core.identity import SocketAddress, unmapped

#: An address as ``accept()`` and ``getsockname()`` give it: (ip, port), with flow and zone behind them for IPv6, or a
#: path.
RawAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | str | bytes


def address_of(raw: RawAddress) -> SocketAddress:
    """The address; as IPv4 if it is an IPv4 address mapped into IPv6, and with its zone if it has one."""
    if not isinstance(raw, tuple):
        name = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
        return f"unix:{name}", 0
    if len(raw) == 4:
        return unmapped(with_zone(raw[0], raw[3])), raw[1]
    return raw[0], raw[1]


def with_zone(host: str, zone: int) -> str:
    """``host`` with the name of its zone, as in ``fe80::1%eth0`` (RFC 4007 section 11).

    :param zone: the number of the interface; 0 for an address that has no zone.
    """
    if not zone or "%" in host:
        return host
    try:
        return f"{host}%{socket.if_indextoname(zone)}"
    except OSError:  # the interface has gone
        return f"{host}%{zone}"
