from __future__ import annotations

import pytest

from proxymux.core.check_talk.lines import LONGEST, MemcacheTalk, RespTalk
from proxymux.core.check_talk.talk import Step
from proxymux.core.decision import NEED_DATA
from tests.core.check_talk.talks import bytes_taken, ends, heard, is_judged


def test_what_is_asked() -> None:
    assert RespTalk().begin() == Step(NEED_DATA, b"*1\r\n$4\r\nPING\r\n")
    assert MemcacheTalk().begin() == Step(NEED_DATA, b"version\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"+PONG\r\n",
        b"+PONG\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-NOPERM User default has no permissions to run the 'ping' command\r\n",
    ],
)
def test_a_redis_that_answers_is_well_even_where_it_wants_a_password(line: bytes) -> None:
    is_judged(RespTalk, line, None)


@pytest.mark.parametrize(
    "line",
    [
        b"-LOADING Redis is loading the dataset in memory",
        b"-MASTERDOWN Link with MASTER is down",
        b"-DENIED Redis is running in protected mode",
        b"-ERR max number of clients reached",
        b"-BUSY Redis is busy running a script",
        b"+PONGS",
        b"+OK",
        b"-NOAUTHS",
        b"PONG",
        b"$4",
        b"",
        b"HTTP/1.1 400 Bad Request",
    ],
)
def test_a_redis_that_answers_otherwise_is_not(line: bytes) -> None:
    is_judged(RespTalk, line + b"\r\n", f"answered {line.decode()!r}")


@pytest.mark.parametrize("line", [b"VERSION 1.6.18\r\n", b"VERSION\r\n", b"CLIENT_ERROR unauthenticated\r\n"])
def test_a_memcached_that_answers_is_well_even_where_it_wants_a_password(line: bytes) -> None:
    is_judged(MemcacheTalk, line, None)


@pytest.mark.parametrize(
    "line", [b"ERROR", b"SERVER_ERROR out of memory", b"CLIENT_ERROR bad", b"VERSIONS 1", b"+PONG"]
)
def test_a_memcached_that_answers_otherwise_is_not(line: bytes) -> None:
    is_judged(MemcacheTalk, line + b"\r\n", f"answered {line.decode()!r}")


def test_an_end_before_the_line_is_whole() -> None:
    assert ends(RespTalk) == "ended without an answer"
    assert ends(RespTalk, b"+PO", b"NG") == "ended after '+PONG'"


def test_a_line_has_a_limit() -> None:
    assert bytes_taken(RespTalk, b"x", 1) == LONGEST + 1
    assert bytes_taken(RespTalk, b"x") <= LONGEST + 1000
    long = b"+PONG " + b"x" * (LONGEST - 7)
    assert heard(RespTalk(), long + b"\r\n")[-1] == Step(None)
    [_, step] = heard(RespTalk(), long + b"xx\r\n")
    assert isinstance(step.verdict, str)
    assert len(step.verdict) < 100


def test_what_cannot_be_printed_is_shown_all_the_same() -> None:
    [_, step] = heard(RespTalk(), b"\x1b[31m\xff\0\n")
    assert step.verdict is not None
    assert str(step.verdict).isprintable()
