"""What a router sees of a memcached command, and commands for several keys in parts."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import make_codec
from proxymux.core.codecs.memcache.view import MemcacheView, key_of
from proxymux.core.codecs.view import SplitRequest
from tests.core.codecs.checks import quick

ENCODED = base64.b64encode(b"a key\r\n")


@pytest.mark.parametrize(
    ("data", "command", "keys", "at_a_glance"),
    [
        (b"get a\r\n", "GET", [b"a"], b"a"),
        (b"gets  a  \n", "GETS", [b"a"], b"a"),
        (b"get a b a\r\n", "GET", [b"a", b"b", b"a"], None),
        (b"gat 5 a\r\n", "GAT", [b"a"], None),
        (b"gats 5 a b\r\n", "GATS", [b"a", b"b"], None),
        (b"set a 0 0 5\r\nb c d\r\n", "SET", [b"a"], b"a"),
        (b"cas a 0 0 1 9 noreply\r\nb\r\n", "CAS", [b"a"], b"a"),
        (b"incr a 1\r\n", "INCR", [b"a"], b"a"),
        (b"touch a 1\r\n", "TOUCH", [b"a"], b"a"),
        (b"delete a\r\n", "DELETE", [b"a"], b"a"),
        (b"delete a noreply\r\n", "DELETE", [b"a"], b"a"),
        (b"delete " + b" " * 600 + b"a\r\n", "DELETE", [b"a"], None),
        (b"get a" + b" " * 600 + b"b\r\n", "GET", [b"a", b"b"], None),
        (b"get " + b"a" * 250 + b"\r\n", "GET", [b"a" * 250], b"a" * 250),
        (b"get \xff\x80\r\n", "GET", [b"\xff\x80"], b"\xff\x80"),
        (b"mg a v t\r\n", "MG", [b"a"], None),
        (b"mg " + ENCODED + b" b v\r\n", "MG", [b"a key\r\n"], None),
        (b"md a* b\r\n", "MD", [b"a*"], None),
        (b"ms a 2 T5\r\nb \r\n", "MS", [b"a"], None),
        (b"ms " + ENCODED + b" 1 b\r\nx\r\n", "MS", [b"a key\r\n"], None),
        (b"ma b N0\r\n", "MA", [b"b"], None),
        (b"me a\r\n", "ME", [b"a"], None),
        (b"mn\r\n", "MN", [], None),
        (b"version\r\n", "VERSION", [], None),
        (b"stats items\r\n", "STATS", [], None),
        (b"flush_all 5\r\n", "FLUSH_ALL", [], None),
        (b"quit\r\n", "QUIT", [], None),
        (b"get\r\n", "GET", [], None),
        (b"delete\r\n", "DELETE", [], None),
        (b"\xff a\r\n", "\xff", [], None),
        (b"\r\n", None, [], None),
    ],
)
def test_command_and_keys(data: bytes, command: str | None, keys: list[bytes], at_a_glance: bytes | None) -> None:
    assert make_codec("memcache").requests().feed(data)[-1].end == len(data), "the example is no request"
    view = MemcacheView(data)
    assert (view.codec, view.data, view.command, view.keys) == ("memcache", data, command, tuple(keys))
    assert view.key == (keys[0] if keys else None)
    assert key_of(data) == at_a_glance
    assert view.can_split == (len(keys) > 1)


@quick
@given(st.text(alphabet="gets mgdabN0123 \r\n\xff", max_size=40).map(lambda text: text.encode("latin-1") + b"\r\n"))
def test_nothing_that_the_scanner_takes_is_too_much(data: bytes) -> None:
    try:
        requests = make_codec("memcache").requests().feed(data)
    except Exception:
        return
    begin = 0
    for request in requests:
        view = MemcacheView(data[begin : request.end])
        assert view.command is None or view.command
        key = key_of(view.data)
        assert key is None or view.keys == (key,)
        if view.can_split:
            assert view.of_key(0).keys == view.keys[:1]
        begin = request.end


# Parts

keys = st.sampled_from([b"a", b"b", b"END", b"VALUE", b"x" * 250, b"\xff"])
values = st.one_of(st.binary(max_size=6), st.sampled_from([b"", b"END\r\n", b"\r\nVALUE a 0 1\r\nx\r\n", b"y" * 5000]))


def answer(store: dict[bytes, bytes], data: bytes) -> bytes:
    """What a memcached with these values answers."""
    scanner = make_codec("memcache").requests()
    assert [each.end for each in scanner.feed(data)] == [len(data)], "no whole request"
    name, *words = data.split()
    some = words[1:] if name.startswith(b"gat") else words
    cas = b" 77" if name.endswith(b"s") else b""
    found = [b"VALUE %b 0 %d%b\r\n%b\r\n" % (key, len(store[key]), cas, store[key]) for key in some if key in store]
    return b"".join(found) + b"END\r\n"


def split(data: bytes, places: Sequence[int]) -> SplitRequest:
    view = MemcacheView(data)
    assert view.can_split
    return view.split(places)


@quick
@given(
    st.sampled_from([b"get", b"gets", b"gat 5", b"gats 0"]),
    st.lists(keys, min_size=2, max_size=8),
    st.dictionaries(keys, values),
    st.dictionaries(keys, st.integers(0, 3)),
    st.data(),
)
def test_the_parts_together_do_what_the_whole_does(
    name: bytes, some: list[bytes], store: dict[bytes, bytes], place_of: dict[bytes, int], data: st.DataObject
) -> None:
    view = MemcacheView(name + b" " + b" ".join(some) + b"\r\n")
    made = view.split([place_of.get(key, 0) for key in view.keys])
    replies = [answer(store, part.data) for part in made.parts]
    for number in data.draw(st.permutations(range(len(replies)))):
        assert not made.is_whole
        made.add(number, replies[number])
    assert made.is_whole
    assert made.held == sum(map(len, replies))
    assert made.reply() == answer(store, view.data)


def test_each_key_alone_is_the_same_command() -> None:
    view = MemcacheView(b"gats 5 a b\r\n")
    assert [view.of_key(position).data for position in (0, 1)] == [b"gats 5 a\r\n", b"gats 5 b\r\n"]


def test_of_one_place_command_and_reply_stay_as_they_are() -> None:
    made = split(b"get  a b\n", ["here", "here"])  # type: ignore[list-item]
    assert [part.data for part in made.parts] == [b"get  a b\n"]
    made.add(0, b"END\r\n")
    assert made.reply() == b"END\r\n"


@pytest.mark.parametrize("error", [b"ERROR\r\n", b"SERVER_ERROR out of memory\r\n", b"CLIENT_ERROR \xff\r\n"])
def test_the_error_of_a_part_is_the_reply(error: bytes) -> None:
    made = split(b"get a b c\r\n", [0, 1, 2])
    made.add(2, b"VALUE c 0 1\r\nx\r\nEND\r\n")
    made.add(1, error)
    made.add(0, b"END\r\n")
    assert (made.reply(), made.held) == (error, len(error))


@pytest.mark.parametrize(
    "reply",
    [
        b"VALUE c 0 1\r\nx\r\nEND\r\n",
        b"VALUE b 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
        b"VALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
        b"VALUE a 0 9\r\nx\r\nEND\r\n",
        b"VALUE a 0 1\r\nx\r\n",
        b"OK\r\n",
        b"",
    ],
)
def test_a_reply_of_another_kind_is_an_error(reply: bytes) -> None:
    made = split(b"get a b c\r\n", [0, 0, 1])
    made.add(0, reply)
    made.add(1, b"END\r\n")
    assert made.reply() == b"SERVER_ERROR a part of the command has a reply that cannot be joined with the others\r\n"


def test_ten_thousand_keys_with_large_values() -> None:
    some = [b"key:%d" % number for number in range(10_000)]
    store = {key: b"\r\n" * (number % 5) for number, key in enumerate(some) if number % 3} | {some[1]: b"x" * (1 << 20)}
    view = MemcacheView(b"get " + b" ".join(some) + b"\r\n")
    made = view.split([number % 8 for number in range(10_000)])
    assert len(made.parts) == 8
    for number, part in enumerate(made.parts):
        made.add(number, answer(store, part.data))
    assert made.reply() == answer(store, view.data)


def test_the_error_for_keys_in_different_places() -> None:
    assert MemcacheView(b"get a b\r\n").crossed == b"SERVER_ERROR keys of one command are in different places\r\n"
