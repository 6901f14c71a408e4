"""docs/examples/sni.py with openssl's client and servers of different certificates."""

from __future__ import annotations

import subprocess

import pytest

from proxymux import NEED_DATA, Forward, Reject
from proxymux.testing import decide, every_split
from tests.examples.conftest import EXAMPLES, Example, TlsServer, check, client_hello, run
from tests.system.conftest import Start, Twistd, need

ROUTER = str(EXAMPLES / "sni.py")
A, B, DEFAULT = "127.0.0.1:8441", "127.0.0.1:8442", "127.0.0.1:8440"
UNRECOGNIZED_NAME = b"\x15\x03\x01\x00\x02\x02\x70"


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("a.example", Forward(A)),
        ("B.Example", Forward(B)),
        (None, Forward(DEFAULT)),
        ("c.example", Reject(UNRECOGNIZED_NAME)),
    ],
)
def test_the_name_decides(name: str | None, decision: Forward | Reject) -> None:
    assert decide(ROUTER, client_hello(name)) == decision


def test_what_is_not_tls_is_closed() -> None:
    assert decide(ROUTER, b"GET / HTTP/1.1\r\n\r\n") == Reject()


def test_it_does_not_depend_on_segments() -> None:
    hello = client_hello("a.example")
    for chunks in every_split(hello):
        assert decide(ROUTER, *chunks) == Forward(A)
    assert decide(ROUTER, hello[:100]) is NEED_DATA


def test_check_finds_it_split_invariant(example: Example) -> None:
    checked = check(example("sni.py"), client_hello("a.example"), client_hello("c.example"), client_hello(None))
    assert checked.stdout.count("split-invariant: all") == 3, checked.stdout + checked.stderr
    assert checked.returncode == 0


@pytest.fixture
def proxy(start: Start, example: Example, tls_server: TlsServer) -> Twistd:
    ports = {A: tls_server("a.example", "-rev"), B: tls_server("b.example", "-rev"), DEFAULT: tls_server("d", "-rev")}
    return start(example("sni.py", {address: f"127.0.0.1:{port}" for address, port in ports.items()}))


def s_client(proxy: Twistd, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Have a line reversed by the server, which then closes."""
    where = f"127.0.0.1:{proxy.port}"
    return run(*(need("openssl"), "s_client", "-connect", where, "-ign_eof", *arguments), given=b"hello\nCLOSE\n")


@pytest.mark.parametrize(
    ("subject", "arguments"),
    [
        ("a.example", ["-servername", "a.example"]),
        ("b.example", ["-servername", "b.example"]),
        ("a.example", ["-servername", "a.example", "-tls1_2"]),
        ("d", ["-noservername"]),
    ],
)
def test_each_name_reaches_the_server_that_has_its_certificate(
    proxy: Twistd, subject: str, arguments: list[str]
) -> None:
    done = s_client(proxy, *arguments)
    assert f"subject=CN = {subject}\n" in done.stdout, done.stdout + done.stderr
    assert "olleh" in done.stdout
    assert proxy.records(1)[0]["outcome"] == "completed"


def test_a_name_that_is_not_served_gets_an_alert(proxy: Twistd) -> None:
    done = s_client(proxy, "-servername", "c.example")
    assert "unrecognized name" in done.stderr
    [record] = proxy.records(1)
    assert (record["outcome"], record["bytes_out"]) == ("rejected", 7)
