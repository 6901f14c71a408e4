"""The pool with shared upstreams and HTTP."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, Peer, Upstream, in_reactor
from tests.services.pools import clients, is_silent, state, waits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def asked(pool: Running, target: Upstream, request: bytes = GET) -> tuple[Peer, Peer]:
    """A client and the new upstream that has its request."""
    [client] = await clients(pool, 1)
    await client.send(request)
    upstream = await target.accept()
    assert await upstream.receive(len(request)) == request
    return client, upstream


async def exchange(client: Peer, upstream: Peer, request: bytes = GET, reply: bytes = OK) -> None:
    """One request more on connections that are there."""
    await client.send(request)
    assert await upstream.receive(len(request)) == request
    await upstream.send(reply)
    assert await client.receive(len(reply)) == reply


@in_reactor
async def test_clients_and_upstreams_are_kept_alive(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="http")
    client, upstream = await asked(pool, target)
    await upstream.send(OK)
    assert await client.receive(len(OK)) == OK
    other = await pool.connect()
    for each in (client, other, client):
        await exchange(each, upstream)
    assert await target.is_left_alone()


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: x\r\n\r\n"),
        (GET, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", OK),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", OK),
    ],
)
@in_reactor
async def test_a_message_ends_where_its_head_says(
    start_pool: StartPool, net: Net, request_: bytes, reply: bytes
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client, upstream = await asked(pool, target, request_)
    await upstream.send(reply)
    assert await client.receive(len(reply)) == reply
    await exchange(client, upstream)


@in_reactor
async def test_pipelined_requests_are_sent_one_after_the_other(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    [client] = await clients(pool, 1)
    await client.send(GET * 3)
    upstream = await target.accept()
    for number in range(3):
        assert await upstream.receive(len(GET)) == GET
        assert await is_silent(upstream)
        await upstream.send(OK.replace(b"ok", b"k%d" % number))
    assert (await client.receive(3 * len(OK)))[-2:] == b"k2"


@in_reactor
async def test_a_reply_that_the_connections_end_ends_does_so_for_the_client_too(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client, upstream = await asked(pool, target)
    other = await pool.connect()
    await other.send(GET)
    await waits(pool, 1)
    await upstream.send(b"HTTP/1.1 200 OK\r\n\r\nall there is")
    assert await client.receive(31) == b"HTTP/1.1 200 OK\r\n\r\nall there is"
    assert await is_silent(client)
    upstream.close()
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.COMPLETED
    upstream = await target.accept()
    assert await upstream.receive(len(GET)) == GET


@in_reactor
async def test_an_upstream_that_says_that_it_closes_is_not_used_again(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client, upstream = await asked(pool, target)
    reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    await upstream.send(reply)
    assert await client.read_all() == reply
    assert state(pool)["sv_idle"] == 0
    await asked(pool, target)


@in_reactor
async def test_a_client_that_says_that_it_closes_is_closed_after_its_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    client, upstream = await asked(pool, target, request)
    await upstream.send(OK)
    assert await client.read_all() == OK
    client.close()
    assert (await pool.record()).outcome is Outcome.COMPLETED


@in_reactor
async def test_an_upgrade_gets_an_upstream_of_its_own(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="http")
    request = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    client, own = await asked(pool, target, request)
    await own.send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi")
    assert await client.receive(40) == b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi"
    await client.send(b"\x81\x82anything")
    assert await own.receive(10) == b"\x81\x82anything"
    other, shared = await asked(pool, target)
    await shared.send(OK)
    assert await other.receive(len(OK)) == OK
    assert await is_silent(own, client)


def signed(scheme: bytes, field: bytes = b"Authorization") -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n%b: %b TlRMTVNTUAAB\r\n\r\n" % (field, scheme)


@pytest.mark.parametrize("request_", [signed(b"NTLM"), signed(b"negotiate", b"proxy-authorization")])
@in_reactor
async def test_nobody_is_served_on_a_connection_that_another_has_authenticated(
    start_pool: StartPool, net: Net, request_: bytes
) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="http")
    known, own = await asked(pool, target, request_)
    await own.send(OK)
    assert await known.receive(len(OK)) == OK
    stranger, shared = await asked(pool, target)
    assert await is_silent(own)
    await shared.send(OK)
    assert await stranger.receive(len(OK)) == OK
    await exchange(known, own)
    known.close()
    assert await own.read_all() == b""
    own.close()
    await exchange(stranger, shared)


@in_reactor
async def test_who_was_asked_to_authenticate_a_connection_goes_on_on_one_of_its_own(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="http")
    challenge = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n"
    client, own = await asked(pool, target, GET)
    await client.send(GET)  # waits for the reply before it
    await own.send(challenge)
    assert await client.receive(len(challenge)) == challenge
    assert await own.receive(len(GET)) == GET
    other, shared = await asked(pool, target)
    await shared.send(OK)
    assert await other.receive(len(OK)) == OK
    await own.send(OK)
    assert await client.receive(len(OK)) == OK
    await exchange(other, shared)
    await exchange(client, own, signed(b"Negotiate"))
    client.close()
    assert await own.read_all() == b""
    own.close()


@in_reactor
async def test_who_was_asked_between_two_requests_does_so_too(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="http")
    challenge = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic, NTLM\r\nContent-Length: 0\r\n\r\n"
    client, first = await asked(pool, target, GET)
    await first.send(challenge)
    assert await client.receive(len(challenge)) == challenge
    await exchange(client, first)
    _, second = await asked(pool, target)
    assert await is_silent(first)
    await exchange(client, first)
    assert await is_silent(second)


@in_reactor
async def test_where_there_is_none_to_spare_the_login_is_refused_and_never_shared(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    [client, challenged] = await clients(pool, 2)
    await client.send(signed(b"NTLM"))
    assert (await client.read_all()).startswith(b"HTTP/1.1 503 ")
    assert await target.is_left_alone()
    await challenged.send(GET + GET)
    upstream = await target.accept()
    assert await upstream.receive(len(GET)) == GET
    challenge = b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic, NTLM\r\nContent-Length: 0\r\n\r\n"
    await upstream.send(challenge)
    told = await challenged.read_all()
    assert told.startswith(challenge + b"HTTP/1.1 503 ")
    assert await is_silent(upstream)


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.2", b"TLS/1.3, HTTP/2.0"])
@in_reactor
async def test_an_upgrade_that_servers_may_ignore_is_for_a_shared_upstream(
    start_pool: StartPool, net: Net, protocol: bytes
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol
    client, upstream = await asked(pool, target, request)
    await upstream.send(OK)
    assert await client.receive(len(OK)) == OK
    await exchange(client, upstream)
    await client.send(request)
    assert await upstream.receive(len(request)) == request
    await upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert (await client.read_all()).startswith(b"HTTP/1.1 503 ")
    await upstream.send_until_broken()
    client.close()
    record = await pool.record()
    assert record.outcome is Outcome.UPSTREAM_ABORTED
    assert "101 Switching Protocols" in str(record.reason)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    ],
)
@in_reactor
async def test_fifo_refuses_an_upgrade_and_closes_the_client(start_pool: StartPool, net: Net, request_: bytes) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    [client] = await clients(pool, 1)
    await client.send(request_)
    assert (await client.read_all()).startswith(b"HTTP/1.1 503 ")
    assert await target.is_left_alone()


@in_reactor
async def test_100_continue_does_not_come_within_a_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client, upstream = await asked(pool, target)
    await upstream.send(OK[:-1])
    assert await client.receive(len(OK) - 1) == OK[:-1]
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    await client.send(head)
    assert await is_silent(client)
    await upstream.send(OK[-1:])
    assert await client.receive(26) == b"kHTTP/1.1 100 Continue\r\n\r\n"
    assert await is_silent(upstream)
    await client.send(b"hi")
    assert await upstream.receive(len(head) + 2) == head + b"hi"


@in_reactor
async def test_a_client_whose_request_could_be_read_in_two_ways_is_refused(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    [client] = await clients(pool, 1)
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert (await client.read_all()).startswith(b"HTTP/1.1 400 ")
    client.close()
    assert (await pool.record()).outcome is Outcome.PROTOCOL_ERROR
    assert await target.is_left_alone()


@in_reactor
async def test_an_upstream_that_breaks_off_before_its_reply_is_a_503(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http", retry_idempotent="off")
    client, upstream = await asked(pool, target)
    upstream.close()
    assert (await client.read_all()).startswith(b"HTTP/1.1 503 ")


@in_reactor
async def test_an_upstream_that_breaks_off_within_a_body_is_a_reset(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="http")
    client, upstream = await asked(pool, target)
    await upstream.send(OK[:-1])
    upstream.close()
    assert await client.read_until_reset() == OK[:-1]
