"""What user code may know of a client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proxymux.core.proxy_protocol import Header

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: An IP address and port; ``("unix:/path", 0)`` for a Unix socket (the path is empty for an unnamed one).
SocketAddress = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Tls:
    """What the client's TLS handshake said.

    :param server_name: the name the client asked for (SNI), or None.
    :param alpn: the protocol agreed on, or None.
    :param certificate: the client's certificate, if it gave one.
    """

    server_name: str | None = None
    alpn: str | None = None
    certificate: Certificate | None = None


class Notes(dict[Any, Any]):
    """What a router keeps of one client.  A shadow router has its own, so that it cannot act on the first."""

    __slots__ = ("shadow",)

    def __init__(self, *notes: Any) -> None:
        super().__init__(*notes)
        self.shadow: Notes | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A client, as its router sees it.

    :param address: where it comes from; behind ``haproxy:`` what the header says.
    :param local: the address that it connected to.
    :param tls: set if the listener speaks TLS.
    :param proxy_protocol: the PROXY header, if the listener takes one.
    :param state: the router's own, for what it wants to know of this client at the next call; gone with the session.
    """

    address: SocketAddress
    local: SocketAddress
    tls: Tls | None = None
    proxy_protocol: Header | None = None
    state: Notes = field(default_factory=Notes, compare=False, repr=False)


def show(address: SocketAddress) -> str:
    """``ip:port``, ``[v6]:port`` or ``unix:/path``, as logs have it."""
    host, port = address
    if host.startswith("unix:"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
