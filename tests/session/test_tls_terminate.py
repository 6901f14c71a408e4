"""TLS that the router has ended, once it has seen the ClientHello: ``tls_terminate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxymux import NEED_DATA, Client, Reject, Reply, Terminate, sniff
from proxymux.core.decision import from_result
from proxymux.errors import BadResult
from proxymux.testing import decide
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import Start
from tests.services.peers import Net, TlsPeer, in_reactor, settle, together
from tests.services.tls import NAME, tls_client

#: The proxy trusts the authority alone.
pytestmark = pytest.mark.usefixtures("trust")


@pytest.fixture(params=["fd", "transport"])
def relay(request: pytest.FixtureRequest) -> str:
    """Every relay has to pass these tests."""
    return str(request.param)


@in_reactor
async def test_one_name_is_ended_here_and_another_passes_through(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    plain, encrypted = net.upstream(), net.upstream()
    theirs = authority.issue("through.example")

    def proxy(data: bytes) -> Any:
        hello = sniff.tls_client_hello(data)
        if not isinstance(hello, sniff.ClientHello):
            return hello or {"close": True}
        if hello.server_name == NAME:
            return {"remote": plain.remote, "tls_terminate": str(own.file)}
        return {"remote": encrypted.remote}

    running = start(proxy)
    client = await tls_client(net, running, authority)
    await client.send(b"hello")
    upstream = await plain.accept()
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    upstream.finish()
    assert await client.read_all() == b""
    client.close()
    record = await running.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, 7)

    through = await net.connect_tls(running.address, authority.for_client(), server_name="through.example")

    async def serve() -> TlsPeer:
        far = net.secure(await encrypted.accept(), theirs.for_server())
        await far.handshake()
        return far

    _, far = await together(through.handshake(), serve())
    await through.send(b"hello")
    assert await far.receive(5) == b"hello"


@in_reactor
async def test_the_router_is_asked_again_with_the_decrypted_bytes(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    asked: list[tuple[bytes, str | None]] = []

    def proxy(data: bytes, client: Client) -> Any:
        asked.append((data[:5], client.tls.server_name if client.tls else None))
        return Reject(data[::-1]) if client.tls else {"tls_terminate": str(own.file)}

    running = start(proxy)
    client = await tls_client(net, running, authority)
    await client.send(b"hello")
    assert await client.read_all() == b"olleh"
    client.close()
    record = await running.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("rejected", 5, 5)
    assert (len(asked), asked[1]) == (2, (b"hello", NAME))


@in_reactor
async def test_after_a_negotiation_in_the_clear(start: Start, net: Net, authority: Authority, own: Credentials) -> None:
    """As PostgreSQL's SSLRequest and SMTP's STARTTLS want it."""

    def proxy(data: bytes, client: Client) -> Any:
        if client.tls is not None:
            return Reject(b"secret")
        if "asked" not in client.state:
            client.state["asked"] = True
            return Reply(b"S", consume=8)
        return Terminate(str(own.file))

    running = start(proxy)
    plain = await running.connect()
    await plain.send(b"STARTTLS")
    assert await plain.receive(1) == b"S"
    client = net.secure(plain, authority.for_client(), NAME)
    await client.handshake()
    await client.send(b"hello")
    assert await client.read_all() == b"secret"


@in_reactor
async def test_a_path_that_cannot_be_loaded_is_a_router_error(start: Start, tmp_path: Path) -> None:
    running = start(lambda data: {"tls_terminate": str(tmp_path / "none.pem")})
    client = await running.connect()
    await client.send(b"hello")
    assert await client.read_all() == b""
    client.close()
    record = await running.record()
    assert record.outcome == "router_error"
    [error] = running.errors
    assert "tls_terminate" in error
    assert "none.pem: No such file or directory" in error


@in_reactor
async def test_what_is_not_tls_is_a_bad_handshake(start: Start, own: Credentials) -> None:
    running = start(lambda data: {"tls_terminate": str(own.file)})
    client = await running.connect()
    await client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert b"HTTP" not in await client.read_all()
    client.close()
    assert (await running.record()).outcome == "bad_handshake"


@in_reactor
async def test_tls_is_ended_once(start: Start, net: Net, authority: Authority, own: Credentials) -> None:
    running = start(lambda data: {"tls_terminate": str(own.file)})
    client = await tls_client(net, running, authority)
    await client.send(b"hello")
    assert await client.read_all() == b""
    client.close()
    assert (await running.record()).outcome == "router_error"
    assert len(running.errors) == 1


@in_reactor
async def test_the_deadline_holds_for_the_handshake_too(start: Start, own: Credentials) -> None:
    running = start(lambda data: {"tls_terminate": str(own.file)}, decide_timeout=5)
    client = await running.connect()
    await client.send(b"\x16\x03\x01")

    await settle()
    running.clock.advance(5)
    await settle()
    client.close()
    assert (await running.record()).outcome == "undecided"


@in_reactor
async def test_a_client_certificate_is_demanded_there_too(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    def proxy(data: bytes, client: Client) -> Any:
        if client.tls is None:
            return {"tls_terminate": str(own.file)}
        assert client.tls.peer is not None
        return Reject(client.tls.peer.subject.encode())

    running = start(proxy, tls_client_ca=str(authority.file))
    for credentials, answer in ((authority.issue("alice.example"), b"CN=alice.example"), (None, b"")):
        client = await net.connect_tls(running.address, authority.for_client(credentials), server_name=NAME)
        await client.handshake()
        try:
            await client.send(b"hello")
            assert await client.read_all() == answer
        except OSError:
            assert answer == b""


@pytest.mark.parametrize("path", ["", 5, None, b"server.pem"])
def test_a_path_is_a_text(path: Any) -> None:
    with pytest.raises(BadResult, match="tls_terminate"):
        from_result({"tls_terminate": path})


def test_a_router_is_tested_without_tls() -> None:
    def proxy(data: bytes) -> Any:
        if data == b"hello":
            return NEED_DATA
        return Reject(b"seen") if data == b"hellohello" else {"tls_terminate": "/etc/server.pem"}

    assert decide(proxy, b"\x16") == Terminate("/etc/server.pem")
    assert decide(proxy, b"\x16", b"hello", b"hello") == Reject(b"seen")
