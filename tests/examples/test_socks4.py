"""docs/examples/socks4.py with curl."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxymux import NEED_DATA, Forward, Reject
from proxymux.testing import converse, decide, every_split
from tests.examples.conftest import EXAMPLES, Example, Serve, check, curl, page
from tests.system.conftest import Start, free_port, read_all

ROUTER = str(EXAMPLES / "socks4.py")
GRANTED = b"\0\x5a\0\0\0\0\0\0"
REJECTED = b"\0\x5b\0\0\0\0\0\0"


def request(port: int, address: bytes = b"\x7f\0\0\1", command: int = 1) -> bytes:
    return bytes([4, command]) + port.to_bytes(2, "big") + address + b"me\0"


def test_an_address() -> None:
    decision = decide(ROUTER, request(80))
    assert isinstance(decision, Forward)
    assert decision.remote == "127.0.0.1:80"
    assert (decision.reply, decision.reply_on_connect, decision.reply_on_failure) == (b"", GRANTED, REJECTED)


def test_a_name() -> None:
    decision = decide(ROUTER, request(443, b"\0\0\0\1") + b"www.example.com\0")
    assert isinstance(decision, Forward)
    assert decision.remote == "www.example.com:443"


@pytest.mark.parametrize("name", [b"", b"a b", b"\xff", b"-x", b"1.2.3", b"a" * 300])
def test_a_name_that_cannot_be_one(name: bytes) -> None:
    assert decide(ROUTER, request(443, b"\0\0\0\1") + name + b"\0") == Reject(REJECTED)


@pytest.mark.parametrize("data", [request(80, command=2), request(0), b"\5\1\0", b"GET / HTTP/1.0\r\n\r\n"])
def test_what_is_not_a_connect_is_rejected(data: bytes) -> None:
    assert decide(ROUTER, data) == Reject(REJECTED)


@pytest.mark.parametrize("data", [request(80), request(80, b"\0\0\0\7") + b"a.example\0"])
def test_it_waits_for_the_whole_request_however_it_comes(data: bytes) -> None:
    for end in range(1, len(data)):
        assert decide(ROUTER, data[:end]) is NEED_DATA
    whole = converse(ROUTER, data + b"hello").in_effect()
    assert whole.upstream == b"hello"
    for chunks in every_split(data + b"hello"):
        assert converse(ROUTER, *chunks).in_effect() == whole


@pytest.mark.parametrize("begun", [b"\4\1\0\x50\x7f\0\0\1", b"\4\1\0\x50\0\0\0\1me\0"])
def test_it_does_not_wait_for_more_than_a_request_has(begun: bytes) -> None:
    assert decide(ROUTER, begun.ljust(520, b"x")) is NEED_DATA
    assert decide(ROUTER, begun.ljust(521, b"x")) == Reject(REJECTED)
    assert decide(ROUTER, begun.ljust(521, b"x") + b"\0") == Reject(REJECTED)  # however it is cut


def test_check_finds_it_split_invariant(example: Example) -> None:
    router = example("socks4.py")
    checked = check(router, request(80), request(80, b"\0\0\0\1") + b"a.example\0GET /", request(80, command=2))
    assert checked.stdout.count("split-invariant: all") == 3, checked.stdout + checked.stderr
    assert checked.returncode == 0


def test_curl_gets_a_page(start: Start, serve: Serve) -> None:
    proxy, port = start(Path(ROUTER)), serve(page("hello"))
    for way, host in (("--socks4", "127.0.0.1"), ("--socks4a", "localhost")):
        got = curl(way, f"127.0.0.1:{proxy.port}", f"http://{host}:{port}/")
        assert (got.returncode, got.stdout) == (0, f"hello for {host}:{port}\n"), got.stderr
    for record, host in zip(proxy.records(2), ("127.0.0.1", "localhost"), strict=True):
        assert (record["outcome"], record["target"]) == ("completed", f"{host}:{port}")


def test_curl_hears_that_the_target_refused(start: Start) -> None:
    proxy = start(Path(ROUTER))
    got = curl("--socks4", f"127.0.0.1:{proxy.port}", f"http://127.0.0.1:{free_port()}/")
    assert got.returncode == 97  # the code for a proxy that says no
    assert "(91)" in got.stderr
    assert proxy.records(1)[0]["outcome"] == "unreachable"


def test_a_request_byte_by_byte(start: Start, serve: Serve) -> None:
    """Where the ancestor's example took the user's name for the page's first bytes."""
    proxy, port = start(Path(ROUTER)), serve(page("hello"))
    with proxy.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(port) + b"GET / HTTP/1.0\r\nHost: x\r\n\r\n":
            client.sendall(bytes([byte]))
        answer = read_all(client)
    assert answer.startswith(GRANTED + b"HTTP/1.0 200")
    assert answer.endswith(b"hello for x\n")
