"""The pool with shared upstreams: requests that are sent once more, as their upstream has closed without a reply."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, Peer, Upstream, as_time_passes, in_reactor, settle, together
from tests.services.pools import clients, pass_time, waits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
REPLY = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def kept_alive(pool: Running, target: Upstream) -> tuple[Peer, Peer]:
    """A client and an upstream that has answered it once."""
    client = await pool.connect()
    await client.send(GET)
    upstream = await target.accept()
    await upstream.receive(len(GET))
    await upstream.send(REPLY)
    await client.receive(len(REPLY))
    return client, upstream


@pytest.mark.parametrize("abruptly", [False, True])
@in_reactor
async def test_an_idempotent_request_is_sent_on_a_fresh_connection(
    start_pool: StartPool, net: Net, abruptly: bool
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client, upstream = await kept_alive(pool, target)
    await client.send(GET)
    assert await upstream.receive(len(GET)) == GET
    upstream.reset() if abruptly else upstream.close()
    upstream = await target.accept()
    assert await upstream.receive(len(GET)) == GET
    await upstream.send(REPLY)
    assert await client.receive(len(REPLY)) == REPLY
    await client.send(GET)
    assert await upstream.receive(len(GET)) == GET, "all goes on"


@in_reactor
async def test_it_is_repeated_once(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client = await pool.connect()
    await client.send(GET)
    for _ in range(2):
        upstream = await target.accept()
        assert await upstream.receive(len(GET)) == GET
        upstream.close()
    assert (await client.read_all()).startswith(b"HTTP/1.1 503 ")
    client.close()
    assert (await pool.record()).outcome is Outcome.UPSTREAM_ABORTED
    assert await target.is_left_alone()


@pytest.mark.parametrize("what", ["a POST", "the option", "a byte of the reply"])
@in_reactor
async def test_it_is_not_repeated(start_pool: StartPool, net: Net, what: str) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http", retry_idempotent="off" if what == "the option" else "on")
    client, upstream = await kept_alive(pool, target)
    request = POST if what == "a POST" else GET
    await client.send(request)
    assert await upstream.receive(len(request)) == request
    if what == "a byte of the reply":
        await upstream.send(b"H")
        assert await client.receive(1) == b"H"
    upstream.close()
    await settle()
    assert await target.is_left_alone()
    if what == "a byte of the reply":
        assert await as_time_passes(pool.clock, client.read_until_reset()) == b""  # once the byte was acknowledged
    else:
        assert (await client.read_all()).startswith(b"HTTP/1.1 503 ")


@in_reactor
async def test_it_is_not_repeated_after_a_timeout(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http", request_timeout=1)
    client = await pool.connect()
    await client.send(GET)
    upstream = await target.accept()
    await upstream.receive(len(GET))
    await pass_time(pool, 1.2)
    assert (await client.read_all()).startswith(b"HTTP/1.1 503 ")
    client.close()
    assert (await pool.record()).outcome is Outcome.REQUEST_TIMEOUT
    assert await target.is_left_alone()


@in_reactor
async def test_of_a_client_that_has_left_nothing_is_repeated(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client = await pool.connect()
    await client.send(GET)
    upstream = await target.accept()
    await upstream.receive(len(GET))
    client.reset()
    await pool.record()
    upstream.close()
    assert await target.is_left_alone()


@in_reactor
async def test_listeners_are_told_of_it_once(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    told: list[bytes] = []
    replies: list[bytes] = []

    def request(logger: object, data: bytes, response: Deferred[bytes]) -> None:
        told.append(data)
        response.addCallback(replies.append)

    pool.events.on("request", request)
    client = await pool.connect()
    await client.send(GET)
    upstream = await target.accept()
    await upstream.receive(len(GET))
    upstream.close()
    upstream = await target.accept()
    await upstream.receive(len(GET))
    assert (told, replies) == ([GET], [])
    await upstream.send(REPLY)
    await client.receive(len(REPLY))
    assert (told, replies) == ([GET], [REPLY])


@pytest.mark.parametrize(
    ("codec", "reads", "write"),
    [("resp", b"GET %d\r\n", b"INCR a\r\n"), ("memcache", b"get %d\r\n", b"incr a 1\r\n")],
)
@in_reactor
async def test_fifo_reads_are_repeated_in_their_order_and_writes_fail(
    start_pool: StartPool, net: Net, codec: str, reads: bytes, write: bytes
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec=codec, mode="fifo")
    first, writer, second = await clients(pool, 3)
    await first.send(reads % 1)
    upstream = await target.accept()
    assert await upstream.receive(len(reads % 1)) == reads % 1
    for client, request in ((writer, write), (second, reads % 2)):
        await client.send(request)
        assert await upstream.receive(len(request)) == request
    upstream.reset()
    assert b"ERR" in await writer.read_all()
    upstream = await target.accept()
    both = reads % 1 + reads % 2
    assert await upstream.receive(len(both)) == both
    reply = b"END\r\n" if codec == "memcache" else b"$-1\r\n"
    await upstream.send(2 * reply)
    assert await together(first.receive(5), second.receive(5)) == [reply] * 2


@in_reactor
async def test_another_slot_will_do(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="http", warmup=True)
    upstreams = [await target.accept() for _ in range(2)]
    await settle()
    client = await pool.connect()
    await client.send(GET)
    await settle()
    asked, other = sorted(upstreams, key=lambda each: not each.has_something())
    await asked.receive(len(GET))
    asked.close()
    assert await other.receive(len(GET)) == GET
    await other.send(REPLY)
    assert await client.receive(len(REPLY)) == REPLY


@in_reactor
async def test_where_the_target_is_down_the_client_is_told_so(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client, other = await clients(pool, 2)
    await client.send(GET)
    upstream = await target.accept()
    await upstream.receive(len(GET))
    await other.send(POST)
    await waits(pool, 1)
    target.close()
    upstream.close()
    for each in (client, other):
        assert b"no target can be connected to" in await each.read_all()
        each.close()
    assert {record.outcome for record in await pool.ended(2)} == {Outcome.UNREACHABLE}
