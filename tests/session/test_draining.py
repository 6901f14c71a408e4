"""Draining: what a stop does to sessions in each of their states."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from proxymux import Forward, Reject
from tests.services.fixtures import LOOPBACK, Asked, Callback, Join, Running, Start
from tests.services.peers import Net, Peer, in_reactor, noise, settle, together, until

LIMIT = 10.0


def drain(proxy: Running, limit: float | None = LIMIT) -> list[None]:
    """Begin; the list is filled when it is over."""
    drained: list[None] = []
    proxy.service.drain(limit).addCallback(drained.append)
    return drained


async def is_drained(proxy: Running, client: Peer, before: bytes = b"") -> None:
    """A stop lets ``client`` be until its time is over, then closes it in good order."""
    drained = drain(proxy)
    await settle()
    proxy.clock.advance(LIMIT - 0.1)
    await settle()
    assert proxy.records == []
    assert drained == []
    proxy.clock.advance(0.1)
    assert await client.read_all() == before
    client.close()
    assert (await proxy.record()).outcome == "drained"
    await until(lambda: drained, "the end of the stop")
    assert proxy.errors == []


@in_reactor
async def test_with_nobody_there_it_is_over_at_once(start: Start) -> None:
    proxy = start(lambda data: None)
    drained = drain(proxy)
    await until(lambda: drained, "the end of the stop")


@in_reactor
async def test_nobody_comes_into_the_queue_of_a_port_that_is_being_closed(start: Start, tmp_path: Path) -> None:
    proxy = start(lambda data: None, listen=[LOOPBACK, f"unix:{tmp_path}/socket"])
    drained = drain(proxy)
    # Both ports are open until the next turn of the reactor.
    with socket.socket() as late, socket.socket(socket.AF_UNIX) as later:
        late.setblocking(False)
        late.connect_ex(("127.0.0.1", int(proxy.address.rpartition(":")[2])))
        assert select.select([], [late], [], 0) == ([], [], [])
        with pytest.raises(FileNotFoundError):
            later.connect(f"{tmp_path}/socket")
        await until(lambda: drained, "the end of the drain")


@in_reactor
async def test_nobody_else_comes_in(start: Start) -> None:
    proxy = start(lambda data: Reject(b"bye"))
    client = await proxy.connect()
    await settle()
    drain(proxy)
    await settle()
    with pytest.raises(ConnectionRefusedError):
        await proxy.connect()
    await client.send(b"x")
    assert await client.read_all() == b"bye"


@in_reactor
async def test_who_waits_in_the_listen_queue_is_served(start: Start) -> None:
    proxy = start(lambda data: Reject(b"bye"))
    # The system queues them: no turn of the reactor has accepted them yet.
    clients = [await proxy.connect() for _ in range(200)]
    drained = drain(proxy)
    for client in clients:
        await client.send(b"x")
        assert await client.read_all() == b"bye"
        client.close()
    await until(lambda: drained, "the end of the stop")


@in_reactor
async def test_it_is_over_when_the_last_has_ended_by_itself(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: Forward(target.remote))
    client = await proxy.connect()
    await settle()
    drained = drain(proxy)
    await client.send(b"hello")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"hello"
    await upstream.send(b"welcome")
    assert drained == []
    upstream.finish()
    assert await client.read_all() == b"welcome"
    await until(lambda: drained, "the end of the stop")
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_without_a_limit_it_waits_however_long(join: Join) -> None:
    proxy, client, upstream = await join()
    drained = drain(proxy, None)
    proxy.clock.advance(86400)
    await upstream.send(b"still here")
    assert await client.receive(10) == b"still here"
    client.finish()
    upstream.finish()
    await until(lambda: drained, "the end of the stop")
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_silent_client(start: Start) -> None:
    proxy = start(lambda data: None)
    client = await proxy.connect()
    await settle()
    await is_drained(proxy, client)


@in_reactor
async def test_a_client_during_its_decision(start: Start) -> None:
    cancelled: list[Any] = []
    asked = Asked(lambda data: Deferred(cancelled.append))
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"hello")
    await asked.times(1)
    await is_drained(proxy, client)
    assert len(cancelled) == 1


@in_reactor
async def test_a_client_whose_upstream_hangs(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    failed = Callback(b"sorry")
    proxy = start(lambda data: Forward(target.remote, connect_timeout=1000), connect_error=failed)
    client = await proxy.connect()
    await client.send(b"hello")
    await settle()
    await is_drained(proxy, client)
    assert failed.remotes == []


@in_reactor
async def test_a_joined_client(join: Join) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"some")
    assert await client.receive(4) == b"some"
    await is_drained(proxy, client)
    await upstream.send_until_broken()


@in_reactor
async def test_a_joined_client_that_reads_slowly_still_gets_what_it_was_sent(join: Join) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    await upstream.send(noise(50_000))
    await upstream.sent()
    await settle()
    await is_drained(proxy, client, noise(50_000))


@in_reactor
async def test_a_client_whose_callback_thinks(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    cancelled: list[Any] = []
    asked = Callback(Deferred(cancelled.append))
    proxy = start(lambda data: Forward(target.remote, retries=0), connect_error=asked)
    client = await proxy.connect()
    await client.send(b"hello")
    await until(lambda: asked.remotes, "the callback to be called")
    drained = drain(proxy)
    await settle()
    proxy.clock.advance(LIMIT)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"  # that was known before
    await until(lambda: drained, "the end of the stop")
    assert len(cancelled) == 1


@in_reactor
async def test_who_does_not_go_is_reset_a_second_later(join: Join) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    await upstream.send_until_stalled(noise(32 << 20))
    drained = drain(proxy)
    proxy.clock.advance(LIMIT)
    await settle()
    assert drained == []
    proxy.clock.advance(1)
    await until(lambda: drained, "the end of the stop")
    await together(client.read_until_reset(), upstream.send_until_broken())
    assert (await proxy.record()).outcome == "drained"


@in_reactor
async def test_an_abort_resets_everybody_now(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: Forward(target.remote) if data == b"hello" else None)
    joined, silent = await proxy.connect(), await proxy.connect()
    await joined.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    drained = drain(proxy, None)
    await settle()
    proxy.service.abort()
    await until(lambda: drained, "the end of the stop")
    assert [record.outcome for record in await proxy.ended(2)] == ["drained", "drained"]
    await together(joined.send_until_broken(), silent.send_until_broken(), upstream.send_until_broken())


@in_reactor
async def test_ports_are_closed_before_it_is_over_even_if_the_last_client_leaves_at_once(
    start: Start, tmp_path: Path
) -> None:
    """The process ends when it is over, in this very turn of the reactor."""
    path = tmp_path / "socket"
    proxy = start(lambda data: None, listen=f"unix:{path}")
    await proxy.connect()
    await settle()
    left: list[list[Path]] = []
    proxy.service.drain(LIMIT).addCallback(lambda _: left.append(list(tmp_path.iterdir())))
    proxy.service.abort()  # ends the session as the client would that leaves just now
    await settle()
    proxy.clock.advance(0)
    await until(lambda: left, "the end of the stop")
    assert left == [[]]


@in_reactor
async def test_two_stops_end_together(start: Start) -> None:
    proxy = start(lambda data: None)
    client = await proxy.connect()
    await settle()
    unlimited, limited = drain(proxy, None), drain(proxy)  # QUIT, and then TERM
    proxy.clock.advance(LIMIT)
    assert await client.read_all() == b""
    await until(lambda: unlimited and limited, "the end of both")


@pytest.mark.parametrize("event", ["connected", "decided", "connect_failed"])
@in_reactor
async def test_a_listener_may_end_it_all(start: Start, net: Net, event: str) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: Forward(target.remote))
    proxy.events.on(event, lambda logger, *_: proxy.service.abort())
    client = await proxy.connect()
    await client.send(b"hello")
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "drained"
    target.listen()
    proxy.clock.advance(1)
    assert await target.is_left_alone()


@in_reactor
async def test_a_router_may_end_it_all(start: Start, net: Net) -> None:
    target = net.upstream()

    def proxy(data: bytes) -> Any:
        running.service.abort()
        return Forward(target.remote)

    running = start(proxy)
    client = await running.connect()
    await client.send(b"hello")
    assert await client.read_all() == b""
    assert (await running.record()).outcome == "drained"
    assert await target.is_left_alone()
