"""The pool follows its cluster: slots appear and go, and what is under way ends where it is."""

from __future__ import annotations

import random
from typing import Any

import pytest

from proxymux.core.outcome import Outcome
from proxymux.core.pool_target import parse_pool_target
from proxymux.core.target import ClusterName, Target
from proxymux.discovery.static import StaticSource
from proxymux.pool.following import Offer
from tests.pool.test_bypass import CANCEL
from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, Peer, Upstream, in_reactor, settle, turns, until
from tests.services.pools import TICK, asked, clients, opened, pass_time, state, waits

USERS = ClusterName("users")


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def silent_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests themselves say who the members are."""
    monkeypatch.setattr(StaticSource, "start", lambda source, listener: None)


def two(net: Net, *, first_listens: bool = True) -> tuple[Upstream, Upstream]:
    """Two targets, in the order in which the pool takes them: that of their texts."""
    first, second = sorted((net.upstream(listens=False) for _ in range(2)), key=lambda each: each.remote)
    if first_listens:
        first.listen()
    second.listen()
    return first, second


def start(start_pool: StartPool, *targets: Upstream, **options: Any) -> Running:
    """A pool of a cluster of which nothing is known yet, and of these targets."""
    return start_pool("users", *targets, cluster=["users=127.0.0.1:1"], **options)


def has(pool: Running, *targets: Upstream, down: tuple[Upstream, ...] = (), connections: int = 1) -> None:
    """Tell the pool the members of its cluster."""
    pool.service.leases.following.changed(
        USERS, [Offer(parse_pool_target(each.remote), connections, each not in down) for each in targets]
    )


async def answers(upstream: Peer, client: Peer, request: bytes = b"ask\n") -> None:
    """See that the upstream gets the request, which has been sent, and the client its reply."""
    assert await upstream.receive(len(request)) == request
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"


def connections(pool: Running) -> dict[str, float]:
    return {name: value for name, value in state(pool).items() if name.startswith("sv_") and value}


# Coming and going


@in_reactor
async def test_requests_wait_for_the_first_members(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start(start_pool, codec="line")
    client = await pool.connect()
    await client.send(b"ask\n")
    await waits(pool, 1)
    has(pool, target)
    await answers(await opened(pool, target), client)


@in_reactor
async def test_requests_wait_for_the_first_members_no_longer_than_the_queue_allows(
    start_pool: StartPool, net: Net
) -> None:
    pool = start(start_pool, codec="line", queue_timeout=5)
    client = await pool.connect()
    await client.send(b"ask\n")
    await waits(pool, 1)
    await pass_time(pool, 5.2)
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.QUEUE_TIMEOUT


@in_reactor
async def test_a_target_beside_the_cluster_is_used_before_its_members_are_known(
    start_pool: StartPool, net: Net
) -> None:
    target, member = net.upstream(), net.upstream()
    pool = start(start_pool, target, codec="line")
    client, upstream = await asked(pool, target)
    other = await pool.connect()
    await other.send(b"ask\n")
    await waits(pool, 1)
    has(pool, member)
    await answers(await opened(pool, member), other)
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"


@in_reactor
async def test_a_request_in_flight_ends_where_it_is_when_its_target_goes(start_pool: StartPool, net: Net) -> None:
    old, new = net.upstream(), net.upstream()
    pool = start(start_pool, codec="line")
    has(pool, old)
    client, upstream = await asked(pool, old)
    has(pool, new)
    other = await pool.connect()
    await other.send(b"ask\n")
    await answers(await opened(pool, new), other)
    assert connections(pool) == {"sv_active": 1, "sv_idle": 1}
    await upstream.send(b"re")
    await upstream.send(b"ply\n")
    assert await client.receive(6) == b"reply\n"
    assert await upstream.read_all() == b"", "it is closed in good order"
    assert connections(pool) == {"sv_idle": 1}
    assert await old.is_left_alone()


@in_reactor
async def test_all_that_is_pipelined_on_a_target_that_goes_is_answered(start_pool: StartPool, net: Net) -> None:
    old, new = net.upstream(), net.upstream()
    pool = start(start_pool, codec="resp", async_=True, mode="funnel")
    has(pool, old)
    people = await clients(pool, 3)
    for number, client in enumerate(people):
        await client.send(b"PING %d\r\n" % number)
        await settle()
    upstream = await old.accept()
    for number in range(3):
        assert await upstream.receive(8) == b"PING %d\r\n" % number
    has(pool, new)
    await people[0].send(b"PING 3\r\n")
    await settle()
    for number in range(3):
        await upstream.send(b"+%d\r\n" % number)
    for number, client in enumerate(people):
        assert await client.receive(4) == b"+%d\r\n" % number
    assert await upstream.read_all() == b""
    assert await (await new.accept()).receive(8) == b"PING 3\r\n"


@in_reactor
async def test_idle_connections_to_a_target_that_goes_are_closed_at_once(start_pool: StartPool, net: Net) -> None:
    going, staying = net.upstream(), net.upstream()
    pool = start(start_pool, codec="length:1", warmup=True)
    has(pool, going, staying)
    upstream, other = await going.accept(), await staying.accept()
    await until(lambda: state(pool)["sv_idle"] == 2, "both to be open")
    has(pool, staying)
    assert await upstream.read_all() == b""
    assert connections(pool) == {"sv_idle": 1}
    client = await pool.connect()
    await client.send(b"\1x")
    assert await other.receive(2) == b"\1x"


@in_reactor
async def test_members_that_come_are_warmed_up(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start(start_pool, codec="length:1", warmup=True)
    has(pool, target, connections=2)
    for _ in range(2):
        await target.accept()
    await settle()
    assert await target.is_left_alone()


@in_reactor
async def test_a_connect_to_a_target_that_goes_is_given_up_and_another_has_the_work(
    start_pool: StartPool, net: Net
) -> None:
    black_hole, good = net.upstream(listens=False), net.upstream()
    black_hole.fill_queue()
    pool = start(start_pool, codec="line")
    has(pool, black_hole)
    client = await pool.connect()
    await client.send(b"ask\n")
    await waits(pool, 1)
    has(pool, good)
    assert connections(pool) == {"sv_login": 1}
    await answers(await opened(pool, good), client)
    assert pool.failed_attempts == []


@in_reactor
async def test_a_target_that_comes_again_has_no_more_connections_than_it_may(start_pool: StartPool, net: Net) -> None:
    target, other = net.upstream(), net.upstream()
    pool = start(start_pool, codec="line")
    has(pool, target)
    client, upstream = await asked(pool, target)
    for _ in range(3):
        has(pool, other)
        has(pool, target)
    waiting = await pool.connect()
    await waiting.send(b"next\n")
    await waits(pool, 1)
    assert await target.is_left_alone()
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
    await answers(upstream, waiting, b"next\n")


@in_reactor
async def test_when_all_are_gone_clients_fail_fast_and_when_one_comes_they_are_served(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start(start_pool, codec="resp")
    has(pool, target)
    busy, upstream = await asked(pool, target, b"PING 1\r\n")
    queued = await pool.connect()
    await queued.send(b"PING 2\r\n")
    await waits(pool, 1)
    has(pool)
    assert await queued.read_all() == b"-ERR there is no target\r\n"
    await upstream.send(b"+1\r\n")
    assert await busy.receive(4) == b"+1\r\n"
    assert await upstream.read_all() == b""
    late = await pool.connect()
    await late.send(b"PING 3\r\n")
    assert await late.read_all() == b"-ERR there is no target\r\n"
    for client in (queued, late):
        client.close()
    assert [record.outcome for record in await pool.ended(2)] == [Outcome.UNREACHABLE] * 2
    has(pool, target)
    await busy.send(b"PING 4\r\n")
    assert await (await target.accept()).receive(8) == b"PING 4\r\n"


@in_reactor
async def test_an_upstream_that_a_client_has_alone_stays_until_he_leaves(start_pool: StartPool, net: Net) -> None:
    going, staying = two(net)
    pool = start(start_pool, codec="resp")
    has(pool, going, staying)
    client = await pool.connect()
    await client.send(b"SUBSCRIBE a\r\n")
    upstream = await going.accept()
    assert await upstream.receive(13) == b"SUBSCRIBE a\r\n"
    has(pool, staying)
    await upstream.send(b"news")
    assert await client.receive(4) == b"news"
    assert connections(pool) == {"sv_active": 1}
    client.close()
    assert await upstream.read_all() == b""
    upstream.close()
    await until(lambda: connections(pool) == {}, "the slot to be gone")


class Echoes:
    """What answers at some targets, each request with its own text."""

    def __init__(self, targets: list[Upstream]) -> None:
        self._targets = targets
        self._peers: list[Peer] = []

    async def act(self) -> None:
        for target in self._targets:
            while (connection := target._accept_now()) is not None:
                self._peers.append(Peer(connection))
        for peer in [peer for peer in self._peers if peer.has_something()]:
            data = await peer.read_some()
            if data:
                await peer.send(data.replace(b"ECHO ", b"+"))
            else:
                self._peers.remove(peer)
                peer.close()


@pytest.mark.parametrize("async_", [False, True])
@in_reactor
async def test_no_request_fails_while_members_come_and_go(start_pool: StartPool, net: Net, async_: bool) -> None:
    chance = random.Random(7)
    targets = [net.upstream() for _ in range(4)]
    echoes = Echoes(targets)
    pool = start(start_pool, codec="resp", async_=async_)
    people = await clients(pool, 6)
    asked: dict[Peer, bytes] = {}
    for number in range(600):
        is_ending = number >= 400
        if chance.random() < 0.3 and not is_ending:
            members = chance.sample(targets, chance.randint(1, 4))
            down = chance.sample(members, chance.randrange(len(members)))
            has(pool, *members, down=tuple(down), connections=chance.randint(1, 3))
        client = chance.choice(people)
        if client not in asked and not is_ending:
            asked[client] = b"%d\r\n" % number
            await client.send(b"ECHO " + asked[client])
        await turns(chance.choice([0, 1, 3]))
        if chance.random() < 0.5 or is_ending:
            await echoes.act()
        for client in [client for client in asked if client.has_something()]:
            reply = b"+" + asked.pop(client)
            assert await client.receive(len(reply)) == reply
    assert not asked
    assert pool.failed_attempts == []
    assert pool.records == []
    has(pool)
    await settle()
    await echoes.act()
    assert connections(pool) == {}


# Down


@in_reactor
async def test_a_target_that_is_down_gets_nothing_new_and_is_used_again_when_it_is_up(
    start_pool: StartPool, net: Net
) -> None:
    sick, well = two(net)
    pool = start(start_pool, codec="line")
    has(pool, sick, well)
    client, upstream = await asked(pool, sick)
    has(pool, sick, well, down=(sick,))
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
    assert await upstream.read_all() == b""
    await client.send(b"ask\n")
    other = await opened(pool, well)
    await answers(other, client)
    has(pool, sick, well, down=(sick, well))
    assert await other.read_all() == b""
    await client.send(b"ask\n")
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.UNREACHABLE
    has(pool, sick, well, down=(well,))
    again = await pool.connect()
    await again.send(b"ask\n")
    await answers(await opened(pool, sick), again)


class Notes:
    """Notes what it is told of the targets."""

    def __init__(self, pool: Running) -> None:
        self.told: list[str] = []
        pool.service.leases.runner.reports.listener = self

    def succeeded(self, target: Target) -> None:
        self.told.append("well")

    def failed(self, target: Target, reason: str) -> None:
        self.told.append(reason)

    @property
    def went_well(self) -> list[bool]:
        return [word == "well" for word in self.told]


class Judge(Notes):
    """Takes a member out as soon as anything fails there."""

    def __init__(self, pool: Running, *members: Upstream, connections: int = 1) -> None:
        super().__init__(pool)
        self._pool = pool
        self._members = {member.remote: member for member in members}
        self._connections = connections
        self.down: tuple[Upstream, ...] = ()
        has(pool, *members, connections=connections)

    def failed(self, target: Target, reason: str) -> None:
        super().failed(target, reason)
        self.down += (self._members[str(target)],)
        has(self._pool, *self._members.values(), down=self.down, connections=self._connections)


@in_reactor
async def test_a_target_may_be_taken_out_while_its_connects_fail(start_pool: StartPool, net: Net) -> None:
    """Also in the middle of the orders to connect the others, where the connect fails at once."""
    bad, good = two(net, first_listens=False)
    pool = start(start_pool, codec="length:1", warmup=True)
    judge = Judge(pool, bad, good, connections=3)
    for _ in range(3):
        await good.accept()
    await until(lambda: judge.down, "it to be taken out")
    await until(lambda: connections(pool) == {"sv_idle": 3}, "the others to be open")
    assert "refused" in judge.told[0]


@pytest.mark.parametrize("ending", ["reset", "fin", "late", "nonsense"])
@in_reactor
async def test_requests_that_fail_are_told_and_the_next_goes_elsewhere(
    start_pool: StartPool, net: Net, ending: str
) -> None:
    bad, good = two(net)
    pool = start(start_pool, codec="resp", request_timeout=5)
    judge = Judge(pool, bad, good)
    client, upstream = await asked(pool, bad, b"INCR a\r\n")
    assert judge.told == ["well"]
    if ending == "reset":
        upstream.reset()
    elif ending == "fin":
        upstream.close()
    elif ending == "late":
        await pass_time(pool, 5 + TICK)
    else:
        await upstream.send(b"nonsense\r\n")
    await until(lambda: len(judge.told) == 2, "the failure to be told")
    assert judge.down == (bad,)
    assert (await client.read_all()).startswith(b"-ERR")
    other = await pool.connect()
    await other.send(b"INCR b\r\n")
    upstream = await good.accept()
    assert await upstream.receive(8) == b"INCR b\r\n"
    await upstream.send(b":1\r\n")
    assert await other.receive(4) == b":1\r\n"
    assert await bad.is_left_alone()


@in_reactor
async def test_a_request_that_may_be_repeated_goes_elsewhere_when_its_target_is_taken_out(
    start_pool: StartPool, net: Net
) -> None:
    bad, good = two(net)
    pool = start(start_pool, codec="resp")
    Judge(pool, bad, good)
    client, upstream = await asked(pool, bad, b"GET a\r\n")
    upstream.reset()
    upstream = await good.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    await upstream.send(b"+1\r\n")
    assert await client.receive(4) == b"+1\r\n"


@in_reactor
async def test_the_first_reply_after_a_failure_is_told_whichever_connection_it_comes_on(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start(start_pool, codec="line")
    notes = Notes(pool)
    has(pool, target, connections=2)
    people, upstreams = [], []
    for _ in range(2):
        client, upstream = await asked(pool, target)
        people.append(client)
        upstreams.append(upstream)
    await upstreams[1].send(b"reply\n")
    assert await people[1].receive(6) == b"reply\n"
    upstreams[0].reset()
    await until(lambda: len(notes.told) == 3, "the failure to be told")
    for _ in range(2):
        await people[1].send(b"ask\n")
        await answers(upstreams[1], people[1])
    assert notes.went_well == [True, True, False, True]


@in_reactor
async def test_what_clients_do_is_no_failure_of_the_target(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start(start_pool, codec="raw")
    has(pool, target)
    notes = Notes(pool)
    client, upstream = await asked(pool, target)
    client.reset()
    await upstream.read_until_reset()
    await pool.record()
    assert notes.told == ["well"]


# Proxy mode


async def joined(pool: Running, target: Upstream) -> tuple[Peer, Peer]:
    """A client that has an upstream of its own."""
    client = await pool.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    return client, upstream


@in_reactor
async def test_proxy_clients_wait_for_members_and_keep_theirs_when_it_goes(start_pool: StartPool, net: Net) -> None:
    old, new = net.upstream(), net.upstream()
    pool = start(start_pool, mode="proxy")
    waiting = await pool.connect()
    await waiting.send(b"first")
    await waits(pool, 1)
    has(pool, old)
    upstream = await old.accept()
    assert await upstream.receive(5) == b"first"
    other = await pool.connect()
    await waits(pool, 1)
    has(pool, new)
    beside = await new.accept()
    await other.send(b"other")
    assert await beside.receive(5) == b"other"
    assert connections(pool) == {"sv_active": 2}
    await upstream.send(b"still")
    assert await waiting.receive(5) == b"still"
    waiting.close()
    await upstream.read_all()
    upstream.close()
    await until(lambda: connections(pool) == {"sv_active": 1}, "the slot to be gone")
    assert await old.is_left_alone()


@in_reactor
async def test_proxy_without_a_member_clients_fail_fast(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start(start_pool, mode="proxy")
    has(pool, target)
    client, upstream = await joined(pool, target)
    has(pool)
    late = await pool.connect()
    assert await late.read_all() == b""
    late.close()
    record = await pool.record()
    assert (record.outcome, record.reason) == (Outcome.UNREACHABLE, "there is no target")
    await client.send(b"more")
    assert await upstream.receive(4) == b"more"
    has(pool, target)
    again = await pool.connect()
    await waits(pool, 1)
    client.reset()
    await upstream.read_until_reset()
    await again.send(b"again")
    assert await (await target.accept()).receive(5) == b"again"


@in_reactor
async def test_proxy_a_client_whose_target_goes_while_it_is_connected_gets_another(
    start_pool: StartPool, net: Net
) -> None:
    black_hole, good = net.upstream(listens=False), net.upstream()
    black_hole.fill_queue()
    pool = start(start_pool, mode="proxy")
    has(pool, black_hole)
    client = await pool.connect()
    await client.send(b"hello")
    await until(lambda: state(pool)["sv_login"] == 1, "the pool to connect")
    has(pool, good)
    assert await (await good.accept()).receive(5) == b"hello"
    assert pool.failed_attempts == [(black_hole.remote, "the target was taken away while it was connected to")]


@in_reactor
async def test_proxy_a_client_whose_only_target_goes_while_it_is_connected_is_told_so(
    start_pool: StartPool, net: Net
) -> None:
    black_hole = net.upstream(listens=False)
    black_hole.fill_queue()
    pool = start(start_pool, mode="proxy")
    has(pool, black_hole)
    client = await pool.connect()
    await until(lambda: state(pool)["sv_login"] == 1, "the pool to connect")
    has(pool, black_hole, down=(black_hole,))
    assert await client.read_all() == b""
    client.close()
    record = await pool.record()
    assert record.outcome is Outcome.UNREACHABLE
    assert record.reason == f"{black_hole.remote}: the target was taken away while it was connected to"


@in_reactor
async def test_proxy_connects_are_told_and_a_target_that_is_taken_out_is_tried_no_more(
    start_pool: StartPool, net: Net
) -> None:
    bad, good = two(net, first_listens=False)
    pool = start(start_pool, mode="proxy")
    judge = Judge(pool, bad, good)
    for _ in range(2):
        client, upstream = await joined(pool, good)
        client.reset()
        await upstream.read_until_reset()
    assert judge.went_well == [False, True, True]
    assert len(pool.failed_attempts) == 1


@in_reactor
async def test_proxy_a_cancel_request_without_a_member_ends_at_once(start_pool: StartPool, net: Net) -> None:
    pool = start(start_pool, mode="proxy")
    client = await pool.connect()
    await waits(pool, 1)
    await client.send(CANCEL)
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).reason == "there is no target for a cancel request"


# Holds


@in_reactor
async def test_a_member_that_is_held_stays_so_while_it_is_away(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start(start_pool, codec="line")
    has(pool, target)
    pool.service.steering.hold(target.remote)
    has(pool)
    has(pool, target)
    client = await pool.connect()
    await client.send(b"ask\n")
    await waits(pool, 1)
    assert await target.is_left_alone()
    pool.service.steering.release(target.remote)
    await answers(await opened(pool, target), client)
