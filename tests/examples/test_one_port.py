"""docs/examples/one_port.py with curl, ssh and openssl."""

from __future__ import annotations

import socketserver

import pytest

from proxymux import NEED_DATA, Forward, Reject
from proxymux.testing import decide, every_split
from tests.examples.conftest import EXAMPLES, Example, Serve, TlsServer, check, client_hello, curl, page, run
from tests.system.conftest import Start, Twistd, need, read_all

ROUTER = str(EXAMPLES / "one_port.py")
TLS, SSH, HTTP = "127.0.0.1:8443", "127.0.0.1:22", "127.0.0.1:8080"
BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SEARCH = b"SEARCH / HTTP/1.1\r\nHost: x\r\n\r\n"  # begins as SSH does


class FakeSsh(socketserver.StreamRequestHandler):
    """Says who it is and what the client said, and leaves."""

    def handle(self) -> None:
        self.wfile.write(b"SSH-2.0-Fake_1.0\r\n")
        self.wfile.write(b"you are " + self.rfile.readline())


@pytest.mark.parametrize(
    ("data", "decision"),
    [
        (client_hello("a.example"), Forward(TLS)),
        (client_hello(None), Forward(TLS)),
        (BANNER, Forward(SSH)),
        (GET, Forward(HTTP)),
        (SEARCH, Forward(HTTP)),
        (b"\0\0\0\0\0\0\0\0", Reject()),
        (b"\x16GET", Reject()),
    ],
)
def test_the_first_bytes_decide_however_they_come(data: bytes, decision: Forward | Reject) -> None:
    for chunks in every_split(data):
        assert decide(ROUTER, *chunks) == decision


@pytest.mark.parametrize("data", [b"S", b"G", b"\x16"])
def test_one_byte_is_not_enough(data: bytes) -> None:
    assert decide(ROUTER, data) is NEED_DATA


def test_check_finds_it_split_invariant(example: Example) -> None:
    checked = check(example("one_port.py"), client_hello("a.example"), BANNER, GET, SEARCH)
    assert checked.stdout.count("split-invariant: all") == 4, checked.stdout + checked.stderr
    assert checked.returncode == 0


@pytest.fixture
def proxy(start: Start, example: Example, serve: Serve, tls_server: TlsServer) -> Twistd:
    ports = {TLS: tls_server("a.example", "-www"), SSH: serve(FakeSsh), HTTP: serve(page("plain"))}
    return start(example("one_port.py", {address: f"127.0.0.1:{port}" for address, port in ports.items()}))


def test_curl_gets_both_pages(proxy: Twistd) -> None:
    assert curl(f"http://127.0.0.1:{proxy.port}/").stdout.startswith("plain for")
    secure = curl("--insecure", "--http1.0", f"https://127.0.0.1:{proxy.port}/")
    assert "s_server" in secure.stdout, secure.stderr


def test_ssh_meets_an_ssh_server(proxy: Twistd) -> None:
    with proxy.connect() as client:
        client.sendall(BANNER)
        assert read_all(client) == b"SSH-2.0-Fake_1.0\r\nyou are " + BANNER
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
    done = run(need("ssh"), "-v", *options, "-p", str(proxy.port), "nobody@127.0.0.1", "true")
    assert "remote software version Fake_1.0" in done.stderr, done.stderr
