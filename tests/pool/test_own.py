"""The pool with shared upstreams: requests that change their connection, or end it."""

from __future__ import annotations

import pytest

from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import MEGABYTE, Net, in_reactor, noise, settle, together, until
from tests.services.pools import clients, is_silent, pass_time, state, waits

NONE_TO_SPARE = "needs an upstream of its own, and there is none to spare"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@in_reactor
async def test_a_subscriber_has_an_upstream_of_its_own(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    subscriber, other = await clients(pool, 2)
    await subscriber.send(b"SUBSCRIBE news\r\n")
    own = await target.accept()
    assert await own.receive(16) == b"SUBSCRIBE news\r\n"
    confirmed = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
    await own.send(confirmed)
    assert await subscriber.receive(len(confirmed)) == confirmed
    await other.send(b"GET a\r\n")
    shared = await target.accept()
    assert await shared.receive(7) == b"GET a\r\n"
    message = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
    await own.send(message)
    assert await subscriber.receive(len(message)) == message
    await shared.send(b"$1\r\na\r\n")
    assert await other.receive(7) == b"$1\r\na\r\n"
    await subscriber.send(b"UNSUBSCRIBE\r\n")
    assert await own.receive(13) == b"UNSUBSCRIBE\r\n"
    assert await is_silent(shared, other)
    assert state(pool) == {
        "cl_active": 2, "cl_waiting": 0, "sv_active": 1, "sv_idle": 1, "sv_login": 0, "maxwait": 0,
    }  # fmt: skip


@pytest.mark.parametrize("how", ["client finishes", "client resets", "upstream closes", "upstream resets"])
@in_reactor
async def test_its_slot_comes_back_as_a_new_connection(start_pool: StartPool, net: Net, how: str) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    owner, other, third = await clients(pool, 3)
    await owner.send(b"MULTI\r\n")
    own = await target.accept()
    await own.receive(7)
    await own.send(b"+OK\r\n")
    await owner.receive(5)
    await other.send(b"GET a\r\n")
    shared = await target.accept()
    await shared.receive(7)
    await third.send(b"GET b\r\n")
    await waits(pool, 1)
    if how == "client finishes":
        owner.close()
        assert await own.read_all() == b""
        own.close()
    elif how == "client resets":
        owner.reset()
        await own.read_until_reset()
    elif how == "upstream closes":
        own.close()
        assert await owner.read_all() == b""
        owner.close()
    else:
        own.reset()
        assert await owner.read_until_reset() == b""
    new = await target.accept()
    assert await new.receive(7) == b"GET b\r\n"
    assert await is_silent(shared)
    await new.send(b"$1\r\nb\r\n")
    assert await third.receive(7) == b"$1\r\nb\r\n"


@in_reactor
async def test_a_client_that_stays_after_its_upstream_has_closed_keeps_no_slot(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    [owner] = await clients(pool, 1)
    await owner.send(b"SUBSCRIBE a\r\nQUIT\r\n")
    own = await target.accept()
    assert await own.receive(19) == b"SUBSCRIBE a\r\nQUIT\r\n"
    last = noise(MEGABYTE)
    _, got = await together(own.send(last), owner.receive(MEGABYTE))
    assert got == last
    own.finish()
    assert await own.read_all() == b""
    own.close()
    # It has been sent FIN, and could still send; the slot is another's.
    other = await pool.connect()
    await other.send(b"MULTI\r\n")
    new = await target.accept()
    assert await new.receive(7) == b"MULTI\r\n"
    assert await owner.read_all() == b""
    record = await pool.record()
    assert (record.outcome, record.bytes_out) == (Outcome.COMPLETED, MEGABYTE)


@in_reactor
async def test_what_came_before_is_answered_first_and_what_came_with_it_goes_with_it(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    [client] = await clients(pool, 1)
    await client.send(b"GET a\r\nMULTI\r\nSET b 1\r\n")
    first = await target.accept()
    assert await first.receive(7) == b"GET a\r\n"
    await client.send(b"EXEC\r\n")
    await settle()
    assert await target.is_left_alone()
    await first.send(b"$1\r\na\r\n")
    assert await client.receive(7) == b"$1\r\na\r\n"
    assert await first.receive(22) == b"MULTI\r\nSET b 1\r\nEXEC\r\n"
    await first.send(b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
    assert await client.receive(23) == b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"


@in_reactor
async def test_a_client_that_has_finished_still_gets_what_its_own_upstream_says(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    [client] = await clients(pool, 1)
    await client.send(b"BLPOP a 0\r\n")
    client.finish()
    own = await target.accept()
    assert await own.read_all() == b"BLPOP a 0\r\n"
    await own.send(b"*-1\r\n")
    own.close()
    assert await client.read_all() == b"*-1\r\n"
    record = await pool.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == (Outcome.COMPLETED, 11, 5)


@in_reactor
async def test_bulk_passes_whole_on_an_upstream_of_its_own(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    [client] = await clients(pool, 1)
    await client.send(b"MONITOR\r\n")
    own = await target.accept()
    await own.receive(9)
    up, down = noise(5 * MEGABYTE, "up"), noise(5 * MEGABYTE, "down")
    _, _, got_up, got_down = await together(
        client.send(up), own.send(down), own.receive(len(up)), client.receive(len(down))
    )
    assert (got_up == up, got_down == down) == (True, True)


@in_reactor
async def test_one_upstream_is_left_for_those_who_share(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    one, two = await clients(pool, 2)
    await one.send(b"SUBSCRIBE a\r\n")
    await settle()
    await two.send(b"SUBSCRIBE a\r\nGET a\r\n")
    refusal = f"-ERR SUBSCRIBE {NONE_TO_SPARE}\r\n".encode()
    assert await two.receive(len(refusal)) == refusal
    own, shared = await target.accept(), await target.accept()
    assert await own.receive(13) == b"SUBSCRIBE a\r\n"
    assert await shared.receive(7) == b"GET a\r\n"


@pytest.mark.parametrize("command", ["SUBSCRIBE a", "WATCH a", "BLPOP a 0", "CLIENT ID"])
@in_reactor
async def test_fifo_refuses_what_needs_an_upstream_of_its_own(start_pool: StartPool, net: Net, command: str) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    client, other = await clients(pool, 2)
    await client.send(f"GET a\r\n{command}\r\nGET b\r\n".encode())
    upstream = await target.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    await upstream.send(b"+a\r\n")
    name = command if command.startswith("CLIENT") else command.partition(" ")[0]
    refusal = f"-ERR {name} {NONE_TO_SPARE}\r\n".encode()
    assert await client.receive(4 + len(refusal)) == b"+a\r\n" + refusal
    assert await upstream.receive(7) == b"GET b\r\n"
    await upstream.send(b"+b\r\n")
    assert await client.receive(4) == b"+b\r\n"
    await other.send(b"GET c\r\n")
    assert await upstream.receive(7) == b"GET c\r\n"
    client.close()
    record = await pool.record()
    assert (record.outcome, record.reason) == (Outcome.COMPLETED, f"{name} {NONE_TO_SPARE}")


@pytest.mark.parametrize("piece", [1, 1000])
@in_reactor
async def test_nothing_of_a_refused_transaction_is_done(start_pool: StartPool, net: Net, piece: int) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    [client] = await clients(pool, 1)
    data = b"MULTI\r\nINCR a\r\nINCR a\r\nEXEC\r\nGET a\r\n"
    for at in range(0, len(data), piece):
        await client.send(data[at : at + piece])
    upstream = await target.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    await upstream.send(b"$-1\r\n")
    client.finish()
    lines = (await client.read_all()).decode().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["-ERR", "-ERR", "-ERR", "-EXECABORT", "$-1"]
    assert await is_silent(upstream)


@pytest.mark.parametrize("command", ["SELECT 5", "AUTH b", "HELLO 3 AUTH a b", "CLIENT REPLY OFF"])
@in_reactor
async def test_what_others_depend_on_ends_its_client_where_it_is_refused(
    start_pool: StartPool, net: Net, command: str
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    [client] = await clients(pool, 1)
    await client.send(f"GET a\r\n{command}\r\nSET a 1\r\n".encode())
    upstream = await target.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    await upstream.send(b"+a\r\n")
    first, second = (await client.read_all()).decode().splitlines()
    assert (first, NONE_TO_SPARE in second) == ("+a", True)
    client.close()
    record = await pool.record()
    assert record.outcome is Outcome.PROTOCOL_ERROR
    assert record.reason == second.removeprefix("-ERR ")
    assert await is_silent(upstream)


@in_reactor
async def test_refusals_and_pins_are_counted_and_told_of_once_a_minute(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    people = await clients(pool, 3)
    await people[0].send(b"MONITOR\r\n")
    own = await target.accept()
    for client in people[1:]:
        await client.send(b"MULTI\r\n")
        assert (await client.receive(10)).startswith(b"-ERR MULTI")

    def told() -> list[str]:
        return [line for level, line in pool.lines if level == "warn"]

    pin = "MONITOR: a client has upstream 1 alone until it leaves (1 so far)"
    refusal = f"MULTI {NONE_TO_SPARE}; each --target more is one more"
    assert told() == [pin, f"MULTI was refused (1 so far): {refusal}"]
    assert pool.service.leases.lines()[1:] == ["upstreams taken alone: MONITOR 1", "refused an upstream: MULTI 2"]
    await pass_time(pool, 61)
    await people[2].send(b"EXEC\r\nMULTI\r\n")
    await until(lambda: len(told()) == 3, "another warning")
    assert told()[2] == f"MULTI was refused (3 so far): {refusal}"
    people[0].close()
    await own.read_all()
    own.close()
    assert (await pool.record()).reason == "MONITOR took upstream 1 alone"


@in_reactor
async def test_who_leaves_while_it_waits_for_its_own_upstream_takes_none(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, target, codec="resp")
    people = await clients(pool, 4)
    upstreams = []
    for client in people[:3]:
        await client.send(b"GET a\r\n")
        upstreams.append(await target.accept())
        await upstreams[-1].receive(7)
    await people[3].send(b"MULTI\r\n")
    await waits(pool, 1)
    people[3].reset()
    await until(lambda: pool.records, "the client to be gone")
    for client, upstream in zip(people, upstreams, strict=False):
        await upstream.send(b"+a\r\n")
        await client.receive(4)
    assert await is_silent(*upstreams)
    assert state(pool)["sv_idle"] == 3


@in_reactor
async def test_quit_is_answered_in_its_turn_and_ends_the_client_only(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    client, other = await clients(pool, 2)
    await client.send(b"GET a\r\nQUIT\r\nGET b\r\n")
    upstream = await target.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    assert await is_silent(client)
    await upstream.send(b"+a\r\n")
    assert await client.read_all() == b"+a\r\n+OK\r\n"
    client.close()
    assert (await pool.record()).outcome is Outcome.COMPLETED
    await other.send(b"GET c\r\n")
    assert await upstream.receive(7) == b"GET c\r\n"


@in_reactor
async def test_a_client_that_breaks_the_protocol_is_told_so_after_its_replies(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    [client] = await clients(pool, 1)
    await client.send(b"GET a\r\n*1\r\n!nonsense\r\n")
    upstream = await target.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    await upstream.send(b"+a\r\n")
    assert (await client.read_all()).startswith(b"+a\r\n-ERR Protocol error")
    client.close()
    assert (await pool.record()).outcome is Outcome.PROTOCOL_ERROR
    assert await is_silent(upstream)


@in_reactor
async def test_an_own_upstream_that_cannot_be_opened_is_an_error_reply(start_pool: StartPool, net: Net) -> None:
    down = net.upstream(listens=False)
    pool = start_pool(down, down, codec="resp")
    [client] = await clients(pool, 1)
    await client.send(b"MULTI\r\n")
    assert await client.read_all() == b"-ERR no target can be connected to\r\n"
    client.close()
    assert (await pool.record()).outcome is Outcome.UNREACHABLE


@in_reactor
async def test_an_own_upstream_has_no_request_timeout_but_the_idle_one(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp", request_timeout=1, idle_timeout=5)
    [client] = await clients(pool, 1)
    await client.send(b"BLPOP a 0\r\n")
    own = await target.accept()
    await own.receive(11)
    await pass_time(pool, 4)
    await own.send(b"*-1\r\n")
    assert await client.receive(5) == b"*-1\r\n"
    await pass_time(pool, 5.3)
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.IDLE
