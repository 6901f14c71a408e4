"""docs/examples/socks5.py with curl."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxymux import NEED_DATA, Forward, Reject
from proxymux.testing import converse, decide, every_split
from tests.examples.conftest import EXAMPLES, Example, Serve, check, curl, page
from tests.system.conftest import Start, free_port, read_all

ROUTER = str(EXAMPLES / "socks5.py")
GREETING = b"\5\1\0"
CHOSEN = b"\5\0"
LOOPBACK = b"\x7f\0\0\1"
SIX = b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\1"


def answer(code: int) -> bytes:
    return bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0])


def name(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def request(kind: int = 1, address: bytes = LOOPBACK, port: int = 80, command: int = 1) -> bytes:
    return bytes([5, command, 0, kind]) + address + port.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("data", "remote"),
    [
        (request(), "127.0.0.1:80"),
        (request(4, SIX, 443), "[2001:db8::1]:443"),
        (request(3, name(b"www.example.com")), "www.example.com:80"),
        (request(3, name(b"10.0.0.1")), "10.0.0.1:80"),
    ],
)
@pytest.mark.parametrize("greeting", [GREETING, b"\5\3\2\1\0"])
def test_both_steps(greeting: bytes, data: bytes, remote: str) -> None:
    found = converse(ROUTER, greeting, data, b"hello")
    assert isinstance(found.decision, Forward)
    assert found.decision.remote == remote
    assert found.decision.reply_on_connect == answer(0)
    assert found.decision.reply_on_failure == answer(1)
    assert found.sent.startswith(CHOSEN)
    assert found.upstream == b"hello"


def test_the_greeting_is_answered_before_the_request_comes() -> None:
    found = converse(ROUTER, GREETING)
    assert (found.decision, found.sent) == (NEED_DATA, CHOSEN)


@pytest.mark.parametrize("greeting", [b"\5\1\2", b"\5\2\1\2"])
def test_without_the_one_method_there_is(greeting: bytes) -> None:
    assert decide(ROUTER, greeting) == Reject(b"\5\xff")


@pytest.mark.parametrize("data", [b"\4\1\0\x50", b"GET / HTTP/1.0\r\n\r\n", b"\5\0"])
def test_what_is_not_socks5_is_closed(data: bytes) -> None:
    assert decide(ROUTER, data) == Reject()


REFUSED = [
    (request(command=2), 7),
    (request(command=3), 7),
    (request(command=9), 7),
    (request(command=2, kind=9), 7),
    (request(kind=2), 8),
    (request(kind=9), 8),
    (request(port=0), 1),
    (b"\4" + request()[1:], 1),
    (b"\5\1\7\x09" + request()[4:], 1),
    (request(3, name(b"")), 1),
    (request(3, name(b"a b")), 1),
    (request(3, name(b"-x")), 1),
    (request(3, name(b"a" * 255)), 1),
    (request(3, name(b"1.2.3")), 1),
]


@pytest.mark.parametrize(("data", "code"), REFUSED)
def test_a_request_that_is_refused_says_why(data: bytes, code: int) -> None:
    found = converse(ROUTER, GREETING, data)
    assert found.decision == Reject(answer(code))
    assert found.sent == CHOSEN + answer(code)


@pytest.mark.parametrize("data", [request(), request(4, SIX), request(3, name(b"a.example")), *dict(REFUSED)])
def test_it_does_not_depend_on_segments(data: bytes) -> None:
    data = GREETING + data + b"hello"
    whole = converse(ROUTER, data).in_effect()
    for chunks in every_split(data):
        assert converse(ROUTER, *chunks).in_effect() == whole


def test_check_finds_it_split_invariant(example: Example) -> None:
    samples = [GREETING + request() + b"GET /", GREETING + request(3, name(b"a.example")), GREETING + request(9)]
    checked = check(example("socks5.py"), *samples)
    assert checked.stdout.count("split-invariant: all") == 3, checked.stdout + checked.stderr
    assert checked.returncode == 0


def test_curl_gets_a_page(start: Start, serve: Serve) -> None:
    proxy, port = start(Path(ROUTER)), serve(page("hello"))
    for way, host in (("--socks5", "127.0.0.1"), ("--socks5-hostname", "localhost")):
        got = curl(way, f"127.0.0.1:{proxy.port}", f"http://{host}:{port}/")
        assert (got.returncode, got.stdout) == (0, f"hello for {host}:{port}\n"), got.stderr
    for record, host in zip(proxy.records(2), ("127.0.0.1", "localhost"), strict=True):
        assert (record["outcome"], record["target"]) == ("completed", f"{host}:{port}")


def test_curl_gets_a_page_over_ipv6(start: Start, serve: Serve) -> None:
    try:
        port = serve(page("hello"), "::1")
    except OSError:
        pytest.skip("there is no IPv6 here")
    proxy = start(Path(ROUTER))
    got = curl("--socks5", f"127.0.0.1:{proxy.port}", f"http://[::1]:{port}/")
    assert (got.returncode, got.stdout) == (0, f"hello for [::1]:{port}\n"), got.stderr
    assert proxy.records(1)[0]["target"] == f"[::1]:{port}"


@pytest.mark.parametrize("way", ["--socks5", "--socks5-hostname"])
def test_curl_hears_that_the_target_refused(start: Start, way: str) -> None:
    proxy = start(Path(ROUTER))
    got = curl(way, f"127.0.0.1:{proxy.port}", f"http://localhost:{free_port()}/")
    assert got.returncode == 97  # the code for a proxy that says no
    assert "(1)" in got.stderr
    assert proxy.records(1)[0]["outcome"] == "unreachable"


def test_two_clients_at_once_do_not_mix(start: Start, serve: Serve) -> None:
    proxy, port = start(Path(ROUTER)), serve(page("hello"))
    with proxy.connect() as one, proxy.connect() as two:
        one.sendall(GREETING)
        assert one.recv(2, socket.MSG_WAITALL) == CHOSEN
        two.sendall(request(port=port))  # nobody has greeted yet: it begins as a greeting does, and goes on wrong
        assert read_all(two) == CHOSEN + answer(1)
        one.sendall(request(port=port) + b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        assert one.recv(10, socket.MSG_WAITALL) == answer(0)
        assert read_all(one).endswith(b"hello for x\n")
