from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA, Forward
from proxymux.sniff import (
    Socks4Request,
    Socks5Greeting,
    Socks5Request,
    socks4,
    socks5_greeting,
    socks5_request,
)
from proxymux.sniff.socks import SOCKS4_LIMIT, SOCKS5_GREETING_LIMIT, SOCKS5_REQUEST_LIMIT
from tests.sniff.checks import answers, is_read, is_refused

NAMES_255 = b".".join([b"a" * 63] * 4)
V6 = ipaddress.ip_address("2001:db8::1").packed


def named(name: bytes, command: int = 1, port: int = 80) -> bytes:
    """A SOCKS5 request for a host name."""
    return bytes([5, command, 0, 3, len(name)]) + name + port.to_bytes(2, "big")


# Those that say curl are as curl 7.88.1 sends them.


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b"\4\1\0P\xc0\0\2\7me\0", Socks4Request(1, "192.0.2.7", 80, b"me", 11), id="curl"),
        pytest.param(
            b"\4\1\0P\0\0\0\1\0www.example.com\0", Socks4Request(1, "www.example.com", 80, b"", 25), id="curl, 4a"
        ),
        pytest.param(b"\4\2\x1f\x90\1\2\3\4\0", Socks4Request(2, "1.2.3.4", 8080, b"", 9), id="BIND"),
        pytest.param(b"\4\1\0\0\xff\xff\xff\xff\0", Socks4Request(1, "255.255.255.255", 0, b"", 9), id="port 0"),
        pytest.param(b"\4\1\xff\xff\0\0\0\0\0", Socks4Request(1, "0.0.0.0", 65535, b"", 9), id="0.0.0.0"),
        pytest.param(b"\4\1\0P\0\0\1\0\0", Socks4Request(1, "0.0.1.0", 80, b"", 9), id="0.0.1.0"),
        pytest.param(b"\4\1\0P\0\1\0\1\0", Socks4Request(1, "0.1.0.1", 80, b"", 9), id="0.1.0.1"),
        pytest.param(b"\4\1\0P\1\0\0\1\0", Socks4Request(1, "1.0.0.1", 80, b"", 9), id="1.0.0.1"),
        pytest.param(b"\4\1\0P\0\0\0\xffu\0A_b-c.\0", Socks4Request(1, "A_b-c.", 80, b"u", 17), id="4a, user, dot"),
        pytest.param(b"\4\1\0P\0\0\0\1\xff \n\0a\0", Socks4Request(1, "a", 80, b"\xff \n", 14), id="user of any bytes"),
        pytest.param(
            b"\4\1\0P\1\2\3\4" + b"u" * 255 + b"\0", Socks4Request(1, "1.2.3.4", 80, b"u" * 255, 264), id="long user"
        ),
        pytest.param(
            b"\4\1\0P\0\0\0\1" + b"u" * 255 + b"\0" + NAMES_255 + b"\0",
            Socks4Request(1, NAMES_255.decode(), 80, b"u" * 255, 520),
            id="long user, long name",
        ),
    ],
)
def test_socks4_requests(data: bytes, value: Socks4Request) -> None:
    is_read(socks4, data, value)
    assert value.length == len(data) <= SOCKS4_LIMIT


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\5", id="SOCKS5"),
        pytest.param(b"\0", id="version of a reply"),
        pytest.param(b"\4\0", id="command 0"),
        pytest.param(b"\4\3", id="command 3"),
        pytest.param(b"\4\1\0P\1\2\3\4" + b"u" * 256, id="long user"),
        pytest.param(b"\4\1\0P\0\0\0\1\0\0", id="empty name"),
        pytest.param(b"\4\1\0P\0\0\0\1\0.", id="dot"),
        pytest.param(b"\4\1\0P\0\0\0\1\0a..", id="two dots"),
        pytest.param(b"\4\1\0P\0\0\0\1\0-", id="hyphen first"),
        pytest.param(b"\4\1\0P\0\0\0\1\0a-.", id="hyphen before a dot"),
        pytest.param(b"\4\1\0P\0\0\0\1\0a-\0", id="hyphen last"),
        pytest.param(b"\4\1\0P\0\0\0\1\0a.-", id="hyphen after a dot"),
        pytest.param(b"\4\1\0P\0\0\0\1\0a ", id="space"),
        pytest.param(b"\4\1\0P\0\0\0\1\0a:", id="colon"),
        pytest.param(b"\4\1\0P\0\0\0\1\0a/", id="slash"),
        pytest.param(b"\4\1\0P\0\0\0\1\0a\n", id="line feed"),
        pytest.param(b"\4\1\0P\0\0\0\1\0\xc3", id="not ASCII"),
        pytest.param(b"\4\1\0P\0\0\0\1\0" + b"a" * 64, id="long label"),
        pytest.param(b"\4\1\0P\0\0\0\1\0" + NAMES_255 + b".", id="long name"),
        pytest.param(b"\4\1\0P\0\0\0\1" + b"u" * 255 + b"\0" + NAMES_255 + b"a", id="long user, long name"),
    ],
)
def test_what_is_not_socks4_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(socks4, data)
    assert len(data) <= SOCKS4_LIMIT == 520


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b"\5\2\0\1", Socks5Greeting((0, 1), 4), id="curl"),
        pytest.param(b"\5\3\0\1\2", Socks5Greeting((0, 1, 2), 5), id="curl, user and password"),
        pytest.param(b"\5\1\0", Socks5Greeting((0,), 3), id="one"),
        pytest.param(b"\5\2\xff\0", Socks5Greeting((255, 0), 4), id="in its order"),
        pytest.param(b"\5\xff" + bytes(range(255)), Socks5Greeting(tuple(range(255)), 257), id="all"),
    ],
)
def test_socks5_greetings(data: bytes, value: Socks5Greeting) -> None:
    is_read(socks5_greeting, data, value)
    assert value.length == len(data) <= SOCKS5_GREETING_LIMIT == 257


