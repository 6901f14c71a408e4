from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff import HttpRequest, http_request
from proxymux.sniff.http import LIMIT
from tests.sniff.checks import answers, is_read, is_refused, milliseconds

#: As curl 7.88.1 sends them.
CURL = b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:36271\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
CURL_TO_PROXY = (
    b"GET http://Example.com:81/x HTTP/1.1\r\nHost: Example.com:81\r\nAuthorization: Basic dTpw\r\n"
    b"User-Agent: curl/7.88.1\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n"
)
CURL_CONNECT = (
    b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nUser-Agent: curl/7.88.1\r\n"
    b"Proxy-Connection: Keep-Alive\r\n\r\n"
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CURL_HTTP2 = PREFACE + b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0d\0\4\2\0\0\0\0\2\0\0\0\0\0\0\4\x08\0\0\0\0\0\1\xff\0\1"
CHROME = (
    b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
    b'sec-ch-ua: "Chromium";v="124", "Not-A.Brand";v="99"\r\nsec-ch-ua-platform: "Linux"\r\n'
    b"Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nCookie: a=b; name=\xc3\xa9\r\n\r\n"
)


def get(*fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def of(host: str | None, port: int | None = None) -> HttpRequest:
    return HttpRequest("GET", "/", "1.1", host, port)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (CURL, HttpRequest("GET", "/x?y=1", "1.1", "127.0.0.1", 36271)),
        (CURL_TO_PROXY, HttpRequest("GET", "http://Example.com:81/x", "1.1", "example.com", 81)),
        (CURL_CONNECT, HttpRequest("CONNECT", "[2001:db8::1]:80", "1.1", "2001:db8::1", 80)),
        (PREFACE, HttpRequest("PRI", "*", "2.0")),
        (CHROME, of("shop.example")),
    ],
    ids=["curl", "curl to a proxy", "curl CONNECT", "HTTP/2", "Chrome"],
)
def test_what_clients_send_is_read(data: bytes, value: HttpRequest) -> None:
    is_read(http_request, data, value)


def test_the_frames_behind_the_preface_are_not_looked_at() -> None:
    assert http_request(CURL_HTTP2) == HttpRequest("PRI", "*", "2.0")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", HttpRequest("GET", "/", "1.0")),
        (b"GET / HTTP/1.0\n\n", HttpRequest("GET", "/", "1.0")),
        (b"GET / HTTP/1.1\nHost: a\n\r\n", of("a")),
        (b"GET / HTTP/1.1\r\nHost: a\n\n", of("a")),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", of(None)),
        (b"\n\r\n\n\r\nGET / HTTP/1.1\r\n\r\n", of(None)),
        (b"get / HTTP/1.1\r\n\r\n", HttpRequest("get", "/", "1.1")),
        (b"M-SEARCH * HTTP/1.1\r\n\r\n", HttpRequest("M-SEARCH", "*", "1.1")),
        (b"!#$%&'*+-.^_`|~ / HTTP/1.1\r\n\r\n", HttpRequest("!#$%&'*+-.^_`|~", "/", "1.1")),
        (b"A" * 32 + b" / HTTP/1.1\r\n\r\n", HttpRequest("A" * 32, "/", "1.1")),
        (b"GET //a/b HTTP/1.1\r\n\r\n", HttpRequest("GET", "//a/b", "1.1")),
        (b'GET /a%20b?c="<>{}|\\^`#d HTTP/1.1\r\n\r\n', HttpRequest("GET", '/a%20b?c="<>{}|\\^`#d', "1.1")),
        (b"PRI / HTTP/1.1\r\n\r\n", HttpRequest("PRI", "/", "1.1")),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", HttpRequest("OPTIONS", "*", "1.1", "a")),
    ],
)
def test_request_lines(data: bytes, value: HttpRequest) -> None:
    is_read(http_request, data, value)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (get(b"Host: a"), of("a")),
        (get(b"hOsT:a"), of("a")),
        (get(b"Host:\t A.Example \t "), of("a.example")),
        (get(b"Host: a.example:8080"), of("a.example", 8080)),
        (get(b"Host: a.example:"), of("a.example")),
        (get(b"Host: a:0"), of("a", 0)),
        (get(b"Host: a:65535"), of("a", 65535)),
        (get(b"Host: a_b.c-d"), of("a_b.c-d")),
        (get(b"Host: [::1]"), of("::1")),
        (get(b"Host: [2001:DB8:0:0::1]:80"), of("2001:db8::1", 80)),
        (get(b"Host:"), of(None)),
        (get(b"Host: :80"), of(None, 80)),
        (get(b"X: y", b"Host: a", b"Z:"), of("a")),
        (get(b"X-Host: b", b"Hosts: c", b"Host: a", b"Y: Host: d"), of("a")),
        (get(b"A: \x80\xff\t!~"), of(None)),
        (get(b"!#$%&'*+-.^_`|~: x"), of(None)),
        (get(*[b"A: b"] * 255, b"Host: a"), of("a")),
    ],
)
def test_fields(data: bytes, value: HttpRequest) -> None:
    assert answers(http_request, data) == [NEED_DATA] * len(data) + [value]
    assert http_request(data + b"Host: b\r\n\r\n") == value


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        (b"http://b.example", "b.example", None),
        (b"HTTP://B.example:81/x", "b.example", 81),
        (b"http://b.example:/", "b.example", None),
        (b"http://b.example?x", "b.example", None),
        (b"http://user:pw@b.example/@c", "b.example", None),
        (b"http://[::2]:82/", "::2", 82),
        (b"ws+x.1-://b/", "b", None),
        (b"http://b/http://c/", "b", None),
    ],
)
def test_a_whole_url_as_target_gives_the_host(target: bytes, host: str, port: int | None) -> None:
    """It goes before Host, RFC 9112 section 3.2.2."""
    value = HttpRequest("GET", target.decode(), "1.1", host, port)
    is_read(http_request, b"GET " + target + b" HTTP/1.1\r\nHost: a:9\r\n\r\n", value)


