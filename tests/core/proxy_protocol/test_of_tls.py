"""What a header of version 2 says of the client's TLS."""

from __future__ import annotations

import pytest

from proxymux.core.identity import Peer, Tls
from proxymux.core.proxy_protocol import Ssl, encode, parse
from proxymux.core.proxy_protocol.of_tls import with_tls

ENDS = ("192.0.2.1", 4711), ("192.0.2.2", 443)
PEER = Peer("CN=Alice Müller,O=Example", "Alice Müller", "CN=authority", (), "0" * 64)


def seen(tls: Tls, received: list[tuple[int, bytes]] | None = None) -> tuple[bytes | None, str | None, Ssl]:
    """ALPN, authority and SSL, as a receiver of the header reads them."""
    found = parse(encode("v2", *ENDS, with_tls(tls, received or [])))
    assert found is not None
    header = found[0]
    ssl = dict(header.tlvs)[0x20]
    return header.alpn, header.authority, Ssl.from_value(ssl)


def test_without_a_certificate() -> None:
    alpn, authority, ssl = seen(Tls("a.example", "h2", version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256"))
    assert (alpn, authority) == (b"h2", "a.example")
    assert (ssl.secure, ssl.cert_conn, ssl.verified) == (True, False, False)
    assert (ssl.version, ssl.cipher, ssl.cn) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
    assert ssl.verify != 0


def test_with_a_certificate() -> None:
    alpn, authority, ssl = seen(Tls(version="TLSv1.2", cipher="ECDHE-RSA-AES128-GCM-SHA256", peer=PEER))
    assert (alpn, authority) == (None, None)
    assert (ssl.secure, ssl.cert_conn, ssl.verified, ssl.verify) == (True, True, True, 0)
    assert ssl.cn == "Alice Müller"


@pytest.mark.parametrize("kind", [0x01, 0x02, 0x20])
def test_they_replace_those_of_a_header_that_came_in(kind: int) -> None:
    vectors = with_tls(Tls("a.example", "h2"), [(0xEA, b"\1vpce-1"), (kind, b"\0" * 5), (0xEA, b"\1vpce-2")])
    assert [each for each, _ in vectors] == [0xEA, 0xEA, 0x01, 0x02, 0x20]
