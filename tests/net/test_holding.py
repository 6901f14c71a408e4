"""Holds: clients wait for a target while it restarts, within limits, and go on when it is released."""

from __future__ import annotations

from typing import Any

import pytest

from proxymux.errors import BadAddress, NotHeld
from tests.services.fixtures import RELAYS, Callback, Running, Start
from tests.services.peers import Net, Peer, in_reactor, settle, until


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def waiting(proxy: Running, count: int) -> None:
    await until(lambda: sum(hold.waiting for hold in proxy.service.steering.holds) >= count, f"{count} to wait")
    await settle()
    assert sum(hold.waiting for hold in proxy.service.steering.holds) == count


async def waits(proxy: Running, data: bytes = b"hello") -> Peer:
    """A client that waits, one more than before."""
    before = sum(hold.waiting for hold in proxy.service.steering.holds)
    client = await proxy.connect()
    await client.send(data)
    await waiting(proxy, before + 1)
    return client


@in_reactor
async def test_new_clients_wait_and_go_on_in_order_while_those_who_are_joined_stay(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    old = await proxy.connect()
    await old.send(b"old")
    joined = await target.accept()
    assert proxy.service.steering.hold(target.remote)
    assert not proxy.service.steering.hold(target.remote)
    clients = [await waits(proxy, b"%d" % number) for number in range(3)]
    assert await target.is_left_alone()
    proxy.clock.advance(20)
    assert [tuple(hold) for hold in proxy.service.steering.holds] == [(target.remote, 20.0, 3)]
    await old.send(b" and here")
    assert await joined.receive(12) == b"old and here"
    assert proxy.service.steering.release(target.remote)
    assert not proxy.service.steering.release(target.remote)
    assert proxy.service.steering.holds == []
    for number, client in enumerate(clients):
        upstream = await target.accept()
        assert await upstream.receive(1) == b"%d" % number
        await upstream.send(b"there")
        assert await client.receive(5) == b"there"
    assert [line for level, line in proxy.lines if target.remote in line] == [
        f"holds {target.remote}: what is new for it waits",
        f"released {target.remote}: 3 go on",
    ]


@in_reactor
async def test_nobody_waits_for_longer_than_the_timeout_nor_more_than_the_limit(start: Start, net: Net) -> None:
    target = net.upstream()
    callback = Callback(b"sorry")
    proxy = start(
        lambda data: {"remote": target.remote}, connect_error=callback, queue_limit=1, queue_timeout=5, decide_timeout=2
    )
    proxy.service.steering.hold(target.remote)
    first = await waits(proxy)
    assert await proxy.ask(b"one too many") == b"sorry"
    proxy.clock.advance(4.5)
    await settle()
    assert len(proxy.records) == 1
    proxy.clock.advance(0.6)
    assert await first.read_all() == b"sorry"
    first.close()
    records = await proxy.ended(2)
    assert [record.outcome for record in records] == ["queue_full", "queue_timeout"]
    assert [record.reason for record in records] == [
        f"{target.remote}: held, and more than 1 wait (--queue-limit)",
        f"{target.remote}: held, waited 5 s (--queue-timeout)",
    ]
    assert {record.target for record in records} == set(callback.remotes) == {target.remote}
    proxy.service.steering.release(target.remote)
    assert await target.is_left_alone()


@in_reactor
async def test_one_that_leaves_or_is_cut_waits_no_longer(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    proxy.service.steering.hold(target.remote)
    gone, finished = await waits(proxy), await waits(proxy)
    gone.reset()
    await waiting(proxy, 1)
    assert (await proxy.record()).outcome == "client_aborted"
    finished.finish()  # a half-close: it still waits for its answer
    await settle()
    await waiting(proxy, 1)
    proxy.service.abort()
    await waiting(proxy, 0)
    assert (await proxy.ended(2))[1].outcome == "drained"


@in_reactor
async def test_the_next_target_of_a_list_and_a_further_attempt_wait_too(start: Start, net: Net) -> None:
    absent, target = net.upstream(listens=False), net.upstream()
    proxy = start(lambda data: {"remote": [absent.remote, target.remote]})
    proxy.service.steering.hold(target.remote)
    await waits(proxy)
    assert len(proxy.failed_attempts) == 1
    proxy.service.steering.hold(absent.remote)
    await waits(proxy)
    absent.listen()
    proxy.service.steering.release(absent.remote)
    assert await (await absent.accept()).receive(5) == b"hello"
    proxy.service.steering.release(target.remote)
    assert await (await target.accept()).receive(5) == b"hello"


@in_reactor
async def test_what_cannot_be_held_is_said_in_one_line(start: Start, net: Net, start_pool: Any) -> None:
    proxy = start(lambda data: None)
    for method in (proxy.service.steering.hold, proxy.service.steering.release):
        with pytest.raises(BadAddress, match="'nonsense' is not host:port"):
            method("nonsense")
    pool = start_pool("127.0.0.1:1", mode="proxy")
    with pytest.raises(NotHeld, match="is none of the pool's targets: 127"):
        pool.service.steering.hold("10.0.0.1:1")
    assert not pool.service.steering.release("10.0.0.1:1")
