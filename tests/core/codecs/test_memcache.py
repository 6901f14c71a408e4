"""Memcached's text protocol."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import Kind, Request, make_codec
from proxymux.core.codecs.limits import Limits
from proxymux.core.codecs.memcache import MemcacheCodec
from proxymux.core.codecs.memcache.commands import Shape
from tests.core.codecs.checks import (
    Said,
    assert_requests,
    bad_replies,
    bad_requests,
    check_any_replies,
    check_any_requests,
    check_replies,
    check_requests,
    places,
    quick,
    spoilt,
    work_of,
)

memcache = make_codec("memcache")
VALUES, STATS, META, LINE = Shape.VALUES, Shape.STATS, Shape.META, Shape.LINE


def said(line: str, hint: Any = LINE, value: bytes | None = None, kind: Kind = Kind.PLAIN) -> Said:
    data = line.encode("latin-1") + b"\r\n" + (b"" if value is None else value + b"\r\n")
    return Said(data, kind, hint if kind is Kind.PLAIN else None)


KEY = "k" * 250
GET = said("get a", VALUES)
REQUESTS = [
    GET,
    said(f"get {KEY} b \xff", VALUES),
    said("gets  a  b ", VALUES),
    said("gat 0 a b", VALUES),
    said("gats -1 a", VALUES),
    said("set a 0 0 3", value=b"abc"),
    said(f"set {KEY} 4294967295 -1 0", value=b""),
    said("add a 1 1 12", value=b"get x\r\nquit\r"),
    said("replace a 0 0 1", value=b"\n"),
    said("append a 0 0 1", value=b"x"),
    said("prepend a 0 0 1", value=b"x"),
    said("cas a 0 0 1 18446744073709551615", value=b"x"),
    said("delete a"),
    said("delete a 0"),
    said("delete noreply"),
    said("incr a 1"),
    said("decr a 18446744073709551615"),
    said("touch a 10"),
    said("flush_all"),
    said("flush_all 10"),
    said("verbosity 1"),
    said("version"),
    said("stats", STATS),
    said("stats items", STATS),
    said("stats detail on", STATS),
    said("mn", META),
    said("mg a v f t", META),
    said("mg a", META),
    said("ms a 2 T0 F1", META, b"\r\n"),
    said("md a I", META),
    said("ma a N60 J1 v", META),
    said("me a", META),
]
SILENT = [
    said("set a 0 0 3 noreply", value=b"abc", kind=Kind.SILENT),
    said("cas a 0 0 1 2 noreply", value=b"x", kind=Kind.SILENT),
    said("delete a noreply", kind=Kind.SILENT),
    said("delete a 0 noreply", kind=Kind.SILENT),
    said("incr a 1  noreply ", kind=Kind.SILENT),
    said("touch a 1 noreply", kind=Kind.SILENT),
    said("flush_all noreply", kind=Kind.SILENT),
    said("flush_all 0 noreply", kind=Kind.SILENT),
    said("verbosity 1 noreply", kind=Kind.SILENT),
]
OWN = [
    said("mg a q v", kind=Kind.OWN),
    said("mg a v quiet", kind=Kind.OWN),
    said("ms a 3 q", value=b"abc", kind=Kind.OWN),
    said("md a q", kind=Kind.OWN),
    *(
        said(line, kind=Kind.OWN)
        for line in ("watch", "lru_crawler metadump all", "shutdown", "slabs automove 1", "lru")
    ),
]
CLIENT_ERROR = b"CLIENT_ERROR bad command line format\r\n"


def answered(line: str, answer: bytes) -> Said:
    return Said(line.encode("latin-1") + b"\r\n", Kind.REFUSED, None, answer)


ANSWERED = [
    *(
        answered(line, b"ERROR\r\n")
        for line in (
            "",
            "x",
            "GET a",
            " get a",
            "bogus command",
            "getx a b",
            "sett a 0 0",
            "foo a 0 0 x",
            "foo a 5",
            "mx a",
            "watcher",
        )
    ),
    *(
        answered(line, b"")
        for line in ("delete a x noreply", "incr a noreply", "touch a noreply ", "verbosity noreply")
    ),
    *(
        answered(line, CLIENT_ERROR)
        for line in (
            "get",
            "get ",
            f"get {KEY}k",
            f"get a {KEY}k",
            "gat a b",
            "gat 0",
            "delete",
            "delete a 1",
            "incr a",
            "incr a -1",
            "touch a",
            "flush_all x",
            "verbosity",
            "version 1",
            "mg",
            f"mg {KEY}k",
            "ma",
        )
    ),
]


def test_requests_one_after_the_other() -> None:
    check_requests(memcache, *REQUESTS)
    check_requests(memcache, GET, tail=b"set a 0 0 3\r\nabc\r")


@pytest.mark.parametrize("each", REQUESTS + SILENT + OWN + ANSWERED)
def test_a_request(each: Said) -> None:
    check_requests(memcache, GET, each, GET)


def test_lf_alone_ends_a_line_but_not_a_value() -> None:
    check_requests(memcache, Said(b"get a\n", hint=VALUES), Said(b"set a 0 0 1\nx\r\n", hint=LINE))
    assert bad_requests(memcache, b"set a 0 0 1\nx\n\n").problem == "memcache: bad data chunk"


def test_the_client_leaves() -> None:
    leaving = Said(b"quit\r\n", Kind.QUIT)
    scanner = assert_requests(memcache, [GET, leaving], [GET.data, leaving.data])
    assert scanner.feed(b"\0" + GET.data) == []
    assert memcache.requests().feed(b"quit\n\0\n") == [Request(5, Kind.QUIT)]


@pytest.mark.parametrize(
    "line",
    [
        "get a\tb",
        "get a\0",
        "get a\rb",
        "get a\r",
        "set",
        "set a 0 0",
        "set a 0 0 -1",
        "set a 0 0 x",
        "set a 0 0 1 2",
        "set a 0 0 1 Noreply",
        "set a -1 0 1",
        "set a 0 x 1",
        f"set {KEY}k 0 0 1",
        "cas a 0 0 1",
        "cas a 0 0 1 x",
        "ms a",
        "ms a S1",
        "ms a v 1",
        "set a 0 0 99999999999",
        "x" * 2049,
        "gat 0" + " a" * 1100,
        "\x80\0\0\0",
    ],
)
def test_what_is_no_request(line: str) -> None:
    bad = bad_requests(memcache, GET.data + line.encode("latin-1") + b"\r\n")
    assert bad.answer.startswith(b"CLIENT_ERROR ")
    assert bad.answer.endswith(b"\r\n")
    assert bad.finished == [Request(len(GET.data), hint=VALUES)]


@pytest.mark.parametrize(
    "line", ["sett a 0 0 5", "foo a 0 0 5 noreply", "foo a 0 -1 5 7", "foo a 0 0 5 7 noreply", "mx a 5 q"]
)
def test_an_unknown_command_that_a_value_may_follow_ends_its_client(line: str) -> None:
    bad = bad_requests(memcache, GET.data + line.encode() + b"\r\nflush_all\r\n")
    assert bad.answer == b"ERROR\r\n"
    assert bad.finished == [Request(len(GET.data), hint=VALUES)]


@pytest.mark.parametrize("line", ["GET / HTTP/1.0", "DELETE HTTP/1.1"])
def test_http_is_hung_up_on(line: str) -> None:
    bad = bad_requests(memcache, line.encode() + b"\r\nHost: a\r\n")
    assert (bad.problem, bad.answer) == ("memcache: an HTTP request", b"")


def test_the_binary_protocol_is_known_by_its_first_byte() -> None:
    bad = bad_requests(memcache, b"\x80")
    assert "the binary protocol" in bad.problem
    assert bad.answer == b""
    requests = memcache.requests()
    assert requests.feed(b"get a\r\n\x80x\r\n")[1] == Request(11, Kind.REFUSED, answer=b"ERROR\r\n")


# --- logins ---

UNAUTHENTICATED = b"CLIENT_ERROR unauthenticated\r\n"


@pytest.mark.parametrize("value", [b"", b" noreply"])
def test_a_login_needs_an_upstream_alone_whenever_it_comes(value: bytes) -> None:
    codec = MemcacheCodec(asks_for_login=True)
    login = Said(b"set x 0 0 9" + value + b"\r\nuser pass\r\n", Kind.OWN)
    check_requests(codec, login)
    check_requests(codec, answered("version", UNAUTHENTICATED), answered("get a", UNAUTHENTICATED), login, login)
    check_requests(memcache, said("set x 0 0 9", value=b"user pass"))


@pytest.mark.parametrize("line", ["watch", "setx", "setx a 0 0", "mg a v", "x", "delete a noreply"])
def test_before_the_login_nothing_else_goes_to_an_upstream(line: str) -> None:
    check_requests(MemcacheCodec(asks_for_login=True), answered(line, UNAUTHENTICATED), Said(b"quit\r\n", Kind.QUIT))


@pytest.mark.parametrize(
    "line", ["add a 0 0 5", "cas a 0 0 5 6", "setx a 0 0 5", "ms a 5", "set a 0 0", "set a 0 0 16385"]
)
def test_before_the_login_what_a_value_may_follow_ends_its_client(line: str) -> None:
    bad = bad_requests(MemcacheCodec(asks_for_login=True), line.encode() + b"\r\nflush_all\r\n")
    assert bad.answer.startswith(b"CLIENT_ERROR ")
    assert bad.finished == []


def test_a_value_is_as_long_as_it_says() -> None:
    for value in (b"abcd\r\n", b"ab\r\n\r\n", b"abc\rx", b"abcxx"):
        bad_requests(memcache, b"set a 0 0 3\r\n" + value)


def test_limits() -> None:
    codec = MemcacheCodec(Limits(value=10))
    check_requests(codec, said("set a 0 0 10", value=b"x" * 10))
    check_replies(codec, [VALUES], b"VALUE a 0 10\r\n" + b"x" * 10 + b"\r\nEND\r\n")
    bad_requests(codec, b"set a 0 0 11\r\n")
    bad_replies(codec, [VALUES], b"VALUE a 0 11\r\n")
    bad_replies(codec, [META], b"VA 11\r\n")
    bad_requests(memcache, b"ms a 536870913\r\n")
    assert memcache.requests().feed(b"ms a 536870912\r\n") == []
    for name in (b"get", b"gets"):
        longest = name + b" abcdefghi" * 104857
        longest += b" " * (1048574 - len(longest)) + b"\r\n"
        pieces = [longest[at : at + 60_000] for at in range(0, len(longest), 60_000)]
        assert_requests(memcache, [Said(longest, hint=VALUES), GET], [*pieces, GET.data])
        bad_requests(memcache, longest[:-2] + b" \r\n")
    line = b"gat 0" + b" a" * 1020
    assert memcache.requests().feed(line + b" \r\n") == [Request(2048, hint=VALUES)]
    bad_requests(memcache, line + b"  \r\n")
    bad_requests(memcache, b"x" * 2049)


# --- replies ---

VALUE = b"VALUE a 0 3\r\nabc\r\n"
FAULTS = [b"ERROR\r\n", b"CLIENT_ERROR line too long\r\n", b"SERVER_ERROR out of memory\r\n"]
ANSWERS: list[tuple[Shape | None, bytes]] = [
    (VALUES, b"END\r\n"),
    (VALUES, VALUE + b"END\r\n"),
    (VALUES, VALUE + b"VALUE b 1 7 99\r\nEND\r\nx\n\r\n" + b"END\r\n"),
    (VALUES, VALUE + b"SERVER_ERROR out of memory writing get response\r\n"),
    (LINE, b"STORED\r\n"),
    (LINE, b"18\r\n"),
    (LINE, b"VERSION 1.6.21\r\n"),
    (None, b"OK\r\n"),
    (STATS, b"END\r\n"),
    (STATS, b"STAT pid 1\r\nSTAT version VALUE\r\nEND\r\n"),
    (STATS, b"ITEM a [1 b; 0 s]\r\nEND\r\n"),
    (STATS, b"PREFIX a get 1\r\nEND\r\n"),
    (STATS, b"RESET\r\n"),
    (META, b"EN\r\n"),
    (META, b"HD f0 t-1\r\n"),
    (META, b"VA 5\r\nEND\r\n\r\n"),
    (META, b"VA 0 f0\r\n\r\n"),
    (META, b"MN\r\n"),
    (META, b"ME a exp=-1 la=2\r\n"),
    *((shape, fault) for shape in Shape for fault in FAULTS),
]


@pytest.mark.parametrize(("shape", "reply"), ANSWERS)
def test_a_reply(shape: Shape | None, reply: bytes) -> None:
    check_replies(memcache, [LINE, shape, LINE], b"STORED\r\n", reply, b"STORED\r\n")


def test_replies_one_after_the_other() -> None:
    check_replies(memcache, [shape for shape, _ in ANSWERS], *(reply for _, reply in ANSWERS))
    check_replies(memcache, [VALUES, VALUES], b"END\r\n", tail=VALUE)


@pytest.mark.parametrize(
    ("shape", "reply"),
    [
        (VALUES, b"STORED\r\n"),
        (VALUES, b"VA 1\r\n"),
        (VALUES, b"VALUE a 0\r\n"),
        (VALUES, b"VALUE a 0 -1\r\n"),
        (VALUES, b"VALUE a 0 3\r\nabcd\r\n"),
        (VALUES, b"VALUE a 0 3\r\nabc\n\n"),
        (VALUES, VALUE + b"STORED\r\n"),
        (LINE, VALUE),
        (LINE, b"END\r\n"),
        (LINE, b"VA 1\r\n"),
        (LINE, b"STAT a 1\r\n"),
        (META, VALUE),
        (META, b"END\r\n"),
        (META, b"VA x\r\n"),
        (LINE, b"STORED\n"),
        (LINE, b"\r\n"),
        (LINE, b"\x81\0\0\n"),
    ],
)
def test_a_reply_that_does_not_fit(shape: Shape, reply: bytes) -> None:
    assert bad_replies(memcache, [LINE, shape, shape], b"STORED\r\n" + reply).finished == [8]


def test_a_reply_too_many() -> None:
    assert bad_replies(memcache, [VALUES], b"END\r\nSERVER_ERROR object too large for cache\r\n").finished == [5]


# --- any bytes ---

ALPHABET = b" \r\n0123aq\0E"
requests = st.lists(st.sampled_from(REQUESTS + SILENT + ANSWERED), max_size=5).map(
    lambda all_: b"".join(each.data for each in all_)
)
answers = st.lists(st.sampled_from(ANSWERS), max_size=5)


@quick
@given(spoilt(requests, ALPHABET), places)
def test_any_bytes_are_the_same_requests_however_they_are_cut(data: bytes, at: list[int]) -> None:
    check_any_requests(memcache, data, at)


@quick
@given(st.data(), answers, places)
def test_any_bytes_are_the_same_replies_however_they_are_cut(
    source: st.DataObject, answers: list[tuple[Shape | None, bytes]], at: list[int]
) -> None:
    data = source.draw(spoilt(st.just(b"".join(reply for _, reply in answers)), ALPHABET))
    check_any_replies(memcache, [shape for shape, _ in answers], data, at)


# --- the work ---


@pytest.mark.parametrize(
    "each", [GET, REQUESTS[7], said("get" + " a" * 20000, VALUES), said("set a 0 0 9999", value=b"\r" * 9999)]
)
def test_the_work_is_linear(each: Said) -> None:
    data = each.data * (1 + 60_000 // len(each.data))
    for step in (len(data), 1000, 7):
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        assert work_of(memcache, None, pieces) < 6 * len(data)


def test_of_a_large_value_nothing_is_copied() -> None:
    chunks = [b"x" * 65536] * 1000
    assert work_of(memcache, None, [b"set a 0 0 65536000\r\n", *chunks, b"\r\n"]) < 2000
    assert work_of(memcache, [VALUES], [b"VALUE a 0 65536000\r\n", *chunks, b"\r\nEND\r\n"]) < 2000
