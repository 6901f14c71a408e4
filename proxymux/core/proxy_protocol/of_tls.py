"""The vectors of version 2 that tell of the client's TLS, which was ended here (sections 2.2.1, 2.2.2 and 2.2.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from proxymux.core.identity import Tls
from proxymux.core.proxy_protocol import tlv

_KINDS = frozenset((tlv.ALPN, tlv.AUTHORITY, tlv.SSL))
_CLIENT_SSL = 0x01
_CLIENT_CERT_CONN = 0x02


def with_tls(tls: Tls, received: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The vectors of a received header, with those of the client's TLS in the place of their like.

    :param tls: the handshake; a certificate in it has been verified.
    :param received: (type, value) pairs.
    """
    vectors = [(kind, value) for kind, value in received if kind not in _KINDS]
    if tls.alpn is not None:
        vectors.append((tlv.ALPN, tls.alpn.encode()))
    if tls.server_name is not None:
        vectors.append((tlv.AUTHORITY, tls.server_name.encode()))
    vectors.append((tlv.SSL, _ssl(tls)))
    return vectors


def _ssl(tls: Tls) -> bytes:
    client, verify = (_CLIENT_SSL, 1) if tls.peer is None else (_CLIENT_SSL | _CLIENT_CERT_CONN, 0)
    inner = [(tlv.SSL_VERSION, tls.version), (tlv.SSL_CIPHER, tls.cipher)]
    if tls.peer is not None and tls.peer.common_name is not None:
        inner.append((tlv.SSL_CN, tls.peer.common_name))
    parts = [struct.pack("!BH", kind, len(text.encode())) + text.encode() for kind, text in inner if text]
    return struct.pack("!BI", client, verify) + b"".join(parts)