LINE = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b" ", id="space first"),
        pytest.param(b"\0", id="NUL"),
        pytest.param(b"\x16", id="TLS"),
        pytest.param(b"\x80", id="not ASCII"),
        pytest.param(b"(", id="no token character"),
        pytest.param(b"\r\r", id="CR CR"),
        pytest.param(b"\rG", id="CR alone"),
        pytest.param(b"\r\n\r\n\r\n\r\n\r", id="many empty lines"),
        pytest.param(b"\n\n\n\n\n", id="many line feeds"),
        pytest.param(b"\r\n ", id="space after an empty line"),
        pytest.param(b"A" * 33, id="long method"),
        pytest.param(b"GET\t", id="tab after the method"),
        pytest.param(b"GET\r", id="method only"),
        pytest.param(b"GET  ", id="two spaces"),
        pytest.param(b"GET /\r", id="HTTP/0.9"),
        pytest.param(b"GET /\n", id="HTTP/0.9, bare LF"),
        pytest.param(b"GET /\0", id="NUL in the target"),
        pytest.param(b"GET /\t", id="tab in the target"),
        pytest.param(b"GET /\x7f", id="DEL in the target"),
        pytest.param(b"GET /\xc3", id="not ASCII in the target"),
        pytest.param(b"GET / h", id="version in lower case"),
        pytest.param(b"GET / X", id="other protocol"),
        pytest.param(b"GET / HTTP/2", id="version 2"),
        pytest.param(b"GET / HTTP/0", id="version 0"),
        pytest.param(b"GET / HTTP/1.x", id="no digit"),
        pytest.param(b"GET / HTTP/1.11", id="two digits"),
        pytest.param(b"GET / HTTP/1.1 ", id="space after the version"),
        pytest.param(b"GET / HTTP/1.1\rX", id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\r\r", id="CR CR after the version"),
        pytest.param(b"GET x HTTP/1.1\r\n", id="relative target"),
        pytest.param(b"GET *a HTTP/1.1\r\n", id="asterisk and more"),
        pytest.param(b"GET urn:a HTTP/1.1\r\n", id="URI without a host"),
        pytest.param(b"GET http:/a HTTP/1.1\r\n", id="URL with one slash"),
        pytest.param(b"GET http:///a HTTP/1.1\r\n", id="URL with an empty host"),
        pytest.param(b"GET http://:80/a HTTP/1.1\r\n", id="URL with a port only"),
        pytest.param(b"GET http://a:b/ HTTP/1.1\r\n", id="URL with a port of letters"),
        pytest.param(b"GET http://a\\b/ HTTP/1.1\r\n", id="URL with a backslash"),
        pytest.param(b"GET http://a@b@c/ HTTP/1.1\r\n", id="URL with two at signs"),
        pytest.param(b"CONNECT a HTTP/1.1\r\n", id="CONNECT without a port"),
        pytest.param(b"CONNECT a: HTTP/1.1\r\n", id="CONNECT with an empty port"),
        pytest.param(b"CONNECT :1 HTTP/1.1\r\n", id="CONNECT without a host"),
        pytest.param(b"CONNECT / HTTP/1.1\r\n", id="CONNECT to a path"),
        pytest.param(b"CONNECT a:65536 HTTP/1.1\r\n", id="CONNECT to a large port"),
        pytest.param(b"PRI * HTTP/2.1", id="preface of 2.1"),
        pytest.param(b"PRI * HTTP/2.0\n", id="preface with a bare LF"),
        pytest.param(b"PRI * HTTP/2.0\r\nH", id="preface with a field"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\n", id="preface with a bare LF at the end"),
        pytest.param(b"\r\nPRI * HTTP/2", id="preface after an empty line"),
        pytest.param(LINE + b" ", id="folded line first"),
        pytest.param(LINE + b"A: b\r\n ", id="folded line"),
        pytest.param(LINE + b"A: b\r\n\t", id="folded line, tab"),
        pytest.param(LINE + b"A\r", id="field without a colon"),
        pytest.param(LINE + b"A\n", id="field without a colon, bare LF"),
        pytest.param(LINE + b":", id="field without a name"),
        pytest.param(LINE + b"A ", id="space before the colon"),
        pytest.param(LINE + b"A\x80", id="not ASCII in a name"),
        pytest.param(LINE + b"A: b\0", id="NUL in a value"),
        pytest.param(LINE + b"A: b\x7f", id="DEL in a value"),
        pytest.param(LINE + b"A: b\rH", id="bare CR in a value"),
        pytest.param(LINE + b"A: b\r\r", id="CR CR after a value"),
        pytest.param(LINE + b"\rA", id="bare CR for a field"),
        pytest.param(LINE + b"Host: a\r\nHost: b\r\n", id="two hosts"),
        pytest.param(LINE + b"Host: a\r\nhost: a\r\n", id="twice the same host"),
        pytest.param(LINE + b"Host:\r\nX: y\nHOST:a\n", id="an empty host and another"),
        pytest.param(LINE + b"Host: a b\r\n", id="host with a space"),
        pytest.param(LINE + b"Host: a,b\0", id="host with NUL"),
        pytest.param(LINE + b"Host: a/b\r\n", id="host with a slash"),
        pytest.param(LINE + b"Host: u@a\r\n", id="host with a user"),
        pytest.param(LINE + b"Host: a:b\r\n", id="host with a port of letters"),
        pytest.param(LINE + b"Host: a:65536\r\n", id="host with a large port"),
        pytest.param(LINE + b"Host: a:000080\r\n", id="host with a long port"),
        pytest.param(LINE + b"Host: a:+1\r\n", id="host with a signed port"),
        pytest.param(LINE + b"Host: a:1:2\r\n", id="host with two ports"),
        pytest.param(LINE + b"Host: ::1\r\n", id="IPv6 without brackets"),
        pytest.param(LINE + b"Host: [::1\r\n", id="half a bracket"),
        pytest.param(LINE + b"Host: [a.b]\r\n", id="a name in brackets"),
        pytest.param(LINE + b"Host: [1:2]\r\n", id="half an IPv6 address"),
        pytest.param(LINE + b"Host: [fe80::1%eth0]\r\n", id="IPv6 with a zone"),
        pytest.param(LINE + b"Host: \xe4\r\n", id="host in Latin 1"),
        pytest.param(LINE + b"Host: " + b"a" * 256 + b"\r\n", id="long host"),
        pytest.param(b"GET http://b/ HTTP/1.1\r\nHost: a/b\r\n", id="bad host behind a URL"),
        pytest.param(b"GET http://b/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n", id="two hosts behind a URL"),
        pytest.param(b"CONNECT b:1 HTTP/1.1\r\nHost: a/b\r\n", id="bad host behind a CONNECT"),
    ],
)
def test_what_is_not_http_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(http_request, data)


