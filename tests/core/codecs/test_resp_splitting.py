"""Redis commands for several keys: cut into parts, sent to servers that are dictionaries, and joined."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import make_codec
from proxymux.core.codecs.resp.view import RespView
from proxymux.core.codecs.resp.words import CommandWords, array_of
from proxymux.core.codecs.view import SplitRequest
from tests.core.codecs.checks import quick

NULLS = (b"$-1\r\n", b"_\r\n")
keys = st.sampled_from([b"", b"a", b"b", b"\r\n", b"$1\r\nc\r\n", b"x" * 5000, b"\xff\0"])
values = st.one_of(st.binary(max_size=6), st.sampled_from([b"", b"\r\n", b"$-1\r\n", b"y" * 5000, b"*1\r\n"]))


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


class Model:
    """A Redis that is a dictionary."""

    def __init__(self, null: bytes) -> None:
        self.values: dict[bytes, bytes] = {}
        self._null = null

    def do(self, data: bytes) -> bytes:
        scanner = make_codec("resp").requests()
        assert [(each.end, each.count) for each in scanner.feed(data)] == [(len(data), 1)], "no whole request"
        name, *words = CommandWords(data)
        command, store = name.upper(), self.values
        if command == b"MSET":
            store.update(zip(words[::2], words[1::2], strict=True))
            return b"+OK\r\n"
        if command == b"MGET":
            found = [bulk(store[key]) if key in store else self._null for key in words]
            return b"*%d\r\n%b" % (len(found), b"".join(found))
        count = 0
        for key in words:
            count += key in store
            if command in (b"DEL", b"UNLINK"):
                store.pop(key, None)
        return b":%d\r\n" % count


def split(command: Sequence[bytes], places: Sequence[int]) -> SplitRequest:
    view = RespView(array_of(command))
    assert view.can_split
    return view.split(places)


@st.composite
def commands(draw: st.DrawFn) -> list[bytes]:
    name = draw(st.sampled_from([b"MGET", b"mget", b"MSET", b"Del", b"UNLINK", b"EXISTS", b"TOUCH"]))
    some = draw(st.lists(keys, min_size=2, max_size=8))
    if name == b"MSET":
        return [name, *[word for key in some for word in (key, draw(values))]]
    return [name, *some]


@quick
@given(st.lists(commands(), max_size=6), st.dictionaries(keys, st.integers(0, 3)), st.sampled_from(NULLS), st.data())
def test_the_parts_together_do_what_the_whole_does(
    several: list[list[bytes]], place_of: dict[bytes, int], null: bytes, data: st.DataObject
) -> None:
    whole, places = Model(null), [Model(null) for _ in range(4)]
    for command in several:
        view = RespView(array_of(command))
        made = view.split([place_of.get(key, 0) for key in view.keys])
        replies = [places[part.place].do(part.data) for part in made.parts]  # type: ignore[call-overload]
        for number in data.draw(st.permutations(range(len(replies)))):
            assert not made.is_whole
            made.add(number, replies[number])
        assert made.is_whole
        assert made.held == sum(map(len, replies))
        assert made.reply() == whole.do(view.data)
        union = {key: value for place in places for key, value in place.values.items()}
        assert union == whole.values


@quick
@given(commands())
def test_each_key_alone_is_the_same_command(command: list[bytes]) -> None:
    view = RespView(array_of(command))
    width = 2 if view.command == "MSET" else 1
    for position, key in enumerate(view.keys):
        alone = view.of_key(position)
        assert (alone.command, alone.keys) == (view.command, (key,))
        at = 1 + width * position
        assert alone.data == array_of([command[0], *command[at : at + width]])


def test_keys_are_grouped_by_place_in_the_order_of_the_first() -> None:
    made = split([b"MGET", b"a", b"b", b"c", b"a"], [7, 3, 7, 7])
    assert [(part.place, part.data, list(part.positions)) for part in made.parts] == [
        (7, array_of([b"MGET", b"a", b"c", b"a"]), [0, 2, 3]),
        (3, array_of([b"MGET", b"b"]), [1]),
    ]


def test_of_one_place_command_and_reply_stay_as_they_are() -> None:
    view = RespView(b"mget a b\r\n")
    made = view.split(["here", "here"])
    assert [(part.data, list(part.positions)) for part in made.parts] == [(view.data, [0, 1])]
    made.add(0, b"anything")
    assert (made.is_whole, made.held, made.reply()) == (True, 8, b"anything")


@pytest.mark.parametrize(
    ("command", "good", "bad"),
    [
        ("MGET a b", b"*1\r\n$1\r\nx\r\n", b"-LOADING wait\r\n"),
        ("MSET a 1 b 2", b"+OK\r\n", b"-OOM no memory\r\n"),
        ("DEL a b", b":1\r\n", b"-ERR timeout\r\n"),
        ("EXISTS a b", b":1\r\n", b"!9\r\nERR x\r\ny\r\n"),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_the_error_of_a_part_is_the_reply(command: str, good: bytes, bad: bytes, first: int) -> None:
    made = split(command.encode().split(), [0, 1])
    made.add(first, bad)
    assert not made.is_whole
    assert made.held == len(bad)
    made.add(1 - first, good)
    assert (made.is_whole, made.reply(), made.held) == (True, bad, len(bad))
    made = split(command.encode().split(), [0, 1])
    made.add(first, good)
    made.add(1 - first, bad)
    assert (made.is_whole, made.reply(), made.held) == (True, bad, len(bad))


def test_of_several_errors_the_first_that_came_counts() -> None:
    made = split([b"DEL", b"a", b"b", b"c"], [0, 1, 2])
    for number, reply in ((2, b":1\r\n"), (1, b"-ERR one\r\n"), (0, b"-ERR two\r\n")):
        made.add(number, reply)
    assert made.reply() == b"-ERR one\r\n"


def test_a_part_has_one_reply() -> None:
    made = split([b"DEL", b"a", b"b"], [0, 1])
    made.add(0, b":1\r\n")
    with pytest.raises(KeyError):
        made.add(0, b":1\r\n")


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MGET a b", b":1\r\n"),
        ("MGET a b", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("MGET a b", b"*1\r\n*1\r\n$1\r\na\r\n"),
        ("MGET a b", b"*1\r\n$x\r\n"),
        ("MGET a b", b"|1\r\n+a\r\n+b\r\n*1\r\n$1\r\na\r\n"),
        ("MGET a b", b"*1\r\n+a"),
        ("MGET a b", b"*1\r\n$1\r\na"),
        ("MGET a b", b"*1\r\n+a\r\nrest"),
        ("MGET a b", b"+QUEUED\r\n"),
        ("MSET a 1 b 2", b"+QUEUED\r\n"),
        ("DEL a b", b"$1\r\n1\r\n"),
        ("TOUCH a b", b"+OK\r\n"),
    ],
)
def test_a_reply_of_another_kind_is_an_error(command: str, reply: bytes) -> None:
    good = {"MGET": b"*1\r\n$1\r\nb\r\n", "MSET": b"+OK\r\n"}.get(command.split()[0], b":1\r\n")
    made = split(command.encode().split(), [0, 1])
    made.add(1, good)
    made.add(0, reply)
    assert made.reply() == b"-ERR a part of the command has a reply that cannot be joined with the others\r\n"


def test_values_may_have_the_types_of_resp3() -> None:
    made = split([b"MGET", b"a", b"b", b"c", b"d", b"e"], [0, 1, 0, 1, 0])
    made.add(1, b"*2\r\n$5000\r\n%b\r\n_\r\n" % (b"x" * 5000))
    made.add(0, b"*3\r\n=6\r\ntxt:\r\n\r\n#t\r\n!3\r\nERR\r\n")
    assert made.reply() == b"*5\r\n=6\r\ntxt:\r\n\r\n$5000\r\n%b\r\n#t\r\n_\r\n!3\r\nERR\r\n" % (b"x" * 5000)


@pytest.mark.parametrize(
    "command", ["GET a", "MGET a", "RENAME a b", "MSET a 1 b", "MSETNX a 1 b 2", "SINTER a b", "WATCH a b"]
)
def test_what_cannot_be_split(command: str) -> None:
    view = RespView(array_of(command.encode().split()))
    assert not view.can_split
    assert view.crossed == b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"


def test_large_values() -> None:
    value = b"\r\n" * (1 << 19)
    words = [b"MSET", b"a", value, b"b", b"c", b"d", value]
    made = split(words, [0, 1, 0])
    assert made.parts[0].data == array_of([b"MSET", b"a", value, b"d", value])
    assert made.parts[1].data == array_of([b"MSET", b"b", b"c"])
    made = split([b"MGET", b"a", b"b", b"d"], [0, 1, 0])
    made.add(0, b"*2\r\n" + bulk(value) * 2)
    made.add(1, b"*1\r\n$1\r\nc\r\n")
    assert made.reply() == b"*3\r\n" + bulk(value) + b"$1\r\nc\r\n" + bulk(value)
