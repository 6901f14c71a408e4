"""The content of a PROXY header, the same for both versions."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from proxymux.core.proxy_protocol import tlv
from proxymux.errors import BadHeader

#: One end of a connection: (ip, port), the path of a Unix socket, or None if the header does not say.
Endpoint = tuple[str, int] | str | None
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Header:
    """A received header (section 2).

    Where ``source`` and ``destination`` are None, the addresses of the connection itself hold.  An empty ``str`` is a
    Unix socket without a name; a ``str`` that starts with NUL is an abstract Unix socket.
    """

    #: 1 or 2.
    version: int
    source: Endpoint
    destination: Endpoint
    #: True for the command LOCAL of v2: the proxy connects on its own behalf, for a health check (section 2.2).
    local: bool
    #: The (type, value) pairs of v2 in their order, without NOOP and CRC32C: those are used up here, and a checksum
    #: that is passed on would be wrong.
    tlvs: tuple[tuple[int, bytes], ...] = ()
    #: There was a CRC32C, which was right.  No part of what the header says.
    has_checksum: bool = field(default=False, compare=False)

    @property
    def alpn(self) -> bytes | None:
        """The application protocol that was negotiated, for example ``b"h2"`` (section 2.2.1)."""
        return tlv.first(self.tlvs, tlv.ALPN)

    @property
    def authority(self) -> str | None:
        """The host name that the client asked for, in TLS the server name (section 2.2.2)."""
        return tlv.text(self.tlvs, tlv.AUTHORITY)

    @property
    def unique_id(self) -> bytes | None:
        """The sender's name for the connection (section 2.2.5)."""
        return tlv.first(self.tlvs, tlv.UNIQUE_ID)

    @property
    def ssl(self) -> tlv.Ssl | None:
        """How the client spoke TLS with the sender (section 2.2.6)."""
        value = tlv.first(self.tlvs, tlv.SSL)
        return None if value is None else tlv.Ssl.from_value(value)

    @property
    def netns(self) -> str | None:
        """The name of the network namespace (section 2.2.7)."""
        return tlv.text(self.tlvs, tlv.NETNS)


def address_text(address: Address) -> str:
    """The canonical text of an address (RFC 5952), as socket functions return it.

    ``str()`` returns ``::ffff:192.0.2.1`` for a mapped address only since Python 3.13.
    """
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(address) if mapped is None else f"::ffff:{mapped}"


def inet_ends(source: Endpoint, destination: Endpoint) -> tuple[tuple[Address, int], tuple[Address, int]] | None:
    """Both ends in the same address family, or None if not both are (ip, port) pairs."""
    if not isinstance(source, tuple) or not isinstance(destination, tuple):
        return None
    first, second = _address(source), _address(destination)
    if first.version != second.version:
        first, second = _as_v6(first), _as_v6(second)
    return (first, _port(source)), (second, _port(destination))


def _address(end: tuple[str, int]) -> Address:
    try:
        # By way of its bytes, without its zone (fe80::1%eth0): no header can carry one, and it holds on one host only.
        return ipaddress.ip_address(ipaddress.ip_address(end[0]).packed)
    except ValueError:
        raise BadHeader(f"{end[0]!r:.60} is not an IP address") from None


def _port(end: tuple[str, int]) -> int:
    if not 0 <= end[1] <= 65535:
        raise BadHeader(f"{end[1]!r:.60} is not a port from 0 to 65535")
    return end[1]


def _as_v6(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
