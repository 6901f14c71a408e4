"""The client's identity, completed from its PROXY header and its TLS handshake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxymux.core.identity import Client, SocketAddress, Tls, unmapped
from proxymux.core.proxy_protocol import Header
from proxymux.core.proxy_protocol.header import Endpoint
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
    # Not by replace(), which takes three times as long: this is done for each TLS client.
    return Client(client.address, client.local, tls, client.proxy_protocol, client.state)


def _as_address(address: tuple[str, int] | str) -> SocketAddress:
    return (f"unix:{address}", 0) if isinstance(address, str) else (unmapped(address[0]), address[1])


def pack_client(client: Client) -> dict[str, Any]:
    """A client without TLS, for another process that goes on with its session."""
    header = client.proxy_protocol
    packed = None
    if header is not None:
        tlvs = [(kind, value.hex()) for kind, value in header.tlvs]
        packed = [header.version, header.source, header.destination, header.local, tlvs, header.has_checksum]
    return {"address": client.address, "local": client.local, "header": packed}


def unpack_client(packed: dict[str, Any]) -> Client:
    """The client that :func:`pack_client` has packed."""
    header = None
    if packed["header"] is not None:
        version, source, destination, local, tlvs, has_checksum = packed["header"]
        pairs = tuple((kind, bytes.fromhex(value)) for kind, value in tlvs)
        header = Header(version, _as_end(source), _as_end(destination), local, pairs, has_checksum)
    return Client(tuple(packed["address"]), tuple(packed["local"]), proxy_protocol=header)


def _as_end(end: list[Any] | str | None) -> Endpoint:
    return (end[0], end[1]) if isinstance(end, list) else end
