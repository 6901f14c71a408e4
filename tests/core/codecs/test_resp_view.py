"""What a router sees of a Redis command."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxymux.core.codecs import KeyedScanner, Request, make_codec
from proxymux.core.codecs.resp.commands import EXCEPTIONAL
from proxymux.core.codecs.resp.one_key import ALONE, KNOWN, cut_run, key_of
from proxymux.core.codecs.resp.view import RespView
from proxymux.core.codecs.resp.words import MOST_WORDS, CommandWords, array_of, as_array, line_words
from tests.core.codecs.checks import Watched, quick

ODD = (b"", b"\r\n", b"$3\r\nGET", b"a\r\n$1\r\nb", b"*1", b"\0", b" ", b"x" * 600, b"x" * 5000, bytes(range(256)))
words = st.one_of(
    st.binary(max_size=8), st.sampled_from([*ODD, b"GET", b"get", b"Get", b"MGET", b"EVAL", b"2", b"STORE"])
)
commands = st.lists(words, min_size=1, max_size=6)


@pytest.mark.parametrize("name", [b"GET", b"get", b"Get", b"SET", b"hgetall"])
@pytest.mark.parametrize("key", [b"key:1", *ODD])
def test_command_and_key(name: bytes, key: bytes) -> None:
    view = RespView(array_of([name, key, b"value"]))
    assert (view.codec, view.command, view.key, view.keys) == ("resp", name.upper().decode(), key, (key,))
    view = RespView(array_of([name, key, b"value"]))
    assert (view.keys, view.command) == ((key,), name.upper().decode())
    assert RespView(array_of([name, key])).key == key
    assert not view.can_split


def test_of_a_command_without_keys() -> None:
    view = RespView(array_of([b"ping", b"a"]))
    assert (view.command, view.key, view.keys, view.can_split) == ("PING", None, (), False)


@pytest.mark.parametrize("data", [b"\r\n", b"\n", b"  \r\n", b"*0\r\n", b"*-1\r\n", b'get "a\r\n', b'"a"b\r\n'])
def test_what_has_no_words_has_neither_command_nor_key(data: bytes) -> None:
    view = RespView(data)
    assert (view.command, view.key, view.keys, view.can_split) == (None, None, (), False)
    assert key_of(data) is None


def test_a_name_may_be_any_bytes() -> None:
    assert RespView(array_of([b"\xff\r\nx", b"a"])).command == "\xff\r\nX"
    assert RespView(array_of([b"", b"a"])).command is None


def test_a_large_value_is_not_copied() -> None:
    class Strict(bytes):
        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            piece = super().__getitem__(index)
            assert isinstance(piece, int) or len(piece) < 1000
            return piece

    for name in (b"SET", b"Set"):
        view = RespView(Strict(array_of([name, b"k" * 600, b"v" * (1 << 20)])))
        assert (view.command, view.key) == ("SET", b"k" * 600)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"get a\r\n", [b"get", b"a"]),
        (b"  GET\ta \n", [b"GET", b"a"]),
        (b'set a "b c"\r\n', [b"set", b"a", b"b c"]),
        (b"set a 'b \\' \\n c'\r\n", [b"set", b"a", b"b ' \\n c"]),
        (b'set a "\\x41\\n\\r\\t\\b\\a\\q\\"\\xZZ"\r\n', [b"set", b"a", b'A\n\r\t\b\aq"xZZ']),
        (b"set a\"b c\" ''\r\n", [b"set", b"ab c", b""]),
        (b'set ""\r\n', [b"set", b""]),
        (b'set "a" \r\n', [b"set", b"a"]),
        (b"'a\r\n", []),
        (b"a 'b\\'\r\n", []),
        (b"'a''b'\r\n", []),
        (b'a"b"c\r\n', []),
    ],
)
def test_words_of_a_line(line: bytes, found: list[bytes]) -> None:
    assert list(line_words(line)) == found
    assert as_array(line) == array_of(found)


def test_many_quotes_take_no_long_time() -> None:
    assert line_words(b"a" * 30_000 + b'"' + b"\\" * 30_000) == []
    assert len(line_words(b"'a' " * 10_000)) == 10_000


def test_a_line_is_as_good_as_an_array() -> None:
    view = RespView(b'MGET a "b c" a\r\n')
    assert (view.command, view.keys, view.can_split) == ("MGET", (b"a", b"b c", b"a"), True)
    assert view.of_key(1).data == array_of([b"MGET", b"b c"])


def test_words_are_a_sequence() -> None:
    some = CommandWords(array_of([b"a", b"", b"b\r\n"]))
    assert list(some) == [b"a", b"", b"b\r\n"]
    assert some[1:] == [b"", b"b\r\n"]
    assert some.at([2, 0]) == [b"b\r\n", b"a"]
    assert list(some.bulks([2, 0])) == [b"$3\r\nb\r\n\r\n", b"$1\r\na\r\n"]
    assert list(some.bulks([1], 2)) == [b"$0\r\n\r\n$3\r\nb\r\n\r\n"]


@quick
@given(commands)
@example([b"GET", b"a"])
@example([b"SET", b"a\r\n$1", b"b"])
@example([b"GET\r\n$1\r\na", b"b"])
def test_what_is_found_at_a_glance_is_what_all_words_say(some: list[bytes]) -> None:
    data = array_of(some)
    key = key_of(data)
    assert key is None or RespView(data).keys == (key,)
    slow = RespView(data)
    slow._command = some[0].upper().decode("latin-1")
    slow._read_keys()
    view = RespView(data)
    assert (view.command, view.keys) == (slow.command, slow.keys)
    if slow.command in ("GET", "SET") and len(some) > 1:
        assert slow.keys == (some[1],)


@quick
@given(st.lists(commands, min_size=1, max_size=6))
def test_a_run_is_cut_where_each_command_ends(several: list[list[bytes]]) -> None:
    each = [array_of(some) for some in several] + [b"\r\n", b"GET a\r\n", b"*0\r\n"]
    found = cut_run(b"".join(each))
    begin = 0
    for data, (end, key) in zip(each, found, strict=True):
        assert end - begin == len(data)
        assert key is None or RespView(data).keys == (key,)
        begin = end
    assert cut_run(b"*1\r\n$3\r\nGET\r\n" * 2) == [(13, None), (26, None)]
    run = [array_of(words) for words in ([b"get", b"a"], [b"DEL", b"a"], [b"DEL", b"a", b"b"], [b"Get", b"a"])]
    assert [key for _, key in cut_run(b"".join(run))] == [b"a", b"a", None, None]


@quick
@given(st.lists(commands, min_size=1, max_size=6), st.binary(max_size=3))
@example([[b"GET", b"a"], [b"SET", b"b", b"\r\n"], [b"DEL", b"c"]], b"")
@example([[b"GET", b"a"], [b"set", b"b", b"c", b"EX", b"1"], [b"MSET", b"d", b"e"]], b"")
def test_what_is_found_with_keys_in_one_pass_is_what_the_others_find(several: list[list[bytes]], more: bytes) -> None:
    data = b"".join(map(array_of, several)) + more
    scanner = make_codec("resp").requests()
    assert isinstance(scanner, KeyedScanner)
    found = scanner.cut_keyed(data)
    if found is None:
        assert more or any(b"\r\n" in word for some in several for word in some) or not all(map(is_usual, several))
    else:
        assert list(zip(*found, strict=True)) == cut_run(data)
        assert scanner.feed(data) == [Request(len(data), count=len(several))]  # nothing was taken note of


def is_usual(some: list[bytes]) -> bool:
    return key_of(array_of(some)) is not None and some[0].upper() not in EXCEPTIONAL


def test_what_is_not_plain_or_not_whole_is_not_found_with_keys() -> None:
    get = array_of([b"GET", b"a"])
    for data in (b"GET a\r\n", get[:-1], get + b"*", array_of([b"WATCH", b"a"]), array_of([b"MGET", b"a", b"b"]), b""):
        scanner = make_codec("resp").requests()
        assert isinstance(scanner, KeyedScanner)
        assert scanner.cut_keyed(get + data if data else b"\r\n") is None
        scanner.feed(get[:5])
        assert scanner.cut_keyed(get) is None


def test_both_ways_know_the_same_names() -> None:
    for name, (length, text) in KNOWN.items():
        assert length == b"$%d" % len(name)
        assert text == name.upper().decode()
        assert key_of(array_of([name, b"a"])) == b"a"
    assert {b"DEL", b"mget", b"MSET", b"UNLINK"} < {name for _, name in ALONE}
    for first, name in ALONE:
        words = [name, b"a", b"b"][: int(first[1:])]
        assert (key_of(array_of(words)), RespView(array_of(words)).keys) == (b"a", (b"a",))
        assert key_of(array_of([*words, b"c", b"d"])) is None


@quick
@given(st.one_of(commands.map(array_of), st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"") + b"\r\n")))
def test_nothing_that_the_scanner_takes_is_too_much(data: bytes) -> None:
    scanner = make_codec("resp").requests()
    try:
        requests = scanner.feed(data)
    except Exception:
        return
    begin = 0
    for request in requests:
        check(data[begin : request.end], request)
        begin = request.end


def check(data: bytes, request: Request) -> None:
    for end, key in cut_run(data) if request.count > 1 else [(len(data), key_of(data))]:
        assert 0 < end <= len(data)
        assert key is None or isinstance(key, bytes)
    view = RespView(data)
    assert view.data is data
    assert view.key == (view.keys[0] if view.keys else None)
    assert view.command is None or isinstance(view.command, str)
    if view.can_split:
        assert view.split([0] * len(view.keys)).parts[0].data is data
        assert view.of_key(0).keys == view.keys[:1]


def test_ten_thousand_keys() -> None:
    keys = tuple(os.urandom(20) for _ in range(10_000))
    view = RespView(array_of([b"MGET", *keys]))
    assert view.keys == keys
    parts = view.split([number % 7 for number in range(10_000)]).parts
    assert [part.place for part in parts] == list(range(7))
    assert [RespView(part.data).keys for part in parts] == [keys[number::7] for number in range(7)]


def test_of_very_many_keys_only_the_first_are_found() -> None:
    head = b"*%d\r\n$4\r\nMGET\r\n"
    most = RespView(head % MOST_WORDS + b"$0\r\n\r\n" * (MOST_WORDS - 1))
    assert (len(most.keys), most.can_split) == (MOST_WORDS - 1, True)
    more = RespView(head % (MOST_WORDS + 5) + b"$0\r\n\r\n" * (MOST_WORDS + 4))
    assert (len(more.keys), more.can_split) == (MOST_WORDS - 1, False)


@pytest.mark.parametrize("command", [b"*1\r\n$4\r\nPING\r\n", b"PING\r\n", b"*0\r\n", array_of([b"GET", b"\r\n"])])
def test_no_byte_of_a_run_is_looked_at_very_often(command: bytes) -> None:
    run = Watched(array_of([b"SET", b"a", b"b"]) + command * 20_000)
    Watched.work = 0
    assert len(cut_run(run)) == 20_001
    assert Watched.work < 6 * len(run)
