"""RESP: what Redis says of itself, limits, and hostile bytes."""

from __future__ import annotations

import pytest

from proxymux.core.codecs import Kind, Request, make_codec
from proxymux.core.codecs.limits import Limits
from proxymux.core.codecs.resp import RespCodec
from proxymux.errors import BadMessage
from tests.core.codecs.checks import (
    Said,
    assert_replies,
    assert_requests,
    bad_replies,
    bad_requests,
    check_replies,
    check_requests,
    work_of,
)

resp = make_codec("resp")

OK = b"+OK\r\n"
PING = b"*1\r\n$4\r\nPING\r\n"


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


GET = command(b"GET", b"key:0001")
SET = command(b"SET", b"key:0001", b"abc")
#: Whole in any chunk, but not for the short way: its value looks like more pieces.
ODD = command(b"SET", b"k", b"\r\n*1\r\n$4\r\nPING\r\n")

# --- requests ---


def test_plain_commands() -> None:
    check_requests(resp, Said(GET), Said(SET), Said(ODD), Said(PING), tail=b"*1\r\n$4\r\nPING\r")


def test_a_run_of_plain_commands_is_one_request() -> None:
    assert resp.requests().feed(GET * 3 + SET) == [Request(len(GET * 3 + SET), count=4)]
    assert resp.requests().feed(ODD * 2 + GET + ODD) == [Request(len(ODD * 3 + GET), count=4)]
    quit_ends = Request(len(GET * 2) + 14, Kind.QUIT, answer=OK)
    assert resp.requests().feed(GET * 2 + command(b"QUIT")) == [Request(len(GET * 2), count=2), quit_ends]


OWN = """
    subscribe a|PSUBSCRIBE a|SSUBSCRIBE a|UNSUBSCRIBE|PUNSUBSCRIBE|SUNSUBSCRIBE|MULTI|WATCH a|BLPOP a 0|BRPOP a 0
    BLMOVE a b LEFT LEFT 0|BRPOPLPUSH a b 0|BLMPOP 0 1 a LEFT|BZPOPMIN a 0|BZPOPMAX a 0|BZMPOP 0 1 a MIN|WAIT 1 0
    WAITAOF 1 1 0|AUTH secret|SELECT 1|HELLO 3 AUTH a b|MONITOR|CLIENT|CLIENT ID|Client Reply Off|CLIENT FOO
    CLIENT TRACKING ON|CLIENT REPLY|CLIENT REPLY SKIP|CLIENT INFO|SELECT|SELECT 00|SELECT x|AUTH|READONLY
    READWRITE|ASKING|SYNC|PSYNC ? -1|DEBUG SLEEP 0
    FAILOVER|SHUTDOWN|REPLCONF ACK 1|SCRIPT DEBUG YES|XREAD BLOCK 0 STREAMS s $|xread count 1 block 0 streams s $
    XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS s >|XREADGROUP GROUP g c block 0|HIMPORT PREPARE a f
    XREADGROUP GROUP streams c1 BLOCK 0 STREAMS s >|XREADGROUP GROUP g streams block 0 streams s >
    XREADGROUP BLOCK 0 GROUP streams streams STREAMS s >|XREADGROUP NOACK GROUP streams c COUNT 1 block 1 STREAMS s >
    XREADGROUP GROUP g c CLAIM 5 BLOCK 0 STREAMS s >
"""
PLAIN = """
    GET a|set a b|COMMAND|COMMAND DOCS|INFO|PING|CONFIG GET save|EXEC|DISCARD|UNWATCH|CLIENT LIST|CLIENT KILL 1.2.3.4:5
    SELECT 0|HELLO|CLIENT GETNAME|CLIENT REPLY on|CLIENT NO-EVICT OFF|CLIENT NO-TOUCH|CLIENT SETINFO|CLIENT UNBLOCK 1
    client pause 0|CLIENT UNPAUSE|SCRIPT LOAD x|SCRIPT|XREAD COUNT 1 STREAMS s 0|XREAD STREAMS block 0|XREAD|EVAL x 0
    XREADGROUP GROUP block c STREAMS s >|XREADGROUP GROUP g block STREAMS s >|XREADGROUP GROUP streams block STREAMS a >
    XREADGROUP GROUP g c STREAMS s >|ECHO SUBSCRIBE|PUBLISH a b|SUBSCRIBER|XSUBSCRIBE|SELECT0
"""
#: XREAD whose options go on beyond the words that are looked at.
LONG_XREAD = b"XREAD " + b"COUNT 1 " * 30 + b"BLOCK 0 STREAMS s 0"


