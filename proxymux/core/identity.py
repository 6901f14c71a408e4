"""The client, as routers and event listeners see it: addresses, PROXY header, TLS."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from proxymux.core.proxy_protocol import Header
from proxymux.printable import printable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: A digest in hexadecimal, or an alternative name with its kind.
_EXACT: Final = re.compile(r"[0-9a-f]{64}\Z|(?:DNS|IP|URI|email):")
#: An IP address and port; ``("unix:/path", 0)`` for a Unix socket (the path is empty for an unnamed one).
SocketAddress = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Peer:
    """What a client's certificate says.

    :param subject: whose it is (RFC 4514), for example ``CN=alice,O=Example``.
    :param common_name: the name in ``subject``, or None.
    :param issuer: who has signed it, likewise.
    :param sans: its alternative names, for example ``("DNS:a.example", "IP:127.0.0.1")``.
    :param sha256: its digest in hexadecimal.
    """

    subject: str
    common_name: str | None
    issuer: str
    sans: tuple[str, ...]
    sha256: str

    def is_one_of(self, allowed: Collection[str]) -> bool:
        """True if ``allowed`` has the common name, an alternative name (with its kind or without) or the digest.

        What reads as a digest, or as a name with its kind, stands for nothing else: no common name passes for it.
        """
        if self.sha256 in allowed or any(name in allowed for name in self.sans):
            return True
        bare = (self.common_name, *(name.partition(":")[2] for name in self.sans))
        return any(name in allowed and not _EXACT.match(name) for name in bare if name is not None)


@dataclass(frozen=True, slots=True)
class Tls:
    """The result of the client's TLS handshake.

    :param server_name: the host name that the client asked for (SNI, RFC 6066), or None.
    :param alpn: the application protocol that was agreed on (ALPN, RFC 7301), or None.
    :param certificate: the client's certificate, or None if the client sent none.
    :param version: the version that was agreed on, for example ``TLSv1.3``.
    :param cipher: the cipher suite that was agreed on, by OpenSSL's name.
    :param peer: what the certificate says, or None if the client sent none.
    """

    server_name: str | None = None
    alpn: str | None = None
    certificate: Certificate | None = None
    version: str = ""
    cipher: str = ""
    peer: Peer | None = None

    def summary(self) -> dict[str, str]:
        """What the access log has of it: version, cipher, and of the rest what there is."""
        found = {
            "version": self.version,
            "cipher": self.cipher,
            "server_name": self.server_name,
            "alpn": self.alpn,
            "subject": None if self.peer is None else self.peer.subject,
        }
        return {key: printable(text) for key, text in found.items() if text}


class Notes(dict[Any, Any]):
    """What a router notes of one client from call to call.  A shadow and a canary have their own."""

    # Class attributes, so that a client costs no call of a constructor in Python.
    shadow: Notes | None = None
    canary: Notes | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A client, as its router sees it.

    :param address: the client's address; behind ``haproxy:`` the one in the header.
    :param local: the address that the client has connected to.
    :param tls: the TLS handshake; None on a listener without TLS.
    :param proxy_protocol: the PROXY header; None on a listener that takes none.
    :param state: the router's own notes of this client, kept from call to call until the session ends.
    """

    address: SocketAddress
    local: SocketAddress
    tls: Tls | None = None
    proxy_protocol: Header | None = None
    state: Notes = field(default_factory=Notes, compare=False, repr=False)


def unmapped(host: str) -> str:
    """``host``; as IPv4 if it is an IPv4 address mapped into IPv6, such as ``::ffff:192.0.2.1`` (RFC 4291)."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def show(address: SocketAddress) -> str:
    """``ip:port``, ``[v6]:port`` or ``unix:/path``: the text of an address in logs."""
    host, port = address
    if host.startswith("unix:"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
