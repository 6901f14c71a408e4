from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.check_talk import MOST
from proxymux.core.check_talk.http import HttpTalk, host_field
from proxymux.core.check_talk.talk import Step
from proxymux.core.check_talk.text import NOT_FOUND
from proxymux.core.decision import NEED_DATA
from proxymux.core.target import parse_target
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.version import __version__
from tests.core.check_talk.talks import bytes_taken, ends, heard, is_judged

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def plain() -> HttpTalk:
    return HttpTalk("/up", "a.example", (200, 399), b"")


def expecting() -> HttpTalk:
    return HttpTalk("/up", "a.example", (200, 399), b"ready")


def test_what_is_asked() -> None:
    head = f"GET /up?full=1 HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: proxymux/{__version__}\r\n"
    talk = HttpTalk("/up?full=1", "a.example:8080", (200, 399), b"")
    assert talk.begin() == Step(NEED_DATA, head.encode() + b"Connection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "tls", "host"),
    [
        ("10.0.0.1:8080", None, "10.0.0.1:8080"),
        ("10.0.0.1:80", None, "10.0.0.1"),
        ("10.0.0.1:443", None, "10.0.0.1:443"),
        ("10.0.0.1:443", UpstreamTls(), "10.0.0.1"),
        ("10.0.0.1:443", UpstreamTls("a.example"), "a.example"),
        ("10.0.0.1:8443", UpstreamTls("a.example"), "a.example:8443"),
        ("a.example:80", None, "a.example"),
        ("[::1]:8080", None, "[::1]:8080"),
        ("[::1]:80", None, "[::1]"),
        ("[fe80::1%eth0]:80", None, "[fe80::1]"),
        ("unix:/run/app", None, "localhost"),
        ("unix:/run/app", UpstreamTls("a.example"), "a.example"),
    ],
)
def test_the_host_is_the_name_that_tls_says_or_what_is_connected_to(
    target: str, tls: UpstreamTls | None, host: str
) -> None:
    assert host_field(parse_target(target), tls) == host


@pytest.mark.parametrize("head", [OK, b"HTTP/1.0 204 No Content\r\n", b"HTTP/1.1 302\r\nLocation: /\r\n"])
def test_a_good_status_is_enough_where_no_text_is_expected(head: bytes) -> None:
    is_judged(plain, head + b"\r\n", None)


def test_lines_may_end_without_cr() -> None:
    is_judged(plain, b"HTTP/1.1 200 OK\n\n", None)


@pytest.mark.parametrize("make", [plain, expecting])
@pytest.mark.parametrize("status", [404, 503])
def test_another_status_is_bad(make: type[HttpTalk], status: int) -> None:
    is_judged(make, b"HTTP/1.1 %d Ready, it is not\r\n\r\n" % status, f"answered with the status {status}")


@pytest.mark.parametrize(
    ("statuses", "status", "is_good"), [((401, 401), 401, True), ((200, 200), 204, False), ((500, 599), 503, True)]
)
def test_which_status_is_good_is_the_operators_choice(statuses: tuple[int, int], status: int, is_good: bool) -> None:
    verdict = None if is_good else f"answered with the status {status}"
    is_judged(lambda: HttpTalk("/", "a", statuses, b""), b"HTTP/1.1 %d x\r\n\r\n" % status, verdict)


def test_an_interim_reply_is_passed_over_unless_it_is_asked_for() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    is_judged(plain, early + early + OK + b"\r\n", None)
    is_judged(plain, early + b"HTTP/1.1 500 x\r\n\r\n", "answered with the status 500")
    is_judged(lambda: HttpTalk("/", "a", (103, 103), b""), early, None)


def chunked(data: bytes, size: int) -> bytes:
    parts = [data[place : place + size] for place in range(0, len(data), size)]
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_text_in_the_body_is_found() -> None:
    is_judged(expecting, OK + b"Content-Length: 13\r\n\r\nall is ready", None)
    is_judged(expecting, OK + b"\r\nall is ready", None)
    is_judged(expecting, b"HTTP/1.0 200 OK\r\n\r\nready", None)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_text_in_a_chunked_body_is_found_whatever_the_chunks(size: int) -> None:
    whole = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"all is ready, and more", size)
    for step in range(1, 5):
        parts = [whole[place : place + step] for place in range(0, len(whole), step)]
        assert heard(expecting(), *parts)[-1] == Step(None)


def test_a_body_without_the_text_is_bad_at_its_end() -> None:
    is_judged(expecting, OK + b"Content-Length: 5\r\n\r\nreadx", NOT_FOUND)
    is_judged(expecting, OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"not yet", 3), NOT_FOUND)
    is_judged(expecting, b"HTTP/1.1 204 No Content\r\n\r\n", NOT_FOUND)
    assert ends(expecting, OK + b"\r\nnot yet") == NOT_FOUND
    assert ends(expecting, OK + b"Content-Length: 100\r\n\r\nnot yet") == NOT_FOUND


def test_the_text_in_the_head_is_not_in_the_body() -> None:
    assert ends(expecting, OK + b"X-State: ready\r\n\r\nnot yet") == NOT_FOUND


def test_no_more_than_64_kib_are_looked_at() -> None:
    head = OK + b"\r\n"
    assert heard(expecting(), head + bytes(MOST - len(head) - 5) + b"ready")[-1] == Step(None)
    assert heard(expecting(), head + bytes(MOST - len(head) - 4) + b"ready")[-1] == Step(NOT_FOUND)
    assert bytes_taken(plain, b"HTTP/1.1 200 OK") <= MOST + 1000
    [_, step] = heard(plain(), OK + b"X: " + b"x" * MOST)
    assert step.verdict == "the answer is too long"


@pytest.mark.parametrize("answer", [b"S", b"\0", b"HTTQ", b"h", b"\r", b"HTT ", b"HTTPS"])
def test_what_is_not_http_is_known_by_its_first_wrong_byte(answer: bytes) -> None:
    is_judged(plain, answer, "the answer is not HTTP")


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 OK\r\n\r\n", b"HTTP/2 200\r\n\r\n", OK + b"bad header\r\n\r\n", OK + b"Content-Length: x\r\n\r\n"],
)
def test_a_head_that_is_none_is_bad_and_is_not_shown(head: bytes) -> None:
    verdict = heard(plain(), head)[-1].verdict
    assert isinstance(verdict, str)
    assert verdict.startswith("the answer is not HTTP/1.1: ")
    assert "bad header" not in verdict
    assert verdict.isprintable()


def test_an_end_before_the_head_is_whole() -> None:
    for part in (b"", b"HT", OK):
        assert ends(plain, part) == "ended before the answer was whole"


@given(st.binary(max_size=200), st.booleans())
def test_whatever_is_answered_is_judged_in_one_line(answer: bytes, is_http: bool) -> None:
    talk = expecting()
    for step in heard(talk, b"HTTP/1.1 " if is_http else answer[:10], answer):
        if isinstance(step.verdict, str):
            assert step.verdict.isprintable()