@pytest.mark.parametrize("data", [b"\4", b"\6", b"\0", b"G", b"\x16", b"\5\0"])
def test_what_is_not_a_socks5_greeting_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(socks5_greeting, data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(
            b"\5\1\0\3\x0fwww.example.com\1\xbb", Socks5Request(1, "www.example.com", 443, 22), id="curl, name"
        ),
        pytest.param(b"\5\1\0\4" + V6 + b"\x1f\x90", Socks5Request(1, "2001:db8::1", 8080, 22), id="curl, IPv6"),
        pytest.param(b"\5\1\0\1\1\2\3\4\0P", Socks5Request(1, "1.2.3.4", 80, 10), id="IPv4"),
        pytest.param(b"\5\2\0\1\0\0\0\0\0\0", Socks5Request(2, "0.0.0.0", 0, 10), id="BIND"),
        pytest.param(b"\5\3\0\4" + bytes(16) + b"\xff\xff", Socks5Request(3, "::", 65535, 22), id="UDP ASSOCIATE"),
        pytest.param(named(b"a"), Socks5Request(1, "a", 80, 8), id="short name"),
        pytest.param(named(b"1.2.3.4"), Socks5Request(1, "1.2.3.4", 80, 14), id="an address as a name"),
        pytest.param(named(b"A_b-c."), Socks5Request(1, "A_b-c.", 80, 13), id="as sent"),
        pytest.param(named(NAMES_255), Socks5Request(1, NAMES_255.decode(), 80, 262), id="long name"),
    ],
)
def test_socks5_requests(data: bytes, value: Socks5Request) -> None:
    is_read(socks5_request, data, value)
    assert value.length == len(data) <= SOCKS5_REQUEST_LIMIT == 262


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\4", id="SOCKS4"),
        pytest.param(b"\5\0", id="command 0"),
        pytest.param(b"\5\4", id="command 4"),
        pytest.param(b"\5\1\1", id="reserved"),
        pytest.param(b"\5\1\0\0", id="address type 0"),
        pytest.param(b"\5\1\0\2", id="address type 2"),
        pytest.param(b"\5\1\0\5", id="address type 5"),
        pytest.param(b"\5\1\0\3\0", id="empty name"),
        pytest.param(b"\5\1\0\3\2.", id="dot"),
        pytest.param(b"\5\1\0\3\1-", id="hyphen"),
        pytest.param(b"\5\1\0\3\3a-.", id="hyphen before a dot"),
        pytest.param(b"\5\1\0\3\2a-", id="hyphen last"),
        pytest.param(b"\5\1\0\3\4a..", id="two dots"),
        pytest.param(b"\5\1\0\3\4a\0", id="NUL"),
        pytest.param(b"\5\1\0\3\4a:", id="colon"),
        pytest.param(b"\5\1\0\3\4a ", id="space"),
        pytest.param(b"\5\1\0\3\4[", id="bracket"),
        pytest.param(b"\5\1\0\3\4\xc3", id="not ASCII"),
        pytest.param(b"\5\1\0\3\xff" + b"a" * 64, id="long label"),
    ],
)
def test_what_is_not_a_socks5_request_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(socks5_request, data)


@pytest.mark.parametrize(
    ("request_", "remote"),
    [
        (Socks4Request(1, "1.2.3.4", 80, b"", 9), "1.2.3.4:80"),
        (Socks4Request(1, "a.example", 80, b"", 9), "a.example:80"),
        (Socks5Request(1, "1.2.3.4", 80, 10), "1.2.3.4:80"),
        (Socks5Request(1, "a.example", 80, 10), "a.example:80"),
        (Socks5Request(1, "2001:db8::1", 80, 10), "[2001:db8::1]:80"),
    ],
)
def test_a_remote_is_as_a_router_wants_it(request_: Socks4Request | Socks5Request, remote: str) -> None:
    assert request_.remote == remote
    assert str(Forward(request_.remote).targets[0]) == remote


NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}(\.[A-Za-z0-9]{1,10}(-[a-z])?){0,4}", fullmatch=True)
PORT = st.integers(0, 65535)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([1, 2]), NAME | st.ip_addresses(v=4), PORT, st.binary(max_size=30), st.binary(max_size=9))
def test_whatever_is_put_into_a_socks4_request_is_read_from_it(
    command: int, host: str | ipaddress.IPv4Address, port: int, user: bytes, more: bytes
) -> None:
    user = user.replace(b"\0", b"")
    address, name = (b"\0\0\0\7", host.encode() + b"\0") if isinstance(host, str) else (host.packed, b"")
    if not name and address[:3] == bytes(3) and address[3]:
        return  # it says that a name follows
    data = bytes([4, command]) + port.to_bytes(2, "big") + address + user + b"\0" + name
    value = Socks4Request(command, str(host), port, user, len(data))
    assert answers(socks4, data) == [NEED_DATA] * len(data) + [value]
    assert socks4(data + more) == value


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([1, 2, 3]), NAME | st.ip_addresses(), PORT, st.binary(max_size=9))
def test_whatever_is_put_into_a_socks5_request_is_read_from_it(
    command: int, host: str | ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, more: bytes
) -> None:
    if isinstance(host, str):
        data = named(host.encode(), command, port)
    else:
        data = bytes([5, command, 0, 1 if host.version == 4 else 4]) + host.packed + port.to_bytes(2, "big")
    value = Socks5Request(command, str(host), port, len(data))
    assert answers(socks5_request, data) == [NEED_DATA] * len(data) + [value]
    assert socks5_request(data + more) == value
