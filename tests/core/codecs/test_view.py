"""What any codec's requests look like to a router."""

from __future__ import annotations

import pytest

from proxymux.core.codecs import CodecBase, ReplyScanner, Request, RequestScanner, complete, make_codec
from proxymux.core.codecs.view import RequestView, positions_of


@pytest.mark.parametrize(
    ("codec", "data"), [("line", b"GET a\n"), ("length:1", b"\x01a"), ("raw", b"GET a"), ("modbus", b"\0" * 8)]
)
def test_where_there_are_no_keys(codec: str, data: bytes) -> None:
    view = make_codec(codec).view(data)
    assert (view.data, view.codec) == (data, codec)
    assert (view.command, view.key, view.keys, view.can_split, view.crossed) == (None, None, (), False, b"")
    assert make_codec(codec).key_of(data) is None
    with pytest.raises(NotImplementedError):
        view.split([])
    with pytest.raises(NotImplementedError):
        view.of_key(0)


@pytest.mark.parametrize(
    ("codec", "data", "command", "key"),
    [
        ("resp", b"*2\r\n$3\r\nget\r\n$1\r\na\r\n", "GET", b"a"),
        ("memcache", b"get a\r\n", "GET", b"a"),
        ("http", b"GET / HTTP/1.0\r\n\r\n", "GET", None),
    ],
)
def test_each_codec_has_its_own(codec: str, data: bytes, command: str, key: bytes | None) -> None:
    made = make_codec(codec)
    view = made.view(data)
    assert (view.codec, view.command, view.key, made.key_of(data)) == (codec, command, key, key)


def test_a_run_of_redis_commands_is_cut() -> None:
    data = b"*2\r\n$3\r\nget\r\n$1\r\na\r\n" * 2 + b"PING\r\n"
    codec = make_codec("resp")
    assert [(each.end, each.count) for each in codec.requests().feed(data)] == [(len(data), 3)]
    assert codec.cut_run(data) == [(20, b"a"), (40, b"a"), (46, None)]


class Pairs:
    """Requests of two bytes, in runs."""

    interim = b""

    def __init__(self) -> None:
        self._odd = 0

    @property
    def is_between(self) -> bool:
        return not self._odd

    def feed(self, data: bytes) -> list[Request]:
        count, left = divmod(self._odd + len(data), 2)
        self._odd = left
        return [Request(len(data) - left, count=count)] if count else []


class Users:
    """A codec that leaves out what it may."""

    name = "pairs"
    gap = False

    def requests(self) -> RequestScanner:
        return Pairs()

    def replies(self) -> ReplyScanner:
        raise NotImplementedError

    def failure(self, problem: str) -> bytes:
        return b""


class WithView(Users):
    def view(self, data: bytes) -> RequestView:
        view = RequestView(data, self.name)
        view.letter = data[:1]  # type: ignore[attr-defined]
        return view

    def key_of(self, data: bytes) -> bytes:
        return data[1:]


def test_a_users_codec_needs_no_view() -> None:
    codec = complete(Users())  # type: ignore[arg-type]
    view = codec.view(b"ab")
    assert (view.data, view.codec, view.command, view.keys) == (b"ab", "pairs", None, ())
    assert codec.key_of(b"ab") is None
    assert codec.cut_run(b"abcdef") == [(2, None), (4, None), (6, None)]


def test_a_users_codec_may_have_its_own() -> None:
    codec = complete(WithView())  # type: ignore[arg-type]
    assert codec.view(b"ab").letter == b"a"  # type: ignore[attr-defined]
    assert codec.key_of(b"ab") == b"b"


def test_the_base_class_has_them_too() -> None:
    class Derived(CodecBase, Users):
        pass

    codec = Derived()
    assert complete(codec) is codec
    assert codec.view(b"ab").codec == "pairs"
    assert codec.cut_run(b"abcd") == [(2, None), (4, None)]


def test_places_are_in_the_order_in_which_they_come() -> None:
    assert positions_of(["b", "a", "b", 1, True]) == {"b": [0, 2], "a": [1], 1: [3, 4]}
