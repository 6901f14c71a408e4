"""HTTP/1: framing, smuggling, and what ends a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs import Kind, Request, RequestScanner, make_codec
from proxymux.core.codecs.http import HttpCodec
from proxymux.core.codecs.http.hint import Hint, HttpClient
from proxymux.core.codecs.limits import Limits
from proxymux.errors import BadMessage
from tests.core.codecs.checks import (
    Said,
    assert_replies,
    bad_replies,
    bad_requests,
    check_any_replies,
    check_any_requests,
    check_replies,
    check_requests,
    found_requests,
    places,
    quick,
    spoilt,
    work_of,
)

http = make_codec("http")

#: What the hints of requests say.
HEAD_ONLY, LAST_ONLY, BOTH = ["is_head"], ["is_last"], ["is_head", "is_last"]


def head(start: str, *fields: str) -> bytes:
    return "\r\n".join([start, *fields, "", ""]).encode("latin-1")


def found(scanner: RequestScanner, data: bytes) -> list[Request]:
    """The requests that end in the data, without their hints."""
    return [Request(each.end, each.kind) for each in scanner.feed(data)]


def asked(*fields: str, method: str = "POST", version: str = "1.1") -> bytes:
    return head(f"{method} / HTTP/{version}", "Host: a", *fields)


CHUNKED = b'3\r\nabc\r\n1F ; name=value;a;b\t= "\\"\xe4;"\r\n' + b"\r\n" * 15 + b"x\r\n0\r\n\r\n"
GET = asked(method="GET")
POST = asked("Content-Length: 4") + b"\r\n\r\n"
STREAM = asked("transfer-encoding: Chunked") + CHUNKED
TRAILED = asked("Transfer-Encoding:chunked") + b"0000\r\nX-Sum: 1\r\nY:\r\n\r\n"

# --- requests ---


def test_requests_one_after_the_other() -> None:
    check_requests(http, *map(Said, (GET, POST, STREAM, TRAILED, GET)), tail=STREAM[:-1])
    check_requests(http, Said(GET), tail=b"P")


def test_empty_lines_before_a_request_are_passed_over() -> None:
    nothing = Said(b"\r\n", Kind.REFUSED)
    check_requests(http, nothing, Said(GET), nothing, Said(POST))
    requests = http.requests()
    assert found(requests, b"\r\n" * 3 + GET) == [Request(6, Kind.REFUSED), Request(6 + len(GET))]
    assert requests.feed(b"\r") == []
    assert not requests.is_between
    assert requests.feed(b"\n") == [Request(1, Kind.REFUSED)]
    assert requests.is_between


def test_a_head_has_no_body_to_expect() -> None:
    check_requests(http, Said(asked(method="HEAD"), hint=HEAD_ONLY), Said(GET))


LASTS = [
    Said(asked("Connection: close"), Kind.LAST, LAST_ONLY),
    Said(asked("Connection: TE, Close", "TE: x", method="HEAD"), Kind.LAST, BOTH),
    Said(asked("Connection: x", "Connection: close", "Content-Length: 1") + b"x", Kind.LAST, LAST_ONLY),
    Said(head("GET / HTTP/1.0"), Kind.LAST, LAST_ONLY),
    Said(asked("Connection: x", version="1.0"), Kind.LAST, LAST_ONLY),
]
OWNS = [
    Said(asked("Upgrade: websocket", "Connection: keep-alive, Upgrade", method="GET"), Kind.OWN),
    Said(asked("Upgrade: h2c, websocket", "Connection: upgrade", "Content-Length: 2") + b"ab", Kind.OWN),
    Said(asked("Upgrade: WebSocket", "Upgrade: h2c", "Connection: upgrade", method="GET"), Kind.OWN),
    Said(asked("Upgrade: tcp", "Connection: Upgrade"), Kind.OWN),
    Said(asked("Authorization: NTLM TlRMTVNTUAABAAAA"), Kind.OWN),
    Said(asked("Authorization: Negotiate YIIJvwYGKwYBBQ=="), Kind.OWN),
    Said(asked("Authorization: negotiate"), Kind.OWN),
    Said(asked("Authorization: Basic YTpi", "AUTHORIZATION:\tnTlM\tTlRM"), Kind.OWN),
    Said(asked("Proxy-Authorization: Basic YTpi, NTLM TlRM"), Kind.OWN),
    Said(asked("Proxy-Authorization: Basic YTpi,NEGOTIATE TlRM", "Connection: close"), Kind.OWN, LAST_ONLY),
    Said(asked("Authorization: NTLM TlRM", method="HEAD", version="1.0"), Kind.OWN, BOTH),
    Said(head("CONNECT a:1 HTTP/1.1", "Host: a:1"), Kind.OWN),
    Said(head("CONNECT a:1 HTTP/1.1", "Host: a:1", "Content-Length: 0"), Kind.OWN),
]


@pytest.mark.parametrize("said", LASTS + OWNS)
def test_nothing_is_looked_at_after_the_last_request(said: Said) -> None:
    check_requests(http, Said(GET), said)
    requests = http.requests()
    assert [each.end for each in requests.feed(said.data + b"\0\n" + GET)] == [len(said.data)]
    assert requests.feed(GET) == []
    assert requests.is_between


@pytest.mark.parametrize(
    "data",
    [
        asked("Connection: keep-alive", version="1.0"),
        asked("Upgrade: websocket"),
        asked("Connection: upgrade"),
        asked("Connection: not-close, closed"),
        asked("X-Connection: close"),
        asked("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        asked("Upgrade: TLS/1.2", "Connection: Upgrade"),
        asked("Upgrade: TLS/1.3, HTTP/2.0, h2c", "Upgrade: tls/1.0", "Connection: upgrade"),
        asked("Authorization: Basic YTpi"),
        asked("Authorization: Bearer ntlm-negotiate"),
        asked('Authorization: Digest username="a"', "Proxy-Authorization: NTLMv2 x"),
        asked("X-Authorization: NTLM TlRM", "WWW-Authenticate: x"),
    ],
)
def test_these_do_not_end_the_connection(data: bytes) -> None:
    check_requests(http, Said(data), Said(GET))


CHALLENGES = [
    ["WWW-Authenticate: NTLM"],
    ["WWW-Authenticate: Negotiate"],
    ["WWW-Authenticate: Basic realm=x", "www-authenticate: negotiate"],
    ['Proxy-Authenticate: Basic realm="x", NTLM'],
    ["Proxy-Authenticate: Negotiate TlRM, Basic"],
]


@pytest.mark.parametrize("fields", CHALLENGES)
def test_who_was_asked_to_authenticate_the_connection_needs_one_alone(fields: list[str]) -> None:
    requests, replies, other = http.requests(), http.replies(), http.requests()
    [first] = requests.feed(GET)
    [second] = requests.feed(GET)
    assert requests.feed(POST[:-1]) == []
    replies.expect(first.hint)
    replies.expect(second.hint)
    assert first.kind is Kind.PLAIN
    assert getattr(requests, "is_pinned", None) is False
    replies.feed(head("HTTP/1.1 401 Unauthorized", *fields, "Content-Length: 2"))
    assert getattr(requests, "is_pinned", None) is True
    assert found(requests, POST[-1:]) == [Request(1, Kind.OWN)]
    assert requests.feed(GET) == []
    assert found(other, GET) == [Request(len(GET))]


@pytest.mark.parametrize(
    "fields",
    [[], ["WWW-Authenticate: Basic realm=ntlm"], ["WWW-Authenticate: Bearer"], ["X-Authenticate: NTLM"]],
)
def test_other_challenges_are_of_no_concern(fields: list[str]) -> None:
    requests, replies = http.requests(), http.replies()
    replies.expect(requests.feed(GET)[0].hint)
    replies.feed(head("HTTP/1.1 401 Unauthorized", *fields, "Content-Length: 0"))
    assert found(requests, GET) == [Request(len(GET))]


def test_a_challenge_is_for_the_client_that_was_asked() -> None:
    clients = [http.requests() for _ in range(3)]
    replies = http.replies()
    for client in clients:
        replies.expect(client.feed(GET)[0].hint)
    challenge = head("HTTP/1.1 401 Unauthorized", "WWW-Authenticate: NTLM", "Content-Length: 0")
    assert len(replies.feed(OK + challenge + OK)) == 3
    kinds = [client.feed(GET)[0].kind for client in clients]
    assert kinds == [Kind.PLAIN, Kind.OWN, Kind.PLAIN]


def test_a_client_that_waits_is_told_to_go_on() -> None:
    for body, coding in ((b"abc", "Content-Length: 3"), (CHUNKED, "Transfer-Encoding: chunked")):
        data = asked("Expect: 100-Continue", coding)
        requests = http.requests()
        assert requests.feed(data[:-1]) == []
        assert requests.interim == b""
        assert requests.feed(data[-1:]) == []
        assert requests.interim == b"HTTP/1.1 100 Continue\r\n\r\n"
        requests.interim = b""
        assert requests.feed(body[:1]) == []
        assert found(requests, body[1:]) == [Request(len(body) - 1)]
        assert requests.interim == b""


@pytest.mark.parametrize(
    "data",
    [
        asked("Expect: 100-continue", "Content-Length: 1") + b"x",
        asked("Expect: 100-continue"),
        asked("Expect: 100-continue", "Content-Length: 1", "Connection: keep-alive", version="1.0"),
        asked("Content-Length: 1"),
    ],
)
def test_a_client_that_does_not_wait_is_told_nothing(data: bytes) -> None:
    requests = http.requests()
    requests.feed(data)
    assert requests.interim == b""


SMUGGLED = [
    asked("Content-Length: 4", "Transfer-Encoding: chunked"),
    asked("Transfer-Encoding: chunked", "Content-Length: 4"),
    asked("Content-Length: 4", "Content-Length: 4"),
    asked("Content-Length: 4", "content-length: 5"),
    asked("Content-Length: 4, 4"),
    asked("Content-Length: 4,"),
    *(asked(f"Content-Length: {length}") for length in ("+4", "-4", "4 4", "0x4", "4.0", "", "9" * 19, "\xb2")),
    asked("Content-Length : 4"),
    asked("Content-Length\t: 4"),
    asked(" Content-Length: 4"),
    asked("Transfer-Encoding : chunked"),
    asked("Transfer-Encoding: chunked", version="1.0"),
    asked("Transfer-Encoding: chunked", "X: a\r\n b"),
    asked("X:\r\n\tb"),
    asked("X: a\nContent-Length: 4"),
    asked("X: a\rContent-Length: 4"),
    asked("X: a\0b"),
    asked("X: a\x0bb"),
    asked("X: a\x7f"),
    asked("nonsense"),
    asked(": a"),
    asked("Host: b"),
    head("GET / HTTP/1.1"),
    head("GET /"),
    head("GET  / HTTP/1.1", "Host: a"),
    head("GET / a HTTP/1.1", "Host: a"),
    head("GET\t/ HTTP/1.1", "Host: a"),
    head("G(T / HTTP/1.1", "Host: a"),
    head("X" * 33 + " / HTTP/1.1", "Host: a"),
    head("HTTP/1.1 200 OK"),
    GET.replace(b"\r\n", b"\n"),
    b"\n" + GET,
    b"\r" + GET,
    b" " + GET,
    b"\r\n\r" + GET,
    b"\x16\x03\x01",
    b"GET / HTTP/1.1\n",
    b"GET / HTTP/1.1\rX",
    b"GET / HTTP/1.1\r\n ",
    head("CONNECT a:1 HTTP/1.1", "Host: a:1", "Content-Length: 1"),
    head("CONNECT a:1 HTTP/1.1", "Host: a:1", "Transfer-Encoding: chunked"),
    *(
        asked("Transfer-Encoding: chunked") + body
        for body in (
            b"\r\n",
            b" 1\r\n",
            b"0x1\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"g\r\n",
            b"1\n",
            b"1\r\r\n",
            b"1 1\r\n",
            b"1;\0\r\n",
            b"1;\r\n",
            b"1;=a\r\n",
            b"1;a=\r\n",
            b"1;a=b c\r\n",
            b'1;a="b\r\n',
            b'1;a="b\\"\r\n',
            b"1;a=\xe4\r\n",
            b"1;a,b\r\n",
            b"1;a\rb\r\n",
            b"1;a\nb\r\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"1\r\na\rb",
            b"0\r\nnonsense\r\n",
            b"0\r\n a: b\r\n",
            b"0\r\na : b\r\n",
            b"0\r\na: b\n",
            b"0\r\na: b\r\n\n",
            b"0\r\na: \0\r\n",
            b"0\r\ncontent-Length: 4\r\n",
            b"0\r\na: b\r\nTransfer-Encoding: chunked\r\n",
            b"0\r\nHost: b\r\n",
            b"1" * 17 + b"\r\n",
        )
    ),
]


@pytest.mark.parametrize("data", SMUGGLED)
def test_what_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    bad = bad_requests(http, data)
    assert bad.answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nConnection: close\r\n" in bad.answer
    assert assert_one_reply(bad.answer)
    if not data.startswith(b"\r"):
        # The requests before it are not lost.
        assert bad_requests(http, GET + data).finished[0].end == len(GET)


def assert_one_reply(answer: bytes) -> bool:
    scanner = http.replies()
    scanner.expect(None)
    return scanner.feed(answer) == [len(answer)] and scanner.must_close


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (501, asked("Transfer-Encoding: gzip, chunked")),
        (501, asked("Transfer-Encoding: xchunked")),
        (501, asked("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")),
        (501, asked("Transfer-Encoding: identity")),
        (505, asked(version="2.0")),
        (505, asked(version="1.2")),
        (505, asked(version="0.9")),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (413, asked("Content-Length: 536870913")),
        (413, asked("Transfer-Encoding: chunked") + b"20000001\r\n"),
        (413, asked("Transfer-Encoding: chunked") + b"1\r\na\r\n20000000\r\n"),
    ],
)
def test_the_answer_says_what_is_wrong(status: int, data: bytes) -> None:
    answer = bad_requests(http, data).answer
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert assert_one_reply(answer)


def test_an_error_does_not_quote_the_request() -> None:
    bad = bad_requests(http, asked("Authorization secret"))
    assert "secret" not in bad.problem
    assert b"secret" not in bad.answer


def test_limits_of_a_head() -> None:
    longest = asked("X: " + "x" * (65536 - len(asked("X: "))))
    assert len(longest) == 65536
    assert found(http.requests(), longest) == [Request(65536)]
    for step in (1, 1000, 65536):
        assert found_requests(http, [longest[at : at + step] for at in range(0, 65536, step)])[1] is False
    for data in (longest[:-4] + b"x\r\n\r\n", b"GET /" + b"x" * 65532):
        assert bad_requests(http, data).answer.startswith(b"HTTP/1.1 431 ")


def test_limits_of_a_body() -> None:
    codec = HttpCodec(Limits(value=10))
    check_requests(codec, Said(asked("Content-Length: 10") + b"x" * 10))
    check_requests(codec, Said(asked("Transfer-Encoding: chunked") + b"5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n"))
    check_replies(codec, [None], b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")
    bad_requests(codec, asked("Content-Length: 11"))
    bad_requests(codec, asked("Transfer-Encoding: chunked") + b"5\r\n12345\r\n6\r\n")
    for field in ("Content-Length: 11\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nb\r\n"):
        bad_replies(codec, [None], b"HTTP/1.1 200 OK\r\n" + field.encode())


def test_limits_of_a_chunk_and_of_a_trailer() -> None:
    start = asked("Transfer-Encoding: chunked")
    assert found(http.requests(), start + b"0;" + b"x" * 4092 + b"\r\n\r\n") == [Request(len(start) + 4098)]
    for rest in (b"0;" + b"x" * 4093 + b"\r\n", b"0;" + b"x" * 4095):
        bad_requests(http, start + rest)
    fields = b"a: b\r\n" * 10921 + b"a: " + b"x" * 5 + b"\r\n"
    assert len(fields) == 65536
    assert found(http.requests(), start + b"0\r\n" + fields + b"\r\n") == [Request(len(start) + 3 + len(fields) + 2)]
    for rest in (b"x" + fields, b"a: " + b"x" * 65536):
        with pytest.raises(BadMessage):
            http.requests().feed(start + b"0\r\n" + rest)


# --- replies ---

HEAD = Hint(HttpClient(), is_head=True)
OK = head("HTTP/1.1 200 OK", "Content-Length: 2") + b"ok"
NONE = head("HTTP/1.1 204 No Content")
SAME = head("HTTP/1.1 304 Not Modified", "Content-Length: 100")
LONG = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + CHUNKED
GO_ON = head("HTTP/1.1 100 Continue")
HINTS = head("HTTP/1.1 103 Early Hints", "Link: </a>", "Content-Length: 5")


def test_replies_one_after_the_other() -> None:
    check_replies(http, [None] * 6, OK, NONE, SAME, LONG, GO_ON + HINTS + OK, tail=OK[:-1])
    check_replies(http, [None] * 2, OK, tail=GO_ON)
    check_replies(
        http, [None] * 2, head("HTTP/1.1 200", "Content-Length: 0"), head("HTTP/1.1 404 ", "Content-Length:0")
    )


def test_replies_to_head_have_no_body() -> None:
    check_replies(http, [HEAD, None, HEAD], OK[:-2], OK, LONG[: -len(CHUNKED)])
    check_replies(http, [HEAD, None], head("HTTP/1.1 200 OK"), OK)


def test_a_body_that_the_end_of_the_connection_ends() -> None:
    for start in (head("HTTP/1.1 200 OK"), head("HTTP/1.0 200 OK", "Connection: keep-alive")):
        check_replies(http, [None] * 2, OK, tail=start + OK)
        scanner = assert_replies(http, [None] * 2, [OK], [OK + start, b"x" * 1000], start + b"x" * 1000)
        assert not scanner.must_close
        assert scanner.finish()
        assert scanner.must_close
        assert scanner.is_between
        with pytest.raises(BadMessage):
            scanner.feed(b"x")


@pytest.mark.parametrize("data", [OK[:-1], LONG[:-1], OK[:10], GO_ON])
def test_the_end_of_the_connection_ends_nothing_else(data: bytes) -> None:
    scanner = assert_replies(http, [None], [], [data], data)
    assert not scanner.finish()
    assert not scanner.must_close


@pytest.mark.parametrize(
    ("hint", "reply"),
    [
        (None, OK.replace(b"OK\r\n", b"OK\r\nConnection: Close\r\n")),
        (None, LONG.replace(b"OK\r\n", b"OK\r\nConnection: a, close\r\n")),
        (None, OK.replace(b"1.1", b"1.0")),
        (Hint(HttpClient(), is_last=True), OK),
        (Hint(HttpClient(), is_head=True, is_last=True), OK[:-2]),
    ],
)
def test_the_upstream_is_of_no_use_after_the_last_reply(hint: Hint | None, reply: bytes) -> None:
    check_replies(http, [hint], reply)
    scanner = assert_replies(http, [hint, None], [reply], [reply[:-1], reply[-1:]])
    assert scanner.must_close
    assert bad_replies(http, [hint, None], reply + b"H").finished == [len(reply)]


def test_other_replies_leave_it_open() -> None:
    kept = head("HTTP/1.0 200 OK", "Connection: Keep-Alive", "Content-Length: 1") + b"x"
    assert not assert_replies(http, [None, None], [kept, OK], [kept + OK]).must_close


@pytest.mark.parametrize(
    "data",
    [
        head("HTTP/1.1 101 Switching Protocols", "Upgrade: x"),
        head("HTTP/1.1 200 OK", "Content-Length: 1", "Transfer-Encoding: chunked"),
        head("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 1"),
        head("HTTP/1.1 200 OK", "Content-Length: 1, 1"),
        head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip"),
        head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"),
        head("HTTP/2.0 200 OK"),
        head("HTTP/1.1 20 OK"),
        head("HTTP/1.1 099 OK"),
        head("HTTP/1.1 200 OK", "X: a\r\n b"),
        head("HTTP/1.1 100 Continue", "X: a\nb"),
        head("ICY 200 OK"),
        *(head("HTTP/1.1 103 Early Hints", *fields) for fields in (["X"], ["Content-Length: x"], ["X : a"])),
        head("HTTP/1.1 103 Early Hints", "Transfer-Encoding: gzip"),
        OK.replace(b"\r\n", b"\n"),
        b"\r\n" + OK,
        b"<html>",
        b"HTTP/1.1 200 OK\n",
        GET,
    ],
)
def test_what_is_no_reply(data: bytes) -> None:
    assert bad_replies(http, [None] * 2, OK + data).finished == [len(OK)]


def test_a_reply_too_many() -> None:
    assert bad_replies(http, [None], OK * 2).finished == [len(OK)]
    assert bad_replies(http, [], head("HTTP/1.1 408 Request Timeout", "Content-Length: 0")).finished == []


def test_a_failure_is_one_of_the_request() -> None:
    assert http.failure_for(GET, "no upstream") == http.failure("no upstream")
    failure = http.failure_for(asked(method="HEAD"), "no upstream")
    assert failure.startswith(b"HTTP/1.1 503 ")
    check_replies(http, [HEAD], failure)


# --- any bytes ---

requests = st.lists(st.sampled_from([GET, POST, STREAM, TRAILED, LASTS[0].data, OWNS[2].data, b"\r\n"]), max_size=4)
replies = st.lists(st.sampled_from([OK, NONE, LONG, GO_ON, head("HTTP/1.1 200 OK")]), max_size=4)
ALPHABET = b"\r\n :;,0159aPT\0\t"


@quick
@given(spoilt(requests.map(b"".join), ALPHABET), places)
def test_any_bytes_are_the_same_requests_however_they_are_cut(data: bytes, at: list[int]) -> None:
    if b"\r\n\r\n\r\n" not in data and not data.startswith(b"\r\n\r\n"):  # several empty lines are passed over at once
        check_any_requests(http, data, at)


@quick
@given(spoilt(replies.map(b"".join), ALPHABET), places)
def test_any_bytes_are_the_same_replies_however_they_are_cut(data: bytes, at: list[int]) -> None:
    check_any_replies(http, [None] * 3, data, at)


# --- the work ---


@pytest.mark.parametrize(
    "data", [GET, POST, STREAM, asked("Transfer-Encoding: chunked") + b"1\r\na\r\n" * 500 + b"0\r\n\r\n"]
)
def test_the_work_is_linear(data: bytes) -> None:
    data *= 1 + 50_000 // len(data)
    for step in (len(data), 1000, 7):
        assert work_of(http, None, [data[at : at + step] for at in range(0, len(data), step)]) < 10 * len(data)


def test_of_a_large_body_nothing_is_copied() -> None:
    chunks = [b"x" * 65536] * 1000
    start = asked("Content-Length: 65536000")
    assert work_of(http, None, [start, *chunks]) < 4 * len(start)
    for field in (["Content-Length: 65536000"], []):
        start = head("HTTP/1.1 200 OK", *field)
        assert work_of(http, [None], [start, *chunks]) < 4 * len(start)
    start = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + b"3e80000\r\n"
    assert work_of(http, [None], [start, *chunks]) < 2 * len(start) + 1000
