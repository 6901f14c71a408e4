"""How large messages may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxymux.core.codecs import make_codec
from proxymux.core.codecs.limits import DEFAULT_LIMITS, limits_of
from tests.core.codecs.checks import bad_replies, bad_requests, check_replies

MIB = 1024 * 1024


def test_the_defaults_are_those_of_the_contract() -> None:
    limits = limits_of(None)
    assert limits is DEFAULT_LIMITS
    assert (limits.value, limits.line, limits.head, limits.keys) == (512 * MIB, 16 * MIB, 64 * 1024, MIB)


@pytest.mark.parametrize("given", [10, 700 * MIB])
def test_what_is_given_is_for_values_and_lines_and_leaves_heads_as_they_are(given: int) -> None:
    limits = limits_of(given)
    assert (limits.value, limits.line) == (given, given)
    assert (limits.head, limits.keys) == (DEFAULT_LIMITS.head, DEFAULT_LIMITS.keys)
    assert limits.request == given + limits.head


def body(size: int) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % size + bytes(size)


REQUESTS: dict[str, Callable[[int], bytes]] = {
    "http": lambda size: b"PUT / HTTP/1.1\r\nHost: a\r\n" + body(size),
    "resp": lambda size: b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (size, bytes(size)),
    "memcache": lambda size: b"set a 0 0 %d\r\n%b\r\n" % (size, bytes(size)),
    "line": lambda size: bytes(size - 1) + b"\n",
    "length:2": lambda size: size.to_bytes(2, "big") + bytes(size),
}
REPLIES: dict[str, Callable[[int], bytes]] = {
    "http": lambda size: b"HTTP/1.1 200 OK\r\n" + body(size),
    "resp": lambda size: b"$%d\r\n%b\r\n" % (size, bytes(size)),
    "line": REQUESTS["line"],
    "length:2": REQUESTS["length:2"],
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_keep_to_them(name: str) -> None:
    codec = make_codec(name, limits_of(10))
    request = REQUESTS[name](10)
    assert [each.end for each in codec.requests().feed(request)] == [len(request)]
    bad_requests(codec, REQUESTS[name](11))


@pytest.mark.parametrize("name", REPLIES)
def test_replies_keep_to_them(name: str) -> None:
    codec = make_codec(name, limits_of(10))
    check_replies(codec, [None], REPLIES[name](10))
    bad_replies(codec, [None], REPLIES[name](11))
