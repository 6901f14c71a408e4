"""Listening: every kind of listener brings its clients in."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import endpoints
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IStreamServerEndpointStringParser
from twisted.internet.ssl import PrivateCertificate
from zope.interface import implementer

from proxymux import Client, Reject
from proxymux.errors import ConfigError
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import LOOPBACK, Start
from tests.services.peers import Net, Upstream, in_reactor


@pytest.mark.parametrize("kind", [LOOPBACK, r"tcp6:0:interface=\:\:1", "unix"])
@in_reactor
async def test_a_listener_forwards_half_close_and_all(start: Start, net: Net, tmp_path: Path, kind: str) -> None:
    target: Upstream = net.upstream()
    clients: list[Client] = []

    def proxy(data: bytes, client: Client) -> object:
        clients.append(client)
        return {"remote": target.remote}

    running = start(proxy, listen=f"unix:{tmp_path}/socket" if kind == "unix" else kind)
    client = await running.connect()
    await client.send(b"hello")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"hello"
    await upstream.send(b"welcome")
    upstream.finish()
    assert await client.read_all() == b"welcome"
    record = await running.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, 7)
    [seen] = clients
    if kind == "unix":
        assert (seen.address, seen.local) == (("unix:", 0), (f"unix:{tmp_path}/socket", 0))
        assert (record.client, record.local) == ("unix:", f"unix:{tmp_path}/socket")
    else:
        assert seen.address == client.address[:2]
        assert record.local == running.address


@pytest.mark.parametrize(
    ("words", "mode"), [("", 0o660), (":mode=600", 0o600), (":mode=666", 0o666), (":lockfile=0", 0o660)]
)
@in_reactor
async def test_who_may_connect_to_a_unix_socket(start: Start, tmp_path: Path, words: str, mode: int) -> None:
    proxy = start(lambda data: Reject(b"served"), listen=f"unix:{tmp_path}/m{words}")
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == mode
    assert (tmp_path / "m.lock").exists() == ("lockfile" not in words)
    assert await proxy.ask(b"x") == b"served"


@in_reactor
async def test_a_path_may_look_like_an_argument(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "backlog=1:mode=666"
    start(lambda data: None, listen=f"unix:{path}".replace("=", r"\=").replace("1:", r"1\:"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@in_reactor
async def test_a_unix_client_that_leaves_in_midstream_ends_its_session(start: Start, net: Net, tmp_path: Path) -> None:
    target = net.upstream(str(tmp_path / "upstream"))
    proxy = start(lambda data: {"remote": target.remote}, listen=f"unix:{tmp_path}/socket")
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    client.close()
    assert await upstream.read_all() == b"hello"
    await upstream.send_until_broken()
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_one_service_on_many_listeners(
    start: Start, net: Net, authority: Authority, own: Credentials, tmp_path: Path
) -> None:
    clients: list[Client] = []

    def proxy(data: bytes, client: Client) -> object:
        clients.append(client)
        return Reject(b"served")

    running = start(
        proxy,
        listen=[LOOPBACK, own.endpoint, f"unix:{tmp_path}/socket", f"haproxy:{LOOPBACK}", r"tcp6:0:interface=\:\:1"],
    )
    plain, tls, unix, behind, v6 = running.service.addresses
    peers = [await net.connect(address) for address in (plain, unix, behind, v6)]
    secure = await net.connect_tls(tls, authority.for_client(), server_name="proxy.example")
    await secure.handshake()
    await peers[2].send(b"PROXY TCP4 192.0.2.7 192.0.2.8 51000 443\r\n")
    for peer in (*peers, secure):
        await peer.send(b"hello")
        assert await peer.read_all() == b"served"
        peer.close()
    assert {record.outcome for record in await running.ended(5)} == {"rejected"}
    assert [client.address[0] for client in clients] == ["127.0.0.1", "unix:", "192.0.2.7", "::1", "127.0.0.1"]
    assert [client.tls is not None for client in clients] == [False, False, False, False, True]


@implementer(IOpenSSLServerConnectionCreator)
class Creator:
    """All that Twisted asks of what makes TLS connections, and no more."""

    def __init__(self, own: Credentials) -> None:
        self._options = PrivateCertificate.loadPEM(own.file.read_bytes()).options()

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        return self._options.serverConnectionForTLS(tlsProtocol)


@implementer(IStreamServerEndpointStringParser)
class Plugin:
    """A plug-in's endpoint ``creator:``."""

    prefix = "creator"

    def __init__(self, own: Credentials) -> None:
        self._own = own

    def parseStreamServer(self, reactor: Any, *args: object, **kwargs: object) -> Any:
        return endpoints.SSL4ServerEndpoint(reactor, 0, Creator(self._own), interface="127.0.0.1")


@pytest.mark.parametrize("prefix", ["", "haproxy:"])
@in_reactor
async def test_a_plug_ins_endpoint_may_make_its_tls_connections_by_itself(
    start: Start, net: Net, authority: Authority, own: Credentials, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setattr(endpoints, "getPlugins", lambda interface: [Plugin(own)])
    proxy = start(lambda data: Reject(b"served"), listen=f"{prefix}creator:")
    header = b"PROXY UNKNOWN\r\n" if prefix else b""
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name="proxy.example", first=header)
    await client.handshake()
    await client.send(b"hello")
    assert await client.read_all() == b"served"


@pytest.mark.parametrize("prefix", ["", "haproxy:"])
@in_reactor
async def test_a_key_that_does_not_fit_its_certificate_ends_start_up(
    start: Start, authority: Authority, own: Credentials, tmp_path: Path, prefix: str
) -> None:
    key, _, _ = own.file.read_text().partition("-----BEGIN CERTIFICATE")
    _, _, certificate = authority.issue("other.example").file.read_text().partition("-----END PRIVATE KEY-----")
    (tmp_path / "key").write_text(key)
    (tmp_path / "certificate").write_text(certificate)
    with pytest.raises(
        ConfigError,
        match=r"^--listen: .*: no private key with its certificate.*match\)",
    ):
        start(lambda data: None, listen=f"{prefix}ssl:0:privateKey={tmp_path}/key:certKey={tmp_path}/certificate")


@in_reactor
async def test_a_plug_ins_endpoint_that_fails_behind_a_header_costs_that_client(
    start: Start, net: Net, own: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(creator: Creator, tls: Any) -> Any:
        raise RuntimeError("no connection today")

    monkeypatch.setattr(Creator, "serverConnectionForTLS", fail)
    monkeypatch.setattr(endpoints, "getPlugins", lambda interface: [Plugin(own)])
    proxy = start(lambda data: Reject(b"served"), listen="haproxy:creator:")
    client = await net.connect(proxy.address)
    await client.send(b"PROXY UNKNOWN\r\n")
    assert await client.read_all() == b""
    record = await proxy.record()
    assert (record.outcome, record.reason) == ("bad_handshake", "TLS: RuntimeError: no connection today")
