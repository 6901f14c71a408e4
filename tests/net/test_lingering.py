"""Clients that were sent their last bytes and do not close."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger

from proxymux import Reject
from proxymux.net.lingering import LINGER, MOST_READ, Lingering
from proxymux.net.memory import MemoryConnection
from proxymux.net.timers import Timers
from tests.net.scenes import sockets
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import RELAYS, Callback, Join, Running, Start, StartPool
from tests.services.peers import MEGABYTE, Net, Peer, as_time_passes, in_reactor, noise, settle, turns, until
from tests.services.tls import tls_client

#: More than the sockets of a client that does not read can hold.
MUCH = 64 * MEGABYTE
#: More than they can hold of what a client sends and the proxy does not read.
HELD_AT_MOST = 16 * MEGABYTE


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def rejected(proxy: Running, last_word: bytes = b"no") -> Peer:
    """A client that has read its last word, and the end."""
    client = await proxy.connect()
    await client.send(b"x")
    assert await client.read_all() == last_word
    return client


async def is_let_go(count: int) -> None:
    """The proxy has no more than ``count`` sockets that the test does not have."""
    await until(lambda: len(sockets()) <= count, f"{count} sockets to be left")


async def flood(client: Peer) -> int:
    """Send until the connection is broken; how much that was."""
    sent = 0
    while sent < MUCH:
        try:
            sent += client._socket.send(bytes(1 << 16))
        except BlockingIOError:
            await turns(1)
        except OSError:
            return sent
    raise AssertionError(f"{sent} bytes were taken")


# The session is over


@in_reactor
async def test_the_record_is_written_and_the_place_is_free_while_the_client_lingers(start: Start) -> None:
    proxy = start(lambda data: Reject(b"no"), max_connections=1, max_per_client=1)
    for number in range(1, 4):
        await rejected(proxy)
        records = await proxy.ended(number)
        assert (records[-1].outcome, records[-1].bytes_in, records[-1].bytes_out) == ("rejected", 1, 2)
        assert records[-1].seconds < LINGER
        assert proxy.is_free_of_sessions()


@in_reactor
async def test_a_client_that_does_not_close_is_closed_after_two_seconds(start: Start) -> None:
    proxy = start(lambda data: Reject(b"no"))
    await settle()
    before = len(sockets())
    await rejected(proxy)
    await proxy.record()
    proxy.clock.advance(LINGER - 0.1)
    await settle()
    assert len(sockets()) == before + 2
    proxy.clock.advance(0.2)
    await is_let_go(before + 1)


@in_reactor
async def test_a_client_that_closes_is_closed_at_once(start: Start) -> None:
    proxy = start(lambda data: Reject(b"no"))
    await settle()
    before = len(sockets())
    client = await rejected(proxy)
    client.finish()
    await is_let_go(before + 1)
    await proxy.record()


@in_reactor
async def test_what_it_still_sends_is_thrown_away_and_does_not_reset_it(start: Start) -> None:
    proxy = start(lambda data: Reject(b"no"))
    client = await proxy.connect()
    await client.send(b"x" + bytes(MOST_READ - 1))
    assert await client.read_all() == b"no"
    for _ in range(3):
        await client.send(b"more")
        await settle()
    client.finish()
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "rejected"


@in_reactor
async def test_one_that_sends_without_end_is_reset(start: Start) -> None:
    proxy = start(lambda data: Reject(b"no"))
    client = await rejected(proxy)
    await client.send_until_stalled(bytes(MUCH))
    assert await client.read_all() == b""  # no reset while it may still have to read
    assert await as_time_passes(proxy.clock, flood(client)) < HELD_AT_MOST
    assert (await proxy.record()).bytes_out == 2


@in_reactor
async def test_one_that_breaks_the_pools_protocol_and_sends_on_is_reset(start_pool: StartPool, net: Net) -> None:
    pool = start_pool(net.upstream(), codec="resp", mode="fifo", max_connections=1)
    client = await pool.connect()
    await client.send(b"*x\r\n")
    assert (await client.read_all()).startswith(b"-ERR")
    assert (await pool.record()).outcome == "protocol_error"
    assert await as_time_passes(pool.clock, flood(client)) < HELD_AT_MOST


@in_reactor
async def test_a_tls_client_that_does_not_answer_the_close_lingers_as_long(
    start: Start, net: Net, authority: Authority, own: Credentials, relay: str
) -> None:
    proxy = start(lambda data: Reject(b"no") if data == b"x" else Reject(), listen=own.endpoint, max_connections=1)
    await settle()
    before = len(sockets())
    for number, (said, heard) in enumerate([(b"x", b"no"), (b"y", b"")], 1):
        client = await tls_client(net, proxy, authority)
        await client.send(said)
        assert await client.receive(len(heard)) == heard
        record = (await proxy.ended(number))[-1]
        assert (record.outcome, record.bytes_out) == ("rejected", len(heard))
    assert len(sockets()) == before + 4
    proxy.clock.advance(LINGER + 0.1)
    await is_let_go(before + 2)


@in_reactor
async def test_a_tls_client_that_sends_without_end_is_reset(
    start: Start, net: Net, authority: Authority, own: Credentials, relay: str
) -> None:
    proxy = start(lambda data: Reject(b"no"), listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(b"x")
    assert await client.receive(2) == b"no"
    assert await as_time_passes(proxy.clock, flood(client)) < HELD_AT_MOST


# Last bytes that are not read


@in_reactor
async def test_a_client_that_reads_nothing_ends_in_time_and_only_what_was_taken_counts(start: Start) -> None:
    proxy = start(lambda data: Reject(noise(MUCH)))
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"x")
    await settle()
    assert proxy.records == []
    proxy.clock.advance(LINGER + 0.1)
    await settle()
    proxy.clock.advance(LINGER + 0.1)  # where the first look found it on its way
    record = await proxy.record()
    assert record.outcome == "rejected"
    assert 0 < record.bytes_out < HELD_AT_MOST
    with pytest.raises(ConnectionResetError):
        await client.receive(MUCH)


@in_reactor
async def test_a_client_that_reads_slowly_has_more_time(start: Start) -> None:
    proxy = start(lambda data: Reject(noise(MUCH)))
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"x")
    received = b""
    for _ in range(3):
        received += await client.receive(6 * MEGABYTE)
        proxy.clock.advance(LINGER)
        await settle()
    assert proxy.records == []
    received += await client.receive(MUCH - len(received))
    assert received == noise(MUCH)
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("rejected", MUCH)


@in_reactor
async def test_a_client_that_is_not_read_any_more_may_not_send_without_end(start: Start) -> None:
    proxy = start(lambda data: Reject(noise(MUCH)))
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"x")
    assert await client.send_until_stalled(bytes(MUCH)) < HELD_AT_MOST
    client.reset()
    assert (await proxy.record()).outcome == "rejected"


@in_reactor
async def test_a_client_whose_last_word_is_thought_about_may_not_send_without_end(start: Start, net: Net) -> None:
    word: Deferred[bytes] = Deferred()
    failed = Callback(word)
    proxy = start(lambda data: {"remote": net.upstream(listens=False).remote, "retries": 0}, connect_error=failed)
    client = await proxy.connect()
    await client.send(b"x")
    await until(lambda: failed.remotes, "the callback to be called")
    assert await client.send_until_stalled(bytes(MUCH)) < HELD_AT_MOST
    word.callback(b"sorry")
    assert await client.read_all() == b"sorry"
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("unreachable", 5)


@in_reactor
async def test_a_client_whose_pooled_reply_is_awaited_may_not_send_without_end_after_its_last_request(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", mode="fifo")
    client = await pool.connect()
    await client.send(b"GET a\r\n*x\r\n")
    upstream = await target.accept()
    assert await upstream.receive(7) == b"GET a\r\n"
    assert await client.send_until_stalled(bytes(MUCH)) < HELD_AT_MOST
    await upstream.send(b"+a\r\n")
    assert (await client.read_all()).startswith(b"+a\r\n-ERR")
    assert (await pool.record()).outcome == "protocol_error"


# Descriptors


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    """This process can open no more."""
    free = os.dup(0)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@in_reactor
async def test_they_make_way_where_accept_finds_no_descriptor(start: Start) -> None:
    proxy = start(lambda data: Reject(b"no"))
    for _ in range(3):
        await rejected(proxy)
    client = await proxy.connect()
    with no_more_descriptors():
        await client.send(b"x")
        assert await client.read_all() == b"no"
    assert not [line for level, line in proxy.lines if level == "warn"]
    assert len(await proxy.ended(4)) == 4


@in_reactor
async def test_the_oldest_make_way_for_sessions(start: Start) -> None:
    proxy = start(lambda data: Reject(b"no") if data == b"x" else None)
    await settle()
    before = len(sockets())
    proxy.service._driver.gate.capacity = 4
    for _ in range(9):
        await rejected(proxy)
    await is_let_go(before + 9 + 6 + 1)  # room for one session's two descriptors was kept, and it has gone again
    others = []
    for _ in range(4):
        others.append(await proxy.connect())
        await settle()
    await is_let_go(before + 9 + 2 * len(others))
    assert len(proxy.service.sessions) == 4
    assert not [line for level, line in proxy.lines if level == "warn"]


# Stopping


@pytest.mark.parametrize("limit", [None, 30.0])
@in_reactor
async def test_a_stop_gives_them_their_time(start: Start, limit: float | None) -> None:
    proxy = start(lambda data: Reject(b"no"))
    await rejected(proxy)
    drained: list[None] = []
    proxy.service.drain(limit).addCallback(drained.append)
    await settle()
    proxy.clock.advance(LINGER - 0.1)
    await settle()
    assert drained == []
    proxy.clock.advance(0.2)
    await until(lambda: drained, "the end of the stop")


@pytest.mark.parametrize("stop", ["abort", "limit"])
@in_reactor
async def test_a_stop_that_has_no_time_left_resets_them(start: Start, stop: str) -> None:
    proxy = start(lambda data: Reject(b"no"))
    client = await rejected(proxy)
    drained: list[None] = []
    proxy.service.drain(0.2).addCallback(drained.append)
    await settle()
    if stop == "abort":
        proxy.service.abort()
    else:
        for seconds in (0.2, 1.0):
            proxy.clock.advance(seconds)
            await settle()
    await until(lambda: drained, "the end of the stop")
    await client.send_until_broken()


@in_reactor
async def test_a_joined_client_that_is_cut_by_a_stop_lingers(join: Join) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"some")
    assert await client.receive(4) == b"some"
    proxy.service.drain(1.0)
    proxy.clock.advance(1.0)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "drained"
    await client.send(b"still talking")
    await settle()
    await client.send(b"and it is no reset")
    client.finish()


# Without a network


class WatchedConnection(MemoryConnection):
    """A connection in memory that notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def pause(self) -> None:
        self.calls.append("pause")

    def close_now(self) -> None:
        self.calls.append("close")
        super().close_now()

    def abort(self) -> None:
        self.calls.append("reset")
        super().abort()