def lines(text: str) -> list[bytes]:
    return [each.strip().encode() for line in text.strip().splitlines() for each in line.split("|")]


@pytest.mark.parametrize("line", [*lines(OWN), LONG_XREAD])
def test_commands_that_need_an_upstream_of_their_own(line: bytes) -> None:
    check_requests(resp, Said(GET), Said(command(*line.split()), Kind.OWN), Said(GET))
    check_requests(resp, Said(line + b"\r\n", Kind.OWN), Said(GET))


@pytest.mark.parametrize("line", lines(PLAIN))
def test_commands_that_do_not(line: bytes) -> None:
    check_requests(resp, Said(command(*line.split())), Said(GET))
    check_requests(resp, Said(line + b"\n"), Said(GET))


@pytest.mark.parametrize(("place", "kind"), [(31, Kind.PLAIN), (32, Kind.OWN), (33, Kind.OWN)])
def test_options_as_far_as_they_are_looked_at(place: int, kind: Kind) -> None:
    # STREAMS is the last of 32 words, or beyond them.
    words = [b"XREADGROUP", *[b"NOACK"] * (place - 1), b"STREAMS", b"s", b"0"]
    check_requests(resp, Said(command(*words), kind), Said(b" ".join(words) + b"\r\n", kind))


def test_long_words_are_no_names_and_no_options() -> None:
    check_requests(resp, Said(command(b"SUBSCRIBE" + b" " * 30, b"a")), Said(command(b"")), Said(GET))
    check_requests(resp, Said(command(b"CLIENT", b"x" * 33, b"LIST"), Kind.OWN))
    check_requests(resp, Said(command(b"XREAD", b"x" * 33, b"BLOCK", b"0", b"STREAMS"), Kind.OWN))


def test_a_name_after_which_the_client_leaves() -> None:
    scanner = assert_requests(resp, [Said(GET), Said(command(b"Quit"), Kind.QUIT, None, OK)], [GET, command(b"Quit")])
    assert scanner.feed(b"\0" * 100 + GET) == []
    assert scanner.is_between
    assert resp.requests().feed(b"quit\r\n\0" + GET) == [Request(6, Kind.QUIT, answer=OK)]
    assert resp.requests().feed(ODD + command(b"QUIT") + b"*x\r\n")[1].kind is Kind.QUIT


def test_what_redis_passes_over_is_sent_to_nobody() -> None:
    nothing = [Said(data, Kind.REFUSED) for data in (b"\r\n", b"\n", b"*0\r\n", b"*-1\r\n", b" \t \r\n", b"*-7\r\n")]
    check_requests(resp, Said(GET), *nothing, Said(GET))


def test_lines_of_words() -> None:
    check_requests(resp, Said(b"PING\r\n"), Said(b"  get\ta \xff\n"), Said(b"subscribe a\r\n", Kind.OWN), tail=b"PIN")


@pytest.mark.parametrize("line", [b'"subscribe" a', b"'multi'", b'set a "b', b"get it's", rb'"\x6dulti"'])
def test_quotes_are_for_the_upstream_to_read(line: bytes) -> None:
    check_requests(resp, Said(line + b"\r\n", Kind.OWN))


@pytest.mark.parametrize(
    "line", [b"subscribe\0 a", b"PING\r\r", b"a\x0bb", b"\x16\x03\x01", b"PING\rx", b"a\x7f", b"\0"]
)
def test_control_characters_in_a_line(line: bytes) -> None:
    bad = bad_requests(resp, GET + line + b"\r\n")
    assert bad.finished == [Request(len(GET))]
    assert bad.answer == b"-ERR Protocol error: a control character in an inline command\r\n"


