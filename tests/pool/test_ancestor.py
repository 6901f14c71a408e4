"""One test for each numbered defect of the pool's ancestor, which this one must not have."""

from __future__ import annotations

from typing import Any

import pytest

from proxymux.errors import ConfigError
from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import Net, Peer, in_reactor, noise, settle
from tests.services.pools import GAP, asked, clients, is_silent, opened, pass_time, serves, waits

MODES = [("proxy", 2), ("fifo", 1), ("funnel", 2)]
SIZES = [65_536, 65_537, 262_144, 1_048_576]


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def length(body: bytes) -> bytes:
    """A message of the codec ``length:4``."""
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(("mode", "count"), MODES)
@pytest.mark.parametrize("is_idle", [True, False])
@in_reactor
async def test_1_a_client_that_resets_ends_nobody_else(
    start_pool: StartPool, net: Net, mode: str, count: int, is_idle: bool
) -> None:
    target = net.upstream()
    pool = start_pool(*[target] * count, mode=mode, codec="line")
    if is_idle:
        (await pool.connect()).reset()
        await pool.ended(1)
        await settle()
        while (connection := target._accept_now()) is not None:
            connection.close()  # it was connected for the one that has gone
    else:
        client, upstream = await asked(pool, target)
        client.reset()
        await pool.ended(1)
        upstream.close()
        await settle()
    await serves(pool, target)


@pytest.mark.parametrize(("mode", "count"), MODES)
@in_reactor
async def test_2_a_target_that_is_down_ends_clients_and_not_the_pool(
    start_pool: StartPool, net: Net, mode: str, count: int
) -> None:
    target = net.upstream(listens=False)
    pool = start_pool(*[target] * count, mode=mode, codec="line", warmup=True)
    client = await pool.connect()
    await client.send(b"ask\n")
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome == "unreachable"
    target.listen()
    await pass_time(pool, 2)
    await serves(pool, target)


@in_reactor
async def test_3_a_port_in_use_is_one_line(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target)
    with pytest.raises(ConfigError, match=r"--listen: .*Address already in use"):
        start_pool(target, listen=f"tcp:{pool.address.rpartition(':')[2]}:interface=127.0.0.1")
    assert (await pool.connect()) is not None


@pytest.mark.parametrize(("mode", "is_async"), [("proxy", False), ("funnel", True)])
@in_reactor
async def test_4_a_target_that_resets_ends_that_exchange_only(
    start_pool: StartPool, net: Net, mode: str, is_async: bool
) -> None:
    target = net.upstream()
    pool = start_pool(target, target, mode=mode, codec="line", async_=is_async)
    client, upstream = await asked(pool, target)
    upstream.reset()
    if mode == "funnel":
        assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome == "upstream_aborted"
    await serves(pool, target)


@pytest.mark.parametrize(("mode", "count"), MODES)
@in_reactor
async def test_5_listeners_that_raise_harm_nobody(start_pool: StartPool, net: Net, mode: str, count: int) -> None:
    target = net.upstream()
    pool = start_pool(*[target] * count, mode=mode, codec="line")

    async def connected(logger: Any, remote: Any) -> None:
        raise ValueError("rejected later")

    def request(logger: Any, data: bytes, response: Any) -> None:
        raise ValueError("thrown")

    pool.events.on("connected", connected)
    pool.events.on("request", request)
    await serves(pool, target)
    assert any("rejected later" in error for error in pool.errors)
    assert any("thrown" in error for error in pool.errors)
    pool.errors.clear()


@pytest.mark.parametrize("size", SIZES)
@in_reactor
async def test_6_a_reply_of_many_reads_is_whole_and_nobody_elses(start_pool: StartPool, net: Net, size: int) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="length:4")
    one, upstream = await asked(pool, target, length(b"one"))
    two = await pool.connect()
    await two.send(length(b"two"))
    data = noise(size)
    sending = upstream.send(length(data))
    await sending
    assert await one.receive(4 + size) == length(data)
    assert await upstream.receive(7) == length(b"two")
    await upstream.send(length(b"2"))
    assert await two.receive(5) == length(b"2")
    assert await is_silent(one, two)


