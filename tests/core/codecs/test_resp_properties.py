"""RESP: any stream, valid or not, cut in any way; and hiredis finds the same messages."""

from __future__ import annotations

from typing import Any

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import Kind, make_codec
from proxymux.core.codecs.limits import Limits
from proxymux.core.codecs.resp import RespCodec
from proxymux.core.codecs.resp.credentials import Credentials
from proxymux.core.codecs.resp.requests import RespRequests
from tests.core.codecs.checks import (
    Said,
    assert_replies,
    assert_requests,
    check_any_replies,
    check_any_requests,
    cuts,
    found_requests,
    places,
    quick,
    spoilt,
)

resp = make_codec("resp")
#: Small enough to be met.
tight = RespCodec(Limits(value=6))


class Stingy(RespCodec):
    """Has no upstream to spare."""

    def requests(self) -> RespRequests:
        return self.requests_for(lambda: False)


stingy, asking = Stingy(), RespCodec()
asking.setups.credentials = Credentials(None, {b"a": (b"b",)})
ALPHABET = b"*$+-:%~|>_#,(=!019\r\nabC \0\"'"


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def command(words: list[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(words), b"".join(map(bulk, words)))


values = st.one_of(
    st.binary(max_size=8),
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"$", b"*", b"1", b"a"]), max_size=6).map(b"".join),
    st.sampled_from([b"GET", b"x" * 5000, b"BLOCK", b"STREAMS", b"*1\r\n$4\r\nPING\r\n"]),
)
plain = st.lists(values, min_size=1, max_size=5).map(lambda words: Said(command([b"GET", *words])))
other = st.sampled_from(
    [
        Said(command([b"Select", b"1"]), Kind.OWN),
        Said(command([b"XREAD", b"BLOCK", b"0", b"STREAMS", b"s", b"0"]), Kind.OWN),
        Said(command([b"client", b"setname", b"a"]), Kind.REFUSED, None, b"+OK\r\n"),
        Said(command([b"client", b"setinfo", b"a", b"b"]), Kind.REPLACED),
        Said(b"hello 3\r\n", Kind.REPLACED),
        Said(b"*0\r\n", Kind.REFUSED),
        Said(b"PING\r\n"),
        Said(b"multi\n", Kind.OWN),
    ]
)
said = st.lists(st.one_of(plain, plain, other), max_size=12)


@quick
@given(said, places)
def test_requests_are_found_however_they_are_cut(said: list[Said], at: list[int]) -> None:
    data = b"".join(each.data for each in said)
    assert_requests(resp, said, cuts(data, at))


@quick
@given(spoilt(said.map(lambda said: b"".join(each.data for each in said)[:300]), ALPHABET), places)
def test_any_bytes_are_the_same_requests_however_they_are_cut(data: bytes, at: list[int]) -> None:
    check_any_requests(resp, data, at)
    check_any_requests(tight, data, at)


lines = st.sampled_from(
    b"MULTI|EXEC|DISCARD|WATCH a|UNWATCH|GET a|SET a MULTI|RESET|AUTH a b|AUTH b|HELLO 3|HELLO 2 AUTH a b|SELECT 0"
    b"|SELECT 5|CLIENT SETNAME a|CLIENT GETNAME|get 'a'".split(b"|")
)
#: Commands that depend on those before them, as arrays or as lines.
dependent = st.lists(
    st.one_of(lines.map(lambda line: command(line.split())), lines.map(lambda line: line + b"\r\n")), max_size=14
)


@quick
@given(dependent, places)
def test_what_depends_on_what_came_before_is_the_same_however_it_is_cut(commands: list[bytes], at: list[int]) -> None:
    for codec in (resp, stingy, asking):
        check_any_requests(codec, b"".join(commands), at)


@quick
@given(spoilt(dependent.map(lambda commands: b"".join(commands)[:300]), ALPHABET), places)
def test_so_it_is_if_it_is_spoilt(data: bytes, at: list[int]) -> None:
    for codec in (stingy, asking):
        check_any_requests(codec, data, at)


