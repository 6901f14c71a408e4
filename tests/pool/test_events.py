"""Who listens to the events of a pool, and cannot harm it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from proxymux.core.outcome import Outcome
from proxymux.pool.response import RequestFailed
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, in_reactor, settle, until
from tests.services.pools import GAP, asked, clients, pass_time, serves, waits


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Listener:
    """Keeps the requests and what came of them: bytes, or the outcome of what failed."""

    def __init__(self, pool: Running) -> None:
        self.requests: list[bytes] = []
        self.replies: list[Any] = []
        pool.events.on("request", self)

    def __call__(self, logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        self.requests.append(data)
        response.addCallbacks(self.replies.append, lambda failure: self.replies.append(failure.value.outcome))


@in_reactor
async def test_connected_is_told_before_the_client_is_in_and_may_refuse_it(start_pool: StartPool, net: Net) -> None:
    told = []

    def connected(logger: Any, remote: Any) -> None:
        told.append(remote)
        if len(told) == 2:
            raise PermissionError("not you")

    target = net.upstream()
    pool = start_pool(target, codec="line")
    pool.events.on("connected", connected)
    first = await pool.connect()
    await until(lambda: told, "the event")
    refused = await pool.connect()
    assert await refused.read_all() == b""
    assert (await pool.record()).outcome is Outcome.REFUSED
    assert told[0] == "{}:{}".format(*first.address)
    await serves(pool, target)


@in_reactor
async def test_request_is_told_with_a_deferred_of_the_whole_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    listener = Listener(pool)
    client, upstream = await asked(pool, target)
    assert (listener.requests, listener.replies) == ([b"ask\n"], [])
    await upstream.send(b"the whole ")
    await settle()
    assert listener.replies == []
    await upstream.send(b"reply\n")
    assert await client.receive(16) == b"the whole reply\n"
    assert listener.replies == [b"the whole reply\n"]


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("upstream closes", Outcome.UPSTREAM_ABORTED),
        ("upstream resets", Outcome.UPSTREAM_ABORTED),
        ("reply is late", Outcome.REQUEST_TIMEOUT),
        ("upstream talks nonsense", Outcome.UPSTREAM_ABORTED),
    ],
)
@in_reactor
async def test_a_request_that_fails_is_told_as_well(
    start_pool: StartPool, net: Net, how: str, outcome: Outcome
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", request_timeout=1)
    listener = Listener(pool)
    client = await pool.connect()
    await client.send(b"A\r\n")
    upstream = await target.accept()
    await upstream.receive(3)
    if how == "upstream closes":
        upstream.close()
    elif how == "upstream resets":
        upstream.reset()
    elif how == "upstream talks nonsense":
        await upstream.send(b"nonsense\r\n")
    else:
        await pass_time(pool, 1.2)
    await client.read_all()
    assert listener.replies == [outcome]


@in_reactor
async def test_the_reply_to_a_client_that_has_gone_is_told_too(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    listener = Listener(pool)
    client, upstream = await asked(pool, target)
    client.reset()
    await pool.record()
    await upstream.send(b"reply\n")
    await until(lambda: listener.replies, "the reply")
    assert listener.replies == [b"reply\n"]


@in_reactor
async def test_nobody_waits_for_ever_when_the_service_stops(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    listener = Listener(pool)
    await asked(pool, target)
    await pool.stop()
    assert listener.replies == [Outcome.UPSTREAM_ABORTED]


@in_reactor
async def test_raw_replies_are_whole_as_well(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target)
    listener = Listener(pool)
    client, upstream = await asked(pool, target, b"request")
    for part in (b"one ", b"two"):
        await upstream.send(part)
        await client.receive(len(part))
        pool.clock.advance(GAP / 2)
    assert listener.replies == []
    pool.clock.advance(GAP)
    assert listener.replies == [b"one two"]


@in_reactor
async def test_listeners_that_raise_or_take_their_time_harm_nobody(start_pool: StartPool, net: Net) -> None:
    def raises(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        raise ZeroDivisionError("raises")

    def fails_later(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        def looks(reply: bytes) -> bytes:
            raise AttributeError("no_such_thing")

        response.addCallback(looks)

    def spoils(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        response.callback(b"what the upstream never said")

    def cancels(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        response.cancel()

    def is_slow(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        never: Deferred[bytes] = Deferred()
        response.addCallback(lambda _: never)

    async def waits_for_ever(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        await Deferred()

    async def fails_in_the_end(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        raise ValueError(await response)

    def leaves(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        raise SystemExit(3)

    target = net.upstream()
    pool = start_pool(target, codec="line")
    wrong = (raises, fails_later, spoils, cancels, is_slow, waits_for_ever, fails_in_the_end, leaves)
    for each in wrong:
        pool.events.on("request", each)
    listener = Listener(pool)
    client, upstream = await asked(pool, target)
    for _ in range(2):
        await upstream.send(b"reply\n")
        assert await client.receive(6) == b"reply\n"
        await client.send(b"ask\n")
        await upstream.receive(4)
    assert listener.replies == [b"reply\n"] * 2
    assert len([line for line in pool.errors if "ZeroDivisionError" in line]) == 3
    for kind in ("AttributeError", "ValueError", "SystemExit"):
        assert any(kind in line for line in pool.errors)


@in_reactor
async def test_a_listener_that_awaits_a_failure_is_told_why(start_pool: StartPool, net: Net) -> None:
    told: list[RequestFailed] = []

    async def listen(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        try:
            await response
        except RequestFailed as failure:
            told.append(failure)

    target = net.upstream()
    pool = start_pool(target, codec="line")
    pool.events.on("request", listen)
    _, upstream = await asked(pool, target)
    upstream.close()
    await until(lambda: told, "the failure")
    assert str(told[0]) == "upstream_aborted: the upstream closed"
    assert pool.errors == []


@in_reactor
async def test_pipelined_requests_of_one_client_are_told_as_one(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    listener = Listener(pool)
    client = await pool.connect()
    await client.send(b"A\r\nB\r\n")
    upstream = await target.accept()
    await upstream.receive(6)
    await upstream.send(b"+a\r\n+b\r\n")
    await client.receive(8)
    assert (listener.requests, listener.replies) == ([b"A\r\nB\r\n"], [b"+a\r\n+b\r\n"])


@in_reactor
async def test_in_proxy_mode_what_looks_like_a_request_and_its_reply_is_told(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    listener = Listener(pool)
    [client] = await clients(pool, 1)
    upstream = await target.accept()
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    await client.send(b"ask")
    await upstream.receive(3)
    for part in (b"one ", b"two"):
        await upstream.send(part)
        await client.receive(len(part))
    assert (listener.requests, listener.replies) == ([b"ask"], [])
    pool.clock.advance(GAP)
    assert listener.replies == [b"one two"]
    await client.send(b"again")
    await upstream.receive(5)
    upstream.reset()
    await client.read_until_reset()
    assert (listener.requests[1:], listener.replies[1:]) == ([b"again"], [Outcome.UPSTREAM_ABORTED])


@in_reactor
async def test_in_proxy_mode_listeners_that_raise_harm_nobody(start_pool: StartPool, net: Net) -> None:
    def listen(logger: Any, data: bytes, response: Deferred[bytes]) -> None:
        response.addBoth(lambda _: 1 / 0)
        raise KeyError("raised")

    target = net.upstream()
    pool = start_pool(target, mode="proxy")
    pool.events.on("request", listen)
    [client] = await clients(pool, 1)
    upstream = await target.accept()
    await client.send(b"ask")
    assert await upstream.receive(3) == b"ask"
    await upstream.send(b"reply")
    assert await client.receive(5) == b"reply"
    client.reset()
    await upstream.read_until_reset()
    assert any("KeyError" in line for line in pool.errors)
    assert any("ZeroDivisionError" in line for line in pool.errors)


@in_reactor
async def test_a_failed_connect_and_the_end_are_told(start_pool: StartPool, net: Net) -> None:
    target = net.upstream(listens=False)
    pool = start_pool(target, codec="line")
    client = await pool.connect()
    await client.send(b"ask\n")
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.UNREACHABLE
    assert pool.failed_attempts == [(target.remote, "connection refused")]


@in_reactor
async def test_one_may_begin_to_listen_while_a_request_is_outstanding(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    other = await pool.connect()
    await other.send(b"other\n")
    await waits(pool, 1)
    listener = Listener(pool)
    for each in (client, other):
        await upstream.send(b"reply\n")
        await each.receive(6)
    assert (listener.requests, listener.replies) == ([b"other\n"], [b"reply\n"])