# Limits.


def test_the_largest_head_is_read_and_no_larger() -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    data = start + b"x" * (LIMIT - len(start) - 4) + b"\r\n\r\n"
    assert len(data) == LIMIT == 32768
    assert http_request(data[:-1]) is NEED_DATA
    assert http_request(data) == of("a")
    assert http_request(data + b"\r\n") == of("a")
    larger = data[:-4] + b"x\r\n\r\n"
    assert http_request(larger) is None
    assert http_request(larger[:LIMIT]) is None
    assert http_request(larger[: LIMIT - 1]) is NEED_DATA


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nA:", b"\r\nGET http://"], ids=repr
)
def test_what_has_no_end_is_none_at_the_limit(start: bytes) -> None:
    data = start + b"x" * LIMIT
    assert http_request(data[: LIMIT - 1]) is NEED_DATA
    assert http_request(data[:LIMIT]) is None
    assert http_request(data) is None


def test_so_many_fields_are_none() -> None:
    assert http_request(get(*[b"A: b"] * 256)) == of(None)
    assert http_request(get(*[b"A: b"] * 257)) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(LINE + b"a:\r\n" * 8000, id="fields"),
        pytest.param(LINE + b"a:\r\n" * 255 + b"a" * 31000, id="a long name"),
        pytest.param(LINE + b"a: " + b"\r" * 32000, id="CRs"),
        pytest.param(LINE + b"a: " + b" " * 32000, id="spaces"),
        pytest.param(b"GET /" + b"a" * 32000, id="a long target"),
        pytest.param(b"GET http://" + b"a" * 32000, id="a long host"),
        pytest.param(b"GET http://" + b"a@" * 16000 + b" HTTP/1.1\r\n", id="many users"),
        pytest.param(b"GET " + b"a+" * 16000 + b" HTTP/1.1\r\n", id="a long scheme"),
        pytest.param(b"GET " + b"/" * 32000 + b" HTTP/1.\r", id="slashes"),
        pytest.param(LINE + b"host: [" + b":" * 32000 + b"]\r\n", id="colons"),
        pytest.param(LINE + b"Host: " + b"a%" * 16000 + b"\r\n", id="a long Host"),
        pytest.param(b"\r\n" * 16000, id="empty lines"),
        pytest.param(b" " * 32000, id="spaces only"),
        pytest.param(b"A" * 32000, id="a long method"),
    ],
)
def test_no_answer_takes_long(data: bytes) -> None:
    """A client may make the proxy answer as often as it sends a byte."""
    assert milliseconds(http_request, data) < 4