@quick
@given(dependent)
def test_nothing_of_a_refused_transaction_passes(commands: list[bytes]) -> None:
    scanner = stingy.requests()
    is_refused = False
    for each in commands:
        came = scanner.feed(each)
        is_end = any(name in each for name in (b"EXEC", b"DISCARD", b"RESET"))
        if is_refused and came:
            assert came[0].kind is Kind.REFUSED
        is_refused = (is_refused or (b"MULTI" in each and b"SET" not in each)) and not is_end


@quick
@given(dependent)
def test_nothing_passes_before_a_login(commands: list[bytes]) -> None:
    scanner = asking.requests()
    for each in commands:
        [request] = scanner.feed(each)
        if b"AUTH" in each and b"a" in each:
            return
        assert request.kind is Kind.REFUSED


def read_by_hiredis(data: bytes) -> list[Any] | None:
    """The values that the data is, or None if it is not so many whole ones or has what hiredis cannot make."""
    reader = hiredis.Reader(notEnoughData=Ellipsis)
    reader.feed(data)
    found: list[Any] = []
    while reader.has_data():
        try:
            value = reader.gets()
        except (hiredis.ProtocolError, TypeError):
            return None
        if value is Ellipsis:
            return None
        found.append(value)
    return found


@quick
@given(spoilt(st.lists(plain, max_size=8).map(lambda said: b"".join(each.data for each in said)[:300]), ALPHABET))
def test_hiredis_finds_the_same_requests(data: bytes) -> None:
    scanner = resp.requests()
    if found_requests(resp, [data])[1] or any(b"refused" in each.encode() for each in found_requests(resp, [data])[0]):
        return
    requests = scanner.feed(data)
    whole = data[: requests[-1].end] if requests else b""
    values = read_by_hiredis(whole)
    if values is None or not all(isinstance(value, list) for value in values):
        return  # a line of words, of which hiredis knows nothing
    assert sum(request.count for request in requests) == len(values)


def aggregate(of: tuple[int, list[bytes], bytes]) -> bytes:
    kind, inner, after = of
    if kind in b"%|" and len(inner) % 2:
        inner = inner[1:]
    count = len(inner) // 2 if kind in b"%|" else len(inner)
    return b"%c%d\r\n%b%b" % (kind, count, b"".join(inner), after if kind == 124 else b"")


leaves = st.one_of(
    values.map(bulk),
    st.sampled_from(
        [b"+OK\r\n", b"$-1\r\n", b":12\r\n", b"-ERR x\r\n", b"_\r\n", b"#f\r\n", b"*-1\r\n", b",2\r\n", b"(7\r\n"]
    ),
)
trees = st.recursive(
    leaves,
    lambda inner: st.tuples(st.sampled_from(b"*~%|"), st.lists(inner, max_size=4), inner).map(aggregate),
    max_leaves=12,
)
replies = st.lists(st.one_of(leaves, trees), max_size=10)


@quick
@given(replies, places)
def test_replies_are_found_however_they_are_cut(replies: list[bytes], at: list[int]) -> None:
    data = b"".join(replies)
    assert_replies(resp, [None] * len(replies), replies, cuts(data, at))


@quick
@given(spoilt(replies.map(lambda replies: b"".join(replies)[:300]), ALPHABET), places, st.integers(0, 12))
def test_any_bytes_are_the_same_replies_however_they_are_cut(data: bytes, at: list[int], expected: int) -> None:
    check_any_replies(resp, [None] * expected, data, at)
    check_any_replies(tight, [None] * expected, data, at)


@quick
@given(spoilt(st.lists(leaves, max_size=10).map(lambda replies: b"".join(replies)[:300]), ALPHABET))
def test_hiredis_finds_the_same_replies(data: bytes) -> None:
    found, _ = check_any_replies(resp, [None] * 30, data, [])
    whole = data[: int(found[-1])] if found else b""
    values = read_by_hiredis(whole)
    # It knows no attributes and no errors in bulk, and makes numbers of numbers, which are nothing to us.
    if values is not None and not any(byte in whole for byte in b"|!"):
        assert len(values) == len(found)
