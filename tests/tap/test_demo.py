"""The demos: what cannot be given with them, and what their upstreams answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from proxymux.gateway.settings import GatewaySettings
from proxymux.pool.settings import PoolSettings
from proxymux.tap import gateway, pool, router
from proxymux.tap.demo import Stage
from proxymux.tap.demo.router import greeting
from proxymux.tap.demo.upstreams import DemoUpstream, coloured, hidden, shared

SERVICES: dict[str, Any] = {"router": router, "pool": pool, "gateway": gateway}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def parse(service: str, *arguments: str) -> Any:
    options = SERVICES[service].Options()
    options.parseOptions(["--demo", *arguments])
    return options


# The command line


@pytest.mark.parametrize(
    ("service", "arguments", "said"),
    [
        ("router", ["--router", "router.py"], "brings its own router; leave --router away"),
        ("router", ["--shadow", "router.py"], "brings its own shadow; leave --shadow away"),
        ("router", ["--workers", "2"], "is all in one process; leave --workers away"),
        ("router", ["--watch"], "brings its own router, which no file has; leave --watch away"),
        ("pool", ["--watch"], "brings its own router, which no file has; leave --watch away"),
        ("pool", ["--target", "127.0.0.1:6379"], "brings its own target; leave --target away"),
        ("pool", ["--codec", "resp"], "brings its own codec; leave --codec away"),
        ("pool", ["--config-object", "a:b"], "brings its own config object; leave --config-object away"),
        ("pool", ["--workers", "2"], "is all in one process; leave --workers away"),
        ("gateway", ["--key-file", "keys"], "brings its own key file; leave --key-file away"),
        ("gateway", ["--secret", "hunter2"], "brings its own secret; leave --secret away"),
        ("gateway", ["--workers", "2"], "is all in one process; leave --workers away"),
    ],
)
def test_what_the_demo_brings_itself_cannot_be_given(
    service: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(service, *arguments)
    assert end.value.code == 1
    assert capsys.readouterr().err == f"proxymux: --demo: {said}; see --help\n"


@pytest.mark.parametrize("service", SERVICES)
def test_a_demo_listens_on_loopback_unless_it_is_told_where(service: str) -> None:
    assert parse(service).settings.endpoints == ("tcp:0:interface=127.0.0.1",)
    assert parse(service, "--listen", "tcp:8000").settings.endpoints == ("tcp:8000",)


def test_the_demo_of_the_pool_takes_no_notice_of_the_ancestors_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_CONNECTIONS_CNT", "7")
    settings: PoolSettings = parse("pool", "--max-connections", "2").settings
    assert (settings.chosen_mode, settings.codec, len(settings.target)) == ("funnel", "http", 2)


def test_the_demo_of_the_gateway_leaves_no_pid_file_unless_it_is_told_to() -> None:
    settings: GatewaySettings = parse("gateway", "--addr", "127.0.0.1:8000").settings
    assert (settings.gateway_pidfile, settings.endpoints) == (None, ("tcp:8000:interface=127.0.0.1",))
    assert parse("gateway", "--gateway-pidfile", "/run/a.pid").settings.gateway_pidfile == "/run/a.pid"


@pytest.mark.parametrize("service", SERVICES)
def test_a_check_of_a_demo_leaves_nothing(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        SERVICES[service].makeService(parse(service, "--check"))
    assert end.value.code == 0
    assert tuple(capsys.readouterr()) == ("ok\n", "")
    assert list(tmp_path.iterdir()) == []


# The upstreams


class Ports:
    """A reactor on which somebody else has some of the ports; it gives 5000 for any."""

    def __init__(self, *taken: int) -> None:
        self.taken = taken

    def listenTCP(self, port: int, factory: Any, interface: str) -> Any:
        assert interface == "127.0.0.1"
        if port in self.taken:
            raise CannotListenError(interface, port, OSError("taken"))
        self.host = IPv4Address("TCP", interface, port or 5000)
        return self

    def getHost(self) -> IPv4Address:
        return self.host


def test_an_upstream_has_the_wanted_port_or_a_free_one() -> None:
    red, blue = coloured("red", 8001), coloured("blue", 8002)
    for each in (red, blue):
        each.listen(Ports(8001))  # type: ignore[arg-type]
    assert (red.port, blue.port) == (5000, 8002)


def test_the_greeting_says_so_where_the_routers_of_the_readme_would_miss_an_upstream() -> None:
    assert "red is 127.0.0.1:8001, blue is 127.0.0.1:8002" in greeting("127.0.0.1:1", Stage([8001, 8002], ""))
    assert "Somebody" not in greeting("127.0.0.1:1", Stage([8001, 8002], ""))
    text = greeting("127.0.0.1:1", Stage([8001, 5000], ""))
    assert "red is 127.0.0.1:8001, blue is 127.0.0.1:5000" in text
    assert "Somebody has port 8002, so write these in the README's router." in text


def said_by(upstream: DemoUpstream, *chunks: bytes) -> StringTransport:
    protocol, transport = upstream.buildProtocol(None), StringTransport()
    protocol.makeConnection(transport)
    for chunk in chunks:
        protocol.dataReceived(chunk)
    return transport


def test_a_coloured_upstream_answers_one_request_and_closes() -> None:
    transport = said_by(coloured("red", 0), b"GET / HTTP/1.1\r\nHo", b"st: x\r\n")
    assert (transport.value(), transport.disconnecting) == (b"", False)
    transport = said_by(coloured("red", 0), b"GET / HTTP/1.1\r\nHo", b"st: x\r\n\r\n")
    assert transport.value().endswith(b"Content-Length: 25\r\nConnection: close\r\n\r\nthis is the red upstream\n")
    assert transport.disconnecting


def test_the_shared_upstream_answers_each_request_with_the_number_of_the_connection() -> None:
    clock = Clock()
    upstream = shared(clock)
    one, two = (said_by(upstream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count) for count in (1, 2))
    assert (one.value(), two.value()) == (b"", b"")
    clock.advance(1)
    assert one.value().count(b"answered on connection 1\n") == 1
    assert two.value().count(b"answered on connection 2\n") == 2
    assert not one.disconnecting


def test_the_shared_upstream_closes_on_what_is_no_http() -> None:
    assert said_by(shared(Clock()), b"\0\0\r\n\r\n").disconnecting


def test_the_hidden_upstream_speaks_first() -> None:
    transport = said_by(hidden())
    assert transport.value() == b"this is the hidden server; the token has led you here\n"
    assert transport.disconnecting