@pytest.mark.parametrize(
    "request_", [b"POST / HTTP/1.1\r\n", b"Host: a\r\n", command(b"post", b"/"), command(b"host:")]
)
def test_a_browser_is_sent_away(request_: bytes) -> None:
    bad = bad_requests(resp, GET + request_ + GET)
    assert (bad.finished, bad.answer) == ([Request(len(GET))], b"")


BAD_REQUESTS = [
    *(b"*%b\r\n" % number for number in (b"", b"x", b"+1", b"01", b"1 ", b" 1", b"1_0", b"-0", b"1.0", b"-x")),
    *(b"*1\r\n$%b\r\n" % number for number in (b"", b"x", b"+1", b"01", b"-1", b"-0", b"1 ", b"?", b"0x1")),
    *(b"*1\r\n" + value for value in (b":1\r\n", b"+PING\r\n", b"*1\r\n", b"~1\r\n", b"=8\r\n", b"\r\n", b"PING\r\n")),
    b"*1\n",
    b"*1\r\n$4\nPING\r\n",
    b"*1\r\n$4\r\nPING\n\n",
    b"*1\r\n$4\r\nPINGxx",
    b"*1\r\n$4\r\nPING\rx",
    b"*1\r\n$4\r\nPINGS\r\n",
    b"*2\r\n$3\r\nGET\r\n$1\r\nkey\r\n",
    b"*2\r\n$3\r\nGET\r\n$4\r\nk\r\n\r\n*1\r\n",
]


@pytest.mark.parametrize("data", BAD_REQUESTS)
def test_what_is_no_request(data: bytes) -> None:
    assert bad_requests(resp, data).answer.startswith(b"-ERR Protocol error: ")
    assert bad_requests(resp, GET * 2 + data).finished == [Request(len(GET * 2), count=2)]
    assert bad_requests(resp, ODD + data).finished == [Request(len(ODD))]


def test_limits_of_a_request() -> None:
    codec = RespCodec(Limits(value=10))
    check_requests(codec, Said(command(b"GET", b"x" * 10)))
    bad_requests(codec, b"*2\r\n$3\r\nGET\r\n$11\r\n")
    bad_requests(codec, command(b"GET", b"x" * 11))
    bad_requests(resp, b"*1\r\n$536870913\r\n")
    assert resp.requests().feed(b"*1\r\n$536870912\r\n") == []
    bad_requests(resp, b"*2147483648\r\n")
    assert resp.requests().feed(b"*2147483647\r\n") == []
    bad_requests(resp, b"*99999999999999999999\r\n")
    many = resp.requests()
    assert many.feed(b"*1048600\r\n" + b"$1\r\na\r\n" * 1048599) == []
    assert many.feed(b"$1\r\na\r\n") == [Request(7)]


def test_limits_of_a_line() -> None:
    assert resp.requests().feed(b"a" * 65534 + b"\r\n") == [Request(65536)]
    for line in (b"a" * 65535 + b"\r\n", b"a" * 65537, b"*" + b"1" * 65536):
        with pytest.raises(BadMessage, match="more than 65536 bytes"):
            resp.requests().feed(line)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 16383, 16384, 65536, 100_000])
def test_values_around_what_is_cut_at_once(size: int) -> None:
    said = [Said(GET), Said(command(b"SET", b"k", b"\r" * size)), Said(command(b"SET", b"k", b"v" * size)), Said(GET)]
    data = b"".join(each.data for each in said)
    for step in (len(data), 65536, 16384, 4096, 1000):
        assert_requests(resp, said, [data[at : at + step] for at in range(0, len(data), step)])


@pytest.mark.parametrize("count", [1023, 1024, 1025])
def test_as_many_arguments_as_are_cut_at_once(count: int) -> None:
    said = Said(command(b"DEL", *[b"a"] * (count - 1)))
    assert_requests(resp, [said, Said(GET), said], [said.data, GET + said.data])


# --- replies ---

