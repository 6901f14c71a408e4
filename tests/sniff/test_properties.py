"""What holds for every sniffer and any bytes."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA, sniff
from tests.sniff import hellos
from tests.sniff.checks import Sniffer, is_monotone
from tests.sniff.test_http import CURL, CURL_CONNECT, CURL_TO_PROXY, PREFACE
from tests.sniff.test_minecraft import handshake, old_ping
from tests.sniff.test_mqtt import MOSQUITTO, connect, text, will
from tests.sniff.test_mysql import greeting
from tests.sniff.test_postgres import CANCEL, PSQL, SSL, packet, startup
from tests.sniff.test_proxy_protocol import V1, V2
from tests.sniff.test_rdp import EXAMPLE, negotiation, request
from tests.sniff.test_socks import named

#: Bytes of which NEED_DATA is no longer the answer: those that the documentation names.
LIMITS = {
    "tls_client_hello": 43012,
    "http_request": 32768,
    "socks4": 520,
    "socks5_greeting": 257,
    "socks5_request": 262,
    "ssh": 255,
    "postgres": 10004,
    "redis": 65536,
    "mqtt": 65536,
    "amqp": 8,
    "rdp": 259,
    "minecraft": 778,
    "proxy_protocol": 4096,
    "mysql_greeting": 281,
    "http2_preface": 24,
}
SNIFFERS: dict[str, Sniffer] = {name: getattr(sniff, name) for name in LIMITS}
SAMPLES: dict[str, list[bytes]] = {
    "tls_client_hello": [
        hellos.CURL,
        hellos.in_records(hellos.message_of(hellos.CURL), [1, 2, 3, 100]),
        hellos.record(hellos.message(hellos.server_name(b"a") + hellos.alpn(b"h2") + hellos.versions(0x0304))),
    ],
    "http_request": [CURL, CURL_TO_PROXY, CURL_CONNECT, PREFACE, b"\r\nGET / HTTP/1.0\nhost:a\n\n"],
    "socks4": [b"\4\1\0P\xc0\0\2\7me\0", b"\4\1\0P\0\0\0\1\0www.example.com\0"],
    "socks5_greeting": [b"\5\1\0", b"\5\3\0\1\2"],
    "socks5_request": [named(b"www.example.com"), b"\5\1\0\1\1\2\3\4\0P", b"\5\1\0\4" + bytes(16) + b"\0P"],
    "ssh": [b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"SSH-1.99-x\n"],
    "postgres": [PSQL, packet(SSL), packet(CANCEL, bytes(8)), startup(b"user", b"")],
    "redis": [b"*2\r\n$3\r\nget\r\n", b"PING\r\n", b"auth a b\n"],
    "mqtt": [connect(b"MQTT", 4, 0x82, text("c"), text("u")), connect(b"MQTT", 5, 0x02, b"\0", text("c")), MOSQUITTO],
    "amqp": [b"AMQP\0\0\x09\1", b"AMQP\3\1\0\0"],
    "rdp": [EXAMPLE, request(negotiation(3)), request()],
    "minecraft": [handshake("mc.example.com\0FML\0"), handshake("a", protocol=-1), old_ping("localhost")],
    "proxy_protocol": [V1, V2, b"PROXY UNKNOWN\r\n"],
    "mysql_greeting": [greeting(b"8.0.36", rest=b""), greeting(b"5.5.5-10.11.6-MariaDB", rest=b"")],
    "http2_preface": [PREFACE],
}
ALIKE = [{"socks5_greeting", "socks5_request"}, {"http_request", "http2_preface"}]
ALL = [(name, data) for name, samples in SAMPLES.items() for data in samples]

every_sniffer = pytest.mark.parametrize("name", SNIFFERS)


@every_sniffer
def test_no_bytes_may_become_anything(name: str) -> None:
    assert SNIFFERS[name](b"") is NEED_DATA


@every_sniffer
def test_a_first_byte_is_refused_exactly_if_nothing_begins_with_it(name: str) -> None:
    token = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    begins = {
        "tls_client_hello": b"\x16",
        "http_request": token + b"\r\n",
        "socks4": b"\4",
        "socks5_greeting": b"\5",
        "socks5_request": b"\5",
        "ssh": b"S",
        "postgres": b"\0",
        "redis": b"*ACDEHIMPQRSTacdehimpqrst",
        "mqtt": b"\x10",
        "amqp": b"A",
        "rdp": b"\3",
        "minecraft": bytes(range(6, 256)),
        "proxy_protocol": b"P\r",
        "mysql_greeting": bytes(range(256)),
        "http2_preface": b"P",
    }
    for first in range(256):
        assert SNIFFERS[name](bytes([first])) is (NEED_DATA if first in begins[name] else None), first


@every_sniffer
def test_nobody_takes_what_another_knows(name: str) -> None:
    for owner, data in ALL:
        found = SNIFFERS[name](data)
        if name == owner:
            assert found
        else:
            # SOCKS5 says 5 first in both of its messages, and the preface of HTTP/2 is meant to look like a request.
            assert not found or {name, owner} in ALIKE


def changed() -> st.SearchStrategy[bytes]:
    """Samples, cut, with other bytes in them."""

    def change(data: bytes, at: int, new: bytes, cut: int) -> bytes:
        at %= len(data) + 1
        return data[:at] + new + data[at + cut :]

    samples = st.sampled_from([data for _, data in ALL])
    once = st.builds(change, samples, st.integers(0, 600), st.binary(max_size=3), st.integers(0, 3))
    return st.builds(change, once, st.integers(0, 600), st.binary(max_size=3), st.integers(0, 3))


WORDS = [b"GET", b"HTTP/1.1", b"Host", b"SSH-2.0-", b"PING", b"*1", b"$4", b"PRI * HTTP/2.0", b"://", b"\r\n"]
WORDS += [bytes([byte]) for byte in b"\0\1\3\4\5\x08\x16\xff\r\n /:a-."]


def words() -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(WORDS), max_size=14).map(b"".join)


@settings(max_examples=700, deadline=None)
@given(st.binary(max_size=80) | changed() | words(), st.binary(max_size=20))
def test_no_bytes_raise_and_more_bytes_never_change_an_answer(data: bytes, more: bytes) -> None:
    for sniffer in SNIFFERS.values():
        is_monotone(sniffer, data + more)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["", *SAMPLES]), st.integers(0, 200), st.binary(min_size=1, max_size=64))
@example("redis", 5, b"x")
@example("http_request", 40, b"x")
@example("ssh", 30, b"x")
def test_no_answer_is_need_data_at_the_limit(owner: str, cut: int, pattern: bytes) -> None:
    start = SAMPLES[owner][0][:cut] if owner else b""
    for name, size in LIMITS.items():
        data = start + pattern * (size // len(pattern) + 1)
        assert SNIFFERS[name](data[:size]) is not NEED_DATA, name
        is_same = SNIFFERS[name](data[:size]) == SNIFFERS[name](data)
        assert is_same, name


def test_the_documented_limits_are_these() -> None:
    rows = re.findall(r"^`(\w+)`.*?  ([^ ].*)$", str(sniff.__doc__), re.MULTILINE)
    documented = {name: max(map(int, re.findall(r"([0-9]+) bytes", text))) for name, text in rows}
    assert documented == LIMITS


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("socks4", b"\4\1\0P\0\0\0\1" + b"u" * 255 + b"\0" + b".".join([b"a" * 63] * 4)),
        ("socks5_greeting", b"\5\xff" + bytes(254)),
        ("socks5_request", named(b".".join([b"a" * 63] * 4))[:-1]),
        ("ssh", b"SSH-2.0-" + b"a" * 246),
        ("postgres", startup(b"user", b"x" * 9989)[:-1]),
        ("redis", b"INFO " + b"x" * 65530),
        ("http_request", b"GET /" + b"x" * 32762),
        ("tls_client_hello", hellos.in_records(hellos.padded(32768), [1] * 2046 + [16384])[:-1]),
        ("mqtt", will(LIMITS["mqtt"] - len(will(60000)) + 60000)[:-1]),
        ("amqp", b"AMQP\0\0\x09"),
        ("rdp", request(b"x" * 246 + b"\r\n")[:-1]),
        ("minecraft", handshake("\u20ac" * 255, protocol=-1)[:-1]),
        ("proxy_protocol", V2[:14] + (4096 - 16).to_bytes(2, "big") + V2[16:] + b"\xe0\x0f\xe1" + bytes(4064)),
        ("mysql_greeting", greeting(b"8" * 255)[:280]),
        ("http2_preface", PREFACE[:-1]),
    ],
)
def test_no_limit_is_lower_than_it_says(name: str, data: bytes) -> None:
    assert len(data) == LIMITS[name] - 1
    assert SNIFFERS[name](data) is NEED_DATA


# NEED_DATA promises that there is a way on.  Here one is sought: what a sniffer should have refused has none.


def ends(*samples: bytes) -> Iterator[bytes]:
    for data in samples:
        for length in range(len(data) + 1):
            yield data[len(data) - length :]


#: Those in whose fields the search below finds its way by itself; the rest need words.
STEPWISE = ["amqp", "http2_preface", "minecraft", "mqtt", "mysql_greeting", "rdp"]
#: Those for which another test seeks: tests/sniff/test_tls.py, tests/core/proxy_protocol/test_properties.py.
ELSEWHERE = {"tls_client_hello", "proxy_protocol"}


def step_by_step(name: str, data: bytes) -> Iterator[bytes]:
    """What completes ``data`` a byte at a time, each the first after which it may still become something.

    If NEED_DATA keeps its promise, no step needs to be taken back.
    """
    begun = data
    while len(begun) < len(data) + 1000:
        for byte in (0, ord("a"), *range(256)):
            found = SNIFFERS[name](begun + bytes([byte]))
            if found is not None:
                begun += bytes([byte])
                break
        else:
            return
        if found is not NEED_DATA:
            break
    yield begun[len(data) :]


def ways_on(name: str, data: bytes) -> Iterator[bytes]:
    """What might complete ``data``."""
    if name in STEPWISE:
        yield from step_by_step(name, data)
    elif name == "http_request":
        yield from ends(b"GET / HTTP/1.1\r\na:\r\n\r\n", b"://a HTTP/1.1\r\n\r\n", PREFACE)
    elif name == "ssh":
        yield from ends(b"SSH-2.0-x\r\n")
    elif name == "redis":
        yield from (end + b"a" * size + b"\r\n" for end in ends(b"*1\r\n$1\r\n") for size in range(65))
        yield from ends(b"\r\n", b" x\r\n")
        yield from ends(*(word + b"\n" for word in (b"AUTH", b"CLIENT", b"COMMAND", b"CONFIG", b"DBSIZE", b"ECHO")))
        yield from ends(*(word + b"\n" for word in (b"HELLO", b"INFO", b"MONITOR", b"PING", b"QUIT", b"ROLE")))
        yield from ends(b"SELECT\n", b"SUBSCRIBE\n", b"TIME\n")
    elif name == "socks4":
        yield from (end + b"a\0" * times for end in ends(b"\4\1\0P\1\2\3\4\0") for times in range(3))
        yield b"\0a\0"
    elif name == "socks5_greeting":
        yield from ends(b"\5" + b"\1" * 256)
    elif name == "socks5_request":
        yield from ends(b"\5\1\0\1\1\2\3\4\0P", b"\5\1\0\3" + b"\1a\0P", b"a" * 257, b"a" * 255 + b"\0P")
        # No label is longer than 63 bytes, and none is empty.
        yield from ends(b"a." * 127 + b"a\0P", b"a." * 127 + b"aa\0P")
    elif name == "postgres":
        heads = [b"\0\0\0\x08\4\xd2\x16\x2f", b"\0\0\0\x08\4\xd2\x16\x30", packet(CANCEL, bytes(8)), startup()]
        heads += [b"\0\0\x0e\xff\0\3\0\0", b"\0\0\1\x08\4\xd2\x16\x2e"]
        for head in heads:
            begun = data + head[len(data) :]
            rest = max(0, int.from_bytes(begun[:4], "big") - len(begun))
            for filling in (b"\0" * rest, b"a" * (rest - 3) + b"\0\0\0", b"a" * (rest - 2) + b"\0\0"):
                yield head[len(data) :] + filling


@functools.lru_cache(maxsize=100_000)
def has_a_way_on(name: str, begun: bytes) -> bool:
    return any(SNIFFERS[name](begun + way) for way in ways_on(name, begun))


def is_promised(name: str, data: bytes) -> bool:
    """False where what is wrong shows only at the end of a line, or of a packet."""
    if name == "http_request":
        lines = data.lstrip(b"\r\n").split(b"\n")
        is_plain = re.match(rb"[^ ]*( (/|\*$|[a-zA-Z]+$)|$| $)", lines[0])
        is_host = len(lines) > 1 and lines[-1].lower().startswith(b"host:")
        return bool(is_plain) and not is_host and lines[0] != b"CONNECT"[: len(lines[0])] + lines[0][7:]
    if name in ("mqtt", "minecraft"):  # what becomes of a character of several bytes shows at the end of a text
        return data[12 if name == "mqtt" else 7 :].isascii() and data[:1] != b"\xfe"
    if name == "postgres":
        return len(data) < 9 or int.from_bytes(data[:4], "big") - len(data) > 3
    return True


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=12) | changed() | words())
@example(b"\5\1\0\3\x40")
@example(b"\5\1\0\3\xff")
def test_what_is_need_data_may_still_become_a_value(data: bytes) -> None:
    for length in range(min(len(data), 60) + 1):
        begun = data[:length]
        for name, sniffer in SNIFFERS.items():
            if name not in ELSEWHERE and sniffer(begun) is NEED_DATA and is_promised(name, begun):
                assert has_a_way_on(name, begun), (name, begun)


@every_sniffer
def test_every_beginning_of_a_sample_has_a_way_on(name: str) -> None:
    """That the search above does find ways: or else it would find none in what should have been refused either."""
    if name in ELSEWHERE:
        return
    for data in SAMPLES[name]:
        for length in range(len(data)):
            if is_promised(name, data[:length]):
                assert has_a_way_on(name, data[:length])


def test_values_are_frozen_and_hashable() -> None:
    values: list[Any] = [SNIFFERS[name](data) for name, data in ALL]
    assert len({hash(value) for value in values}) > len(SNIFFERS)
    for value in values:
        assert not hasattr(value, "__dict__"), value
        with pytest.raises(AttributeError):
            setattr(value, next(iter(value.__dataclass_fields__)), None)
