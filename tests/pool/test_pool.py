"""The pool with shared upstreams: who gets which reply, in which order."""

from __future__ import annotations

import pytest

from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import MEGABYTE, Net, Peer, in_reactor, noise, settle, together
from tests.services.pools import clients, is_silent, opened, state, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# FIFO


@in_reactor
async def test_fifo_serves_one_request_after_the_other_and_each_gets_its_own_reply(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    people = await clients(pool, 3)
    await people[0].send(b"request 1\n")
    upstream = await opened(pool, target)
    for number, client in enumerate(people[1:], 2):
        await client.send(b"request %d\n" % number)
        await waits(pool, number - 1)
    for number, client in enumerate(people, 1):
        assert await upstream.receive(10) == b"request %d\n" % number
        assert await is_silent(upstream)
        await upstream.send(b"reply %d\n" % number)
        assert await client.receive(8) == b"reply %d\n" % number
    assert await target.is_left_alone()
    assert await is_silent(*people)


@in_reactor
async def test_fifo_serves_requests_in_the_order_in_which_they_came_whosever_they_are(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    one, two = await clients(pool, 2)
    await one.send(b"1\n2\n")
    upstream = await opened(pool, target)
    await two.send(b"3\n")
    await waits(pool, 1)
    await one.send(b"4\n")
    await settle()
    for number in (b"1", b"2", b"3", b"4"):
        assert await upstream.receive(2) == number + b"\n"
        await upstream.send(b"to " + number + b"\n")
    assert await one.receive(15) == b"to 1\nto 2\nto 4\n"
    assert await two.receive(5) == b"to 3\n"


@in_reactor
async def test_fifo_sends_redis_the_next_request_before_the_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    people = await clients(pool, 3)
    for number, client in enumerate(people):
        await client.send(b"PING %d\r\n" % number)
        await settle()
    upstream = await target.accept()
    assert await upstream.receive(24) == b"PING 0\r\nPING 1\r\nPING 2\r\n"
    await upstream.send(b"+0\r\n+1\r\n+2")
    await upstream.send(b"\r\n")
    assert [await client.receive(4) for client in people] == [b"+0\r\n", b"+1\r\n", b"+2\r\n"]


@in_reactor
async def test_fifo_keeps_the_order_even_of_what_waits_for_the_upstream_to_be_there(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    pool = start_pool(target, codec="resp")
    one, two = await clients(pool, 2)
    for waiting, (client, word) in enumerate([(one, b"A"), (one, b"B"), (two, b"C"), (one, b"D")], 1):
        await client.send(word + b"\r\n")
        await waits(pool, waiting)
    leasing = pool.service.leases.leasing
    assert [unit.data for unit in leasing.queue] == [b"A\r\n", b"B\r\n", b"C\r\n", b"D\r\n"]


# Funnel


@in_reactor
async def test_funnel_has_one_request_outstanding_on_each_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="line")
    people = await clients(pool, 3)
    upstreams = []
    for number, client in enumerate(people[:2]):
        await client.send(b"%d\n" % number)
        upstreams.append(await opened(pool, target))
        assert await upstreams[-1].receive(2) == b"%d\n" % number
    await people[2].send(b"2\n")
    await waits(pool, 1)
    assert await is_silent(*upstreams)
    await upstreams[1].send(b"one\n")
    assert await people[1].receive(4) == b"one\n"
    assert await upstreams[1].receive(2) == b"2\n"
    await upstreams[0].send(b"zero\n")
    await upstreams[1].send(b"two\n")
    assert await people[0].receive(5) == b"zero\n"
    assert await people[2].receive(4) == b"two\n"
    assert await target.is_left_alone()


@in_reactor
async def test_funnel_never_has_more_upstreams_than_targets(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, target, codec="line")
    people = await clients(pool, 10)
    for client in people:
        await client.send(b"x\n")
    upstreams = [await opened(pool, target) for _ in range(3)]
    assert await target.is_left_alone()
    assert state(pool) | {"maxwait": 0} == {
        "cl_active": 3, "cl_waiting": 7, "sv_active": 3, "sv_idle": 0, "sv_login": 0, "maxwait": 0,
    }  # fmt: skip
    for _ in range(3):
        await together(*(upstream.receive(2) for upstream in upstreams))
        for upstream in upstreams:
            await upstream.send(b"y\n")
        await settle()
    assert await upstreams[0].receive(2) == b"x\n"
    await upstreams[0].send(b"y\n")
    assert await together(*(client.receive(2) for client in people)) == [b"y\n"] * 10


@in_reactor
async def test_funnel_keeps_the_order_of_one_clients_replies(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="line", warmup=True)
    upstreams = [await opened(pool, target) for _ in range(2)]
    [client] = await clients(pool, 1)
    await client.send(b"slow\nfast\n")
    await settle()
    slow, fast = sorted(upstreams, key=lambda each: not each.has_something())
    assert await slow.receive(5) == b"slow\n"
    assert await is_silent(fast)
    await slow.send(b"1\n")
    await settle()
    other = next(each for each in upstreams if each.has_something())
    assert await other.receive(5) == b"fast\n"
    await other.send(b"2\n")
    assert await client.receive(4) == b"1\n2\n"


@in_reactor
async def test_funnel_sends_what_one_client_has_pipelined_to_redis_at_once(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    one, two = await clients(pool, 2)
    await one.send(b"A\r\nB\r\nC\r\n")
    first = await target.accept()
    assert await first.receive(9) == b"A\r\nB\r\nC\r\n"
    await one.send(b"D\r\n")
    await two.send(b"E\r\n")
    second = await target.accept()
    assert await second.receive(3) == b"E\r\n"
    assert await is_silent(first)
    await first.send(b"+a\r\n+b\r\n")
    assert await one.receive(8) == b"+a\r\n+b\r\n"
    assert await is_silent(first)
    await first.send(b"+c\r\n")
    assert await first.receive(3) == b"D\r\n"
    await first.send(b"+d\r\n")
    await second.send(b"+e\r\n")
    assert await one.receive(8) == b"+c\r\n+d\r\n"
    assert await two.receive(4) == b"+e\r\n"


# Funnel, asynchronous


@in_reactor
async def test_async_requests_are_spread_over_all_upstreams_from_the_first_on(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp", async_=True)
    people = await clients(pool, 6)
    for client in people:
        await client.send(b"PING\r\n")
    upstreams = [await target.accept() for _ in range(2)]
    assert await together(*(upstream.receive(18) for upstream in upstreams)) == [b"PING\r\n" * 3] * 2
    for upstream in upstreams:
        await upstream.send(b"+a\r\n" * 3)
    assert await together(*(client.receive(4) for client in people)) == [b"+a\r\n"] * 6


@in_reactor
async def test_async_requests_follow_each_other_on_an_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="line", async_=True, warmup=True)
    upstreams = [await opened(pool, target) for _ in range(2)]
    people = await clients(pool, 4)
    for number, client in enumerate(people):
        await client.send(b"%d\n" % number)
        await settle()
    first, second = [await upstream.receive(4) for upstream in upstreams]
    assert sorted([first, second]) == [b"0\n2\n", b"1\n3\n"]
    for upstream, got in zip(upstreams, (first, second), strict=True):
        await upstream.send(got)
    assert [await client.receive(2) for client in people] == [b"0\n", b"1\n", b"2\n", b"3\n"]


@in_reactor
async def test_async_one_clients_requests_stay_on_one_upstream(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="line", async_=True, warmup=True)
    upstreams = [await opened(pool, target) for _ in range(2)]
    [client] = await clients(pool, 1)
    for number in range(5):
        await client.send(b"%d\n" % number)
        await settle()
    [upstream] = [each for each in upstreams if each.has_something()]
    assert await upstream.receive(10) == b"0\n1\n2\n3\n4\n"
    await upstream.send(b"a\nb\nc\nd\ne\n")
    assert await client.receive(10) == b"a\nb\nc\nd\ne\n"


# Whole messages


@pytest.mark.parametrize("mode", ["fifo", "funnel"])
@in_reactor
async def test_a_request_occupies_an_upstream_only_once_it_is_whole(start_pool: StartPool, net: Net, mode: str) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", mode=mode)
    slow, quick = await clients(pool, 2)
    await slow.send(b"half of a ")
    await settle()
    await quick.send(b"quick\n")
    upstream = await opened(pool, target)
    assert await upstream.receive(6) == b"quick\n"
    await upstream.send(b"yes\n")
    assert await quick.receive(4) == b"yes\n"
    await slow.send(b"request\n")
    assert await upstream.receive(18) == b"half of a request\n"


@in_reactor
async def test_messages_of_any_split_are_whole(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    [client] = await clients(pool, 1)
    request = b"*2\r\n$3\r\nGET\r\n$2\r\nab\r\n"
    await client.send_bytewise(request * 2)
    upstream = await target.accept()
    assert await upstream.receive(2 * len(request)) == request * 2
    await upstream.send_bytewise(b"$3\r\nabc\r\n*1\r\n:1\r\n")
    assert await client.receive(17) == b"$3\r\nabc\r\n*1\r\n:1\r\n"


@pytest.mark.parametrize("mode", ["fifo", "funnel"])
@in_reactor
async def test_messages_of_any_size_are_whole(start_pool: StartPool, net: Net, mode: str) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="length:4", mode=mode)
    people = await clients(pool, 3)

    def message(size: int, seed: str) -> bytes:
        return size.to_bytes(4, "big") + noise(size, seed)

    sizes = (5 * MEGABYTE, 65536 - 4, 0)
    asking = [client.send(message(size, f"to {size}")) for client, size in zip(people, sizes, strict=True)]

    async def serve() -> None:
        upstream = await target.accept()
        for _ in sizes:
            head = await upstream.receive(4)
            size = int.from_bytes(head, "big")
            assert await upstream.receive(size) == noise(size, f"to {size}")
            await upstream.send(message(size, f"from {size}"))

    async def heard(client: Peer, size: int) -> bool:
        return await client.receive(size + 4) == message(size, f"from {size}")

    hearing = [heard(client, size) for client, size in zip(people, sizes, strict=True)]
    assert (await together(serve(), *asking, *hearing))[4:] == [True] * 3


@in_reactor
async def test_replies_are_passed_on_as_they_come(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="length:1")
    [client] = await clients(pool, 1)
    await client.send(b"\1x")
    upstream = await target.accept()
    await upstream.receive(2)
    await upstream.send(b"\5abc")
    assert await client.receive(4) == b"\5abc"
    await upstream.send(b"de")
    assert await client.receive(2) == b"de"