REPLIES = [
    OK,
    b"-ERR no\r\n",
    b":-1\r\n",
    b"$3\r\nabc\r\n",
    b"$0\r\n\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n$1\r\na\r\n:1\r\n",
    b"*2\r\n*1\r\n*0\r\n$-1\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",1.5e3\r\n",
    b"(123456789012345678901234567890\r\n",
    b"!5\r\nERR x\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"%1\r\n+a\r\n*1\r\n+b\r\n",
    b"%0\r\n",
    b"~2\r\n+a\r\n~0\r\n",
    b"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
    b"*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n|0\r\n:2\r\n",
    b"$2\r\n\r\n\r\n",
    b"$6\r\n+OK\r\n\n\r\n",
    b"+\r\n",
]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply(reply: bytes) -> None:
    check_replies(resp, [None] * 3, OK, reply, b"$1\r\na\r\n")
    scanner = resp.replies()
    scanner.expect(None, 3)
    assert scanner.count(reply) in (1, None)


def test_replies_one_after_the_other() -> None:
    check_replies(resp, [None] * len(REPLIES), *REPLIES)
    check_replies(resp, [None] * 3, OK, OK, tail=b"*2\r\n$1\r\na\r\n")


@pytest.mark.parametrize(
    "data", [OK, b"$3\r\nabc\r\n", b"$-1\r\n", b"+OTHER\r\n", b":7\r\n", b"$4096\r\n" + b"x" * 4096 + b"\r\n"]
)
@pytest.mark.parametrize("count", [1, 2, 16])
def test_whole_replies_are_counted(data: bytes, count: int) -> None:
    scanner = resp.replies()
    scanner.expect(None, 2 * count)
    assert scanner.count(data * count) == (count if len(data) * count <= 65536 else None)
    assert scanner.is_between
    scanner.feed(data * (2 * count if len(data) * count > 65536 else count))
    with pytest.raises(BadMessage, match="nothing was sent for"):
        scanner.feed(data)


def test_what_is_not_whole_is_not_counted() -> None:
    scanner = resp.replies()
    scanner.expect(None, 3)
    for data in (
        b"+OK",
        b"+OK\r",
        b"$3\r\nabc\r",
        b"$3\r\nabc\r\n+",
        b"$3\r\nab\r\n",
        b"$5\r\nabc\r\n",
        OK * 4,
        b"$1\r\n",
    ):
        assert scanner.count(data) is None
        assert scanner.is_between
    scanner.feed(b"$3\r\na")
    assert scanner.count(OK) is None
    assert scanner.feed(b"bc\r\n" + OK * 2) == [4, 9, 14]
    assert scanner.count(OK) is None


def test_a_reply_too_many() -> None:
    assert bad_replies(resp, [None] * 2, OK * 3).finished == [5, 10]


def test_the_end_of_the_connection_ends_no_reply() -> None:
    scanner = assert_replies(resp, [None], [], [b"$3\r\nab"], b"$3\r\nab")
    assert not scanner.finish()


BAD_REPLIES = [
    *(b"$%b\r\n" % number for number in (b"", b"x", b"+1", b"01", b"-2", b"-0", b"1 ", b"?")),
    *(b"*%b\r\n" % number for number in (b"", b"x", b"+1", b"01", b"-2", b"?", b"99999999999")),
    b">2\r\n+a\r\n+b\r\n",
    b">0\r\n",
    b"*1\r\n>0\r\n",
    b"$3\r\nabcxx",
    b"$3\r\nabc\n\n",
    b"*1\r\n$3\r\nabc\rx",
    b"+a\n",
    b"+a\rb\r\n",
    b"+a\nb\r\n",
    b"\r\n",
    b"OK\r\n",
    b";4\r\n",
    b".\r\n",
    b"%-1\r\n",
    b"\0\n",
]


@pytest.mark.parametrize("data", BAD_REPLIES)
def test_what_is_no_reply(data: bytes) -> None:
    assert bad_replies(resp, [None] * 3, OK + data).finished == [5]
    scanner = resp.replies()
    scanner.expect(None, 3)
    assert scanner.count(OK + data) is None


