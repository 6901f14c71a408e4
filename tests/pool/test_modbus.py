"""The pool with shared upstreams and Modbus TCP."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, Peer, Upstream, in_reactor
from tests.services.pools import clients, is_silent, pass_time, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def message(transaction: bytes, unit: int, body: bytes) -> bytes:
    return transaction + b"\0\0" + (len(body) + 1).to_bytes(2, "big") + bytes((unit,)) + body


def read(transaction: bytes, unit: int = 1) -> bytes:
    """A request for a register."""
    return message(transaction, unit, b"\3\0\0\0\1")


def value(transaction: bytes, unit: int, register: bytes) -> bytes:
    """The reply to it."""
    return message(transaction, unit, b"\3\2" + register)


async def asked(pool: Running, target: Upstream, request: bytes) -> tuple[Peer, Peer, bytes]:
    """A client, the new upstream that has its request, and the id that the request has there."""
    [client] = await clients(pool, 1)
    await client.send(request)
    upstream = await target.accept()
    sent = await upstream.receive(len(request))
    assert sent[2:] == request[2:]
    return client, upstream, sent[:2]


@in_reactor
async def test_equal_ids_of_two_clients_do_not_meet(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="modbus", async_=True, mode="funnel")
    one, two = await clients(pool, 2)
    await one.send(read(b"\0\7") + read(b"\0\7", 2))
    first = await target.accept()
    sent = await first.receive(24)
    ids = [sent[:2], sent[12:14]]
    assert sent == read(ids[0]) + read(ids[1], 2)
    assert len(set(ids)) == 2
    await two.send(read(b"\0\7", 3))
    upstream = await target.accept() if await is_silent(first) else first
    other = (await upstream.receive(12))[:2]
    replies = value(ids[0], 1, b"aa") + value(ids[1], 2, b"bb")
    await first.send(replies[:9])
    assert await is_silent(one)
    await first.send(replies[9:])
    assert await one.receive(22) == value(b"\0\7", 1, b"aa") + value(b"\0\7", 2, b"bb")
    await upstream.send(value(other, 3, b"cc"))
    assert await two.receive(11) == value(b"\0\7", 3, b"cc")


@pytest.mark.parametrize(
    "late",
    [
        value(b"\0\1", 1, b"xx"),  # of the request that was given up
        message(b"\0\2", 1, b"\4\2xx"),  # of another function
        message(b"\0\2", 9, b"\3\2xx"),  # of another unit
        message(b"\0\7", 2, b"\3\2xx"),  # with the client's own id
    ],
)
@in_reactor
async def test_a_late_reply_reaches_no_client_and_closes_its_slot(start_pool: StartPool, net: Net, late: bytes) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="modbus")
    client, upstream, _ = await asked(pool, target, read(b"\0\7"))
    await upstream.send(value(b"\0\1", 1, b"aa"))
    assert await client.receive(11) == value(b"\0\7", 1, b"aa")
    await client.send(read(b"\0\7", 2))
    assert await upstream.receive(12) == read(b"\0\2", 2)
    await upstream.send(late)
    assert await client.read_all() == message(b"\0\7", 2, b"\x83\x0b")
    await upstream.send_until_broken()
    client.close()
    assert (await pool.record()).outcome is Outcome.UPSTREAM_ABORTED


@in_reactor
async def test_a_device_that_does_not_answer_is_an_exception_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="modbus", request_timeout=1)
    client, upstream, _ = await asked(pool, target, read(b"\x12\x34", 5))
    other = await pool.connect()
    await other.send(read(b"\0\1"))
    await waits(pool, 1)
    await pass_time(pool, 1.3)
    assert await client.read_all() == message(b"\x12\x34", 5, b"\x83\x0b")
    await upstream.send_until_broken()
    again = await target.accept()
    assert await again.receive(12) == read(b"\0\1")
    await again.send(value(b"\0\1", 1, b"ok"))
    assert await other.receive(11) == value(b"\0\1", 1, b"ok")
