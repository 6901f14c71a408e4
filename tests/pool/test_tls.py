"""TLS to the targets of a pool, in all modes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from proxymux.errors import ConfigError
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, TlsPeer, Upstream, in_reactor, settle
from tests.services.pools import GAP, opened

#: The proxy trusts the authority alone.
pytestmark = pytest.mark.usefixtures("trust")
MODES: dict[str, dict[str, Any]] = {"proxy": {}, "fifo": {"codec": "line"}, "funnel": {"codec": "line", "async_": True}}


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Server:
    """An upstream that speaks TLS, and resumes sessions."""

    def __init__(self, net: Net, own: Credentials) -> None:
        self._net = net
        self._context = own.for_server()
        self.target: Upstream = net.upstream()

    async def accept(self, pool: Running) -> TlsPeer:
        """The next connection from the pool, which has found it to be of use."""
        upstream = self._net.secure(await self.target.accept(), self._context)
        await upstream.handshake()
        await settle()
        pool.clock.advance(GAP)
        await settle()
        return upstream


async def served(pool: Running, server: Server) -> TlsPeer:
    """Have a client ask and get its reply; returns its upstream."""
    client = await pool.connect()
    await client.send(b"question\n")
    upstream = await server.accept(pool)
    assert await upstream.receive(9) == b"question\n"
    await upstream.send(b"answer\n")
    assert await client.receive(7) == b"answer\n"
    client.close()
    return upstream


@pytest.mark.parametrize("mode", list(MODES))
@in_reactor
async def test_requests_and_replies_are_encrypted_and_the_session_resumes(
    start_pool: StartPool, net: Net, upstreams_own: Credentials, mode: str
) -> None:
    server = Server(net, upstreams_own)
    targets = [f"{server.target.remote};tls"] * (2 if mode == "funnel" else 1)
    pool = start_pool(*targets, mode=mode, **MODES[mode])
    reused = []
    for _ in range(2):
        upstream = await served(pool, server)
        reused.append(upstream._socket.session_reused)
        upstream.finish()
        upstream.close()
        await settle()
    assert reused == [False, True]
    assert pool.failed_attempts == []


@pytest.mark.parametrize("mode", list(MODES))
@in_reactor
async def test_a_certificate_that_is_not_accepted_is_told_as_a_router_tells_it(
    start_pool: StartPool, net: Net, upstreams_own: Credentials, mode: str
) -> None:
    server = Server(net, upstreams_own)
    remote = server.target.remote
    targets = [f"{remote};tls=other.example"] * (2 if mode == "funnel" else 1)
    pool = start_pool(*targets, mode=mode, **MODES[mode])
    client = await pool.connect()
    await client.send(b"question\n")
    for _ in targets:
        upstream = net.secure(await server.target.accept(), server._context)
        assert await upstream.hear() == b""
    assert await client.read_all() == b""
    record = await pool.record()
    assert record.outcome == "unreachable"
    reason = "TLS: the certificate is not one for other.example; it names upstream.example, 127.0.0.1"
    assert set(pool.failed_attempts) == {(remote, reason)}
    if mode == "proxy":
        assert record.reason == f"{remote}: {reason}"
    else:
        assert ("warn", f"upstream 1: {remote}: {reason}") in pool.lines


@in_reactor
async def test_each_target_has_its_own_options(
    start_pool: StartPool, net: Net, authority: Authority, upstreams_own: Credentials, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    (tmp_path / "ca.pem").write_bytes(authority.file.read_bytes())
    monkeypatch.chdir(tmp_path)
    server, plain = Server(net, upstreams_own), net.upstream()
    pool = start_pool(f"{server.target.remote};tls=upstream.example;tls_ca=ca.pem", plain, mode="funnel", codec="line")
    monkeypatch.chdir("/")
    client, other = await pool.connect(), await pool.connect()
    await client.send(b"one\n")
    secured = await server.accept(pool)
    assert await secured.receive(4) == b"one\n"
    await other.send(b"two\n")
    assert await (await opened(pool, plain)).receive(4) == b"two\n"


@in_reactor
async def test_a_cancel_request_beside_the_slots_is_encrypted_too(
    start_pool: StartPool, net: Net, upstreams_own: Credentials
) -> None:
    server = Server(net, upstreams_own)
    pool = start_pool(f"{server.target.remote};tls", mode="proxy")
    await pool.connect()
    await server.accept(pool)  # the only slot is taken
    cancel = struct.pack("!4I", 16, 80877102, 1, 2)
    client = await pool.connect()
    await client.send(cancel)
    upstream = await server.accept(pool)
    assert await upstream.receive(16) == cancel
    upstream.close()
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome == "completed"


def test_a_file_that_cannot_be_used_is_told_at_the_start(start_pool: StartPool) -> None:
    with pytest.raises(ConfigError, match=r"^--target, --tls-ca or --tls-cert: /nonexistent: No such file"):
        start_pool("127.0.0.1:1;tls=a.example;tls_cert=/nonexistent", mode="proxy")
