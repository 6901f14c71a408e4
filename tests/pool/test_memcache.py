"""The pool with shared upstreams and memcached."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import Net, in_reactor
from tests.services.pools import clients, is_silent, state

LOGIN = b"set x 0 0 9\r\nuser pass\r\n"
UNAUTHENTICATED = b"CLIENT_ERROR unauthenticated\r\n"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@in_reactor
async def test_a_login_is_for_the_client_alone(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, target, codec="memcache", memcache_auth=True)
    one, two, stranger = await clients(pool, 3)
    await one.send(b"version\r\n")
    assert await one.receive(len(UNAUTHENTICATED)) == UNAUTHENTICATED
    for client in (one, two):
        await client.send(LOGIN + b"get a\r\n")
        own = await target.accept()
        assert await own.receive(len(LOGIN) + 7) == LOGIN + b"get a\r\n"
        await own.send(b"STORED\r\nEND\r\n")
        assert await client.receive(13) == b"STORED\r\nEND\r\n"
    await stranger.send(b"get a\r\n")
    assert await stranger.receive(len(UNAUTHENTICATED)) == UNAUTHENTICATED
    # One slot is always left; without a slot a login is refused, never shared.
    await stranger.send(LOGIN)
    assert (await stranger.receive(12)) == b"SERVER_ERROR"
    assert await target.is_left_alone()
    assert state(pool)["sv_active"] == 2


@in_reactor
async def test_an_unknown_command_is_answered_in_its_turn_and_the_client_goes_on(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="memcache")
    [client] = await clients(pool, 1)
    await client.send(b"get a\r\nbogus command\r\nget\r\nget b\r\n")
    upstream = await target.accept()
    assert await upstream.receive(7) == b"get a\r\n"
    await upstream.send(b"END\r\n")
    errors = b"ERROR\r\nCLIENT_ERROR bad command line format\r\n"
    assert await client.receive(5 + len(errors)) == b"END\r\n" + errors
    assert await upstream.receive(7) == b"get b\r\n"
    assert await is_silent(client)
    await upstream.send(b"END\r\n")
    assert await client.receive(5) == b"END\r\n"


@in_reactor
async def test_the_binary_protocol_is_refused_at_once_with_a_line_in_the_log(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="memcache")
    [client] = await clients(pool, 1)
    await client.send(b"\x80")
    assert await client.read_all() == b""
    client.close()
    record = await pool.record()
    assert record.outcome is Outcome.PROTOCOL_ERROR
    assert "binary protocol" in str(record.reason)
    [line] = [line for level, line in pool.lines if "binary protocol" in line]
    assert line.startswith("127.0.0.1:")
    assert await target.is_left_alone()
