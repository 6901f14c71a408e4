"""What holds for every sniffer: samples in every split, more bytes that change nothing, bytes that are anything."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA, sniff

Sniffer = Callable[[bytes], Any]

SNIFFERS: dict[str, Sniffer] = {
    name: getattr(sniff, name)
    for name in (
        "http_request",
        "postgres",
        "redis",
        "socks4",
        "socks5_greeting",
        "socks5_request",
        "ssh",
        "tls_client_hello",
    )
}
#: Beyond this nothing is NEED_DATA any more.
LIMITS = {
    "http_request": 32768,
    "postgres": 10000,
    "redis": 96,
    "socks4": 8 + 256 + 256,
    "socks5_greeting": 257,
    "socks5_request": 262,
    "ssh": 255,
    "tls_client_hello": 16384 + 4 + 5 * 1024,
}


def client_hello(name: str | None = "a.example", alpn: tuple[str, ...] = (), **options: Any) -> bytes:
    """What Python's ssl module says first."""
    context = ssl.create_default_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    for option, value in options.items():
        setattr(context, option, value)
    context.check_hostname = name is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def in_records(hello: bytes, size: int) -> bytes:
    """The handshake message of ``hello`` in records of ``size`` bytes."""
    message = hello[5:]
    parts = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(hello[:3] + struct.pack("!H", len(part)) + part for part in parts)


def startup(*pairs: bytes, protocol: int = 196608) -> bytes:
    body = struct.pack("!I", protocol) + b"".join(pair + b"\0" for pair in pairs) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


SAMPLES: list[tuple[str, bytes, Any]] = [
    ("tls_client_hello", client_hello(), sniff.ClientHello("a.example")),
    ("tls_client_hello", client_hello(None), sniff.ClientHello(None)),
    (
        "tls_client_hello",
        client_hello("B.Example", ("h2", "http/1.1")),
        sniff.ClientHello("b.example", ("h2", "http/1.1")),
    ),
    ("tls_client_hello", in_records(client_hello(), 1), sniff.ClientHello("a.example")),
    ("tls_client_hello", in_records(client_hello(), 100), sniff.ClientHello("a.example")),
    (
        "tls_client_hello",
        client_hello(maximum_version=ssl.TLSVersion.TLSv1_2),
        sniff.ClientHello("a.example"),
    ),
    (
        "http_request",
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        sniff.HttpRequest("GET", "/", "HTTP/1.1", "a.example"),
    ),
    (
        "http_request",
        b"POST /x?y=1 HTTP/1.1\r\nA: b\r\nhOsT:\t A.Example:8080 \r\nX:\r\n\r\n",
        sniff.HttpRequest("POST", "/x?y=1", "HTTP/1.1", "a.example", 8080),
    ),
    ("http_request", b"GET / HTTP/1.0\r\n\r\n", sniff.HttpRequest("GET", "/", "HTTP/1.0")),
    ("http_request", b"\r\nGET / HTTP/1.0\n\n", sniff.HttpRequest("GET", "/", "HTTP/1.0")),
    ("http_request", b"GET / HTTP/1.1\nHost: a\n\r\n", sniff.HttpRequest("GET", "/", "HTTP/1.1", "a")),
    (
        "http_request",
        b"GET http://u@B.example:81/x HTTP/1.1\r\nHost: a\r\n\r\n",
        sniff.HttpRequest("GET", "http://u@B.example:81/x", "HTTP/1.1", "b.example", 81),
    ),
    (
        "http_request",
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        sniff.HttpRequest("CONNECT", "[::1]:443", "HTTP/1.1", "::1", 443),
    ),
    ("http_request", b"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", sniff.HttpRequest("OPTIONS", "*", "HTTP/1.1")),
    ("http_request", b"PRI * HTTP/2.0\r\n\r\n", sniff.HttpRequest("PRI", "*", "HTTP/2.0")),
    ("socks4", b"\4\1\0\x50\1\2\3\4bob\0", sniff.Socks4Request(1, "1.2.3.4", 80, b"bob", 12)),
    ("socks4", b"\4\2\x1f\x90\1\2\3\4\0", sniff.Socks4Request(2, "1.2.3.4", 8080, b"", 9)),
    ("socks4", b"\4\1\0\x50\0\0\0\1\0a.example\0", sniff.Socks4Request(1, "a.example", 80, b"", 19)),
    ("socks4", b"\4\1\0\x50\0\0\0\0\0", sniff.Socks4Request(1, "0.0.0.0", 80, b"", 9)),
    ("socks5_greeting", b"\5\1\0", sniff.Socks5Greeting((0,), 3)),
    ("socks5_greeting", b"\5\3\0\1\2", sniff.Socks5Greeting((0, 1, 2), 5)),
    ("socks5_request", b"\5\1\0\1\1\2\3\4\0\x50", sniff.Socks5Request(1, "1.2.3.4", 80, 10)),
    ("socks5_request", b"\5\1\0\4" + bytes(15) + b"\1\0\x50", sniff.Socks5Request(1, "::1", 80, 22)),
    ("socks5_request", b"\5\3\0\3\x09a.example\x01\xbb", sniff.Socks5Request(3, "a.example", 443, 16)),
    ("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", sniff.Ssh("2.0", "OpenSSH_9.2p1", "Debian-2")),
    ("ssh", b"SSH-2.0-x\n", sniff.Ssh("2.0", "x")),
    ("ssh", b"SSH-1.99-a-b \r\n", sniff.Ssh("1.99", "a-b")),
    (
        "postgres",
        startup(b"user", b"bob", b"database", b"shop"),
        sniff.Postgres("startup", 32, (("user", "bob"), ("database", "shop"))),
    ),
    ("postgres", startup(), sniff.Postgres("startup", 9)),
    ("postgres", startup(b"user", b"", protocol=196610), sniff.Postgres("startup", 15, (("user", ""),))),
    ("postgres", struct.pack("!II", 8, 80877103), sniff.Postgres("ssl", 8)),
    ("postgres", struct.pack("!II", 8, 80877104), sniff.Postgres("gss", 8)),
    ("postgres", struct.pack("!IIII", 16, 80877102, 1, 2), sniff.Postgres("cancel", 16)),
    ("redis", b"*1\r\n$4\r\nPING\r\n", sniff.Redis("PING")),
    ("redis", b"*3\r\n$3\r\nset\r\n", sniff.Redis("SET")),
    ("redis", b"*10000\r\n$3\r\ndel\r\n", sniff.Redis("DEL")),
    ("redis", b"ping\r", sniff.Redis("PING")),
    ("redis", b"AUTH ", sniff.Redis("AUTH")),
]

