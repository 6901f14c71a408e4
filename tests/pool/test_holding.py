"""Holds of a pool's targets: pgbouncer's PAUSE and RESUME."""

from __future__ import annotations

import pytest

from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import Net, in_reactor, settle, until
from tests.services.pools import asked, opened, pass_time, state, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@in_reactor
async def test_requests_wait_while_the_target_restarts(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    pool.service.steering.hold(target.remote)
    other = await pool.connect()
    await other.send(b"other\n")
    await waits(pool, 1)
    await upstream.send(b"answer\n")  # what was asked before is still answered
    assert await client.receive(7) == b"answer\n"
    await client.send(b"more\n")
    await pass_time(pool, 0.3)
    assert await upstream.read_all() == b""  # then the upstream is closed, so that the server may end
    upstream.close()
    await waits(pool, 2)
    assert await target.is_left_alone()
    assert [(hold.target, hold.waiting) for hold in pool.service.steering.holds] == [(target.remote, 2)]
    assert pool.service.steering.release(target.remote)
    again = await opened(pool, target)
    for request, asker in ((b"other\n", other), (b"more\n", client)):
        assert await again.receive(len(request)) == request
        await again.send(b"answer\n")
        assert await asker.receive(7) == b"answer\n"
    assert pool.service.steering.holds == []


@in_reactor
async def test_other_targets_go_on_and_the_queue_keeps_its_limits(start_pool: StartPool, net: Net) -> None:
    held, other = net.upstream(), net.upstream()
    pool = start_pool(held, other, codec="line", mode="funnel", queue_timeout=5)
    pool.service.steering.hold(held.remote)
    client, upstream = await asked(pool, other)
    waiting = await pool.connect()
    await waiting.send(b"wait\n")
    await waits(pool, 1)
    assert await held.is_left_alone()
    await upstream.send(b"answer\n")
    assert await client.receive(7) == b"answer\n"
    assert await upstream.receive(5) == b"wait\n"
    await client.send(b"late\n")
    await waits(pool, 1)
    await pass_time(pool, 5.2)
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome == "queue_timeout"


@in_reactor
async def test_in_proxy_mode_clients_wait_and_those_who_are_joined_stay(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, mode="proxy")
    old = await pool.connect()
    await old.send(b"old")
    upstream = await target.accept()
    assert await upstream.receive(3) == b"old"
    pool.service.steering.hold(target.remote)
    new = await pool.connect()
    await waits(pool, 1)
    await old.send(b"more")
    assert await upstream.receive(4) == b"more"
    assert await target.is_left_alone()
    pool.service.steering.release(target.remote)
    joined = await target.accept()
    await new.send(b"new")
    assert await joined.receive(3) == b"new"
    await until(lambda: state(pool)["cl_active"] == 2, "two clients")


@in_reactor
async def test_a_slot_that_is_being_opened_is_closed_when_it_is_there(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client = await pool.connect()
    await client.send(b"ask\n")
    upstream = await target.accept()
    pool.service.steering.hold(target.remote)
    await settle()
    await pass_time(pool, 0.5)
    assert await upstream.read_all() == b""
    await waits(pool, 1)
    pool.service.steering.release(target.remote)
    assert await (await opened(pool, target)).receive(4) == b"ask\n"


@in_reactor
async def test_what_has_no_reply_is_sent_before_the_connection_is_closed(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="memcache")
    client, upstream = await asked(pool, target, b"get a\r\n")
    await upstream.send(b"END\r\n")
    assert await client.receive(5) == b"END\r\n"
    pool.events.on("request", lambda *_: pool.service.steering.hold(target.remote))
    await client.send(b"set a 0 0 1 noreply\r\nx\r\n")
    assert await upstream.read_all() == b"set a 0 0 1 noreply\r\nx\r\n"
