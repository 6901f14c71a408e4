"""TLS, on the side of the client."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import endpoints, ssl
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from zope.interface import implementer

from proxymux import Client, Reject
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import Asked, Start
from tests.services.peers import MEGABYTE, Net, Peer, in_reactor, noise, settle, together, until
from tests.services.tls import NAME, tls_client, tls_upstream

#: The proxy trusts the authority alone.
pytestmark = pytest.mark.usefixtures("trust")


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
    record = await proxy.record()
    assert record.outcome == "bad_handshake"
    assert record.reason == (
        "TLS: the peer sends no certificate"
        if theirs is None
        else "TLS: the peer's certificate is not accepted: its issuer is not known"
    )
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
    record = await proxy.record()
    assert (record.outcome, record.reason) == ("bad_handshake", "TLS: the peer speaks plain HTTP where TLS is wanted")
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
    record = await proxy.record()
    assert record.outcome == "bad_handshake"
    assert record.reason == "TLS: the peer does not know the issuer of our certificate (alert: unknown ca)"
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


@pytest.mark.parametrize("relay", ["fd", "transport"])
@pytest.mark.parametrize("kind", ["ssl", "tls", "tls_terminate", "demanding"])
@pytest.mark.parametrize("leaves", [Peer.close, Peer.reset, Peer.finish])
@in_reactor
async def test_a_client_that_leaves_in_the_handshake_has_failed_in_it(
    start: Start,
    authority: Authority,
    own: Credentials,
    relay: str,
    kind: str,
    leaves: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoints, "getPlugins", lambda interface: [Demanding(own, authority)])
    plain = "tcp:0:interface=127.0.0.1"
    listen = {"ssl": own.endpoint, "tls": f"tls:{own.file}:{plain}", "tls_terminate": plain, "demanding": "demanding:"}
    proxy = start(Asked(lambda data: {"tls_terminate": str(own.file)}), listen=listen[kind])
    client = await proxy.connect()
    await client.send(b"\x16\x03\x01\x02\x00\x01\x00")
    await settle()
    leaves(client)
    record = await proxy.record()
    assert record.outcome == "bad_handshake"
    assert record.reason is not None
    assert record.reason.startswith("TLS: ")


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
