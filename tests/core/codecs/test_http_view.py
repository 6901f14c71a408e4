"""What a router sees of an HTTP request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import make_codec
from proxymux.core.codecs.http.view import HttpView
from proxymux.errors import BadMessage
from tests.core.codecs.checks import quick


def view(data: bytes) -> HttpView:
    assert make_codec("http").requests().feed(data)[-1].end == len(data), "the example is no request"
    return HttpView(data)


def test_the_parts_of_a_head() -> None:
    fields = b"Host: A.Example:80\r\nX-Tenant:  blue \r\nx-tenant: red\r\nContent-Length: 2"
    data = b"POST /a?b=c HTTP/1.1\r\n" + fields + b"\r\n\r\n: "
    seen = view(data)
    assert (seen.codec, seen.data, seen.command) == ("http", data, "POST")
    assert (seen.method, seen.path, seen.host) == ("POST", "/a?b=c", "a.example")
    assert seen.headers == (
        (b"Host", b"A.Example:80"),
        (b"X-Tenant", b"blue"),
        (b"x-tenant", b"red"),
        (b"Content-Length", b"2"),
    )
    assert (seen.header("X-TENANT"), seen.header(b"host"), seen.header("x")) == (b"blue, red", b"A.Example:80", None)
    assert (seen.key, seen.keys, seen.can_split, seen.crossed) == (None, (), False, b"")


@pytest.mark.parametrize(
    ("line", "field", "host"),
    [
        (b"GET / HTTP/1.1", b"a.example", "a.example"),
        (b"GET http://u@B.example:81/x?http://c/ HTTP/1.1", b"a", "b.example"),
        (b"GET http://b HTTP/1.1", b"a", "b"),
        (b"CONNECT b.example:443 HTTP/1.1", b"a", "b.example"),
        (b"OPTIONS * HTTP/1.1", b"a", "a"),
        (b"GET / HTTP/1.1", b"[::1]:8080", "::1"),
        (b"GET / HTTP/1.1", b"[::1]", "::1"),
        (b"GET / HTTP/1.1", b"", None),
        (b"GET //http://b/ HTTP/1.1", b"a", "a"),
    ],
)
def test_host(line: bytes, field: bytes, host: str | None) -> None:
    assert view(line + b"\r\nHost: " + field + b"\r\n\r\n").host == host


def test_without_fields() -> None:
    seen = view(b"get / HTTP/1.0\r\n\r\n")
    assert (seen.command, seen.method, seen.host, seen.headers) == ("GET", "get", None, ())


def test_an_empty_line_is_no_request() -> None:
    seen = view(b"\r\n")
    assert (seen.command, seen.method, seen.path, seen.host, seen.headers) == (None, "", "", None, ())


lines = st.sampled_from([b"GET / HTTP/1.1", b"M-SEARCH * HTTP/1.0", b"GET http:///x HTTP/1.1", b"CONNECT : HTTP/1.1"])
fields = st.lists(st.sampled_from([b"Host: a", b"Host:", b"A:b:c", b"B:\t\xff", b"Connection: close"]), max_size=4)


@quick
@given(lines, fields, st.binary(max_size=3))
def test_nothing_that_the_scanner_takes_is_too_much(line: bytes, some: list[bytes], more: bytes) -> None:
    data = b"\r\n".join([line, *some, b"", b""]) + more
    try:
        requests = make_codec("http").requests().feed(data)
    except BadMessage as bad:
        requests = bad.finished
    begin = 0
    for request in requests:
        seen = HttpView(data[begin : request.end])
        assert seen.command is None or seen.command == seen.method.upper()
        assert len(seen.headers) == len(some)
        assert seen.host != ""
        begin = request.end
