from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff import Redis, http_request, redis
from proxymux.sniff.redis import LIMIT
from tests.sniff.checks import answers, is_read, is_refused, milliseconds


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"*1\r\n$4\r\nPING\r\n", "PING"),
        (b"*2\r\n$5\r\nHELLO\r\n", "HELLO"),
        (b"*3\r\n$3\r\nset\r\n", "SET"),
        (b"*4\r\n$6\r\nCLIENT\r\n", "CLIENT"),
        (b"*1\r\n$7\r\nCOMMAND\r\n", "COMMAND"),
        (b"*2\r\n$8\r\nJSON.GET\r\n", "JSON.GET"),
        (b"*1048576\r\n$3\r\nDEL\r\n", "DEL"),
        (b"*1048576\r\n$64\r\n" + b"x" * 64 + b"\r\n", "X" * 64),
    ],
)
def test_an_array_is_known_by_the_name_alone(data: bytes, command: str) -> None:
    is_read(redis, data, Redis(command))
    assert redis(data + b"$3\r\nkey\r\n") == Redis(command)


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"PING\r\n", "PING"),
        (b"ping\n", "PING"),
        (b"Auth secret\r\n", "AUTH"),
        (b"AUTH \xc3\xa4 \t\r\n", "AUTH"),
        (b"INFO replication\r\n", "INFO"),
        (b"QUIT\r\n", "QUIT"),
        (b"ECHO HTTP\r\n", "ECHO"),
        (b"SELECT 1\r\n", "SELECT"),
        (b"ECHO  \r\n", "ECHO"),
    ],
)
def test_an_inline_command_is_known_by_its_line(data: bytes, command: str) -> None:
    is_read(redis, data, Redis(command))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"*0", id="no elements"),
        pytest.param(b"*-", id="null array"),
        pytest.param(b"*+", id="sign"),
        pytest.param(b"* ", id="space"),
        pytest.param(b"*\r", id="no number"),
        pytest.param(b"*1\n", id="bare LF"),
        pytest.param(b"*1\rx", id="bare CR"),
        pytest.param(b"*1x", id="no digit"),
        pytest.param(b"*1048577", id="many elements"),
        pytest.param(b"*10485760", id="very many elements"),
        pytest.param(b"*1\r\n:", id="number for a name"),
        pytest.param(b"*1\r\n*", id="array for a name"),
        pytest.param(b"*1\r\n$0", id="empty name"),
        pytest.param(b"*1\r\n$-", id="null name"),
        pytest.param(b"*1\r\n$65", id="long name"),
        pytest.param(b"*1\r\n$100", id="longer name"),
        pytest.param(b"*1\r\n$2\r\n ", id="space in a name"),
        pytest.param(b"*1\r\n$2\r\n\r", id="CR in a name"),
        pytest.param(b"*1\r\n$2\r\n\0", id="NUL in a name"),
        pytest.param(b"*1\r\n$2\r\na\xe4", id="not ASCII in a name"),
        pytest.param(b"*1\r\n$2\r\nabc", id="name longer than it says"),
        pytest.param(b"*1\r\n$2\r\nab\n", id="bare LF after a name"),
        pytest.param(b"*1\r\n$2\r\nab\r\r", id="CR CR after a name"),
        pytest.param(b"$", id="string first"),
        pytest.param(b"+", id="reply"),
        pytest.param(b"\0", id="NUL"),
        pytest.param(b"\r", id="empty line"),
        pytest.param(b"\n", id="empty line, bare LF"),
        pytest.param(b" ", id="space first"),
        pytest.param(b"G", id="GET, as HTTP"),
        pytest.param(b"SS", id="SSH"),
        pytest.param(b"hellow", id="longer word"),
        pytest.param(b"hello,", id="text"),
        pytest.param(b"PIN ", id="shorter word"),
        pytest.param(b"PIN\n", id="shorter line"),
        pytest.param(b"PING\t", id="tab after the word"),
        pytest.param(b"PING\rx", id="bare CR"),
        pytest.param(b"PING\r\r", id="CR CR"),
        pytest.param(b"AUTH a\0", id="NUL in an argument"),
        pytest.param(b"AUTH a\x1b", id="escape in an argument"),
        pytest.param(b"INFO / HTTP/1.1\r\n", id="HTTP"),
        pytest.param(b"PING http://a/b HTTP/1.0\n", id="HTTP, bare LF"),
    ],
)
def test_what_is_not_redis_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(redis, data)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE", "CONNECT", "TRACE"])
def test_no_http_request_is_redis(method: str) -> None:
    data = f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert redis(data) is None
    assert redis(data[: len(method) + 1]) is None


def test_http_with_a_method_that_is_a_command_is_http() -> None:
    data = b"INFO / HTTP/1.1\r\n\r\n"
    assert http_request(data)
    assert redis(data) is None


def test_a_line_has_a_limit() -> None:
    data = b"ECHO " + b"x" * (LIMIT - 7) + b"\r\n"
    assert len(data) == LIMIT == 65536
    assert redis(data[:-1]) is NEED_DATA
    assert redis(data) == Redis("ECHO")
    larger = data[:-2] + b"x\r\n"
    assert redis(larger[: LIMIT - 1]) is NEED_DATA
    assert redis(larger[:LIMIT]) is None
    assert redis(larger) is None


@pytest.mark.parametrize("data", [b"ECHO " + b"x" * 70000, b"ECHO " + b" " * 70000, b"x" * 70000, b"*" + b"1" * 70000])
def test_no_answer_takes_long(data: bytes) -> None:
    assert milliseconds(redis, data) < 4


NAME = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 1048576), NAME, st.binary(max_size=9))
def test_whatever_name_is_put_into_an_array_is_read_from_it(count: int, name: str, more: bytes) -> None:
    data = f"*{count}\r\n${len(name)}\r\n{name}\r\n".encode()
    assert answers(redis, data) == [NEED_DATA] * len(data) + [Redis(name.upper())]
    assert redis(data + more) == Redis(name.upper())
