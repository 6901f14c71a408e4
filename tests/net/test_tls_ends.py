"""How TLS connections end: nothing that was sent before an end is lost, and the end is passed on."""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from proxymux import Reject
from proxymux.net.tls.engine import TlsEngine
from tests.net.tls.key_updates import keep_keys
from tests.net.tls.key_updates import requests as key_requests
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import Running, Start
from tests.services.peers import MEGABYTE, Net, Peer, TlsPeer, Upstream, in_reactor, noise, settle, together, turns
from tests.services.tls import NAME, tls_client, tls_upstream

#: The proxy trusts the authority alone.
pytestmark = pytest.mark.usefixtures("trust")


@pytest.fixture(params=["fd", "transport"])
def relay(request: pytest.FixtureRequest) -> str:
    """Every relay has to pass these tests."""
    return str(request.param)


async def to_plain(
    start: Start, net: Net, authority: Authority, own: Credentials, **decision: Any
) -> tuple[Running, TlsPeer, Peer]:
    """A TLS client and its plain upstream, to which it has said ``hello``."""
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, **decision}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    return proxy, client, upstream


async def to_tls(start: Start, net: Net, upstreams_own: Credentials) -> tuple[Running, Peer, TlsPeer]:
    """A plain client and its TLS upstream, to which it has said ``hello``."""
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await tls_upstream(net, target, upstreams_own)
    assert await upstream.receive(5) == b"hello"
    return proxy, client, upstream


async def cut(peer: TlsPeer, data: bytes) -> None:
    await peer.send(data)
    peer.cut()


async def finish(peer: Peer, data: bytes) -> None:
    await peer.send(data)
    peer.finish()


@in_reactor
async def test_a_request_that_ends_with_a_bare_fin_reaches_the_upstream(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await cut(client, b"twenty bytes, no more")
    upstream = await target.accept()
    assert await upstream.read_all() == b"twenty bytes, no more"
    await finish(upstream, b"the answer")
    assert await client.read_all() == b"the answer"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 21, 10)
    assert record.reason == "the client ended TLS without close_notify"


@pytest.mark.parametrize("ends", [cut, finish])
@in_reactor
async def test_all_that_a_client_sends_before_its_end_reaches_the_upstream(
    start: Start, net: Net, authority: Authority, own: Credentials, ends: Any
) -> None:
    proxy, client, upstream = await to_plain(start, net, authority, own)
    question = noise(3 * MEGABYTE)
    _, received = await together(ends(client, question), upstream.read_all())
    assert received == question
    await finish(upstream, b"the answer")
    assert await client.read_all() == b"the answer"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", len(question) + 5, 10)


