"""A pool and its clusters: what the one knows is the other's to act on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, Upstream, in_reactor, until
from tests.services.pools import asked, opened


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def start(start_pool: StartPool, *targets: Upstream, options: str = "", **more: Any) -> Running:
    """A pool of a cluster of these targets."""
    cluster = f"users={','.join(each.remote for each in targets)}{options}"
    return start_pool("users", cluster=[cluster], codec="line", **more)


def shown(pool: Running) -> dict[str, tuple[bool, int]]:
    """Of each member whether it is up, and how many connections it has."""
    return {each["target"]: (each["up"], each["connections"]) for each in pool.service.clusters.show()["users"]}


async def answered_by(pool: Running, target: Upstream) -> None:
    """See that a new client's request is answered by ``target``, which has no connection yet."""
    client = await pool.connect()
    await client.send(b"ask\n")
    upstream = await opened(pool, target)
    assert await upstream.receive(4) == b"ask\n"
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
    client.finish()


@in_reactor
async def test_a_cluster_shows_the_connections_of_the_pool(start_pool: StartPool, net: Net) -> None:
    first, second = sorted((net.upstream() for _ in range(2)), key=lambda each: each.remote)
    pool = start(start_pool, first, second, options=";connections=2")
    assert shown(pool) == {first.remote: (True, 0), second.remote: (True, 0)}
    client, upstream = await asked(pool, first, b"ask\n")
    assert shown(pool) == {first.remote: (True, 1), second.remote: (True, 0)}
    upstream.reset()
    assert await client.read_all() == b""
    await until(lambda: shown(pool)[first.remote][1] == 0, "it to be closed")


@in_reactor
async def test_a_drained_member_gets_no_request(start_pool: StartPool, net: Net) -> None:
    first, second = sorted((net.upstream() for _ in range(2)), key=lambda each: each.remote)
    pool = start(start_pool, first, second)
    pool.service.steering.drain(first.remote, "users")
    await answered_by(pool, second)
    assert shown(pool) == {first.remote: (True, 0), second.remote: (True, 1)}


@in_reactor
async def test_a_member_that_refuses_is_ejected_and_the_client_is_served(start_pool: StartPool, net: Net) -> None:
    down, up = sorted((net.upstream(listens=False) for _ in range(2)), key=lambda each: each.remote)
    up.listen()
    pool = start(start_pool, down, up, options=";fall=1")
    client = await pool.connect()
    await client.send(b"ask\n")
    await until(lambda: not shown(pool)[down.remote][0], "it to be ejected")
    upstream = await opened(pool, up)
    assert await upstream.receive(4) == b"ask\n"
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