# Any bytes at all.

TCHAR = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@settings(max_examples=300, deadline=None)
@given(
    method=st.text(TCHAR, min_size=1, max_size=32).filter(lambda method: method != "CONNECT"),
    path=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60),
    version=st.sampled_from(["1.0", "1.1"]),
    host=st.none() | st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=40),
    port=st.none() | st.integers(0, 65535),
    fields=st.lists(st.tuples(st.text(TCHAR, min_size=1), st.binary(max_size=20)), max_size=5),
    at=st.integers(0, 5),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_whatever_is_put_into_a_head_is_read_from_it(
    method: str,
    path: str,
    version: str,
    host: str | None,
    port: int | None,
    fields: list[tuple[str, bytes]],
    at: int,
    end: bytes,
) -> None:
    port = None if host is None else port
    control = bytes({*range(0x20), 0x7F} - {0x09})
    lines = [name.encode() + b":" + value.translate(None, control) for name, value in fields if name.lower() != "host"]
    if host is not None:
        lines.insert(at, f"Host: {host.upper()}{'' if port is None else f':{port}'}".encode())
    data = end.join([f"{method} /{path} HTTP/{version}".encode(), *lines, b"", b""])
    value = HttpRequest(method, "/" + path, version, host, port)
    assert answers(http_request, data) == [NEED_DATA] * len(data) + [value]


