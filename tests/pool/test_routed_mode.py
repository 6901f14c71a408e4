"""A pool that routes requests, from end to end: by the keys of a cluster, and by a router."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxymux.core.outcome import Outcome
from proxymux.errors import ConfigError
from proxymux.pool.settings import PoolSettings
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, Peer, Upstream, in_reactor, settle, until
from tests.services.pools import is_silent, opened, pass_time


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def redis(*words: str) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each.encode()) for each in words)


ROUTER = """
from twisted.internet.defer import Deferred
from proxymux import Forward, Reject, Reply

waiting = []

def route(request, client):
    key = request.key
    if key is None:
        return None
    if key == b"raises":
        raise ValueError("no")
    if key == b"rubbish":
        return 5
    if key == b"half":
        return Reply(b"$5\\r\\nhal")
    if key == b"mine":
        return {{"reply": b"+mine\\r\\n"}}
    if key == b"away":
        return Reject(b"-ERR away\\r\\n")
    if key == b"never":
        return Deferred()
    if key == b"note":
        client.state["notes"] = client.state.get("notes", 0) + 1
        return Reply(b":%d\\r\\n" % client.state["notes"])
    if key == b"other":
        return Forward("{b}", data=b"*2\\r\\n$3\\r\\nGET\\r\\n$5\\r\\ninner\\r\\n")
    return {{"a": "{a}", "b": "{b}"}}[chr(key[0])]
