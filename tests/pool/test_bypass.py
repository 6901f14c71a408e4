"""The pool in Proxy mode: what a client that waits for a slot has sent is never sent late."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from proxymux.pool.bypass import LIMIT, MOST, is_cancel_request
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, Peer, Upstream, in_reactor, settle, until
from tests.services.pools import is_silent, pass_time, state, waits

CODE = (80877102).to_bytes(4, "big")
#: Of process 7 with the key "abcd".
CANCEL = (16).to_bytes(4, "big") + CODE + (7).to_bytes(4, "big") + b"abcd"
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (CANCEL, True),
        ((16 + 28).to_bytes(4, "big") + CANCEL[4:] + bytes(28), True),
        (CANCEL[:15], False),
        (CANCEL + b"x", False),
        (SSL_REQUEST, False),
        (b"", False),
        (b"GET / HTTP/1.1\r\n", False),
    ],
)
def test_what_is_a_cancel_request(data: bytes, is_one: bool) -> None:
    assert is_cancel_request(data) == is_one


async def busy(pool: Running, target: Upstream) -> tuple[Peer, Peer]:
    """A client that has the only slot."""
    client = await pool.connect()
    await client.send(b"query")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"query"
    return client, upstream


@pytest.mark.parametrize("finishes", [False, True])
@in_reactor
async def test_a_cancel_request_passes_beside_the_slots_at_once(
    start_pool: StartPool, net: Net, finishes: bool
) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await busy(pool, target)
    cancels = await pool.connect()
    await waits(pool, 1)
    await cancels.send_bytewise(CANCEL)
    if finishes:
        cancels.finish()
    beside = await target.accept()
    assert await beside.receive(len(CANCEL)) == CANCEL
    assert state(pool)["cl_waiting"] == 0
    assert await is_silent(client, upstream)
    beside.close()
    assert await cancels.read_all() == b""
    cancels.close()
    record = await pool.record()
    assert record.bytes_in == len(CANCEL)
    if finishes:
        assert record.outcome is Outcome.COMPLETED
    client.reset()
    await upstream.read_until_reset()
    assert await target.is_left_alone()


@in_reactor
async def test_cancel_requests_have_a_limit_in_number(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    await busy(pool, target)
    passing = []
    for _ in range(MOST):
        client = await pool.connect()
        await client.send(CANCEL)
        passing.append(await target.accept())
    client = await pool.connect()
    await client.send(CANCEL)
    assert await client.read_all() == b""
    client.close()
    record = await pool.record()
    assert (record.outcome, record.reason) == (Outcome.QUEUE_FULL, f"more than {MOST} cancel requests at once")
    assert await target.is_left_alone()
    passing[0].close()
    await until(lambda: pool.service.leases.bypasses.count < MOST, "one to be over")
    client = await pool.connect()
    await client.send(CANCEL)
    await target.accept()


@in_reactor
async def test_cancel_requests_have_a_limit_in_time(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    await busy(pool, target)
    client = await pool.connect()
    await client.send(CANCEL)
    beside = await target.accept()
    await beside.receive(len(CANCEL))
    await pass_time(pool, LIMIT + 0.2)
    await beside.read_until_reset()
    await pool.record()
    assert pool.service.leases.bypasses.count == 0


@in_reactor
async def test_a_cancel_request_that_cannot_be_connected_ends(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    await busy(pool, target)
    target.close()
    client = await pool.connect()
    await client.send(CANCEL)
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.UNREACHABLE
    assert pool.service.leases.bypasses.count == 0


@in_reactor
async def test_a_client_that_resets_during_its_bypass_leaves_nothing(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    await busy(pool, target)
    client = await pool.connect()
    await client.send(CANCEL)
    beside = await target.accept()
    await beside.receive(len(CANCEL))
    client.reset()
    await beside.read_until_reset()
    await pool.record()
    assert pool.service.leases.bypasses.count == 0


@pytest.mark.parametrize("data", [b"", b"DELETE everything", SSL_REQUEST, CANCEL[:12]])
@pytest.mark.parametrize("closes", [False, True])
@in_reactor
async def test_a_client_that_leaves_the_queue_is_never_connected(
    start_pool: StartPool, net: Net, data: bytes, closes: bool
) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await busy(pool, target)
    leaves = await pool.connect()
    await waits(pool, 1)
    await leaves.send(data)
    leaves.close() if closes else leaves.finish()
    record = await pool.record()
    assert (record.outcome, record.reason) == (Outcome.CLIENT_ABORTED, "left while it waited for an upstream")
    assert state(pool)["cl_waiting"] == 0
    client.reset()
    await upstream.read_until_reset()
    await settle()
    assert await target.is_left_alone()
