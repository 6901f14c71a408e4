"""The pool with shared upstreams: clients that wait, leave, or do not read."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import MEGABYTE, Net, in_reactor, settle, until
from tests.services.pools import asked, clients, is_silent, opened, pass_time, state, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Waiting


@in_reactor
async def test_a_request_over_the_queues_limit_is_refused(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", mode="funnel", queue_limit=2)
    people = await clients(pool, 4)
    await people[0].send(b"A\r\n")
    upstream = await target.accept()
    await upstream.receive(3)
    for number, client in enumerate(people[1:3], 1):
        await client.send(b"A\r\n")
        await waits(pool, number)
    await people[3].send(b"A\r\n")
    assert await people[3].read_all() == b"-ERR more than 2 wait (--queue-limit)\r\n"
    people[3].close()
    assert (await pool.record()).outcome is Outcome.QUEUE_FULL
    assert state(pool)["cl_waiting"] == 2
    for client in people[:3]:
        await upstream.send(b"+a\r\n")
        assert await client.receive(4) == b"+a\r\n"
        await settle()


@in_reactor
async def test_a_request_that_waits_too_long_is_refused(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", queue_timeout=3)
    client, upstream = await asked(pool, target)
    other = await pool.connect()
    await other.send(b"other\n")
    await waits(pool, 1)
    await pass_time(pool, 2.8)
    assert 2.7 < state(pool)["maxwait"] < 3
    await pass_time(pool, 0.4)
    assert await other.read_all() == b""
    other.close()
    record = await pool.record()
    assert (record.outcome, record.reason) == (Outcome.QUEUE_TIMEOUT, "waited 3 s (--queue-timeout)")
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
    assert await is_silent(upstream)


@in_reactor
async def test_an_error_reply_comes_after_the_replies_before_it(start_pool: StartPool, net: Net) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    pool = start_pool(target, codec="resp", queue_timeout=1, queue_limit=3)
    client = await pool.connect()
    for number, word in enumerate((b"A", b"B"), 1):
        await client.send(word + b"\r\n")
        await waits(pool, number)
    await pass_time(pool, 1.2)
    assert await client.read_all() == b"-ERR waited 1 s (--queue-timeout)\r\n"


# Clients that go


@in_reactor
async def test_a_client_that_has_finished_gets_all_its_replies(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client = await pool.connect()
    await client.send(b"1\n2\n3\n")
    client.finish()
    upstream = await opened(pool, target)
    for number in (b"1", b"2", b"3"):
        assert await upstream.receive(2) == number + b"\n"
        await upstream.send(b"to " + number + b"\n")
    assert await client.read_all() == b"to 1\nto 2\nto 3\n"
    record = await pool.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == (Outcome.COMPLETED, 6, 15)


@in_reactor
async def test_a_client_that_finishes_within_a_request_gets_the_replies_before_it(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client = await pool.connect()
    await client.send(b"1\nhalf")
    client.finish()
    upstream = await opened(pool, target)
    assert await upstream.receive(2) == b"1\n"
    await upstream.send(b"reply\n")
    assert await client.read_all() == b"reply\n"
    client.close()
    assert (await pool.record()).outcome is Outcome.PROTOCOL_ERROR
    assert await is_silent(upstream)


@in_reactor
async def test_a_client_without_a_request_may_leave(start_pool: StartPool, net: Net) -> None:
    pool = start_pool(net.upstream(), codec="line")
    client = await pool.connect()
    client.finish()
    assert await client.read_all() == b""
    assert (await pool.record()).outcome is Outcome.COMPLETED


@in_reactor
async def test_the_queued_request_of_a_client_that_has_reset_is_not_sent(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    gone, other = [await pool.connect() for _ in range(2)]
    await gone.send(b"gone\n")
    await waits(pool, 1)
    await other.send(b"other\n")
    await waits(pool, 2)
    gone.reset()
    await has_aborted(pool)
    await waits(pool, 1)
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
    assert await upstream.receive(6) == b"other\n"


async def has_aborted(pool: Running) -> None:
    assert (await pool.record()).outcome is Outcome.CLIENT_ABORTED


@in_reactor
async def test_the_reply_to_a_client_that_has_reset_is_given_to_nobody(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    gone, upstream = await asked(pool, target)
    other = await pool.connect()
    await other.send(b"other\n")
    await waits(pool, 1)
    gone.reset()
    await has_aborted(pool)
    await upstream.send(b"for who")
    await settle()
    await upstream.send(b" has gone\n")
    assert await upstream.receive(6) == b"other\n"
    await upstream.send(b"own\n")
    assert await other.receive(4) == b"own\n"
    assert await target.is_left_alone()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("codec", "request_", "begin"),
    [
        ("http", GET, CHUNKED),
        ("http", GET, b"HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        ("http", GET, b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n"),
        ("resp", b"GET a\r\n", b"$65537\r\nab"),
        ("resp", b"LRANGE a 0 -1\r\n", b"*30000\r\n$2\r\nab\r\n"),
        ("memcache", b"get a\r\n", b"VALUE a 0 65537\r\nab"),
        ("length:4", b"\0\0\0\1a", b"\0\1\0\2b"),
    ],
)
@in_reactor
async def test_the_slot_of_a_client_that_left_is_closed_if_much_of_its_reply_is_to_come(
    start_pool: StartPool, net: Net, codec: str, request_: bytes, begin: bytes
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec=codec, mode="funnel")
    gone, other = await clients(pool, 2)
    await gone.send(request_)
    upstream = await target.accept()
    await upstream.receive(len(request_))
    await upstream.send(begin)
    await gone.receive(len(begin))
    await other.send(request_)
    await waits(pool, 1)
    gone.reset()
    await has_aborted(pool)
    assert await upstream.read_until_reset() == b""
    assert await (await target.accept()).receive(len(request_)) == request_


@in_reactor
async def test_a_long_reply_that_begins_after_its_client_has_left_closes_the_slot(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    gone, other = await clients(pool, 2)
    await gone.send(GET)
    upstream = await target.accept()
    await upstream.receive(len(GET))
    gone.reset()
    await has_aborted(pool)
    await other.send(GET)
    await waits(pool, 1)
    await upstream.send(CHUNKED)
    assert await upstream.read_until_reset() == b""
    assert await (await target.accept()).receive(len(GET)) == GET


@in_reactor
async def test_a_long_reply_without_a_client_does_not_cost_others_what_they_have_sent_on_its_slot(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", mode="fifo")
    gone, other = await clients(pool, 2)
    await gone.send(b"GET a\r\n")
    upstream = await target.accept()
    await upstream.receive(7)
    await upstream.send(b"$200000\r\n")
    await gone.receive(9)
    await other.send(b"INCR b\r\n")
    assert await upstream.receive(8) == b"INCR b\r\n"
    gone.reset()
    await has_aborted(pool)
    await upstream.send(bytes(200000) + b"\r\n:1\r\n")
    assert await other.receive(4) == b":1\r\n"


@in_reactor
async def test_the_small_rest_of_a_reply_to_a_client_that_left_is_dropped(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    gone, other = await clients(pool, 2)
    await gone.send(GET)
    upstream = await target.accept()
    await upstream.receive(len(GET))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n"
    await upstream.send(head)
    await gone.receive(len(head))
    gone.reset()
    await has_aborted(pool)
    await other.send(GET)
    await waits(pool, 1)
    await upstream.send(bytes(65536))
    assert await upstream.receive(len(GET)) == GET


# Slow ones


@in_reactor
async def test_a_client_that_does_not_read_is_suspended_and_holds_nobody_up(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    size = 60_000
    slow = await pool.connect(receive_buffer=4096)
    quick = await pool.connect()
    await slow.send(b"slow\n" * 3000)
    upstream = await opened(pool, target)
    served = 0
    while True:
        await settle()
        if not upstream.has_something():
            break
        assert await upstream.receive(5) == b"slow\n"
        await upstream.send(bytes(size - 1) + b"\n")
        served += 1
        assert served < 300, "it is sent one reply after the other"
    await quick.send(b"quick\n")
    assert await upstream.receive(6) == b"quick\n"
    await upstream.send(b"yes\n")
    assert await quick.receive(4) == b"yes\n"
    for _ in range(3):
        assert (await slow.receive(size))[-1:] == b"\n"
    for _ in range(served - 3):
        await slow.receive(size)
    assert await upstream.receive(5) == b"slow\n"


@in_reactor
async def test_a_large_reply_to_a_client_that_does_not_read_frees_the_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="length:4")
    slow = await pool.connect(receive_buffer=4096)
    quick = await pool.connect()
    await slow.send(b"\0\0\0\1a")
    upstream = await target.accept()
    await upstream.receive(5)
    size = 32 * MEGABYTE
    await upstream.send(size.to_bytes(4, "big") + bytes(size))
    await quick.send(b"\0\0\0\1b")
    assert await upstream.receive(5) == b"\0\0\0\1b"
    await upstream.send(b"\0\0\0\1c")
    assert await quick.receive(5) == b"\0\0\0\1c"
    assert await slow.receive(size + 4) == size.to_bytes(4, "big") + bytes(size)


@in_reactor
async def test_an_upstream_that_does_not_read_holds_up_only_who_uses_it(start_pool: StartPool, net: Net) -> None:
    stuck, good = net.upstream(receive_buffer=4096), net.upstream()
    pool = start_pool(stuck, good, codec="length:4", async_=True)
    large, *others = await clients(pool, 4)
    size = 16 * MEGABYTE
    sending = large.send(size.to_bytes(4, "big") + bytes(size))
    await sending
    await until(lambda: pool.service.leases.leasing.slots[0].is_blocked, "the upstream to be blocked")
    for client in others:
        await client.send(b"\0\0\0\1b")
    upstream = await good.accept()
    assert await upstream.receive(15) == b"\0\0\0\1b" * 3
    await upstream.send(b"\0\0\0\1c" * 3)
    for client in others:
        assert await client.receive(5) == b"\0\0\0\1c"


@in_reactor
async def test_what_an_upstream_did_not_take_at_first_is_whole_when_it_does(start_pool: StartPool, net: Net) -> None:
    target = net.upstream(receive_buffer=4096)
    pool = start_pool(target, codec="length:4")
    large, small = await clients(pool, 2)
    size = 16 * MEGABYTE
    message = size.to_bytes(4, "big") + bytes(size)
    await large.send(message)
    upstream = await target.accept()
    await until(lambda: pool.service.leases.leasing.slots[0].is_blocked, "the upstream to be blocked")
    await small.send(b"\0\0\0\1b")
    assert await upstream.receive(len(message)) == message
    await upstream.send(b"\0\0\0\1c")
    assert await large.receive(5) == b"\0\0\0\1c"
    assert await upstream.receive(5) == b"\0\0\0\1b"
