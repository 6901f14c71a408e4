"""TLS with the services of tests: whom the proxy trusts, and both ends after their handshake."""

from __future__ import annotations

import pytest

from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import Running
from tests.services.peers import Net, TlsPeer, Upstream

NAME = "proxy.example"


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="session")
def upstreams_own(authority: Authority) -> Credentials:
    """The certificate of upstreams."""
    return authority.issue("upstream.example", "127.0.0.1")


@pytest.fixture
def trust(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy trusts the authority alone."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")


async def tls_client(net: Net, proxy: Running, authority: Authority, *, receive_buffer: int | None = None) -> TlsPeer:
    """A client that has done its handshake."""
    plain = await proxy.connect(receive_buffer=receive_buffer)
    client = net.secure(plain, authority.for_client(), NAME)
    await client.handshake()
    return client


async def tls_upstream(net: Net, target: Upstream, own: Credentials) -> TlsPeer:
    """An upstream that has done its handshake."""
    upstream = net.secure(await target.accept(), own.for_server())
    await upstream.handshake()
    return upstream
