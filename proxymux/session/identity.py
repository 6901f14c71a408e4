"""The client's identity, completed from its PROXY header and its TLS handshake."""

from __future__ import annotations

from dataclasses import replace

from proxymux.core.identity import Client, SocketAddress, Tls, unmapped
from proxymux.core.proxy_protocol import Header
from proxymux.net.connection import Connection
from proxymux.net.tls.names import peer_certificate, peer_of


def with_header(header: Header, client: Client) -> Client:
    """Return ``client`` with its PROXY header, and with the header's addresses where it names any."""
    source, local = header.source, header.destination
    return replace(
        client,
        address=client.address if source is None else _as_address(source),
        local=client.local if local is None else _as_address(local),
        proxy_protocol=header,
    )


def with_tls(connection: Connection, client: Client) -> Client:
    """Return ``client`` with the server name, ALPN and certificate of its TLS handshake.

    :param connection: the client's, whose TLS handshake is done.
    """
    handle = connection.handle
    if handle is None:
        return client  # of a test, which says itself what the handshake was
    name = handle.get_servername()
    alpn = handle.get_alpn_proto_negotiated()
    certificate = peer_certificate(handle)
    tls = Tls(
        server_name=name.decode("ascii", "replace") if name else None,
        alpn=alpn.decode("ascii", "replace") if alpn else None,
        certificate=certificate,
        version=handle.get_protocol_version_name(),
        cipher=handle.get_cipher_name() or "",
        peer=None if certificate is None else peer_of(certificate),
    )
    return replace(client, tls=tls)


def _as_address(address: tuple[str, int] | str) -> SocketAddress:
    return (f"unix:{address}", 0) if isinstance(address, str) else (unmapped(address[0]), address[1])