"""


class Routed:
    """A pool with a router, and two targets that it knows."""

    def __init__(self, start_pool: StartPool, net: Net, folder: Path, **options: Any) -> None:
        self.a, self.b = net.upstream(), net.upstream()
        file = folder / "shards.py"
        file.write_text(ROUTER.format(a=self.a.remote, b=self.b.remote))
        self.pool: Running = start_pool(self.a, codec="resp", router=str(file), mode="funnel", **options)

    async def open(self, target: Upstream) -> Peer:
        return await opened(self.pool, target)


@pytest.fixture
def routed(start_pool: StartPool, net: Net, tmp_path: Path) -> Routed:
    return Routed(start_pool, net, tmp_path)


@in_reactor
async def test_each_request_goes_where_the_router_says_and_the_replies_keep_their_order(routed: Routed) -> None:
    client = await routed.pool.connect()
    asked = [redis("GET", "a1"), redis("GET", "b1"), redis("GET", "mine"), redis("GET", "a2"), redis("GET", "other")]
    await client.send(b"".join(asked))
    first = await routed.open(routed.a)
    assert await first.receive(len(asked[0])) == asked[0]
    second = await routed.open(routed.b)
    assert await second.receive(len(asked[1])) == asked[1]
    await second.send(b"+b1\r\n")
    inner = redis("GET", "inner")
    assert await second.receive(len(inner)) == inner
    await second.send(b"+inner\r\n")
    assert await is_silent(client)
    await first.send(b"+a1\r\n")
    assert await client.receive(17) == b"+a1\r\n+b1\r\n+mine\r\n"
    assert await first.receive(len(asked[3])) == asked[3]
    await first.send(b"+a2\r\n")
    assert await client.receive(13) == b"+a2\r\n+inner\r\n"


@in_reactor
async def test_a_request_for_several_keys_is_split_and_joined(routed: Routed) -> None:
    client = await routed.pool.connect()
    await client.send(redis("MGET", "a1", "b1", "a2", "b2"))
    part = redis("MGET", "a1", "a2")
    first = await routed.open(routed.a)
    assert await first.receive(len(part)) == part
    second = await routed.open(routed.b)
    assert await second.receive(len(part)) == redis("MGET", "b1", "b2")
    await second.send(b"*2\r\n$2\r\nB1\r\n$-1\r\n")
    assert await is_silent(client)
    await first.send(b"*2\r\n$2\r\nA1\r\n")
    await first.send(b"$2\r\nA2\r\n")
    joined = b"*4\r\n$2\r\nA1\r\n$2\r\nB1\r\n$2\r\nA2\r\n$-1\r\n"
    assert await client.receive(len(joined)) == joined


@in_reactor
async def test_a_place_that_is_down_fails_its_own_requests_only(routed: Routed) -> None:
    client = await routed.pool.connect()
    routed.b.close()
    await client.send(redis("GET", "b1") + redis("GET", "a1"))
    first = await routed.open(routed.a)
    await first.receive(len(redis("GET", "a1")))
    await first.send(b"+a1\r\n")
    replies = b"-ERR no target can be connected to\r\n+a1\r\n"
    assert await client.receive(len(replies)) == replies
    client.finish()
    assert await client.read_all() == b""
    record = await routed.pool.record()
    assert (record.outcome, record.reason) == (Outcome.COMPLETED, "no target can be connected to")


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("raises", "route raised ValueError: no"),
        ("rubbish", "route returned 5, which is not a decision: a dict, Forward, Reject, Reply or NEED_DATA is"),
        ("half", "route reply: b'$5\\r\\nhal' is not one whole reply of resp"),
        ("c", "route raised KeyError: 'c'"),
    ],
)
@in_reactor
async def test_an_error_of_the_router_ends_one_client_with_one_line(routed: Routed, key: str, problem: str) -> None:
    other = await routed.pool.connect()
    await other.send(redis("GET", "note"))
    assert await other.receive(4) == b":1\r\n"
    client = await routed.pool.connect()
    await client.send(redis("GET", "mine") + redis("GET", key) + redis("GET", "mine"))
    assert await client.read_all() == b"+mine\r\n-ERR the proxy's router has failed\r\n"
    client.close()
    record = await routed.pool.record()
    assert record.outcome is Outcome.ROUTER_ERROR
    [line] = routed.pool.errors
    assert problem in line
    assert "shards.py:" in line
    assert record.reason is not None
    assert line.startswith(record.reason)
    await other.send(redis("GET", "note"))
    assert await other.receive(4) == b":2\r\n"


@in_reactor
async def test_a_client_is_closed_after_the_replies_that_are_due(routed: Routed) -> None:
    client = await routed.pool.connect()
    await client.send(redis("GET", "a1") + redis("GET", "away") + redis("GET", "a2"))
    first = await routed.open(routed.a)
    assert await first.receive(len(redis("GET", "a1"))) == redis("GET", "a1")
    assert await is_silent(first)
    await first.send(b"+a1\r\n")
    assert await client.read_all() == b"+a1\r\n-ERR away\r\n"
    client.close()
    assert (await routed.pool.record()).outcome is Outcome.REJECTED


@in_reactor
async def test_a_decision_that_never_ends_is_cut(start_pool: StartPool, net: Net, tmp_path: Path) -> None:
    routed = Routed(start_pool, net, tmp_path, decide_timeout=2)
    client = await routed.pool.connect()
    await pass_time(routed.pool, 5)  # it may rest as long as it likes
    await client.send(redis("GET", "mine") + redis("GET", "never") + redis("GET", "mine"))
    assert await client.receive(7) == b"+mine\r\n"
    await pass_time(routed.pool, 1.8)
    assert await is_silent(client)
    await pass_time(routed.pool, 0.4)
    assert await client.read_all() == b"-ERR no decision within 2 s (--decide-timeout)\r\n"
    client.close()
    assert (await routed.pool.record()).outcome is Outcome.UNDECIDED


@in_reactor
async def test_a_client_may_leave_while_it_is_decided(routed: Routed) -> None:
    client = await routed.pool.connect()
    await client.send(redis("GET", "never"))
    await settle()
    client.reset()
    assert (await routed.pool.record()).outcome is Outcome.CLIENT_ABORTED
    assert routed.pool.errors == []


@in_reactor
async def test_a_transaction_stays_where_its_first_key_sent_it(start_pool: StartPool, net: Net, tmp_path: Path) -> None:
    routed = Routed(start_pool, net, tmp_path, connections_per_target=2)
    client = await routed.pool.connect()
    await client.send(redis("WATCH", "b1") + redis("MULTI"))
    second = await routed.open(routed.b)
    await second.receive(len(redis("WATCH", "b1") + redis("MULTI")))
    await client.send(redis("GET", "a1"))
    assert await second.receive(len(redis("GET", "a1"))) == redis("GET", "a1")
    await second.send(b"+QUEUED\r\n")
    assert await client.receive(9) == b"+QUEUED\r\n"
    second.close()
    assert await client.read_all() == b""
    client.close()
    record = await routed.pool.record()
    assert record.reason is not None
    assert "WATCH took upstream" in record.reason


@in_reactor
async def test_an_address_that_is_named_is_dropped_after_a_minute_without_use(routed: Routed) -> None:
    client = await routed.pool.connect()
    for _ in range(2):
        await client.send(redis("GET", "b1"))
        second = await routed.open(routed.b)
        await second.receive(len(redis("GET", "b1")))
        await second.send(b"+b1\r\n")
        assert await client.receive(5) == b"+b1\r\n"
        await pass_time(routed.pool, 50)
        assert await is_silent(second)
        await pass_time(routed.pool, 16)
        assert await second.read_all() == b""


#: So many that each member has some.
KEYS = 80


def shards(*targets: Upstream) -> str:
    where = ",".join(target.remote for target in targets)
    return f"cache={where};policy=ketama;hash=key;hash=md5;health=off;max_ejected=0%"


def keys_by_place(pool: Running, count: int) -> dict[str, list[str]]:
    """So many keys, by the address that each goes to."""
    found: dict[str, list[str]] = {}
    for key in (f"k{number}" for number in range(count)):
        place = pool.service.leases.first_shards.place_of(key.encode())
        found.setdefault(str(place.leasing.slots[0].target), []).append(key)
    return found


@in_reactor
async def test_each_key_goes_to_its_member(start_pool: StartPool, net: Net) -> None:
    targets = [net.upstream() for _ in range(4)]
    pool = start_pool("cache", cluster=[shards(*targets)], codec="resp")
    client = await pool.connect()
    by_place = keys_by_place(pool, KEYS)
    assert set(by_place) == {target.remote for target in targets}
    peers: dict[str, Peer] = {}
    for target in targets:
        for key in by_place[target.remote]:
            await client.send(redis("GET", key))
            peer = peers[target.remote] = peers.get(target.remote) or await opened(pool, target)
            assert await peer.receive(len(redis("GET", key))) == redis("GET", key)
            await peer.send(b"+OK\r\n")
            assert await client.receive(5) == b"+OK\r\n"


@in_reactor
async def test_requests_that_came_together_are_answered_in_order_however_the_replies_come(
    start_pool: StartPool, net: Net
) -> None:
    targets = [net.upstream() for _ in range(3)]
    pool = start_pool("cache", cluster=[shards(*targets)], codec="resp", retry_idempotent="off")
    client = await pool.connect()
    by_place = keys_by_place(pool, 10 * KEYS)
    assert set(by_place) == {target.remote for target in targets}
    # In turns, so that each place has some of the few that are under way at a time.
    keys = [key for turn in zip(*by_place.values(), strict=False) for key in turn][:8]
    places = [*by_place, *by_place, *by_place][:8]
    await client.send(b"".join(redis("GET", key) for key in keys))
    peers = {target.remote: await opened(pool, target) for target in targets}
    for remote, peer in peers.items():
        asked = b"".join(redis("GET", key) for key, place in zip(keys, places, strict=True) if place == remote)
        assert await peer.receive(len(asked)) == asked
    replies = {key: b"$4\r\n%b\r\n" % key.encode().rjust(4) for key in keys}
    # The first reply comes last and in pieces, and some of the others in one with the beginning of the next.
    for remote in sorted(peers, key=lambda remote: remote == places[0]):
        data = b"".join(replies[key] for key, place in zip(keys, places, strict=True) if place == remote)
        for piece in filter(None, (data[:7], data[7:14], data[14:18], data[18:])):
            await peers[remote].send(piece)
            await settle()
    whole = b"".join(replies.values())
    assert await client.receive(len(whole)) == whole
    # A member that is gone fails its own requests only.
    await client.send(b"".join(redis("GET", key) for key in keys))
    for remote, peer in peers.items():
        asked = b"".join(redis("GET", key) for key, place in zip(keys, places, strict=True) if place == remote)
        assert await peer.receive(len(asked)) == asked
        if remote == places[1]:
            peer.reset()
        else:
            await peer.send(b"+OK\r\n" * places.count(remote))
    for place in places:
        assert await client.receive(4) == (b"-ERR" if place == places[1] else b"+OK\r")
        while await client.receive(1) != b"\n":
            pass


@in_reactor
async def test_a_command_with_keys_of_several_members_that_cannot_be_split_is_refused(
    start_pool: StartPool, net: Net
) -> None:
    targets = [net.upstream() for _ in range(2)]
    pool = start_pool("cache", cluster=[shards(*targets)], codec="resp")
    places = pool.service.leases.first_shards
    client = await pool.connect()
    keys = [f"k{number}" for number in range(KEYS)]
    other = next(key for key in keys if places.place_of(key.encode()) is not places.place_of(b"k0"))
    await client.send(redis("RENAME", "k0", other))
    reply = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
    assert await client.receive(len(reply)) == reply


@in_reactor
async def test_members_come_and_go(start_pool: StartPool, net: Net, tmp_path: Path) -> None:
    targets = [net.upstream() for _ in range(2)]
    file = tmp_path / "members"
    file.write_text(targets[0].remote)
    pool = start_pool("cache", cluster=[f"cache=file:{file};policy=ketama;health=off"], codec="resp")
    client = await pool.connect()
    for target in targets:
        file.write_text(target.remote)
        pool.service.clusters.look()
        await until(lambda: pool.service.leases.first_shards.first() is not None, "a member")
        await client.send(redis("GET", "k"))
        peer = await opened(pool, target)
        await peer.receive(len(redis("GET", "k")))
        await peer.send(b"+k\r\n")
        assert await client.receive(4) == b"+k\r\n"
    assert len(pool.service.leases.pools) == 2


@in_reactor
async def test_what_waits_goes_to_no_slot_that_is_being_closed(start_pool: StartPool, net: Net, tmp_path: Path) -> None:
    """A client that is told of a failure goes on, and its next request needs another connection."""
    routed = Routed(start_pool, net, tmp_path, retry_idempotent="off")
    client = await routed.pool.connect()
    await client.send(redis("GET", "a0"))
    first = await routed.open(routed.a)
    await first.receive(len(redis("GET", "a0")))
    await first.send(b"+a0\r\n")
    assert await client.receive(5) == b"+a0\r\n"
    for number in range(12):
        await client.send(redis("GET", f"a{number % 10}"))
        await settle()
    first.close()
    second = await routed.open(routed.a)
    replies = b""
    for _ in range(2000):
        while second.has_something():
            await second.receive(len(redis("GET", "a0")))
            await second.send(b"+again\r\n")
        await settle()
        while client.has_something():
            replies += await client.receive(1)
        if replies.count(b"\r\n") == 12:
            break
    lines = replies.splitlines()
    assert len(lines) == 12
    assert {line[:5] for line in lines} == {b"-ERR ", b"+agai"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"codec": "raw"}, "--router: routes requests, which raw does not know; give --codec resp, memcache, http …"),
        (
            {"codec": "resp", "mode": "proxy"},
            "--router: routes requests, which nobody looks at in proxy mode; --mode funnel is accepted",
        ),
    ],
)
def test_a_router_without_requests_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PoolSettings.read({"router": "shards.py", "target": ["a:1", "b:1"], "listen": "tcp:0", **options})
    assert str(caught.value) == problem


def test_a_cluster_that_places_keys_is_the_only_target() -> None:
    given = {"cluster": ["cache=a:1;policy=ketama"], "target": ["cache", "b:1"], "listen": "tcp:0", "codec": "resp"}
    with pytest.raises(ConfigError, match="--target: cache places keys, so it is the only target"):
        PoolSettings.read(given)
    assert PoolSettings.read({**given, "target": ["cache"]}).routes
    assert not PoolSettings.read({**given, "target": ["cache"], "codec": "raw"}).routes
    by_client = {**given, "target": ["cache"], "cluster": ["cache=a:1;policy=ketama;hash=client"]}
    assert not PoolSettings.read(by_client).routes


@pytest.mark.parametrize("last", ["mine", "a1"])
@in_reactor
async def test_what_waits_behind_answers_of_the_router_is_served(routed: Routed, last: str) -> None:
    """More answers than the replies that may be under way, so that some wait and no upstream will speak."""
    client = await routed.pool.connect()
    await client.send(redis("GET", "mine") * 40 + redis("GET", last))
    assert await client.receive(40 * 7) == b"+mine\r\n" * 40
    if last == "a1":
        peer = await routed.open(routed.a)
        assert await peer.receive(len(redis("GET", "a1"))) == redis("GET", "a1")
        await peer.send(b"+done\r\n")
        assert await client.receive(7) == b"+done\r\n"
    else:
        assert await client.receive(7) == b"+mine\r\n"


@in_reactor
async def test_a_request_that_needs_an_upstream_alone_waits_for_no_answer_of_the_router(
    start_pool: StartPool, net: Net, tmp_path: Path
) -> None:
    routed = Routed(start_pool, net, tmp_path, connections_per_target=2)
    client = await routed.pool.connect()
    asked = redis("BLPOP", "b1", "0")
    await client.send(redis("GET", "mine") + asked)
    assert await client.receive(7) == b"+mine\r\n"
    peer = await routed.open(routed.b)
    assert await peer.receive(len(asked)) == asked
