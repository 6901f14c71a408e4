"""Heads: one pattern is the whole grammar, and h11 takes what it takes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.http_fuzz import check
from bench.http_mutants import Mutants
from bench.http_strictness import why_refused
from proxymux.core.codecs.http.head import read_reply, read_request
from proxymux.errors import BadMessage
from tests.core.codecs.checks import quick


def test_what_is_read_of_a_request() -> None:
    method, head = read_request(
        b"OPTIONS * HTTP/1.1\r\nHOST:\r\nContent-Length:\t042 \r\nConnection: Upgrade , x\r\nconnection:close\r\n"
        b"Upgrade: H2C\r\nExpect: x\r\nEXPECT: 100-Continue\r\nX-Content-Length: 7\r\nX: \x80:\t~\r\n\r\n"
    )
    assert method == b"OPTIONS"
    assert (head.is_old, head.is_last, head.is_chunked, head.length) == (False, True, False, 42)
    assert (head.options, head.upgrades) == ([b"upgrade", b"x", b"close"], [b"h2c"])
    assert head.expects_continue
    assert not head.authenticates_connection


def test_what_is_read_of_a_reply() -> None:
    status, head = read_reply(
        b"HTTP/1.0 401 \xe4\r\nProxy-Authenticate: Basic x, Negotiate\r\ncontent-length:0\r\nHost: a\r\nHost: b\r\n\r\n"
    )
    assert status == 401
    assert (head.is_old, head.is_last, head.length, head.authenticates_connection) == (True, True, 0, True)
    assert read_reply(b"HTTP/1.1 999\r\nTransfer-Encoding: CHUNKED\r\n\r\n")[1].is_chunked


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("GET / HTTP/1.1\r\nHost: a\r\nsecret\r\n\r\n", "a line that is no header field"),
        ("GET /secret\r\nHost: a\r\n\r\n", "no request line"),
        ("GET /secret HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", "a control character"),
        ("GET /secret HTTP/1.1\r\n\r\n", "several Host, or none"),
        ("GET /secret HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "several Host, or none"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: secret\r\n\r\n", "one that is no number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: secret\r\n\r\n", "other than chunked"),
        ("GET /secret HTTP/1.3\r\nHost: a\r\n\r\n", "HTTP/1.3"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_quotes_nothing(text: str, problem: str) -> None:
    with pytest.raises(BadMessage) as caught:
        read_request(text.encode("latin-1"))
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("filler", [b"a:\r\n", b"a: " + b"b" * 500 + b"\r\n", b"host: \r\n", b"connection:,\r\n"])
@pytest.mark.parametrize("end", [b"\r\n", b"a\r\n\r\n", b"\0:\r\n\r\n", b"a: \0\r\n\r\n", b"\r\n\r\n\r\n"])
def test_heads_that_match_nearly_to_the_end(filler: bytes, end: bytes) -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n" + filler * (65_000 // len(filler)) + end
    if end == b"\r\n" and not filler.startswith(b"host"):
        assert read_request(raw)[0] == b"GET"
    else:
        with pytest.raises(BadMessage):
            read_request(raw)


@quick
@given(st.integers(0, 1 << 32))
def test_h11_reads_the_same_requests(seed: int) -> None:
    assert check(Mutants(random.Random(seed)).requests(), None)


@quick
@given(st.integers(0, 1 << 32), st.lists(st.sampled_from([b"GET", b"HEAD"]), min_size=3, max_size=3))
def test_h11_reads_the_same_replies(seed: int, methods: list[bytes]) -> None:
    assert check(Mutants(random.Random(seed)).replies(), methods)


def test_what_is_refused_beside_h11_is_named() -> None:
    assert why_refused(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\n") == "several lengths"
    assert why_refused(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n") is None
