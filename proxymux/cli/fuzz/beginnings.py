"""How clients of the protocols of :mod:`proxymux.sniff` begin: what is mutated beside the user's samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _sized(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def _client_hello(name: bytes) -> bytes:
    names = _sized(2, b"\0" + _sized(2, name))
    protocols = _sized(2, _sized(1, b"h2") + _sized(1, b"http/1.1"))
    versions = _sized(1, b"\3\4\3\3")
    extensions = b"\0\0" + _sized(2, names) + b"\0\x10" + _sized(2, protocols) + b"\0\x2b" + _sized(2, versions)
    body = b"\3\3" + bytes(range(32)) + _sized(1, b"") + _sized(2, b"\x13\1\xc0\x2f") + b"\1\0" + _sized(2, extensions)
    return b"\x16\3\1" + _sized(2, b"\1" + _sized(3, body))


def _startup(*words: bytes) -> bytes:
    body = b"\0\3\0\0" + b"".join(word + b"\0" for word in words) + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


_PROXY_V2: Final = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + _sized(
    2, bytes((192, 0, 2, 1, 192, 0, 2, 2)) + b"\xc3\x50\x01\xbb"
)
_MINECRAFT: Final = b"\0\xff\5" + _sized(1, b"play.example") + b"\x63\xdd\2"
_MQTT: Final = _sized(2, b"MQTT") + b"\4\x82\0\x3c" + _sized(2, b"client") + _sized(2, b"user")
_RDP: Final = b"\xe0\0\0\0\0\0Cookie: mstshash=alice\r\n\1\0\x08\0\3\0\0\0"

#: First bytes by the name of the function that recognizes them.
BEGINNINGS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "http_request": (
        b"GET /path?a=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nContent-Length: 5\r\n\r\nhello",
        b"CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n",
    ),
    "http2_preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",),
    "tls_client_hello": (_client_hello(b"www.example.com"),),
    "ssh": (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",),
    "socks4": (b"\4\1\0\x50\xc0\0\2\1user\0", b"\4\1\0\x50\0\0\0\1user\0www.example.com\0"),
    "socks5_greeting": (b"\5\2\0\2\5\1\0\3" + _sized(1, b"www.example.com") + b"\0\x50",),
    "socks5_request": (b"\5\1\0\1\xc0\0\2\1\0\x50",),
    "proxy_protocol": (b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\nhello", _PROXY_V2 + b"hello"),
    "redis": (b"*3\r\n$3\r\nSET\r\n$6\r\nuser:1\r\n$1\r\nx\r\n", b"*2\r\n$3\r\nGET\r\n$6\r\nuser:1\r\n", b"PING\r\n"),
    "postgres": (_startup(b"user", b"alice", b"database", b"shop"), b"\0\0\0\x08\x04\xd2\x16\x2f"),
    "mqtt": (b"\x10" + _sized(1, _MQTT),),
    "amqp": (b"AMQP\0\0\x09\1",),
    "rdp": (b"\3\0" + (len(_RDP) + 5).to_bytes(2, "big") + _sized(1, _RDP),),
    "minecraft": (_sized(1, _MINECRAFT),),
}