@in_reactor
async def test_an_upstream_that_half_closes_first_still_gets_the_upload(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    proxy, client, upstream = await to_plain(start, net, authority, own)
    await finish(upstream, b"go on")
    assert await client.read_all() == b"go on"
    upload = noise(MEGABYTE)
    _, received = await together(finish(client, upload), upstream.read_all())
    assert received == upload
    record = await proxy.record()
    assert (record.outcome, record.bytes_in) == ("completed", len(upload) + 5)


@in_reactor
async def test_a_client_that_half_closes_gets_the_whole_answer(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    proxy, client, upstream = await to_plain(start, net, authority, own)
    client.finish()
    assert await upstream.read_all() == b""
    answer = noise(20 * MEGABYTE)
    _, received = await together(finish(upstream, answer), client.read_all())
    assert received == answer
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.reason, record.bytes_out) == ("completed", None, len(answer))


@in_reactor
async def test_the_end_of_a_plain_client_reaches_a_tls_upstream_which_still_answers(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    proxy, client, upstream = await to_tls(start, net, upstreams_own)
    client.finish()
    assert await upstream.read_all() == b""
    answer = noise(3 * MEGABYTE)
    _, received = await together(finish(upstream, answer), client.read_all())
    assert received == answer
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, len(answer))


@in_reactor
async def test_a_tls_upstream_that_ends_without_close_notify_ends_the_client_in_good_order(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    proxy, client, upstream = await to_tls(start, net, upstreams_own)
    answer = noise(2 * MEGABYTE)
    _, received = await together(cut(upstream, answer), client.read_all())
    assert received == answer
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("completed", len(answer))
    assert record.reason == "the upstream ended TLS without close_notify"


@in_reactor
async def test_a_client_that_ends_while_an_async_router_thinks_is_served(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    target: Upstream = net.upstream()
    thinking: Deferred[Any] = Deferred()
    proxy = start(lambda data: thinking, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await finish(client, b"hello")
    await settle()
    thinking.callback({"remote": target.remote})
    upstream = await target.accept()
    assert await upstream.read_all() == b"hello"
    await finish(upstream, b"welcome")
    assert await client.read_all() == b"welcome"
    client.close()
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_what_came_before_a_reset_is_delivered(start: Start, net: Net, upstreams_own: Credentials) -> None:
    proxy, client, upstream = await to_tls(start, net, upstreams_own)
    await upstream.send(b"the last words")
    await upstream.sent()
    upstream.reset()
    assert await client.read_until_reset() == b"the last words"
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("upstream_aborted", 14)


@in_reactor
async def test_a_reset_right_after_the_handshake_is_noticed(start: Start, net: Net, upstreams_own: Credentials) -> None:
    proxy, client, upstream = await to_tls(start, net, upstreams_own)
    upstream.reset()  # what is unread are the tickets of the handshake
    assert await client.read_all() == b""
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("upstream_aborted", 0)


@in_reactor
async def test_tls_to_tls(
    start: Start, net: Net, authority: Authority, own: Credentials, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    question, answer = noise(5 * MEGABYTE), noise(4 * MEGABYTE)

    async def serve() -> bytes:
        upstream = await tls_upstream(net, target, upstreams_own)
        received = await upstream.read_all()
        await finish(upstream, answer)
        return received

    _, asked, answered = await together(finish(client, question), serve(), client.read_all())
    assert asked == question
    assert answered == answer
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.reason) == ("completed", None)
    assert (record.bytes_in, record.bytes_out) == (len(question), len(answer))


@pytest.mark.parametrize("size", [1, 41, 1000])
@in_reactor
async def test_records_in_pieces(start: Start, net: Net, authority: Authority, own: Credentials, size: int) -> None:
    proxy = start(lambda data: Reject(data[::-1]) if len(data) == 5 else None, listen=own.endpoint)
    plain = await proxy.connect()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.for_client().wrap_bio(incoming, outgoing, server_hostname=NAME)

    async def step(action: Callable[[], Any]) -> Any:
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                sent = outgoing.read()
                for start in range(0, len(sent), size):
                    await plain.send(sent[start : start + size])
                    await turns(1)
                incoming.write(await plain.read_some())

    await step(client.do_handshake)
    client.write(b"hello")
    assert await step(lambda: client.read(100)) == b"olleh"
    assert await step(lambda: client.read(100)) == b""
    plain.close()
    assert (await proxy.record()).outcome == "rejected"


@in_reactor
async def test_the_memory_of_a_connection_is_released_at_its_end(
    start: Start, net: Net, authority: Authority, own: Credentials, upstreams_own: Credentials
) -> None:
    # OpenSSL's memory is not counted where Python decides when to look for circles.
    gc.collect()
    before = _engines()
    gc.disable()
    try:
        target = net.upstream()
        proxy = start(lambda data: {"remote": target.remote, "tls": True}, listen=own.endpoint)
        client = await tls_client(net, proxy, authority)
        await client.send(b"hello")
        upstream = await tls_upstream(net, target, upstreams_own)
        assert await upstream.receive(5) == b"hello"
        assert _engines() == before + 2
        await finish(upstream, b"good bye")
        assert await client.read_all() == b"good bye"
        client.finish()
        client.close()
        upstream.close()
        await proxy.record()
        await turns(20)
        assert _engines() == before
    finally:
        gc.enable()


def _engines() -> int:
    return sum(isinstance(each, TlsEngine) for each in gc.get_objects())


@in_reactor
async def test_a_session_with_an_upstream_is_resumed(start: Start, net: Net, upstreams_own: Credentials) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True})
    context, reused = upstreams_own.for_server(), []
    for _ in range(2):
        client = await proxy.connect()
        await client.send(b"hello")
        upstream = net.secure(await target.accept(), context)
        await upstream.handshake()
        reused.append(upstream._socket.session_reused)
        assert await upstream.receive(5) == b"hello"
        await finish(upstream, b"good bye")
        assert await client.read_all() == b"good bye"
        client.close()
        upstream.close()
        await proxy.record()
    assert reused == [False, True]


@in_reactor
async def test_a_client_that_demands_answers_and_reads_none_is_cut_off(
    start: Start, net: Net, authority: Authority, own: Credentials, tmp_path: Path
) -> None:
    target = net.upstream()
    proxy = start(lambda data: None, accepted=lambda client: {"remote": target.remote}, listen=own.endpoint)
    context = authority.for_client()
    keep_keys(context, tmp_path / "keys")
    client = net.secure(await proxy.connect(receive_buffer=4096), context, NAME)
    await client.handshake()
    upstream = await target.accept()
    stalled = noise(64 * MEGABYTE)
    assert await upstream.send_until_stalled(stalled) < len(stalled)
    demands = key_requests(tmp_path / "keys", 4000)
    while demands:
        try:
            demands = demands[socket.socket.send(client._socket, demands) :]
        except BlockingIOError:
            await turns(1)
        except ConnectionError:
            break
    await settle()
    proxy.clock.advance(10)  # the close waits for the client to read
    record = await proxy.record()
    assert (record.outcome, record.reason) == ("client_aborted", "the peer demands answers and reads none")