@in_reactor
async def test_7_async_clients_get_each_their_own_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, mode="funnel", codec="line", async_=True)
    people = await clients(pool, 6)
    upstreams: list[Peer] = []
    for number, client in enumerate(people):
        await client.send(b"%d\n" % number)
        if number < 2:
            upstreams.append(await opened(pool, target))
    for upstream in upstreams:
        requests = (await upstream.receive(6)).splitlines()
        assert len(requests) == 3
        await upstream.send(b"".join(b"to %s\n" % request for request in requests))
    assert [await client.receive(5) for client in people] == [b"to %d\n" % number for number in range(6)]


@in_reactor
async def test_8_both_replies_to_a_pipeline_go_to_its_client(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    one, two = await clients(pool, 2)
    await one.send(b"A1\nA2\n")
    upstream = await opened(pool, target)
    await two.send(b"B\n")
    for request in (b"A1\n", b"A2\n", b"B\n"):
        assert await upstream.receive(len(request)) == request
        await upstream.send(b"to " + request)
    assert await one.receive(12) == b"to A1\nto A2\n"
    assert await two.receive(5) == b"to B\n"


@in_reactor
async def test_9_a_greeting_is_nobodys_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", request_timeout="5")
    client = await pool.connect()
    await client.send(b"ask\n")
    upstream = await target.accept()
    await upstream.send(b"welcome\n")
    await settle()
    pool.clock.advance(GAP)
    await settle()
    assert not client.has_something() or await client.read_all() == b""


@in_reactor
async def test_10_one_clients_replies_keep_their_order(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, mode="funnel", codec="line")
    client, upstream = await asked(pool, target, b"SLOW\n")
    await client.send(b"FAST\n")
    await settle()
    assert await is_silent(upstream)
    await upstream.send(b"slow\n")
    other = upstream
    assert await other.receive(5) == b"FAST\n"
    await other.send(b"fast\n")
    assert await client.receive(10) == b"slow\nfast\n"


@pytest.mark.parametrize("leaves", [Peer.close, Peer.reset])
@in_reactor
async def test_11_a_target_that_leaves_within_a_request_does_not_stop_fifo(
    start_pool: StartPool, net: Net, leaves: Any
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    leaves(upstream)
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome == "upstream_aborted"
    await serves(pool, target)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("mode", "count"), [("fifo", 1), ("funnel", 2)])
@in_reactor
async def test_12_large_requests_are_answered(
    start_pool: StartPool, net: Net, mode: str, count: int, size: int
) -> None:
    target = net.upstream()
    pool = start_pool(*[target] * count, mode=mode, codec="length:4")
    client = await pool.connect()
    request = length(noise(size))
    await client.send(request)
    upstream = await opened(pool, target)
    assert await upstream.receive(len(request)) == request
    await upstream.send(length(b"done"))
    assert await client.receive(8) == length(b"done")


@pytest.mark.parametrize("leaves", [True, False])
@in_reactor
async def test_13_a_request_without_a_reply_does_not_block_for_good(
    start_pool: StartPool, net: Net, leaves: bool
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", request_timeout="5")
    client, _ = await asked(pool, target)
    if leaves:
        client.reset()
    await pass_time(pool, 5.3)
    if not leaves:
        assert await client.read_all() == b""
        client.close()
    await pool.ended(1)
    await serves(pool, target)


@in_reactor
async def test_14_a_client_that_keeps_sending_starves_nobody(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    busy, upstream = await asked(pool, target, b"0\n")
    other = await pool.connect()
    for number in range(1, 5):
        await busy.send(b"%d\n" % number)
    await other.send(b"other\n")
    heard = [b"0"]
    while heard[-1] != b"other":
        await upstream.send(b"reply\n")
        request = b""
        while not request.endswith(b"\n"):
            request += await upstream.receive(1)
        heard.append(request.strip())
        assert len(heard) < 7
    await upstream.send(b"own\n")
    assert await other.receive(4) == b"own\n"


@in_reactor
async def test_15_a_client_that_does_not_read_blocks_nobody(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="length:4")
    lazy = await pool.connect(receive_buffer=4096)
    await lazy.send(length(b"much"))
    upstream = await opened(pool, target)
    assert await upstream.receive(8) == length(b"much")
    await upstream.send(length(noise(4_000_000)))
    other = await pool.connect()
    await other.send(length(b"little"))
    assert await upstream.receive(10) == length(b"little")
    await upstream.send(length(b"here"))
    assert await other.receive(8) == length(b"here")


@pytest.mark.parametrize("leaves", [Peer.close, Peer.reset, Peer.finish])
@in_reactor
async def test_16_proxy_mode_frees_the_slot_of_a_client_that_leaves(
    start_pool: StartPool, net: Net, leaves: Any
) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    client, upstream = await asked(pool, target)
    waiting = await pool.connect()
    await waits(pool, 1)
    leaves(client)
    if leaves is Peer.finish:
        assert await upstream.read_all() == b""
        await upstream.send(b"reply")
    upstream.close()
    if leaves is Peer.finish:
        assert await client.read_all() == b"reply"
    await waiting.send(b"next")
    upstream = await target.accept()
    assert await upstream.receive(4) == b"next"


@in_reactor
async def test_17_an_idle_pool_sends_at_once(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    for _ in range(20):
        await upstream.send(b"yes\n")
        assert await client.receive(4) == b"yes\n"
        await client.send(b"again\n")
        assert await upstream.receive(6) == b"again\n"  # and the clock stands still


@pytest.mark.parametrize("count", [2, 4, 8, 16])
@in_reactor
async def test_18_a_cold_start_opens_no_more_upstreams_than_targets(
    start_pool: StartPool, net: Net, count: int
) -> None:
    target = net.upstream()
    pool = start_pool(*[target] * count, mode="funnel", codec="line")
    people = await clients(pool, 2 * count)
    for client in people:
        await client.send(b"ask\n")
    upstreams = [await target.accept() for _ in range(count)]
    assert await target.is_left_alone()
    pool.clock.advance(GAP)
    for _ in range(2):
        for upstream in upstreams:
            assert await upstream.receive(4) == b"ask\n"
            await upstream.send(b"yes\n")
    assert {await client.receive(4) for client in people} == {b"yes\n"}
    assert await target.is_left_alone()


@in_reactor
async def test_19_requests_leave_no_listener_behind(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    heard: list[bytes] = []
    responses: list[bytes] = []

    def request(logger: Any, data: bytes, response: Any) -> None:
        heard.append(data)
        response.addCallback(responses.append)

    pool.events.on("request", request)
    client, upstream = await asked(pool, target, b"0")
    for number in range(1, 30):
        await upstream.send(b"yes")
        assert await client.receive(3) == b"yes"
        await client.send(b"%02d" % number)
        assert await upstream.receive(2) == b"%02d" % number
    assert len(heard) == 30
    assert responses == [b"yes"] * 29


@in_reactor
async def test_20_what_a_client_that_has_gone_had_queued_is_not_sent(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    _, upstream = await asked(pool, target)
    gone = await pool.connect()
    await gone.send(b"unwanted\n")
    await waits(pool, 1)
    gone.reset()
    await pool.ended(1)
    last = await pool.connect()
    await last.send(b"wanted\n")
    await settle()
    await upstream.send(b"yes\n")
    assert await upstream.receive(7) == b"wanted\n"


@in_reactor
async def test_21_queue_limit_queue_timeout_and_request_timeout_are_there(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", queue_limit="1", queue_timeout="3", request_timeout="5")
    first, _ = await asked(pool, target)
    late = await pool.connect()
    await late.send(b"late\n")
    await waits(pool, 1)
    over = await pool.connect()
    await over.send(b"over\n")
    assert await over.read_all() == b""
    over.close()
    await pool.ended(1)
    await pass_time(pool, 3.3)
    assert await late.read_all() == b""
    late.close()
    await pool.ended(2)
    await pass_time(pool, 2)
    assert await first.read_all() == b""
    first.close()
    outcomes = [record.outcome.value for record in await pool.ended(3)]
    assert outcomes == ["queue_full", "queue_timeout", "request_timeout"]
