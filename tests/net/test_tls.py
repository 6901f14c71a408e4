"""TLS, on the side of the client and on that of the upstream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import endpoints, ssl
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from zope.interface import implementer

from proxymux import Client, Forward, Reject
from proxymux.net.reactor import tls
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import Asked, Callback, Running, Start
from tests.services.peers import MEGABYTE, Net, Peer, TlsPeer, Upstream, in_reactor, noise, settle, together, until

NAME = "proxy.example"


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="session")
def upstreams_own(authority: Authority) -> Credentials:
    """The certificate of upstreams."""
    return authority.issue("upstream.example", "127.0.0.1")


@pytest.fixture(autouse=True)
def trust(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The proxy trusts the authority alone."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    tls.client_options.cache_clear()
    yield
    tls.client_options.cache_clear()


@implementer(IStreamServerEndpointStringParser)
class Demanding:
    """A plug-in's endpoint ``demanding:``, a TLS listener that speaks ALPN and may want to see a certificate."""

    prefix = "demanding"

    def __init__(self, own: Credentials, authority: Authority | None) -> None:
        self._own = own
        self._authority = authority

    def parseStreamServer(self, reactor: Any, *args: object, **kwargs: object) -> Any:
        both = self._own.file.read_bytes()
        trust = None
        if self._authority is not None:
            trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(self._authority.file.read_bytes())])
        options = ssl.PrivateCertificate.loadPEM(both).options()
        options = ssl.CertificateOptions(
            privateKey=options.privateKey,
            certificate=options.certificate,
            trustRoot=trust,
            acceptableProtocols=[b"h2", b"http/1.1"],
        )
        return endpoints.SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")


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


async def asks(proxy: Running, data: bytes = b"hello") -> Peer:
    """A client in the clear that has sent ``data``."""
    client = await proxy.connect()
    await client.send(data)
    return client


# The client's side


@in_reactor
async def test_a_tls_client_is_decrypted_decided_and_forwarded(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    clients: list[Client] = []

    def proxy(data: bytes, client: Client) -> Any:
        clients.append(client)
        return {"remote": target.remote}

    running = start(proxy, listen=own.endpoint)
    client = await tls_client(net, running, authority)
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    upstream.finish()
    assert await client.read_all() == b""
    client.close()
    record = await running.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, 7)
    [seen] = clients
    assert seen.address == ("127.0.0.1", int(record.client.rpartition(":")[2]))
    assert seen.tls is not None
    assert (seen.tls.server_name, seen.tls.alpn, seen.tls.certificate) == (NAME, None, None)


