"""The pool with shared upstreams and no protocol: what it can do without knowing where a message ends."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import MEGABYTE, Net, Peer, Upstream, in_reactor, noise, settle, until
from tests.services.pools import GAP, asked, clients, is_silent, opened, pass_time, state, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("mode", ["fifo", "funnel"])
@in_reactor
async def test_what_is_read_at_once_is_a_request_and_silence_ends_its_reply(
    start_pool: StartPool, net: Net, mode: str
) -> None:
    target = net.upstream()
    pool = start_pool(target, mode=mode)
    client, upstream = await asked(pool, target, b"request")
    other = await pool.connect()
    await other.send(b"other")
    await waits(pool, 1)
    await upstream.send(b"reply")
    assert await client.receive(5) == b"reply"
    assert await is_silent(upstream)
    pool.clock.advance(GAP)
    assert await upstream.receive(5) == b"other"
    await upstream.send(b"for it")
    assert await other.receive(6) == b"for it"


@in_reactor
async def test_a_reply_in_several_reads_is_followed_to_its_end(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, raw_gap=20)
    client, upstream = await asked_slowly(pool, target)
    other = await pool.connect()
    await other.send(b"other")
    await waits(pool, 1)
    for part in (b"one ", b"two ", b"three"):
        await upstream.send(part)
        assert await client.receive(len(part)) == part
        pool.clock.advance(0.015)
    assert await is_silent(upstream)
    pool.clock.advance(0.006)
    assert await upstream.receive(5) == b"other"


async def asked_slowly(pool: Running, target: Upstream) -> tuple[Peer, Peer]:
    client = await pool.connect()
    await client.send(b"request")
    upstream = await target.accept()
    await settle()
    pool.clock.advance(0.021)
    assert await upstream.receive(7) == b"request"
    return client, upstream


@in_reactor
async def test_a_large_reply_is_whole_and_reaches_its_own_client_only(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target)
    client, upstream = await asked(pool, target, b"request")
    other = await pool.connect()
    await other.send(b"other")
    await waits(pool, 1)
    data = noise(MEGABYTE)
    await upstream.send(data)
    assert await client.receive(MEGABYTE) == data
    assert await is_silent(other, upstream)


@pytest.mark.parametrize("size", [65536, 65537, MEGABYTE])
@in_reactor
async def test_a_large_request_is_whole(start_pool: StartPool, net: Net, size: int) -> None:
    target = net.upstream()
    pool = start_pool(target)
    client, other = await clients(pool, 2)
    data = noise(size)
    await client.send(data)
    await settle()
    await other.send(b"other")
    upstream = await opened(pool, target)
    pool.clock.advance(GAP)
    first = await upstream.receive(5)
    if first == b"other":
        await upstream.send(b"first")
        await other.receive(5)
        pool.clock.advance(GAP)
        first = await upstream.receive(5)
    assert first + await upstream.receive(size - 5) == data
    await upstream.send(b"reply")
    assert await client.receive(5) == b"reply"


@in_reactor
async def test_a_client_that_finishes_after_a_large_request_has_sent_all_of_it(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target)
    client = await pool.connect()
    await client.send(noise(100_000))
    client.finish()
    upstream = await opened(pool, target)
    assert await upstream.receive(100_000) == noise(100_000)
    await upstream.send(b"reply")
    await client.receive(5)
    pool.clock.advance(GAP)
    assert await client.read_all() == b""
    assert (await pool.record()).outcome is Outcome.COMPLETED


@in_reactor
async def test_the_upstreams_end_ends_a_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target)
    client, upstream = await asked(pool, target, b"request")
    await upstream.send(b"reply")
    upstream.close()
    assert await client.read_all() == b"reply"
    client.close()
    assert (await pool.record()).outcome is Outcome.COMPLETED


@in_reactor
async def test_a_client_that_leaves_before_its_reply_takes_the_upstream_with_it(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target)
    client, upstream = await asked(pool, target, b"request")
    other = await pool.connect()
    await other.send(b"other")
    await waits(pool, 1)
    client.reset()
    await upstream.read_until_reset()
    upstream = await opened(pool, target)
    assert await upstream.receive(5) == b"other"
    await upstream.send(b"for it")
    assert await other.receive(6) == b"for it"


@in_reactor
async def test_a_client_that_leaves_between_requests_does_not(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target)
    client, upstream = await asked(pool, target, b"request")
    await upstream.send(b"reply")
    await client.receive(5)
    pool.clock.advance(GAP)
    client.reset()
    await pool.record()
    assert state(pool)["sv_idle"] == 1


@in_reactor
async def test_what_comes_after_the_silence_closes_the_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target)
    client, upstream = await asked(pool, target, b"request")
    await upstream.send(b"reply")
    await client.receive(5)
    pool.clock.advance(GAP)
    await upstream.send(b"too late")
    assert await upstream.read_until_reset() == b""
    assert await is_silent(client)
    await client.send(b"next")
    upstream = await opened(pool, target)
    assert await upstream.receive(4) == b"next"


@in_reactor
async def test_no_reply_within_the_limit_closes_client_and_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, request_timeout=1)
    client, upstream = await asked(pool, target, b"request")
    await pass_time(pool, 1.2)
    assert await client.read_all() == b""
    await upstream.read_until_reset()
    client.close()
    assert (await pool.record()).outcome is Outcome.REQUEST_TIMEOUT


@pytest.mark.parametrize("codec", ["raw", "line"])
@in_reactor
async def test_an_upstream_that_speaks_first_is_of_no_use_and_nobody_gets_its_greeting(
    start_pool: StartPool, net: Net, codec: str
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec=codec)
    client = await pool.connect()
    await client.send(b"request\n")
    upstream = await target.accept()
    await upstream.send(b"220 welcome\n")
    await upstream.read_until_reset()
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.UNREACHABLE
    await until(lambda: any("speaks before it is asked" in line for _, line in pool.lines), "a line in the log")
    assert await target.is_left_alone()


@pytest.mark.parametrize(
    ("codec", "mode", "count"), [("raw", "funnel", 1), ("raw", "fifo", 0), ("line", "funnel", 0), ("raw", "proxy", 0)]
)
@in_reactor
async def test_funnel_without_a_codec_warns_once_at_the_start(
    start_pool: StartPool, net: Net, codec: str, mode: str, count: int
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec=codec, mode=mode)
    await clients(pool, 2)
    warnings = [line for level, line in pool.lines if level == "warn"]
    assert len(warnings) == count
    assert all("--codec" in line for line in warnings)


@in_reactor
async def test_a_message_has_the_limit_that_the_operator_says(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", max_message=100)
    client, upstream = await asked(pool, target, b"x" * 99 + b"\n")
    await upstream.send(b"y" * 99 + b"\n")
    assert await client.receive(100) == b"y" * 99 + b"\n"
    await client.send(b"x" * 101)
    assert await client.read_all() == b""
    client.close()
    record = await pool.record()
    assert (record.outcome, record.reason) == (Outcome.PROTOCOL_ERROR, "a line has more than 100 bytes")
