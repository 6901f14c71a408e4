"""Who a client is, as its PROXY header and its TLS handshake tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from OpenSSL import SSL

from proxymux.core.identity import Client, SocketAddress, Tls
from proxymux.core.proxy_protocol import Header


def introduced_by(header: Header, client: Client) -> Client:
    """``client``, as the PROXY header that it sent says who it is; a header may leave that open."""
    source, local = header.source, header.destination
    return replace(
        client,
        address=client.address if source is None else _as_address(source),
        local=client.local if local is None else _as_address(local),
        proxy_protocol=header,
    )


def secured_on(transport: Any, client: Client) -> Client:
    """``client``, with what it said in the TLS handshake on ``transport``."""
    connection: SSL.Connection = transport.getHandle()
    name = connection.get_servername()
    alpn = transport.negotiatedProtocol
    certificate = transport.getPeerCertificate()
    tls = Tls(
        server_name=name.decode("ascii", "replace") if name else None,
        alpn=alpn.decode("ascii", "replace") if alpn else None,
        certificate=certificate.to_cryptography() if certificate is not None else None,
    )
    return replace(client, tls=tls)


def _as_address(address: tuple[str, int] | str) -> SocketAddress:
    return (f"unix:{address}", 0) if isinstance(address, str) else address