@in_reactor
async def test_a_client_that_offers_protocols_comes_in_where_none_is_known(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    running = start(lambda data: Reject(b"seen"), listen=own.endpoint)
    for offered in (("h2", "http/1.1"), ("postgresql",)):
        context = authority.for_client(alpn=offered)
        client = await net.connect_tls(running.address, context, server_name=NAME)
        await client.handshake()
        assert client.alpn is None
        await client.send(b"hello")
        assert await client.read_all() == b"seen"


@in_reactor
async def test_the_function_is_told_the_protocol_and_the_certificate(
    start: Start, net: Net, authority: Authority, own: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "getPlugins", lambda interface: [Demanding(own, authority)])
    clients: list[Client] = []

    def proxy(data: bytes, client: Client) -> Any:
        clients.append(client)
        return Reject(b"seen")

    running = start(proxy, listen="demanding:")
    context = authority.for_client(authority.issue("client.example"), alpn=("http/1.1",))
    client = await net.connect_tls(running.address, context, server_name=NAME)
    await client.handshake()
    assert client.alpn == "http/1.1"
    await client.send(b"hello")
    assert await client.read_all() == b"seen"
    [seen] = clients
    assert seen.tls is not None
    assert (seen.tls.server_name, seen.tls.alpn) == (NAME, "http/1.1")
    assert seen.tls.certificate is not None
    assert seen.tls.certificate.subject.rfc4514_string() == "CN=client.example"


@in_reactor
async def test_before_the_handshake_nothing_is_decided_nor_dialled(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    connected: list[str] = []
    greeted: list[Client] = []

    def accepted(client: Client) -> Any:
        greeted.append(client)
        return {"remote": target.remote}

    proxy = start(lambda data: None, accepted=accepted, listen=own.endpoint)
    proxy.events.on("connected", lambda logger, remote: connected.append(remote))
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name=NAME)
    assert await target.is_left_alone()
    assert (connected, greeted) == ([], [])
    await client.handshake()
    upstream = await target.accept()
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    assert len(connected) == len(greeted) == 1


@pytest.mark.parametrize("credentials", ["none", "a stranger's"])
@in_reactor
async def test_before_the_certificate_is_found_good_nothing_is_decided_nor_dialled(
    start: Start,
    net: Net,
    authority: Authority,
    stranger: Authority,
    own: Credentials,
    credentials: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoints, "getPlugins", lambda interface: [Demanding(own, authority)])
    target = net.upstream()
    asked = Asked(lambda data: {"remote": target.remote})
    proxy = start(asked, accepted=lambda client: {"remote": target.remote}, listen="demanding:")
    theirs = None if credentials == "none" else stranger.issue("client.example")
    client = await net.connect_tls(proxy.address, authority.for_client(theirs), server_name=NAME)
    assert await client.hear() == b""
    assert (await proxy.record()).outcome == "bad_handshake"
    assert asked.about == []
    assert await target.is_left_alone()


@in_reactor
async def test_bytes_that_are_not_tls_are_a_bad_handshake(start: Start, own: Credentials) -> None:
    asked = Asked(lambda data: None)
    proxy = start(asked, listen=own.endpoint)
    client = await proxy.connect()
    await client.send(b"GET / HTTP/1.1\r\n\r\n")
    with_alert = await client.read_all()
    assert b"HTTP" not in with_alert
    client.close()
    assert (await proxy.record()).outcome == "bad_handshake"
    assert asked.about == []
    assert proxy.errors == []


@in_reactor
async def test_a_client_that_does_not_trust_us_is_a_bad_handshake(
    start: Start, net: Net, stranger: Authority, own: Credentials
) -> None:
    proxy = start(Asked(lambda data: None), listen=own.endpoint)
    client = await net.connect_tls(proxy.address, stranger.for_client(), server_name=NAME)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        await client.handshake()
    client.close()
    assert (await proxy.record()).outcome == "bad_handshake"
    assert proxy.errors == []


@pytest.mark.parametrize("sends", [b"", b"\x16\x03\x01\x02\x00\x01\x00"], ids=["nothing", "half a ClientHello"])
@in_reactor
async def test_a_client_that_is_silent_in_the_handshake_is_undecided_by_the_deadline(
    start: Start, own: Credentials, sends: bytes
) -> None:
    proxy = start(Asked(lambda data: None), listen=own.endpoint, decide_timeout=5)
    client = await proxy.connect()
    await client.send(sends)
    await settle()
    proxy.clock.advance(4.9)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(0.1)
    await settle()
    proxy.clock.advance(10)  # for a close that waits for the other side
    await until(client.has_something, "the close")
    assert (await proxy.record()).outcome == "undecided"


@pytest.mark.parametrize("leaves", [Peer.close, Peer.reset, Peer.finish])
@in_reactor
async def test_a_client_that_leaves_in_the_handshake_is_undecided(start: Start, own: Credentials, leaves: Any) -> None:
    proxy = start(Asked(lambda data: None), listen=own.endpoint)
    client = await proxy.connect()
    await client.send(b"\x16\x03\x01\x02\x00\x01\x00")
    await settle()
    leaves(client)
    assert (await proxy.record()).outcome == "undecided"


@in_reactor
async def test_a_last_word_reaches_a_tls_client_whole(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    word = noise(2 * MEGABYTE)
    proxy = start(lambda data: Reject(word), listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    assert await client.read_all() == word
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("rejected", len(word))


@in_reactor
async def test_a_tls_client_that_does_not_answer_our_close_is_cut_off(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    proxy = start(lambda data: Reject(b"bye"), listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    assert await client.read_all() == b"bye"
    await settle()
    for _ in range(2):
        proxy.clock.advance(10)
        await settle()
    assert (await proxy.record()).outcome == "rejected"


@in_reactor
async def test_5_mb_both_ways_through_tls_on_both_sides(
    start: Start, net: Net, authority: Authority, own: Credentials, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    question, answer = noise(5 * MEGABYTE, "question"), noise(5 * MEGABYTE, "answer")
    _, _, received, answered = await together(
        client.send(question), upstream.send(answer), upstream.receive(len(question)), client.receive(len(answer))
    )
    assert received == question
    assert answered == answer
    upstream.finish()
    assert await client.read_all() == b""
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + len(question), len(answer))


@in_reactor
async def test_a_tls_client_has_5_mb_and_the_end_when_the_upstream_ends(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    answer = noise(5 * MEGABYTE)

    async def answer_and_leave() -> None:
        await upstream.send(answer)
        upstream.close()

    _, received = await together(answer_and_leave(), client.read_all())
    assert received == answer
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("completed", len(answer))


@in_reactor
async def test_a_tls_client_that_does_not_read_stops_the_upstream_and_then_gets_everything(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    data = noise(32 * MEGABYTE)
    taken = await upstream.send_until_stalled(data)
    assert taken < 16 * MEGABYTE
    _, received = await together(upstream.send(data[taken:]), client.receive(len(data)))
    assert received == data


@in_reactor
async def test_a_tls_client_that_ends_ends_the_exchange_after_all_it_has_sent(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    upstream = await target.accept()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    question = noise(2 * MEGABYTE)

    async def ask_and_leave() -> None:
        await client.send(question)
        client.finish()

    _, received = await together(ask_and_leave(), upstream.read_all())
    assert received == b"hello" + question
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_what_a_tls_client_has_sent_before_it_ended_waits_for_a_slow_upstream(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream(receive_buffer=4096)
    proxy = start(lambda data: {"remote": target.remote}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    upstream = await target.accept()
    await client.send(noise(300_000))
    client.finish()
    await settle()
    assert await upstream.read_all() == b"hello" + noise(300_000)


@in_reactor
async def test_what_an_upstream_has_sent_before_it_ended_waits_for_a_slow_tls_client(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority, receive_buffer=4096)
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    await upstream.send(noise(300_000))
    upstream.close()
    await settle()
    proxy.clock.advance(86400)
    assert await client.read_all() == noise(300_000)
    client.close()
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_tls_client_that_resets_resets_the_upstream(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    client.reset()
    assert await upstream.read_until_reset() == b""
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_an_upstream_that_resets_cuts_a_tls_client_off_when_it_has_everything(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    answer = noise(100_000)
    await upstream.send(answer)
    await upstream.sent()
    upstream.reset()
    assert await client.receive(len(answer)) == answer
    proxy.clock.advance(10)  # however it waits for the client to have read
    assert await client.read_until_cut() == b""
    assert (await proxy.record()).outcome == "upstream_aborted"


# The upstream's side


@in_reactor
async def test_tls_to_an_upstream_by_its_address(start: Start, net: Net, upstreams_own: Credentials) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    upstream.finish()
    assert await client.read_all() == b""
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, 7)


@pytest.mark.parametrize(("host", "tls_key"), [("upstream.example", True), ("127.0.0.1", "upstream.example")])
@in_reactor
async def test_tls_to_an_upstream_by_its_name(
    start: Start, net: Net, upstreams_own: Credentials, host: str, tls_key: Any
) -> None:
    target = net.upstream()
    names: list[str] = []
    context = upstreams_own.for_server()
    context.sni_callback = lambda connection, name, context: names.append(name)
    proxy = start(lambda data: {"remote": f"{host}:{target.port}", "tls": tls_key})
    proxy.names.addresses["upstream.example"] = [["127.0.0.1"]]
    client = await asks(proxy)
    upstream = net.secure(await target.accept(), context)
    await upstream.handshake()
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    assert names == ["upstream.example"]


@in_reactor
async def test_a_tls_upstream_on_a_unix_socket(
    start: Start, net: Net, upstreams_own: Credentials, tmp_path: Path
) -> None:
    target = net.upstream(str(tmp_path / "upstream"))
    proxy = start(lambda data: {"remote": target.remote, "tls": "upstream.example"})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"


@in_reactor
async def test_tls_true_has_nothing_to_verify_on_a_unix_socket(start: Start, net: Net, tmp_path: Path) -> None:
    target = net.upstream(str(tmp_path / "upstream"))
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, connect_error=failed)
    client = await asks(proxy)
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "unreachable"
    assert failed.remotes == [target.remote]


@pytest.mark.parametrize("flaw", ["of another name", "of a stranger", "none, but plain text"])
@in_reactor
async def test_an_upstream_with_a_bad_certificate_is_unreachable_and_is_sent_nothing(
    start: Start, net: Net, authority: Authority, stranger: Authority, flaw: str
) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "tls": "upstream.example"}, connect_error=failed)
    client = await asks(proxy)
    plain = await target.accept()
    if flaw == "none, but plain text":
        await plain.send(b"220 welcome\r\n")
        assert b"hello" not in await plain.read_all()
    else:
        bad = authority.issue("other.example") if flaw == "of another name" else stranger.issue("upstream.example")
        assert await net.secure(plain, bad.for_server()).hear() == b""
    assert await client.read_all() == b"sorry"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.connect_seconds) == ("unreachable", None)
    assert failed.remotes == [target.remote]
    proxy.clock.advance(1)
    assert await target.is_left_alone()  # to try again would not change the certificate


@pytest.mark.parametrize("version", ["v1", "v2"])
@in_reactor
async def test_send_proxy_comes_before_tls(start: Start, net: Net, upstreams_own: Credentials, version: str) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True, "send_proxy": version})
    client = await asks(proxy)
    plain = await target.accept()
    if version == "v1":
        port = proxy.address.rpartition(":")[2]
        header = f"PROXY TCP4 127.0.0.1 127.0.0.1 {client.address[1]} {port}\r\n".encode()
        assert await plain.receive(len(header)) == header
    else:
        assert (await plain.receive(28)).startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01")
    upstream = net.secure(plain, upstreams_own.for_server())
    await upstream.handshake()
    assert await upstream.receive(5) == b"hello"


@pytest.mark.parametrize("flaw", ["of another name", "of a stranger"])
@in_reactor
async def test_after_a_target_with_a_bad_certificate_the_next_is_tried(
    start: Start, net: Net, authority: Authority, stranger: Authority, upstreams_own: Credentials, flaw: str
) -> None:
    bad, good = net.upstream(), net.upstream()
    flawed = authority.issue("other.example") if flaw == "of another name" else stranger.issue("upstream.example")
    proxy = start(lambda data: Forward([bad.remote, good.remote], tls="upstream.example"))
    client = await asks(proxy)
    bad_upstream = net.secure(await bad.accept(), flawed.for_server())
    assert await bad_upstream.hear() == b""
    upstream = await tls_upstream(net, good, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"


@in_reactor
async def test_a_tls_upstream_that_comes_up_between_retries(start: Start, net: Net, upstreams_own: Credentials) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    await asks(proxy)
    await proxy.has_failed(1)
    target.listen()
    proxy.clock.advance(0.1)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"


@in_reactor
async def test_the_handshake_is_part_of_the_connect_timeout(start: Start, net: Net) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(
        lambda data: {"remote": target.remote, "tls": True, "connect_timeout": 2, "retries": 0}, connect_error=failed
    )
    client = await asks(proxy)
    upstream = await target.accept()
    await settle()
    proxy.clock.advance(1.9)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(0.1)
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "connect_timeout"
    assert b"hello" not in await upstream.read_until_reset()


@in_reactor
async def test_a_client_that_resets_during_the_upstreams_handshake_ends_it(start: Start, net: Net) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, connect_error=failed)
    client = await asks(proxy)
    upstream = await target.accept()
    await settle()
    client.reset()
    await upstream.read_until_reset()
    assert (await proxy.record()).outcome == "client_aborted"
    proxy.clock.advance(1)
    assert await target.is_left_alone()
    assert failed.remotes == []


@in_reactor
async def test_of_a_client_that_resets_with_a_full_buffer_during_the_handshake_nothing_is_sent(
    start: Start, net: Net
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, max_buffer=1000)
    client = await asks(proxy)
    plain = await target.accept()
    await client.send(noise(5000))
    await settle()
    client.reset()
    handshake = await plain.read_until_reset()
    assert noise(5000)[:4] not in handshake
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_what_a_tls_upstream_says_right_after_its_handshake_arrives(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    await upstream.send(b"welcome")
    upstream.finish()
    assert await client.read_all() == b"welcome"
    client.close()
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_client_has_5_mb_and_the_end_when_a_tls_upstream_ends(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    answer = noise(5 * MEGABYTE)

    async def answer_and_end() -> None:
        await upstream.send(answer)
        upstream.finish()

    _, received = await together(answer_and_end(), client.read_all())
    assert received == answer
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("completed", len(answer))


@in_reactor
async def test_a_slow_client_has_5_mb_and_the_end_when_a_tls_upstream_ends_early(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"hello")
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    answer = noise(5 * MEGABYTE)
    taken = await upstream.send_until_stalled(answer)

    async def answer_and_end() -> None:
        await upstream.send(answer[taken:])
        upstream.finish()

    _, received = await together(answer_and_end(), client.read_all())
    assert received == answer


@in_reactor
async def test_a_client_has_everything_that_a_tls_upstream_has_sent_before_it_was_cut_off(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    answer = noise(100_000)
    await upstream.send(answer)
    upstream.cut()
    assert await client.receive(len(answer)) == answer
    proxy.clock.advance(10)
    await until(client.has_something, "an end")
    client.close()
    await proxy.record()


@in_reactor
async def test_a_half_closed_client_is_answered_by_a_tls_upstream(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    client.finish()
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    await settle()
    answer = noise(2 * MEGABYTE)

    async def answer_and_end() -> None:
        await upstream.send(answer)
        upstream.finish()

    _, received = await together(answer_and_end(), client.read_all())
    assert received == answer
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("completed", len(answer))


@in_reactor
async def test_a_tls_upstream_that_ends_before_its_first_byte_is_a_failed_connect(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, connect_error=failed)
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    upstream.finish()
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "upstream_aborted"
    assert failed.remotes == [target.remote]


@in_reactor
async def test_a_client_that_resets_cuts_a_tls_upstream_off(start: Start, net: Net, upstreams_own: Credentials) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    client.reset()
    assert await upstream.read_until_cut() == b""
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_a_tls_upstream_that_does_not_answer_our_close_is_cut_off(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True, "inactivity_timeout": 2})
    client = await asks(proxy)
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    proxy.clock.advance(2)
    assert await client.read_all() == b""
    client.close()
    assert (await proxy.record()).outcome == "inactive"
    assert await upstream.read_all() == b""  # its close_notify, which stays unanswered
    proxy.clock.advance(10)
    await settle()
    await upstream.send_until_broken()
