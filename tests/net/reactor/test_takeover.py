"""The hand-over: clients that came with a transport of Twisted's, carried by the fd relay all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import tcp
from twisted.internet.defer import Deferred, maybeDeferred

from proxymux import Forward
from proxymux.net.epoll.connection import EpollConnection
from proxymux.session.arrival import ArrivalFactory
from tests.services.fixtures import Running, Start
from tests.services.peers import MEGABYTE, Net, Peer, in_reactor, noise, settle, together


@pytest.fixture
def listen() -> Iterator[Any]:
    """Have a service's clients come through a port of Twisted's, as an endpoint's plug-in may."""
    ports: list[Any] = []

    def listen(proxy: Running) -> str:
        from twisted.internet import reactor

        factory: Any = ArrivalFactory(proxy.service._driver.timers, proxy.service.sessions.begin)
        ports.append(reactor.listenTCP(0, factory, interface="127.0.0.1"))
        return f"127.0.0.1:{ports[-1].getHost().port}"

    yield listen
    for port in ports:
        pytest_twisted.blockon(maybeDeferred(port.stopListening))


def legs(proxy: Running) -> list[Any]:
    return [session._connection for session in proxy.service.sessions]


async def send_and_finish(peer: Peer, data: bytes) -> None:
    await peer.send(data)
    peer.finish()


@in_reactor
async def test_it_becomes_a_plain_socket_of_the_hub_when_it_is_joined(start: Start, net: Net, listen: Any) -> None:
    target = net.upstream()
    proxy = start(lambda data: Forward(target.remote) if data == b"hello" else None)
    client = await net.connect(listen(proxy))
    await client.send(b"hel")
    await settle()
    assert type(legs(proxy)[0].transport) is tcp.Server
    await client.send(b"lo")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    assert isinstance(legs(proxy)[0], EpollConnection)
    question, answer = noise(8 * MEGABYTE, "question"), noise(8 * MEGABYTE, "answer")
    _, _, received, answered = await together(
        send_and_finish(client, question), send_and_finish(upstream, answer), upstream.read_all(), client.read_all()
    )
    assert (received, answered) == (question, answer)
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + len(question), len(answer))


@in_reactor
async def test_bytes_read_before_and_sent_while_it_happens_keep_their_order(
    start: Start, net: Net, listen: Any
) -> None:
    target = net.upstream(listens=False)
    decision: Deferred[Forward] = Deferred()
    proxy = start(lambda data: decision)
    client = await net.connect(listen(proxy))
    await client.send(b"one ")
    await settle()
    await client.send(b"two ")
    decision.callback(Forward(target.remote))
    await proxy.has_failed(1)
    await client.send(b"three ")
    await settle()
    target.listen()
    proxy.clock.advance(0.1)
    await client.send(b"four ")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"one two three four "
    await upstream.send(b"the answer")
    upstream.finish()
    assert await client.read_all() == b"the answer"
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_what_its_client_has_not_taken_yet_goes_first(start: Start, net: Net, listen: Any) -> None:
    target = net.upstream()
    reply = noise(20 * MEGABYTE, "reply")
    proxy = start(lambda data: Forward(target.remote, reply=reply))
    client = await net.connect(listen(proxy), receive_buffer=4096)
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    await upstream.send(b"and more")
    assert await client.receive(len(reply) + 8) == reply + b"and more"
    client.reset()
    assert await upstream.read_until_reset() == b""
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_one_that_is_drained_right_after_it_is_closed(start: Start, net: Net, listen: Any) -> None:
    target = net.upstream()
    proxy = start(lambda data: Forward(target.remote))
    client = await net.connect(listen(proxy))
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    proxy.service.abort()
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "drained"
