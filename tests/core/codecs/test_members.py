"""What codecs say beside the ends of messages: how much is to come, and what may be carried out twice."""

from __future__ import annotations

import pytest

from proxymux.core.codecs import make_codec, remaining
from proxymux.core.codecs.memcache.commands import Shape

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("codec", "hint", "data", "left"),
    [
        ("http", None, HEAD, 0),
        ("http", None, HEAD + b"Content-Length: 10\r\n\r\n123", 7),
        ("http", None, HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12", None),
        ("http", None, HEAD + b"\r\nto the end", None),
        ("resp", None, b"$10\r\n123", 9),
        ("resp", None, b"*3\r\n:1\r\n$100\r\n", 102 + 6),
        ("memcache", Shape.VALUES, b"VALUE a 0 10\r\n1", 11),
        ("length:2", None, b"\0\n1", 9),
        ("line", None, b"half", 0),
        ("raw", None, b"half", 0),
    ],
)
def test_what_is_still_to_come(codec: str, hint: object, data: bytes, left: int | None) -> None:
    scanner = make_codec(codec).replies()
    scanner.expect(hint)
    assert remaining(scanner) == 0
    assert scanner.feed(data) == []
    assert remaining(scanner) == left


def test_a_scanner_that_does_not_say_does_not_know() -> None:
    class Silent:
        must_close = False
        is_between = True

        def expect(self, hint: object, count: int = 1) -> None: ...
        def feed(self, data: bytes) -> list[int]:
            return []

        def count(self, data: bytes) -> int | None:
            return None

        def finish(self) -> bool:
            return False

        def silence(self) -> None: ...

    assert remaining(Silent()) == 0


# Requests that may be carried out twice

HOST = b"\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("codec", "data", "may"),
    [
        *[("http", method + b" / HTTP/1.1" + HOST, True) for method in (b"GET", b"HEAD", b"OPTIONS", b"TRACE")],
        ("http", b"DELETE / HTTP/1.1" + HOST, True),
        ("http", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", True),
        ("http", b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", True),
        *[("http", method + b" / HTTP/1.1" + HOST, False) for method in (b"POST", b"PATCH", b"get", b"LOCK", b"X")],
        ("http", 2 * (b"GET / HTTP/1.1" + HOST), True),
        ("http", b"GET / HTTP/1.1" + HOST + b"PUT / HTTP/1.1" + HOST, False),
        ("http", b"GET / HTTP/1.1" + HOST + b"POST / HTTP/1.1" + HOST, False),
        ("resp", b"*2\r\n$3\r\nget\r\n$1\r\na\r\n", True),
        ("resp", b"*2\r\n$3\r\nGET\r\n$5\r\nSET a\r\n" * 3 + b"PING\r\n*0\r\n", True),
        ("resp", b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n", False),
        ("resp", b"GET a\nINCR a\n", False),
        ("resp", b"GETDEL a\r\n", False),
        ("resp", b"GETEX a\r\n", False),
        ("resp", b"object freq a\r\n", True),
        ("resp", b"CONFIG GET x\r\nMEMORY USAGE a\r\n", True),
        ("resp", b"CONFIG SET x y\r\n", False),
        ("resp", b"MEMORY PURGE\r\n", False),
        ("memcache", b"get a\r\ngets a b\nmn\r\nversion\r\nstats\r\nstats items\r\n", True),
        ("memcache", b"mg a t v N30\r\n", False),
        ("memcache", b"mg a t v\r\nmg a k T0\r\n", False),
        ("memcache", b"mg N t v s O123\r\n", True),
        ("memcache", b"gat 0 a\r\n", False),
        ("memcache", b"incr a 1\r\n", False),
        ("memcache", b"set a 0 0 1\r\n1\r\n", False),
        ("memcache", b"stats reset\r\n", False),
        ("memcache", b"flush_all\r\n", False),
        ("line", b"any\n", False),
        ("raw", b"any", False),
        ("modbus", bytes.fromhex("000100000006010300000001"), False),
    ],
)
def test_what_may_be_carried_out_twice(codec: str, data: bytes, may: bool) -> None:
    made = make_codec(codec)
    assert made.repeatable(data) == may
    if codec != "raw":
        assert made.requests().feed(data)[-1].end == len(data), "the example is no request"