def test_limits_of_a_reply() -> None:
    codec = RespCodec(Limits(value=10))
    check_replies(codec, [None], b"$10\r\n0123456789\r\n")
    for data in (b"$11\r\n", b"=11\r\n", b"$11\r\n01234567890\r\n"):
        bad_replies(codec, [None], data)
    for kind in (b"$", b"!", b"="):
        bad_replies(resp, [None], kind + b"536870913\r\n")
    assert_replies(resp, [None], [], [b"$536870912\r\n"], b"$536870912\r\n")
    deepest = b"*1\r\n" * 8192 + b":1\r\n"
    assert_replies(resp, [None] * 2, [deepest, OK], [deepest + OK])
    bad_replies(resp, [None], b"*1\r\n" + deepest)
    bad_replies(resp, [None], b"|0\r\n" * 8193)
    check_replies(resp, [None] * 2, b"*1\r\n" * 33 + b":1\r\n", OK)
    longest = b"+" + b"x" * (16 * 1024 * 1024 - 3) + b"\r\n"
    pieces = [longest[at : at + 65536] for at in range(0, len(longest), 65536)]
    assert_replies(resp, [None], [longest], pieces)
    with pytest.raises(BadMessage, match="more than 16777216 bytes"):
        assert_replies(resp, [None], [], [longest[:-2] + b"x\r\n"])


# --- the work ---


def hostile(*kinds: bytes) -> bytes:
    return b"".join(kinds * (65536 // len(b"".join(kinds))))


@pytest.mark.parametrize(
    "data",
    [
        hostile(GET),
        hostile(SET, b"PING\r\n"),
        hostile(GET, ODD),
        hostile(command(b"SELECT", b"1")),
        hostile(GET, command(b"SELECT", b"1")),
        hostile(b"\r\n"),
        hostile(b"*0\r\n", GET),
        command(b"SET", b"k", b"\r\n" * 30000),
        command(b"SET", b"k", GET * 2000),
        command(b"DEL", *[b""] * 10000),
        command(b"DEL", *[b"\r\n"] * 10000),
        b"*1048576\r\n" + b"$1\r\na\r\n" * 9000,
    ],
)
def test_the_work_for_requests_is_linear(data: bytes) -> None:
    for step in (len(data), 10_000, 1000, 7):
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        assert work_of(resp, None, pieces) < 12 * len(data) + 20 * len(pieces)


@pytest.mark.parametrize(
    "reply", [b"+\r\n", b"$1\r\na\r\n", b"$5000\r\n" + b"x" * 5000 + b"\r\n", b"*2\r\n:1\r\n*0\r\n"]
)
def test_the_work_for_replies_is_linear(reply: bytes) -> None:
    data = hostile(reply)
    count = len(data) // len(reply)
    for step in (len(data), 10_000, 1000, 7):
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        assert work_of(resp, [None] * count, pieces) < 8 * len(data) + 20 * len(pieces)


def test_of_a_large_value_next_to_nothing_is_copied() -> None:
    chunks = [b"x" * 65536] * 1600
    value = b"$%d\r\n" % (65536 * 1600)
    assert work_of(resp, None, [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" + value, *chunks, b"\r\n"]) < 5000
    assert work_of(resp, [None], [value, *chunks, b"\r\n"]) < 5000


def test_a_pipeline_of_100_000_commands_is_one_run() -> None:
    data = SET * 100_000
    assert resp.requests().feed(data) == [Request(len(data), count=100_000)]
    assert work_of(resp, None, [data]) < 3 * len(data)


@pytest.mark.parametrize(("got", "shown"), [(b"f", "f"), (b"+", "+"), (b"\x1b", "?"), (b"\xff", "?")])
def test_what_stands_in_the_place_of_an_argument_is_told_in_redis_own_words(got: bytes, shown: str) -> None:
    bad = bad_requests(resp, b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n" + got + b"ooz\r\n")
    assert bad.answer == f"-ERR Protocol error: expected '$', got '{shown}'\r\n".encode()


def test_a_length_that_is_cut_off_behind_whole_replies_ends_none() -> None:
    scanner = make_codec("resp").replies()
    scanner.expect(None, 3)
    assert scanner.feed(b"+abcd\r\n$4\r") == [7]
    assert scanner.feed(b"\n1234\r\n$2\r\nab") == [7]
    assert scanner.feed(b"\r\n") == [2]
