"""What becomes of the clients of a pool when another process goes on with them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from proxymux.core.outcome import Outcome
from proxymux.supervisor.handover.packets import Kind
from tests.services.fixtures import Running
from tests.services.peers import Net, Peer, Upstream, in_reactor, settle, until
from tests.supervisor.handover.pair import Pair

StartPools = Callable[..., Pair]


async def used(pools: Pair, target: Upstream) -> tuple[Peer, Peer]:
    """A client of the old pool that has had an answer, and the old pool's upstream."""
    client = await pools.old.connect()
    await client.send(b"GET a\r\n")
    upstream = await target.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    await upstream.send(b"+a\r\n")
    assert await client.receive(4) == b"+a\r\n"
    return client, upstream


@in_reactor
async def test_an_idle_client_goes_on_with_the_upstreams_of_the_successor(start_pools: StartPools, net: Net) -> None:
    target = net.upstream()
    pools = start_pools(target)
    client, _ = await used(pools, target)
    await pools.hand_over(1)
    await client.send(b"GET a\r\n")
    upstream = await target.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    await upstream.send(b"+a\r\n")
    assert await client.receive(4) == b"+a\r\n"
    client.close()
    record = await pools.new.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == (Outcome.COMPLETED, 14, 8)


@in_reactor
async def test_a_client_with_a_request_follows_when_it_has_its_answer(start_pools: StartPools, net: Net) -> None:
    target = net.upstream()
    pools = start_pools(target)
    client, upstream = await used(pools, target)
    await client.send(b"GET b\r\n")
    assert await upstream.receive(7) == b"GET b\r\n"
    await pools.hand_over(0)
    await upstream.send(b"+b\r\n")
    assert await client.receive(4) == b"+b\r\n"
    pools.clock.advance(1)
    await until(lambda: pools.owned == (0, 1), "the client to follow")
    client.close()
    assert (await pools.new.record()).bytes_out == 8


@pytest.mark.parametrize("is_frozen", [True, False])
@in_reactor
async def test_the_idle_limit_goes_on(start_pools: StartPools, net: Net, is_frozen: bool) -> None:
    target = net.upstream()
    pools = start_pools(target, idle_timeout=4)
    client, upstream = await used(pools, target)
    pools.clock.advance(3)
    if is_frozen:
        end, packets = await pools.freeze()
        for descriptor in packets[-1][2]:
            os.close(descriptor)
        pools.clock.advance(1.5)
        await settle()
        assert pools.owned == (1, 0)
        end.send(Kind.NACK)
    else:
        await pools.hand_over(1)
        pools.clock.advance(0.9)
        await settle()
        assert pools.owned == (0, 1)
        pools.clock.advance(0.1)
    await settle()
    pools.clock.advance(0.5)
    assert await client.read_all() == b""
    client.close()
    upstream.close()
    running: Running = pools.old if is_frozen else pools.new
    assert (await running.record()).outcome is Outcome.IDLE
