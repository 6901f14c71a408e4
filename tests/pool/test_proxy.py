"""The pool in Proxy mode: every client has an upstream for itself."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import MEGABYTE, Net, Peer, Upstream, in_reactor, noise, settle, together, until
from tests.services.pools import is_silent, pass_time, state, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def joined(pool: Running, target: Upstream) -> tuple[Peer, Peer]:
    """A client and its upstream."""
    client = await pool.connect()
    return client, await target.accept()


@in_reactor
async def test_every_client_has_its_own_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, mode="proxy")
    pairs = [await joined(pool, target) for _ in range(2)]
    for number, (client, upstream) in enumerate(pairs):
        await client.send(b"from %d" % number)
        assert await upstream.receive(6) == b"from %d" % number
        await upstream.send(b"to %d" % number)
        assert await client.receive(4) == b"to %d" % number
    assert state(pool) == {
        "cl_active": 2, "cl_waiting": 0, "sv_active": 2, "sv_idle": 0, "sv_login": 0, "maxwait": 0,
    }  # fmt: skip


@in_reactor
async def test_the_upstream_may_speak_first(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await joined(pool, target)
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"


@in_reactor
async def test_a_client_that_finishes_is_still_answered(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await joined(pool, target)
    await client.send(b"question")
    client.finish()
    assert await upstream.read_all() == b"question"
    await upstream.send(b"answer")
    upstream.close()
    assert await client.read_all() == b"answer"
    assert (await pool.record()).outcome is Outcome.COMPLETED


@in_reactor
async def test_an_upstream_that_finishes_still_hears(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await joined(pool, target)
    await upstream.send(b"all I say")
    upstream.finish()
    assert await client.read_all() == b"all I say"
    await client.send(b"and I")
    client.close()
    assert await upstream.read_all() == b"and I"


@pytest.mark.parametrize("observed", [False, True])
@in_reactor
async def test_an_upstream_that_finishes_before_its_first_byte_still_hears_all(
    start_pool: StartPool, net: Net, observed: bool
) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    if observed:
        pool.events.on("request", lambda logger, data, response: response.addErrback(lambda _: None))
    client, sink = await joined(pool, target)
    sink.finish()
    assert await client.read_all() == b""
    _, received = await together(client.send(noise(MEGABYTE)), sink.receive(MEGABYTE))
    assert received == noise(MEGABYTE)
    client.close()
    assert await sink.read_all() == b""
    record = await pool.record()
    assert (record.outcome, record.bytes_in) == (Outcome.COMPLETED, MEGABYTE)


@in_reactor
async def test_bulk_passes_whole(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await joined(pool, target)
    up, down = noise(8 * MEGABYTE, "up"), noise(8 * MEGABYTE, "down")
    _, _, got_up, got_down = await together(
        client.send(up), upstream.send(down), upstream.receive(len(up)), client.receive(len(down))
    )
    assert (got_up == up, got_down == down) == (True, True)


@pytest.mark.parametrize("how", ["close", "reset", "half-close", "upstream close", "upstream reset"])
@in_reactor
async def test_a_client_that_waits_gets_the_slot_of_one_that_has_ended(
    start_pool: StartPool, net: Net, how: str
) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await joined(pool, target)
    await client.send(b"x")
    await upstream.receive(1)
    waiting = await pool.connect()
    await waiting.send(b"patient")
    await waits(pool, 1)
    assert await target.is_left_alone()
    if how == "close":
        client.close()
        await upstream.read_all()
        upstream.close()
    elif how == "reset":
        client.reset()
        await upstream.read_until_reset()
    elif how == "half-close":
        client.finish()
        await upstream.read_all()
        assert await target.is_left_alone()
        upstream.close()
        await client.read_all()
    elif how == "upstream close":
        upstream.close()
        await client.read_all()
        client.close()
    else:
        upstream.reset()
        assert await client.read_all() == b""
        client.close()
    new = await target.accept()
    assert await new.receive(7) == b"patient"
    await until(lambda: state(pool)["cl_active"] == 1, "one client")


@in_reactor
async def test_clients_wait_in_the_order_in_which_they_came(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await joined(pool, target)
    waiting = []
    for number in range(3):
        waiting.append(await pool.connect())
        await waiting[-1].send(b"%d" % number)
        await waits(pool, number + 1)
    for number, each in enumerate(waiting):
        client.reset()
        client, upstream = each, await target.accept()
        assert await upstream.receive(1) == b"%d" % number


@in_reactor
async def test_one_that_leaves_while_it_waits_takes_no_slot(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, _ = await joined(pool, target)
    gone, patient = await pool.connect(), await pool.connect()
    await waits(pool, 2)
    gone.reset()
    assert (await pool.record()).outcome is Outcome.CLIENT_ABORTED
    await waits(pool, 1)
    await patient.send(b"patient")
    client.reset()
    assert await (await target.accept()).receive(7) == b"patient"


@in_reactor
async def test_the_queue_has_a_limit_and_a_timeout(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy", queue_limit=1, queue_timeout=2)
    client, upstream = await joined(pool, target)
    waiting = await pool.connect()
    await waits(pool, 1)
    refused = await pool.connect()
    assert await refused.read_all() == b""
    refused.close()
    assert (await pool.ended(1))[0].outcome is Outcome.QUEUE_FULL
    await pass_time(pool, 2.2)
    assert await waiting.read_all() == b""
    waiting.close()
    assert (await pool.ended(2))[1].outcome is Outcome.QUEUE_TIMEOUT
    assert await is_silent(client, upstream)
    assert state(pool)["cl_active"] == 1


@in_reactor
async def test_one_target_of_two_that_is_down_is_passed_over(start_pool: StartPool, net: Net) -> None:
    down, good = net.upstream(listens=False), net.upstream()
    pool = start_pool(down, good, mode="proxy")
    client, upstream = await joined(pool, good)
    await client.send(b"hello")
    assert await upstream.receive(5) == b"hello"
    assert pool.failed_attempts == [(down.remote, "connection refused")]


@in_reactor
async def test_one_that_waits_gets_a_target_that_comes_back(start_pool: StartPool, net: Net) -> None:
    down, good = net.upstream(listens=False), net.upstream()
    pool = start_pool(down, good, mode="proxy")
    await joined(pool, good)
    patient = await pool.connect()
    await patient.send(b"patient")
    await waits(pool, 1)
    down.listen()
    await pass_time(pool, 1.5)
    assert await (await down.accept()).receive(7) == b"patient"


@in_reactor
async def test_when_all_are_down_clients_fail_fast(start_pool: StartPool, net: Net) -> None:
    down = net.upstream(listens=False)
    pool = start_pool(down, down, mode="proxy")
    for count in (1, 2):
        client = await pool.connect()
        assert await client.read_all() == b""
        client.close()
        assert {record.outcome for record in await pool.ended(count)} == {Outcome.UNREACHABLE}
    assert len(pool.failed_attempts) == 2
    assert state(pool)["cl_active"] == 0
    down.listen()
    await pass_time(pool, 0.2)
    client, upstream = await joined(pool, down)
    await upstream.send(b"back")
    assert await client.receive(4) == b"back"


@in_reactor
async def test_a_silent_exchange_ends_after_the_inactivity_timeout(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy", inactivity_timeout=3000)
    client, upstream = await joined(pool, target)
    await pass_time(pool, 2)
    await upstream.send(b"still here")
    await client.receive(10)
    await pass_time(pool, 2.5)
    assert await is_silent(client, upstream)
    await pass_time(pool, 0.7)
    assert await client.read_all() == b""
    assert await upstream.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.IDLE


@in_reactor
async def test_a_client_over_the_limit_is_refused(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, max_connections=1, mode="proxy")
    await joined(pool, target)
    refused = await pool.connect()
    assert await refused.read_all() == b""
    assert (await pool.record()).outcome is Outcome.REFUSED


@in_reactor
async def test_nothing_is_connected_before_there_is_a_client(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    start_pool(target, mode="proxy", warmup=True)
    await settle()
    assert await target.is_left_alone()


@in_reactor
async def test_the_upstream_gets_a_proxy_header_where_that_is_wanted(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy", send_proxy="v1")
    client, upstream = await joined(pool, target)
    host, port = client.address
    there, where = client.peer_address
    header = f"PROXY TCP4 {host} {there} {port} {where}\r\n".encode()
    assert await upstream.receive(len(header)) == header
