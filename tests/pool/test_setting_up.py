"""The pool with shared upstreams: the version of Redis' protocol that each client has asked for, logins, databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxymux.core.codecs.resp.setups import command
from proxymux.core.outcome import Outcome
from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import Net, Peer, in_reactor, settle, together, until
from tests.services.pools import clients, is_silent, state, waits

TWO, THREE = command(b"HELLO", b"2"), command(b"HELLO", b"3")
MAP = b"%1\r\n+proto\r\n:3\r\n"
LIST = b"*2\r\n+proto\r\n:2\r\n"
UNKNOWN = b"-ERR unknown command 'HELLO', with args beginning with: '3'\r\n"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def passes(sender: Peer, data: bytes, receiver: Peer, expected: bytes | None = None) -> None:
    """What one peer sends comes to the other, and nothing else."""
    await sender.send(data)
    expected = data if expected is None else expected
    assert await receiver.receive(len(expected)) == expected
    await settle()
    assert not receiver.has_something()


async def asks(client: Peer, upstream: Peer, before: bytes = b"", replies: bytes = b"") -> None:
    """A request of the client gets its reply; the upstream gets ``before`` before it, and says ``replies`` to that."""
    await passes(client, b"GET a\r\n", upstream, before + b"GET a\r\n")
    await passes(upstream, replies + b"$1\r\na\r\n", client, b"$1\r\na\r\n")


async def greets(client: Peer, upstream: Peer, hello: bytes = THREE, reply: bytes = MAP) -> None:
    await passes(client, hello, upstream)
    await passes(upstream, reply, client)


@in_reactor
async def test_each_request_is_sent_in_the_version_of_its_client(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    old, new = await clients(pool, 2)
    await new.send(b"HELLO 3 SETNAME app\r\n")
    upstream = await target.accept()
    assert await upstream.receive(len(THREE)) == THREE
    await passes(upstream, MAP, new)
    await asks(new, upstream)
    await asks(old, upstream, TWO, LIST)
    await asks(old, upstream)
    await asks(new, upstream, THREE, MAP)
    await greets(new, upstream, TWO, LIST)
    await asks(old, upstream)
    await asks(new, upstream)


@in_reactor
async def test_requests_that_are_under_way_are_answered_in_their_versions(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    old, new, newer = await clients(pool, 3)
    await new.send(THREE)
    upstream = await target.accept()
    await upstream.receive(len(THREE))
    for client, text in ((old, b"GET b\r\n"), (newer, THREE), (old, b"GET c\r\n")):
        await client.send(text)
        await settle()
    assert await upstream.receive(14 + 3 * len(TWO)) == TWO + b"GET b\r\n" + THREE + TWO + b"GET c\r\n"
    together_said = MAP + LIST + b"$1\r\nb\r\n" + MAP + LIST + b"$1\r\nc\r\n"
    await upstream.send_bytewise(together_said)
    assert await together(new.receive(len(MAP)), newer.receive(len(MAP)), old.receive(14)) == [
        MAP,
        MAP,
        b"$1\r\nb\r\n$1\r\nc\r\n",
    ]
    assert await is_silent(old, new, newer)


@in_reactor
async def test_what_follows_on_a_hello_waits_for_its_reply(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    [client] = await clients(pool, 1)
    await client.send(THREE + b"CLIENT SETINFO LIB-NAME a\r\nGET a\r\n")
    upstream = await target.accept()
    assert await upstream.receive(len(THREE)) == THREE
    assert await is_silent(upstream)
    await upstream.send(MAP)
    asked = command(b"CLIENT", b"SETINFO", b"LIB-NAME", b"")
    assert await upstream.receive(len(asked)) == asked
    await upstream.send(b"+OK\r\n")
    assert await upstream.receive(7) == b"GET a\r\n"
    await upstream.send(b"_\r\n")
    assert await client.receive(len(MAP) + 8) == MAP + b"+OK\r\n_\r\n"


@in_reactor
async def test_an_old_redis_serves_those_who_ask_for_nothing(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp")
    new, old = await clients(pool, 2)
    await new.send(THREE + b"GET n\r\n")
    upstream = await target.accept()
    assert await upstream.receive(len(THREE)) == THREE
    # It is sent before the reply: whether the connection is in RESP3 by then is not known.
    await passes(old, b"GET o\r\n", upstream, TWO + b"GET o\r\n")
    await upstream.send(UNKNOWN + UNKNOWN + b"$1\r\no\r\n")
    assert await old.receive(7) == b"$1\r\no\r\n"
    assert await new.receive(len(UNKNOWN)) == UNKNOWN
    assert await upstream.receive(7) == b"GET n\r\n", "it goes on as if it had not asked"
    await passes(upstream, b"$-1\r\n", new)
    await asks(old, upstream)
    await asks(new, upstream)


@in_reactor
async def test_a_server_that_refuses_the_version_of_a_client_is_an_error(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    first, second = await clients(pool, 2)
    await first.send(THREE)
    upstream = await target.accept()
    await upstream.receive(len(THREE))
    await passes(upstream, MAP, first)
    await second.send(b"GET b\r\n")
    await upstream.receive(len(TWO) + 7)
    await first.send(b"GET a\r\n")
    other = await target.accept()
    assert await other.receive(len(THREE) + 7) == THREE + b"GET a\r\n"
    await other.send(UNKNOWN)
    assert await first.read_all() == b"-ERR the server refuses HELLO 3: ERR unknown command 'HELLO'\r\n"
    await other.read_until_reset()
    await upstream.send(LIST + b"$-1\r\n")
    assert await second.receive(5) == b"$-1\r\n"


@in_reactor
async def test_an_upstream_alone_is_in_its_clients_version(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    new, old = await clients(pool, 2)
    await new.send(THREE)
    shared = await target.accept()
    await shared.receive(len(THREE))
    await passes(shared, MAP, new)
    await passes(old, b"GET a\r\n", shared, TWO + b"GET a\r\n")
    await new.send(b"SUBSCRIBE a\r\n")
    own = await target.accept()
    assert await own.receive(len(THREE)) == THREE
    await new.send(b"PING\r\n")
    assert await is_silent(own)
    await passes(own, MAP, new, b"")
    assert await own.receive(19) == b"SUBSCRIBE a\r\nPING\r\n"
    await passes(own, b">3\r\n+subscribe\r\n+a\r\n:1\r\n", new)


@in_reactor
async def test_who_leaves_before_its_upstream_is_ready_leaves_it_to_others(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    new, old = await clients(pool, 2)
    await new.send(THREE)
    shared = await target.accept()
    await shared.receive(len(THREE))
    await passes(shared, MAP, new)
    await passes(old, b"GET a\r\n", shared, TWO + b"GET a\r\n")
    await new.send(b"SUBSCRIBE a\r\n")
    own = await target.accept()
    assert await own.receive(len(THREE)) == THREE
    new.reset()
    await own.read_until_reset()
    assert (await pool.record()).outcome is Outcome.CLIENT_ABORTED
    assert (state(pool)["cl_active"], state(pool)["sv_active"]) == (1, 1)
    another = await pool.connect()
    await another.send(b"SUBSCRIBE b\r\n")
    assert await (await target.accept()).receive(13) == b"SUBSCRIBE b\r\n"


@pytest.mark.parametrize("how", ["refuses", "closes"])
@in_reactor
async def test_an_upstream_alone_that_does_not_get_ready_is_an_error(start_pool: StartPool, net: Net, how: str) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="resp")
    [new] = await clients(pool, 1)
    await new.send(THREE)
    shared = await target.accept()
    await shared.receive(len(THREE))
    await passes(shared, MAP, new)
    old = await pool.connect()
    await passes(old, b"GET a\r\n", shared, TWO + b"GET a\r\n")
    await passes(shared, LIST + b"$-1\r\n", old, b"$-1\r\n")
    await new.send(b"MONITOR\r\n")
    assert await shared.receive(len(THREE)) == THREE
    if how == "refuses":
        await shared.send(UNKNOWN)
    else:
        shared.close()
    said = await new.read_all()
    assert said.startswith(b"-ERR the server refuses HELLO 3" if how == "refuses" else b"-ERR the upstream closed")
    new.close()
    assert (await pool.record()).outcome is Outcome.UPSTREAM_ABORTED
    assert state(pool)["sv_active"] == 0


# Logins


def auth_file(folder: Path, *lines: str) -> str:
    path = folder / "auth"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@in_reactor
async def test_a_slot_logs_in_and_takes_its_database_before_it_is_used(
    start_pool: StartPool, net: Net, tmp_path: Path
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", auth_file=auth_file(tmp_path, "upstream pool open sesame"), database=3)
    [client] = await clients(pool, 1)
    await client.send(b"GET a\r\n")
    upstream = await target.accept()
    opening = command(b"AUTH", b"pool", b"open sesame") + command(b"SELECT", b"3")
    assert await upstream.receive(len(opening)) == opening
    await upstream.send(b"+OK\r\n")
    assert await is_silent(upstream)
    await upstream.send(b"+OK\r\n")
    assert await upstream.receive(7) == b"GET a\r\n"
    await passes(upstream, b"$-1\r\n", client)
    await passes(client, b"SELECT 3\r\n", upstream)
    await passes(upstream, b"+OK\r\n", client)


@in_reactor
async def test_a_wrong_password_is_one_clear_line_and_a_slot_that_failed(
    start_pool: StartPool, net: Net, tmp_path: Path
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", auth_file=auth_file(tmp_path, "upstream default sesame"))
    client = await pool.connect()
    await client.send(b"GET a\r\n")
    upstream = await target.accept()
    await upstream.receive(len(command(b"AUTH", b"sesame")))
    await upstream.send(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
    assert await client.read_all() == b"-ERR no target can be connected to\r\n"
    client.close()
    assert (await pool.record()).outcome is Outcome.UNREACHABLE
    [line] = [line for level, line in pool.lines if level == "warn"]
    assert line == (
        f"upstream 1 ({target.remote}) closed: the server refuses the login of --auth-file: WRONGPASS invalid"
        " username-password pair or user is disabled."
    )
    assert not any("sesame" in line for _, line in pool.lines)


@in_reactor
async def test_clients_log_in_at_the_pool_and_share(start_pool: StartPool, net: Net, tmp_path: Path) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", auth_file=auth_file(tmp_path, "client app sesame"))
    knows, does_not = await clients(pool, 2)
    await knows.send(b"HELLO 3 AUTH app sesame\r\n")
    upstream = await target.accept()
    assert await upstream.receive(len(THREE)) == THREE
    await passes(upstream, MAP, knows)
    await asks(knows, upstream)
    for line in (b"GET a\r\n", b"MULTI\r\n", b"'get' a\r\n"):
        await passes(does_not, line, does_not, b"-NOAUTH Authentication required.\r\n")
    await passes(
        does_not, b"AUTH x\r\n", does_not, b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    )
    assert await is_silent(upstream)
    await passes(does_not, b"AUTH app sesame\r\n", does_not, b"+OK\r\n")
    await asks(does_not, upstream, TWO, LIST)


@in_reactor
async def test_the_auth_file_is_read_again(start_pool: StartPool, net: Net, tmp_path: Path) -> None:
    target = net.upstream()
    path = auth_file(tmp_path, "client app old", "upstream default old")
    pool = start_pool(target, codec="resp", auth_file=path)
    Path(path).write_text("client app")
    pool.service.reload()
    assert pool.errors == [
        f"not reloaded, the old one stays: --auth-file: {path}: line 1: a line is: upstream USER PASSWORD, or:"
        " client USER PASSWORD"
    ]
    [client] = await clients(pool, 1)
    await passes(client, b"AUTH app old\r\n", client, b"+OK\r\n")
    auth_file(tmp_path, "client app new", "upstream default new")
    pool.service.reload()
    await passes(
        client, b"AUTH app old\r\n", client, b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    )
    await client.send(b"GET a\r\n")
    upstream = await target.accept()
    assert await upstream.receive(len(command(b"AUTH", b"new"))) == command(b"AUTH", b"new")
    assert not any("new" in line for _, line in pool.lines)


@in_reactor
async def test_a_server_that_does_not_answer_the_login_counts_as_late(
    start_pool: StartPool, net: Net, tmp_path: Path
) -> None:
    target = net.upstream()
    pool = start_pool(
        target, codec="resp", auth_file=auth_file(tmp_path, "upstream default a"), request_timeout=1, queue_timeout=60
    )
    client = await pool.connect()
    await client.send(b"GET a\r\n")
    await waits(pool, 1)
    upstream = await target.accept()
    await upstream.receive(len(command(b"AUTH", b"a")))
    for _ in range(11):
        pool.clock.advance(0.1)
        await settle()
    await until(lambda: any("a reply is late" in line for _, line in pool.lines), "the slot to be given up")
    assert await client.read_all() == b"-ERR no target can be connected to\r\n"
