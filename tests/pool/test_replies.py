"""The pool with shared upstreams: replies that are not what they should be."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import Net, in_reactor, settle, until
from tests.services.pools import asked, clients, is_silent, opened, pass_time, serves, state, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@in_reactor
async def test_a_reply_that_breaks_off_is_no_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    await upstream.send(b"half of a rep")
    upstream.finish()
    assert await client.read_until_reset() == b"half of a rep"
    record = await pool.record()
    assert (record.outcome, record.reason) == (Outcome.UPSTREAM_ABORTED, "the upstream closed")
    await serves(pool, target)


@pytest.mark.parametrize("abruptly", [False, True])
@in_reactor
async def test_an_upstream_that_closes_instead_of_replying_fails_that_request_only(
    start_pool: StartPool, net: Net, abruptly: bool
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", mode="funnel")
    client = await pool.connect()
    await client.send(b"A\r\n")
    upstream = await target.accept()
    await upstream.receive(3)
    other = await pool.connect()
    await other.send(b"B\r\n")
    await waits(pool, 1)
    upstream.reset() if abruptly else upstream.close()
    assert (await client.read_all()).startswith(b"-ERR ")
    client.close()
    assert (await pool.record()).outcome is Outcome.UPSTREAM_ABORTED
    upstream = await target.accept()
    assert await upstream.receive(3) == b"B\r\n"
    await upstream.send(b"+b\r\n")
    assert await other.receive(4) == b"+b\r\n"


@in_reactor
async def test_what_comes_after_a_reply_closes_the_upstream_and_reaches_nobody(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    other = await pool.connect()
    await other.send(b"other\n")
    await waits(pool, 1)
    await upstream.send(b"reply\nextra\n")
    assert await client.receive(6) == b"reply\n"
    upstream = await opened(pool, target)
    assert await upstream.receive(6) == b"other\n"
    await upstream.send(b"for it\n")
    assert await other.receive(7) == b"for it\n"
    assert await is_silent(client, other)


@in_reactor
async def test_async_what_comes_after_a_reply_harms_nobody_who_has_not_been_sent_yet(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", mode="funnel", async_=True)
    client, upstream = await asked(pool, target)
    await client.send(b"next\n")
    await upstream.receive(5)
    await upstream.send(b"reply\nto next\nextra\n")
    assert await client.receive(14) == b"reply\nto next\n"
    assert await upstream.read_until_reset() == b""
    await serves(pool, target)


@in_reactor
async def test_what_comes_unasked_closes_the_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", warmup=True)
    upstream = await opened(pool, target)
    await upstream.send(b"unasked\n")
    assert await upstream.read_until_reset() == b""
    assert state(pool)["sv_idle"] == 0
    await serves(pool, target)


@in_reactor
async def test_what_is_no_reply_at_all_closes_the_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    client = await pool.connect()
    await client.send(b"A\r\n")
    upstream = await target.accept()
    assert await upstream.receive(3) == b"A\r\n"
    await upstream.send(b"HTTP/1.1 200 OK\r\n\r\n")
    assert (await client.read_all()).startswith(b"-ERR ")
    client.close()
    assert await upstream.read_until_reset() == b""
    assert (await pool.record()).outcome is Outcome.UPSTREAM_ABORTED


@in_reactor
async def test_a_late_reply_is_given_to_nobody(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", request_timeout=2)
    client, upstream = await asked(pool, target)
    other = await pool.connect()
    await other.send(b"other\n")
    await waits(pool, 1)
    await pass_time(pool, 1.9)
    assert await is_silent(client)
    await pass_time(pool, 0.3)
    assert await client.read_all() == b""
    client.close()
    record = await pool.record()
    assert (record.outcome, record.reason) == (Outcome.REQUEST_TIMEOUT, "no reply within 2 s (--request-timeout)")
    await upstream.read_until_reset()
    upstream = await opened(pool, target)
    assert await upstream.receive(6) == b"other\n"
    await upstream.send(b"for it\n")
    assert await other.receive(7) == b"for it\n"


@in_reactor
async def test_a_client_whose_reply_is_late_gets_the_protocols_error(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", request_timeout=1)
    client = await pool.connect()
    await client.send(b"A\r\n")
    await target.accept()
    await settle()
    await pass_time(pool, 1.2)
    assert await client.read_all() == b"-ERR no reply within 1 s (--request-timeout)\r\n"


@in_reactor
async def test_a_reply_that_is_not_whole_in_time_is_cut_by_a_reset(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", request_timeout=1)
    client, upstream = await asked(pool, target)
    await upstream.send(b"half of a rep")
    assert await client.receive(13) == b"half of a rep"
    await pass_time(pool, 1.2)
    assert await client.read_until_reset() == b""
    assert (await pool.record()).outcome is Outcome.REQUEST_TIMEOUT


@in_reactor
async def test_a_reply_in_time_is_no_reason_to_close_anything_later(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", request_timeout=1)
    client, upstream = await asked(pool, target)
    for _ in range(5):
        await pass_time(pool, 0.7)
        await upstream.send(b"reply\n")
        assert await client.receive(6) == b"reply\n"
        await client.send(b"again\n")
        assert await upstream.receive(6) == b"again\n"


@pytest.mark.parametrize("relay", ["fd"])
@in_reactor
async def test_an_upstream_that_closes_after_each_reply_costs_nobody_who_waits(
    start_pool: StartPool, net: Net, relay: str
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", relay=relay)
    people = await clients(pool, 4)
    for client in people:
        await client.send(b"ask\n")
        await settle()
    for client in people:
        upstream = await opened(pool, target)
        assert await upstream.receive(4) == b"ask\n"
        await upstream.send(b"reply\n")
        upstream.close()
        assert await client.receive(6) == b"reply\n"
    assert await is_silent(*people)


@in_reactor
async def test_an_upstream_that_accepts_and_closes_at_once_is_not_tried_for_ever(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="length:1")
    client = await pool.connect()
    await client.send(b"\1x")
    (await target.accept()).reset()
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.UPSTREAM_ABORTED
    assert await target.is_left_alone()


# Requests without a reply


@pytest.mark.parametrize("mode", ["fifo", "funnel"])
@in_reactor
async def test_a_request_without_a_reply_is_sent_and_keeps_nobody(start_pool: StartPool, net: Net, mode: str) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="memcache", mode=mode)
    client = await pool.connect()
    await client.send(b"set a 0 0 1 noreply\r\n1\r\n")
    upstream = await target.accept()
    assert await upstream.receive(24) == b"set a 0 0 1 noreply\r\n1\r\n"
    await settle()
    assert state(pool)["sv_idle"] == 1
    await client.send(b"get a\r\n")
    assert await upstream.receive(7) == b"get a\r\n"
    await upstream.send(b"END\r\n")
    assert await client.receive(5) == b"END\r\n"


@in_reactor
async def test_one_that_is_done_before_its_turn_is_not_waited_for(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="memcache")
    client = await pool.connect()
    await client.send(b"get a\r\n")
    upstream = await target.accept()
    assert await upstream.receive(7) == b"get a\r\n"
    for _ in range(3):
        await client.send(b"set a 0 0 1 noreply\r\n1\r\n")
        assert await upstream.receive(24) == b"set a 0 0 1 noreply\r\n1\r\n"
    client.finish()
    await settle()
    await upstream.send(b"END\r\n")
    assert await client.read_all() == b"END\r\n"
    assert (await pool.record()).outcome is Outcome.COMPLETED


WRITE = b"set a 0 0 1 noreply\r\n1\r\n"
FENCE = b"version\r\n"


@pytest.mark.parametrize("is_async", [False, True])
@in_reactor
async def test_a_client_sees_what_it_has_written_without_a_reply(
    start_pool: StartPool, net: Net, is_async: bool
) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="memcache", mode="funnel", async_=is_async)
    [client] = await clients(pool, 1)
    await client.send(WRITE)
    upstream = await target.accept()
    assert await upstream.receive(len(WRITE + FENCE)) == WRITE + FENCE
    await client.send(b"get a\r\n")
    await settle()
    # Never on another connection, which the server may read first.
    assert await target.is_left_alone()
    assert upstream.has_something() is is_async
    for part in (b"VERS", b"ION 1.6", b".18\r\n"):
        await upstream.send(part)
        assert await is_silent(client)
    assert await upstream.receive(7) == b"get a\r\n"
    await upstream.send(b"END\r\n")
    assert await client.receive(5) == b"END\r\n"
    client.finish()
    assert await client.read_all() == b""
    assert (await pool.record()).outcome is Outcome.COMPLETED


@in_reactor
async def test_a_reply_does_not_wait_for_a_write_that_came_with_it(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="memcache", mode="funnel")
    [client] = await clients(pool, 1)
    await client.send(b"get b\r\n" + WRITE)
    upstream = await target.accept()
    assert await upstream.receive(7 + len(WRITE + FENCE)) == b"get b\r\n" + WRITE + FENCE
    await upstream.send(b"END\r\n")
    assert await client.receive(5) == b"END\r\n"
    await client.send(b"get a\r\n")
    assert await is_silent(upstream)
    assert await target.is_left_alone()
    await upstream.send(b"VERSION 1\r\n")
    assert await upstream.receive(7) == b"get a\r\n"
    await upstream.send(b"END\r\n")
    assert await client.receive(5) == b"END\r\n"


@pytest.mark.parametrize("before", [b"", b"get b\r\n"])
@in_reactor
async def test_an_upstream_that_closes_after_a_write_without_a_reply_fails_nobody(
    start_pool: StartPool, net: Net, before: bytes
) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="memcache", mode="funnel", async_=True)
    [client] = await clients(pool, 1)
    await client.send(before + WRITE)
    upstream = await target.accept()
    assert await upstream.receive(len(before + WRITE + FENCE)) == before + WRITE + FENCE
    if before:
        await upstream.send(b"END\r\n")
        assert await client.receive(5) == b"END\r\n"
    upstream.close()
    await settle()
    await client.send(b"get a\r\n")
    upstream = await target.accept()
    assert await upstream.receive(7) == b"get a\r\n"
    await upstream.send(b"END\r\n")
    assert await client.receive(5) == b"END\r\n"


@in_reactor
async def test_a_client_that_leaves_after_a_write_without_a_reply_leaves_its_upstream_of_use(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="memcache", mode="funnel")
    first, other = await clients(pool, 2)
    await first.send(WRITE)
    upstream = await target.accept()
    assert await upstream.receive(len(WRITE + FENCE)) == WRITE + FENCE
    first.reset()
    await until(lambda: pool.service.leases.clients == 1, "the client to be gone")
    await upstream.send(b"VERSION 1\r\n")
    await until(lambda: state(pool)["sv_idle"] == 1, "the upstream to be idle")
    await other.send(b"get a\r\n")
    assert await upstream.receive(7) == b"get a\r\n"
    await upstream.send(b"END\r\n")
    assert await other.receive(5) == b"END\r\n"