# The fields.

FIELDS = b"Host: a\r\nX-One:  1 \r\nx-one:\t2\r\nEmpty:\r\nColon: a: b\r\nLatin: caf\xe9\nLast: z\r\n"


def request_of(fields: bytes, start: bytes = b"GET / HTTP/1.1\r\n") -> HttpRequest:
    found = http_request(start + fields + b"\r\n")
    assert isinstance(found, HttpRequest)
    return found


def test_the_fields_are_pairs_in_the_clients_order() -> None:
    assert request_of(FIELDS).headers == (
        (b"Host", b"a"),
        (b"X-One", b"1"),
        (b"x-one", b"2"),
        (b"Empty", b""),
        (b"Colon", b"a: b"),
        (b"Latin", b"caf\xe9"),
        (b"Last", b"z"),
    )
    assert request_of(b"").headers == ()
    assert request_of(b"A:b\n", b"\r\n\nGET / HTTP/1.0\n").headers == ((b"A", b"b"),)
    preface = http_request(PREFACE)
    assert isinstance(preface, HttpRequest)
    assert preface.headers == ()


def test_a_field_is_found_by_its_name_in_any_case() -> None:
    request = request_of(FIELDS)
    assert request.header("HOST") == request.header(b"host") == b"a"
    assert request.header("empty") == b""
    assert request.header("X-One") == b"1, 2", "RFC 9110 section 5.3"
    for missing in ("none", "", "Hos", "Host:", "caf\xe9", "a"):
        assert request.header(missing) is None


def test_fields_count_in_no_comparison_and_are_not_shown() -> None:
    request = request_of(b"Host: a\r\nAuthorization: Basic c2VjcmV0\r\n")
    assert request == of("a")
    assert hash(request) == hash(of("a"))
    assert "Basic" not in repr(request)


#: RFC 6455 section 1.2, the opening handshake of a client.
WEBSOCKET = (
    b"Host: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n"
    b"Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize(
    ("is_websocket", "change"),
    [
        (True, lambda head: head),
        (True, lambda head: head.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade")),
        (True, lambda head: head.replace(b"Connection: Upgrade", b"connection:keep-alive\r\nconnection:UPGRADE")),
        (True, lambda head: head.replace(b"Upgrade: websocket", b"Upgrade: h2c , WebSocket")),
        (False, lambda head: head.replace(b"Upgrade: websocket", b"Upgrade: h2c")),
        (False, lambda head: head.replace(b"Upgrade: websocket", b"Upgrade: websockets")),
        (False, lambda head: head.replace(b"Connection: Upgrade", b"Connection: close")),
        (False, lambda head: head.replace(b"Connection: Upgrade\r\n", b"")),
        (False, lambda head: head.replace(b"Upgrade: websocket\r\n", b"")),
        (False, lambda head: head.replace(b"GET", b"POST")),
        (False, lambda head: head.replace(b"HTTP/1.1", b"HTTP/1.0")),
    ],
)
def test_a_websocket_is_told_by_what_the_rfc_asks_of_its_client(
    is_websocket: bool, change: Callable[[bytes], bytes]
) -> None:
    found = http_request(change(b"GET /chat HTTP/1.1\r\n" + WEBSOCKET + b"\r\n"))
    assert isinstance(found, HttpRequest)
    assert found.is_websocket is is_websocket


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.text(TCHAR, min_size=1).filter(lambda name: name.lower() != "host"), st.binary(max_size=20)))
)
def test_whatever_fields_are_put_into_a_head_are_read_from_it(fields: list[tuple[str, bytes]]) -> None:
    control = bytes({*range(0x20), 0x7F} - {0x09})
    pairs = [(name.encode(), value.translate(None, control).strip(b" \t")) for name, value in fields]
    request = request_of(b"".join(b"%b:\t%b \r\n" % pair for pair in pairs))
    assert list(request.headers) == pairs
    for name, _ in pairs:
        values = [value for each, value in pairs if each.lower() == name.lower()]
        assert request.header(name.swapcase()) == b", ".join(values)