class Scene:
    """One connection in memory that lingers."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lingering = Lingering(Timers(self.clock, Logger()))
        self.connection = WatchedConnection()
        self.let_go: list[int] = []
        self.ended: list[int] = []
        self.lingering.when_ended = lambda: self.ended.append(len(self.lingering))
        self.lingering.begin(self.connection, lambda: self.let_go.append(1))


def test_exactly_so_much_is_thrown_away() -> None:
    scene = Scene()
    assert (scene.let_go, len(scene.lingering)) == ([1], 1)
    scene.connection.receive(bytes(MOST_READ))
    assert scene.connection.calls == []
    scene.connection.receive(b"!")
    assert scene.connection.calls == ["pause"]
    scene.clock.advance(LINGER + 0.1)
    assert scene.connection.calls == ["pause", "reset"]
    assert (scene.ended, scene.let_go) == ([0], [1])


def test_each_has_its_time_and_no_more() -> None:
    scene = Scene()
    scene.clock.advance(LINGER - 0.1)
    assert not scene.connection.is_lost
    scene.clock.advance(0.2)
    assert scene.connection.calls == ["close"]
    assert (scene.ended, scene.let_go) == ([0], [1])


@pytest.mark.parametrize("most", [-1, 0, 1, 2, 3])
def test_the_oldest_are_closed_first(most: int) -> None:
    lingering = Lingering(Timers(Clock(), Logger()))
    connections = [MemoryConnection() for _ in range(3)]
    for each in connections:
        lingering.begin(each, lambda: None)
    left = max(0, min(3, most))
    assert lingering.keep(most) == 3 - left
    assert [each.is_lost for each in connections] == [True] * (3 - left) + [False] * left
    assert len(lingering) == left
