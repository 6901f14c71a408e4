"""The pool with shared upstreams: replies that their clients do not read."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from proxymux.core.window import FIRST
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import MEGABYTE, Net, Peer, in_reactor, settle
from tests.services.pools import clients

GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
REPLY = b"$%d\r\n" % MEGABYTE + bytes(MEGABYTE) + b"\r\n"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def answer_all(upstream: Peer, reply: bytes = REPLY, request: bytes = GET) -> int:
    """Answer the requests that come, as long as any do; how many that were."""
    count = 0
    while True:
        await settle()
        if not upstream.has_something():
            return count
        assert await upstream.receive(len(request)) == request
        await upstream.send(reply)
        count += 1


def held(pool: Running) -> int:
    """What is counted for all clients that are behind."""
    return sum(pool.service.leases.reply_memory._counted.values())


@pytest.mark.parametrize("mode", ["fifo", "funnel"])
@in_reactor
async def test_a_pipeline_of_large_replies_that_nobody_reads_costs_little_and_holds_nobody_up(
    start_pool: StartPool, net: Net, mode: str
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", mode=mode)
    slow, quick = await pool.connect(receive_buffer=4096), await pool.connect()
    await slow.send(GET * 500)
    upstream = await target.accept()
    answered = await answer_all(upstream)
    assert answered <= FIRST + 4
    assert held(pool) <= (FIRST + 4) * len(REPLY)
    await quick.send(b"PING\r\n")
    assert await upstream.receive(6) == b"PING\r\n"
    await upstream.send(b"+PONG\r\n")
    assert await quick.receive(7) == b"+PONG\r\n"
    for _ in range(answered):
        assert await slow.receive(len(REPLY)) == REPLY
    assert await upstream.receive(len(GET)) == GET
    assert held(pool) == 0


@in_reactor
async def test_a_pipeline_that_is_read_is_answered_whole(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", mode="fifo")
    [client] = await clients(pool, 1)
    await client.send(GET * 500)
    upstream = await target.accept()
    count = 0
    while count < 500:
        part = await answer_all(upstream, b"$1\r\nx\r\n")
        assert part
        count += part
        assert await client.receive(7 * part) == b"$1\r\nx\r\n" * part


@in_reactor
async def test_max_outstanding_is_what_a_client_may_leave_unread(start_pool: StartPool, net: Net) -> None:
    counts = []
    for limit in (100_000, 4 * MEGABYTE):
        target = net.upstream()
        pool = start_pool(target, codec="line", max_outstanding=limit)
        client = await pool.connect(receive_buffer=4096)
        await client.send(b"ask\n" * 1000)
        upstream = await target.accept()
        await settle()
        pool.clock.advance(0.006)
        counts.append(await answer_all(upstream, bytes(49_999) + b"\n", b"ask\n"))
    few, many = counts
    assert (many - few) * 50_000 > 3 * MEGABYTE


@in_reactor
async def test_over_the_limit_for_all_the_client_that_has_most_is_dismissed(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(*[target] * 3, codec="length:4", warmup=True, max_reply_memory=20 * MEGABYTE)
    upstreams = [await target.accept() for _ in range(3)]
    await settle()
    people = [await pool.connect(receive_buffer=4096) for _ in range(2)] + [await pool.connect()]
    of_each: list[Peer] = []
    for client in people:
        await client.send(b"\0\0\0\1a")
        await settle()
        of_each.append(next(each for each in upstreams if each not in of_each and each.has_something()))
        await of_each[-1].receive(5)
    small, large, quick = of_each
    await small.send((4 * MEGABYTE).to_bytes(4, "big") + bytes(4 * MEGABYTE))
    size = 32 * MEGABYTE
    try:
        await large.send(size.to_bytes(4, "big") + bytes(size))
    except (ConnectionResetError, BrokenPipeError):
        pass  # the slot is closed before all of it has come
    assert await people[1].read_until_reset() is not None
    record = await pool.record()
    assert record.outcome is Outcome.QUEUE_FULL
    assert record.reason is not None
    assert "--max-reply-memory" in record.reason
    assert held(pool) <= 20 * MEGABYTE
    await quick.send(b"\0\0\0\1b")
    assert await people[2].receive(5) == b"\0\0\0\1b"
    assert len(await people[0].receive(4 + 4 * MEGABYTE)) == 4 + 4 * MEGABYTE


@in_reactor
async def test_what_is_still_to_be_sent_to_a_client_that_is_done_counts_as_well(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="length:4", max_reply_memory=20 * MEGABYTE)
    leaving = await pool.connect(receive_buffer=4096)
    size = 16 * MEGABYTE
    await leaving.send(b"\0\0\0\1a")
    leaving.finish()
    upstream = await target.accept()
    await upstream.receive(5)
    await upstream.send(size.to_bytes(4, "big") + bytes(size))
    await settle()
    assert held(pool) > 8 * MEGABYTE
    slow = await pool.connect(receive_buffer=4096)
    await slow.send(b"\0\0\0\1a")
    await upstream.receive(5)
    await upstream.send(size.to_bytes(4, "big") + bytes(size))
    await pool.record()
    assert held(pool) <= 20 * MEGABYTE
