from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.redis_cluster import resp_values
from proxymux.core.redis_cluster.resp_values import (
    MAX_ANSWER,
    MAX_DEPTH,
    MAX_LINE,
    MAX_VALUES,
    RespError,
    RespReader,
    Value,
)
from proxymux.errors import BadMessage
from tests.core.redis_cluster.answers import encoded

LINES = st.binary(max_size=8).filter(lambda line: b"\r" not in line and b"\n" not in line)
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.integers(-(10**17), 10**17) | st.binary(max_size=20) | LINES.map(RespError),
    lambda values: st.lists(values, max_size=4),
    max_leaves=12,
)


def read(data: bytes, size: int = 1 << 20) -> list[Value]:
    reader = RespReader()
    return [value for at in range(0, len(data), size) for value in reader.feed(data[at : at + size])]


def comparable(value: object) -> object:
    """An error of hiredis's is equal to none."""
    if isinstance(value, hiredis.ReplyError):
        return RespError(str(value).encode())
    return [comparable(each) for each in value] if type(value) is list else value


@given(st.lists(VALUES, max_size=3), st.integers(1, 7))
def test_every_value_is_read_in_whatever_pieces(values: list[Value], size: int) -> None:
    data = b"".join(map(encoded, values))
    assert read(data) == read(data, size) == values


@given(st.lists(VALUES.filter(lambda value: "RespError" not in repr(value)), max_size=3))
def test_hiredis_reads_the_same(values: list[Value]) -> None:
    other = hiredis.Reader()
    other.feed(b"".join(map(encoded, values)))
    assert [comparable(other.gets()) for _ in values] == values


def test_simple_strings_and_nulls() -> None:
    assert read(b"+OK\r\n*-1\r\n$0\r\n\r\n*0\r\n-ERR no\r\n") == [b"OK", None, b"", [], RespError(b"ERR no")]


@pytest.mark.parametrize(
    "data",
    [
        b"%1\r\n",
        b"\r\n",
        b":x\r\n",
        b":1234567890123456789\r\n",
        b"$-2\r\n",
        b"$x\r\n",
        b"$1\r\nxyz",
        b"$%d\r\n" % (MAX_ANSWER + 1),
        b"*%d\r\n" % (MAX_VALUES + 1),
        b"*1\r\n" * (MAX_DEPTH + 1),
        b"+" + b"x" * MAX_LINE + b"\r\n",
        b"x" * (MAX_LINE + 1),
    ],
)
def test_what_is_no_value_or_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage, match=r"^RESP: "):
        read(data)


def test_the_bytes_of_a_connection_are_bounded() -> None:
    reader = RespReader()
    reader.feed(b"$%d\r\n" % MAX_ANSWER)
    reader.feed(bytes(MAX_ANSWER - 100))
    with pytest.raises(BadMessage, match="more than 16 MiB"):
        reader.feed(bytes(100))


def test_the_values_of_a_connection_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resp_values, "MAX_VALUES", 10)
    reader = RespReader()
    reader.feed(b":1\r\n" * 9)
    with pytest.raises(BadMessage, match="more than 10 values"):
        reader.feed(b"*2\r\n:1\r\n:1\r\n")