NOT: list[tuple[str, bytes]] = [
    ("tls_client_hello", b"\x15"),
    ("tls_client_hello", b"\x16\x02"),
    ("tls_client_hello", b"\x16\x03\x05"),
    ("tls_client_hello", b"\x16\x03\x01\x00\x00"),
    ("tls_client_hello", b"\x16\x03\x01\x40\x01"),
    ("tls_client_hello", b"\x16\x03\x01\x00\x04\x02"),
    ("tls_client_hello", b"\x16\x03\x01\x00\x04\x01\x00\x40\x01"),
    ("tls_client_hello", b"\x16\x03\x01\x00\x04\x01\x00\x00\x00"),
    ("tls_client_hello", b"\x80\x2e\x01\x00\x02"),
    ("http_request", b" "),
    ("http_request", b"\x16"),
    ("http_request", b"\r\n\r\n\r\n"),
    ("http_request", b"A" * 33),
    ("http_request", b"GET /\r\n"),
    ("http_request", b"GET / HTTP/2.0\r\n"),
    ("http_request", b"GET  / HTTP/1.1\r\n"),
    ("http_request", b"GET / HTTP/1.1 \r\n"),
    ("http_request", b"GET /\x7f HTTP/1.1\r\n"),
    ("http_request", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("http_request", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    ("http_request", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("http_request", b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
    ("http_request", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("http_request", b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
    ("http_request", b"GET / HTTP/1.1\r\nA: b\rHost: c\r\n\r\n"),
    ("http_request", b"GET / HTTP/1.1\r\nA: " + b"b" * 32768),
    ("socks4", b"\5"),
    ("socks4", b"\4\3"),
    ("socks4", b"\4\1\0\x50\1\2\3\4" + b"u" * 256),
    ("socks4", b"\4\1\0\x50\0\0\0\1\0\0"),
    ("socks4", b"\4\1\0\x50\0\0\0\1\0a b\0"),
    ("socks4", b"\4\1\0\x50\0\0\0\1\0" + b"a" * 256),
    ("socks5_greeting", b"\4"),
    ("socks5_greeting", b"\5\0"),
    ("socks5_request", b"\5\0"),
    ("socks5_request", b"\5\1\1"),
    ("socks5_request", b"\5\1\0\2"),
    ("socks5_request", b"\5\1\0\3\0"),
    ("socks5_request", b"\5\1\0\3\3a:"),
    ("ssh", b"SSH_"),
    ("ssh", b"SSH-2.0\n"),
    ("ssh", b"SSH-2.0-\r\n"),
    ("ssh", b"SSH-2.0-a\0"),
    ("ssh", b"SSH-2.0-" + b"a" * 247),
    ("postgres", b"\1"),
    ("postgres", b"\0\0\x27\x11"),
    ("postgres", b"\0\0\0\7"),
    ("postgres", b"\0\0\0\x10\0\2"),
    ("postgres", struct.pack("!II", 9, 80877103)),
    ("postgres", startup(b"user")),
    ("postgres", startup(b"", b"bob")),
    ("postgres", struct.pack("!II", 12, 196608) + b"a\0b\0"),
    ("redis", b"*0"),
    ("redis", b"*-"),
    ("redis", b"*1\n"),
    ("redis", b"*1\r\n:"),
    ("redis", b"*1048577\r"),
    ("redis", b"*1\r\n$65"),
    ("redis", b"*1\r\n$2\r\na\n"),
    ("redis", b"GET "),
    ("redis", b"hello world\r\n"[:3] + b"x"),
]


@pytest.mark.parametrize(("name", "data", "value"), SAMPLES)
def test_a_sample_is_unknown_until_it_is_whole_and_then_known_for_good(name: str, data: bytes, value: Any) -> None:
    sniffer = SNIFFERS[name]
    for length in range(len(data)):
        assert sniffer(data[:length]) is NEED_DATA, length
    assert sniffer(data) == value
    assert sniffer(data + b"\0trailing\r\n\r\n" * 10) == value


@pytest.mark.parametrize(("name", "data"), NOT)
def test_what_is_something_else_is_refused_at_the_byte_that_shows_it(name: str, data: bytes) -> None:
    sniffer = SNIFFERS[name]
    assert sniffer(data) is None
    assert sniffer(data + b"\r\n\r\n\0") is None


@pytest.mark.parametrize("name", SNIFFERS)
def test_no_bytes_may_become_anything(name: str) -> None:
    assert SNIFFERS[name](b"") is NEED_DATA


def pieces() -> st.SearchStrategy[bytes]:
    """Bytes that get far: samples, cut, with other bytes in them."""
    samples = st.sampled_from([data for _, data, _ in SAMPLES])
    changed = st.builds(
        lambda data, at, new, cut: data[: at % (len(data) + 1)] + new + data[at % (len(data) + 1) + cut :],
        samples,
        st.integers(0, 400),
        st.binary(max_size=3),
        st.integers(0, 3),
    )
    text = st.lists(
        st.sampled_from([b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\n", b"\r", b"Host", b":", b"a", b"*", b"$", b"1"])
    )
    return st.one_of(st.binary(max_size=80), changed, text.map(b"".join))


@settings(max_examples=1500, deadline=None)
@given(pieces(), st.binary(max_size=20))
def test_more_bytes_never_change_an_answer(data: bytes, more: bytes) -> None:
    whole = data + more
    for name, sniffer in SNIFFERS.items():
        answers = [sniffer(whole[:length]) for length in range(len(whole) + 1)]
        known = [answer for answer in answers if answer is not NEED_DATA]
        assert all(answer == known[0] for answer in known), name
        assert answers == [NEED_DATA] * (len(answers) - len(known)) + known, name


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=64))
def test_need_data_ends_at_the_limit(pattern: bytes) -> None:
    for name, sniffer in SNIFFERS.items():
        size = LIMITS[name]
        for data in (pattern * (size // len(pattern) + 1), SAMPLES[0][1][:9] + pattern * (size // len(pattern) + 1)):
            assert sniffer(data[: size + 1]) is not NEED_DATA, name


def test_a_fragmented_hello_has_a_limit() -> None:
    head = b"\x16\x03\x01\x00\x01"
    message = b"\x01\x00\x40\x00" + bytes(16384)
    data = b"".join(head + message[at : at + 1] for at in range(len(message)))
    assert sniff.tls_client_hello(data[: 6 * 1024 - 1]) is NEED_DATA
    assert sniff.tls_client_hello(data[: 6 * 1024]) is None
    assert sniff.tls_client_hello(data) is None


def test_a_hello_of_many_ciphers_and_protocols_is_read() -> None:
    hello = client_hello(alpn=tuple(f"protocol-{number}" for number in range(300)))
    assert len(hello) > 3000
    found = sniff.tls_client_hello(hello)
    assert isinstance(found, sniff.ClientHello)
    assert found.alpn[299] == "protocol-299"


def test_remotes_are_as_a_router_wants_them() -> None:
    assert sniff.Socks5Request(1, "::1", 80, 22).remote == "[::1]:80"
    assert sniff.Socks5Request(1, "a", 80, 22).remote == "a:80"
    assert sniff.Socks4Request(1, "1.2.3.4", 80, b"", 9).remote == "1.2.3.4:80"


def test_postgres_names_its_user_and_database() -> None:
    packet = sniff.postgres(startup(b"user", b"bob"))
    assert isinstance(packet, sniff.Postgres)
    assert (packet.user, packet.database) == ("bob", "bob")
