"""An operator, or NTP, sets the time of day while clients are connected: no limit and no duration takes notice."""

from __future__ import annotations

from typing import Any, Final

import pytest
from twisted.internet.defer import Deferred

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, Join, Start, StartPool
from tests.services.peers import Net, in_reactor, settle, until

HOUR: Final = 3600.0
#: Longer than a tick of the timers, in seconds.
TICK: Final = 0.11


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[-HOUR, HOUR], ids=["back", "forth"])
def step(request: pytest.FixtureRequest) -> Any:
    return request.param


@in_reactor
async def test_a_router_that_does_not_decide_is_given_up_in_time(start: Start, step: float) -> None:
    proxy = start(lambda data: Deferred(), decide_timeout=3)
    client = await proxy.connect()
    await client.send(b"hello")
    await settle()
    proxy.reactor.time_of_day.advance(step)
    proxy.clock.advance(2.9)
    await settle()
    assert not proxy.records
    proxy.clock.advance(TICK)
    record = await proxy.record()
    assert record.outcome is Outcome.UNDECIDED
    assert record.seconds == pytest.approx(3, abs=TICK)


@in_reactor
async def test_a_session_is_idle_when_it_was_silent_for_so_long(join: Join, step: float) -> None:
    proxy, client, upstream = await join(idle_timeout=60)
    proxy.reactor.time_of_day.advance(step)
    proxy.clock.advance(59)
    await settle()
    assert not proxy.records
    await client.send(b"more")
    assert await upstream.receive(4) == b"more"
    proxy.clock.advance(59)
    await settle()
    assert not proxy.records
    proxy.clock.advance(1 + TICK)
    record = await proxy.record()
    assert record.outcome is Outcome.IDLE
    assert record.seconds == pytest.approx(119, abs=2 * TICK)


@in_reactor
async def test_an_upstream_that_does_not_answer_is_given_up_in_time(start: Start, net: Net, step: float) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    proxy = start(lambda data: {"remote": target.remote, "retries": 0, "connect_timeout": 3})
    client = await proxy.connect()
    await client.send(b"hello")
    await settle()
    proxy.reactor.time_of_day.advance(step)
    proxy.clock.advance(2.8)
    await settle()
    assert not proxy.records
    proxy.clock.advance(0.2 + TICK)
    record = await proxy.record()
    assert record.outcome is Outcome.CONNECT_TIMEOUT
    assert record.connect_seconds is None
    assert 0 <= record.seconds < 4


@in_reactor
async def test_draining_lasts_as_long_as_it_may(join: Join, step: float) -> None:
    proxy, _client, _upstream = await join()
    done: list[None] = []
    proxy.service.drain(5).addCallback(done.append)
    proxy.reactor.time_of_day.advance(step)
    proxy.clock.advance(4.9)
    await settle()
    assert not done
    proxy.clock.advance(0.2)
    await settle()
    proxy.clock.advance(1)
    await until(lambda: done, "the drain to end")


@in_reactor
async def test_a_client_of_a_pool_waits_no_longer_than_it_may(start_pool: StartPool, net: Net, step: float) -> None:
    pool = start_pool(net.upstream(), mode="proxy", max_connections=10, queue_timeout=3)
    first = await pool.connect()
    await until(lambda: pool.service.leases.clients == 1, "the first client")
    second = await pool.connect()
    await until(lambda: pool.service.leases.leasing.waiting == 1, "the second client to wait")
    pool.reactor.time_of_day.advance(step)
    pool.clock.advance(2.8)
    await settle()
    assert not pool.records
    pool.clock.advance(0.2 + TICK)
    record = await pool.record()
    assert record.outcome is Outcome.QUEUE_TIMEOUT
    assert record.seconds == pytest.approx(3, abs=2 * TICK)
    assert await second.read_all() == b""
    assert not first.has_something()
