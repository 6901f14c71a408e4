from __future__ import annotations

import pytest

from proxymux.core.proxy_protocol import Header, encode
from proxymux.sniff import ProxyProtocol, proxy_protocol
from tests.sniff.checks import is_read, is_refused

SOURCE, DESTINATION = ("192.0.2.1", 56324), ("192.0.2.2", 443)
V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n" + bytes.fromhex("2111000cc0000201c0000202dc0401bb")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (V1, ProxyProtocol(Header(1, SOURCE, DESTINATION, False), len(V1))),
        (V2, ProxyProtocol(Header(2, SOURCE, DESTINATION, False), len(V2))),
        (b"PROXY UNKNOWN\r\n", ProxyProtocol(Header(1, None, None, False), 15)),
        (V2[:12] + b"\x20\0\0\0", ProxyProtocol(Header(2, None, None, True), 16)),
        (
            encode("v2", ("2001:db8::1", 1), ("2001:db8::2", 2), [(2, b"shop.example")]),
            ProxyProtocol(Header(2, ("2001:db8::1", 1), ("2001:db8::2", 2), False, ((2, b"shop.example"),)), 67),
        ),
    ],
    ids=["v1", "v2", "unknown", "local", "with a TLV"],
)
def test_a_header_is_read_and_measured(data: bytes, value: ProxyProtocol) -> None:
    is_read(proxy_protocol, data, value)


@pytest.mark.parametrize(
    "data", [b"\0", b"G", b"PROXy", b"PROXY TCP5", b"PROXY TCP4 192.0.2.256", b"\r\n\r\n\1", V2[:12] + b"\x11"]
)
def test_what_is_no_header_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(proxy_protocol, data)
