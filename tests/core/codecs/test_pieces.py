"""How much of an unfinished reply is still to come, as far as its codec knows."""

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
