"""The pool with shared upstreams: upstreams that are not there."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import Net, in_reactor, settle, turns, until
from tests.services.pools import TICK, asked, clients, opened, pass_time, serves, state, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@in_reactor
async def test_when_the_target_is_down_clients_fail_fast(start_pool: StartPool, net: Net) -> None:
    target = net.upstream(listens=False)
    pool = start_pool(target, codec="resp")
    for count in (1, 2, 3):
        client = await pool.connect()
        await client.send(b"A\r\n")
        assert await client.read_all() == b"-ERR no target can be connected to\r\n"
        client.close()
        assert {record.outcome for record in await pool.ended(count)} == {Outcome.UNREACHABLE}
    assert pool.failed_attempts == [(target.remote, "connection refused")], "it is not tried for each of them"


@in_reactor
async def test_when_the_target_is_back_clients_are_served_again(start_pool: StartPool, net: Net) -> None:
    target = net.upstream(listens=False)
    pool = start_pool(target, codec="line")
    client = await pool.connect()
    await client.send(b"ask\n")
    assert await client.read_all() == b""
    target.listen()
    await pass_time(pool, 0.2)
    await serves(pool, target)


@in_reactor
async def test_one_target_of_two_that_is_down_is_no_harm(start_pool: StartPool, net: Net) -> None:
    down, good = net.upstream(listens=False), net.upstream()
    pool = start_pool(down, good, codec="line")
    people = await clients(pool, 3)
    for client in people:
        await client.send(b"ask\n")
        await settle()
    upstream = await opened(pool, good)
    for client in people:
        assert await upstream.receive(4) == b"ask\n"
        await upstream.send(b"reply\n")
        assert await client.receive(6) == b"reply\n"


@in_reactor
async def test_a_target_that_comes_back_is_used_by_who_still_waits(start_pool: StartPool, net: Net) -> None:
    down, good = net.upstream(listens=False), net.upstream()
    pool = start_pool(down, good, codec="line")
    people = await clients(pool, 2)
    for client in people:
        await client.send(b"ask\n")
        await settle()
    upstream = await opened(pool, good)
    await waits(pool, 1)
    down.listen()
    await pass_time(pool, 1.5)
    other = await down.accept()
    for each in (upstream, other):
        assert await each.receive(4) == b"ask\n"


@in_reactor
async def test_a_target_that_is_down_is_tried_more_and_more_rarely(start_pool: StartPool, net: Net) -> None:
    target, good = net.upstream(listens=False), net.upstream()
    pool = start_pool(target, good, codec="line", queue_timeout=1000)
    people = await clients(pool, 2)
    for client in people:
        await client.send(b"ask\n")
        await settle()
    upstream = await opened(pool, good)
    await upstream.receive(4)
    await pass_time(pool, 10)
    assert 8 < len(pool.failed_attempts) < 30


@in_reactor
async def test_a_restart_of_the_upstream_is_no_harm_to_who_asks_later(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="line")
    for _ in range(3):
        client, upstream = await asked(pool, target)
        await upstream.send(b"reply\n")
        assert await client.receive(6) == b"reply\n"
        upstream.close()
        await until(lambda: not state(pool)["sv_idle"], "the pool to notice")


@in_reactor
async def test_a_connect_that_hangs_gives_way_after_its_limit(start_pool: StartPool, net: Net) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    pool = start_pool(target, codec="line")
    client = await pool.connect()
    await client.send(b"ask\n")
    await waits(pool, 1)
    assert state(pool)["sv_login"] == 1
    pool.clock.advance(20 + TICK)
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize("async_", [False, True])
@in_reactor
async def test_a_target_that_hangs_holds_nobody_up_while_another_is_healthy(
    start_pool: StartPool, net: Net, async_: bool
) -> None:
    black_hole, good = net.upstream(listens=False), net.upstream()
    black_hole.fill_queue()
    pool = start_pool(black_hole, good, codec="resp", async_=async_)
    people = await clients(pool, 2)
    await people[0].send(b"PING 0\r\n")
    await waits(pool, 1)
    assert await good.is_left_alone()
    await pass_time(pool, 0.3 + TICK)
    upstream = await good.accept()
    for number, client in enumerate(people):
        if number:
            await client.send(b"PING 1\r\n")
        assert await upstream.receive(8) == b"PING %d\r\n" % number
        await upstream.send(b"+%d\r\n" % number)
        assert await client.receive(4) == b"+%d\r\n" % number
    upstream.close()
    await until(lambda: not state(pool)["sv_idle"], "the pool to notice")
    await people[0].send(b"PING 2\r\n")
    assert await (await good.accept()).receive(8) == b"PING 2\r\n", "the one that hangs is remembered"


@in_reactor
async def test_proxy_a_client_whose_target_hangs_gets_another(start_pool: StartPool, net: Net) -> None:
    black_hole, good = net.upstream(listens=False), net.upstream()
    black_hole.fill_queue()
    pool = start_pool(black_hole, good, mode="proxy")
    client = await pool.connect()
    await client.send(b"hello")
    await until(lambda: state(pool)["sv_login"] == 1, "the pool to connect")
    await pass_time(pool, 0.3 + TICK)
    upstream = await good.accept()
    assert await upstream.receive(5) == b"hello"
    assert pool.failed_attempts == [
        (black_hole.remote, "no connection within 0.3 s, another target is tried"),
    ]  # fmt: skip
    assert state(pool)["sv_active"] == 1
    client.reset()
    await upstream.read_until_reset()
    await pool.connect()
    await good.accept()


@in_reactor
async def test_there_is_never_one_connection_more_than_there_may_be(start_pool: StartPool, net: Net) -> None:
    """The old one is gone before the new one is made, for whoever counts them at the other end."""
    target = net.upstream()
    pool = start_pool(target, codec="length:1")
    people = await clients(pool, 2)
    for client in people:
        await client.send(b"\1x")
        await settle()
    old = await target.accept()
    await old.receive(2)
    await turns(3)
    await old.send(b"\1a\1b")  # one more than is asked for
    new = await target.accept()
    assert old.has_something(), "it is not told that it is closed"
    assert await new.receive(2) == b"\1x"
