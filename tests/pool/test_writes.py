"""The pool with shared upstreams: how many writes it takes to pass requests and replies on, and what if one fails."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger

from proxymux.core.batch import Batch, Sender
from proxymux.core.codecs import make_codec
from proxymux.core.commands import Cause, RelayEnd
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.leasing import Leasing
from proxymux.core.pool_target import parse_pool_target
from proxymux.net.connecting import Connecting
from proxymux.net.connection import PLENTY, Connection, Producer
from proxymux.net.connector import Connector
from proxymux.net.exchange import JoinOptions
from proxymux.net.memory import MemoryConnection
from proxymux.net.timers import Timers
from proxymux.pool.exchange import MOST_KEPT, DetachedExchange
from proxymux.pool.modes import DetachedRelay
from proxymux.pool.pool import Pool
from proxymux.pool.settings import PoolSettings
from proxymux.session.context import ClientExchange
from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import Net, Peer, in_reactor, settle
from tests.services.pools import clients

#: Where Linux counts the segments with data that have come, in what it tells of a connection, and where that ends.
_DATA_SEGMENTS_IN, _INFORMATION = 152, 156
A, B, C = b"PING A\r\n", b"PING B\r\n", b"PING C\r\n"


class Written(MemoryConnection):
    """Keeps each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        #: What was to be sent when it was lost already.
        self.dropped = b""
        #: The peer takes nothing more, or is found to be gone at the next write.
        self.is_full = self.is_broken = False
        self._producer: Producer | None = None

    def send(self, data: bytes) -> None:
        if self.is_broken:
            self.abort()
        if self.is_lost:
            self.dropped += data
            return
        self.writes.append(data)
        if self.is_full and self._producer is not None:
            self._producer.pauseProducing()

    def register_producer(self, producer: Producer, plenty: int = PLENTY) -> None:
        self._producer = producer

    def unregister_producer(self) -> None:
        self._producer = None


CLIENT = Client(("127.0.0.1", 1), ("127.0.0.1", 2))


class Rig:
    """A pool on connections in memory, whose turns a test ends."""

    def __init__(self, *options: str, targets: int = 1) -> None:
        where = ["a:1"] * targets
        settings = PoolSettings.read(
            {"listen": "tcp:0", "codec": "resp", "target": where, "warmup": True, **dict.fromkeys(options, True)}
        )
        is_pipelined = targets == 1 or settings.async_
        self.upstreams: list[Written] = []
        self.ends: list[RelayEnd] = []
        self._soon: list[Callable[[], None]] = []
        timers = Timers(Clock(), Logger())
        self.pool = Pool(
            Clock(),
            timers,
            cast("Connector", self),
            make_codec("resp"),
            Leasing(
                [parse_pool_target(each) for each in where],
                pipelined=is_pipelined,
                exclusive=False,
                queue_limit=9,
                queue_timeout=30,
                jitter=lambda: 1.0,
            ),
            Events(lambda *_: None, lambda *_: None),
            Logger(),
            self._soon.append,
            settings,
        )
        self.pool.start()
        self._relay = DetachedRelay(self.pool, self.join, is_pipelined, True, 1 << 20)
        #: The writes to the client that it had before it was handed over.
        self.before_join: list[bytes] | None = None

    def connect(self, forward: object, client: Client, listener: Any) -> Connecting:
        """Each slot is connected at once."""
        upstream = Written()
        self.upstreams.append(upstream)
        return cast("Connecting", _Connect(partial(listener.connected, upstream)))

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> ClientExchange:
        assert isinstance(client, Written)
        self.before_join = list(client.writes)
        return cast("ClientExchange", None)

    def client(self) -> tuple[Written, DetachedExchange]:
        connection = Written()
        options = JoinOptions(b"", False, None, None, lambda end, _: self.ends.append(end))
        return connection, self._relay.join(connection, options, CLIENT)

    def end_turn(self) -> None:
        while self._soon:
            self._soon.pop(0)()

    def asks(self, client: Written, *requests: bytes) -> None:
        """Each request comes in a turn of its own."""
        for request in requests:
            client.receive(request)
            self.end_turn()


class _Connect:
    def __init__(self, start: Callable[[], None]) -> None:
        self.start = start

    def cancel(self) -> None: ...


class _Ignores:
    def done(self, batch: Batch, data: bytes) -> None: ...


# Upstreams


def test_what_all_clients_ask_in_one_turn_is_one_write() -> None:
    rig = Rig()
    for request in (A, B, C):
        rig.client()[0].receive(request)
    rig.end_turn()
    assert rig.upstreams[0].writes == [A + B + C]


def test_each_upstream_has_its_own_write() -> None:
    rig = Rig("async_", targets=2)
    for request in (A, B, C, A):
        rig.client()[0].receive(request)
    rig.end_turn()
    assert [upstream.writes for upstream in rig.upstreams] == [[A + C], [B + A]]


# Clients


def test_a_client_that_waits_for_one_reply_has_it_at_once() -> None:
    rig = Rig()
    client, _ = rig.client()
    rig.asks(client, A)
    rig.upstreams[0].receive(b"+A\r\n")
    assert client.writes == [b"+A\r\n"]


def test_the_replies_in_one_chunk_are_one_write_for_each_client() -> None:
    rig = Rig()
    (one, _), (two, _) = rig.client(), rig.client()
    rig.asks(one, A)
    rig.asks(two, A)
    rig.asks(one, B)
    rig.asks(two, B, C)
    rig.upstreams[0].receive(b"+A\r\n+1\r\n+B\r\n+2\r\n+3\r\n")
    assert one.writes == [b"+A\r\n+B\r\n"]
    assert two.writes == [b"+1\r\n+2\r\n+3\r\n"]
    rig.end_turn()
    assert len(one.writes + two.writes) == 2


def test_a_client_that_waits_for_more_has_what_came_at_the_end_of_the_turn() -> None:
    rig = Rig()
    client, _ = rig.client()
    rig.asks(client, A, B, C)
    rig.upstreams[0].receive(b"+A\r\n")
    rig.upstreams[0].receive(b"+B\r\n+")
    assert client.writes == []
    rig.end_turn()
    assert client.writes == [b"+A\r\n+B\r\n+"]
    rig.upstreams[0].receive(b"C\r\n")
    assert client.writes[1:] == [b"C\r\n"]


def test_much_does_not_wait_for_the_end_of_the_turn() -> None:
    rig = Rig()
    client, _ = rig.client()
    rig.asks(client, A, B, C)
    large = b"$%d\r\n%b\r\n" % (MOST_KEPT, bytes(MOST_KEPT))
    rig.upstreams[0].receive(b"+A\r\n" + large)
    assert client.writes == [b"+A\r\n" + large]


def test_a_client_that_does_not_read_has_nothing_kept_besides() -> None:
    rig = Rig()
    client, exchange = rig.client()
    rig.asks(client, A, B, C)
    client.is_full = True
    rig.upstreams[0].receive(b"+A\r\n")
    rig.end_turn()
    rig.upstreams[0].receive(b"+B\r\n")
    assert client.writes == [b"+A\r\n", b"+B\r\n"]
    exchange.resumeProducing()
    rig.upstreams[0].receive(b"+C\r\n")
    assert client.writes[2:] == [b"+C\r\n"]


# What ends between a reply and its write


def test_a_client_that_is_lost_was_not_sent_what_was_kept() -> None:
    rig = Rig()
    client, exchange = rig.client()
    other, _ = rig.client()
    rig.asks(client, A, B)
    rig.asks(other, C)
    rig.upstreams[0].receive(b"+A\r\n")
    client.abort()
    assert (client.writes, client.dropped, exchange.bytes_out) == ([], b"+A\r\n", 4)
    assert [end.cause for end in rig.ends] == [Cause.CLIENT_ABORTED]
    rig.end_turn()
    rig.upstreams[0].receive(b"+B\r\n+C\r\n")
    assert other.writes == [b"+C\r\n"]


def test_a_client_that_the_write_finds_gone_costs_nobody_else_anything() -> None:
    rig = Rig()
    client, _ = rig.client()
    other, _ = rig.client()
    rig.asks(client, A, B)
    rig.asks(other, A, B)
    client.is_broken = True
    rig.upstreams[0].receive(b"+A\r\n+B\r\n+A\r\n")
    rig.end_turn()
    assert (client.writes, client.dropped) == ([], b"+A\r\n+B\r\n")
    assert [end.cause for end in rig.ends] == [Cause.CLIENT_ABORTED]
    assert other.writes == [b"+A\r\n"]


def test_what_came_before_an_upstream_closed_precedes_the_error() -> None:
    rig = Rig()
    client, _ = rig.client()
    rig.asks(client, A, b"INCR b\r\n")
    rig.upstreams[0].receive(b"+A\r\n")
    rig.upstreams[0].owner.finished()
    [write] = client.writes
    assert write.startswith(b"+A\r\n-ERR ")
    assert [end.cause for end in rig.ends] == [Cause.DISMISSED]


def test_what_came_of_a_reply_that_is_cut_short_is_sent_before_the_reset() -> None:
    rig = Rig()
    client, _ = rig.client()
    rig.asks(client, A, B)
    rig.upstreams[0].receive(b"+A\r\n$9\r\n")
    rig.upstreams[0].abort()
    assert client.writes == [b"+A\r\n$9\r\n"]
    assert [end.cause for end in rig.ends] == [Cause.UPSTREAM_ABORTED]


def test_what_was_kept_is_sent_before_a_client_gets_an_upstream_alone() -> None:
    rig = Rig("async_", targets=2)
    client, _ = rig.client()
    rig.asks(client, A)
    rig.asks(client, b"MULTI\r\n")
    rig.upstreams[0].receive(b"+A\r\n")
    assert rig.before_join == [b"+A\r\n"]


@pytest.mark.parametrize("how", ["aborted", "packed"])
def test_what_was_kept_is_sent_before_the_client_is_taken_from_the_pool(how: str) -> None:
    rig = Rig()
    client, exchange = rig.client()
    rig.asks(client, A, B)
    rig.upstreams[0].receive(b"+A\r\n")
    if how == "aborted":
        exchange.abort()
    else:
        assert exchange.pack() is None, "it waits for a reply"
    assert client.writes == [b"+A\r\n"]
    rig.end_turn()
    assert client.writes == [b"+A\r\n"]


def test_what_an_upstream_did_not_get_before_it_closed_goes_to_the_next() -> None:
    rig = Rig()
    client, _ = rig.client()
    rig.asks(client, A)
    rig.upstreams[0].receive(b"+A\r\n")
    client.receive(B)
    rig.upstreams[0].owner.finished()
    rig.end_turn()
    assert [upstream.writes for upstream in rig.upstreams] == [[A], [B]]
    rig.upstreams[1].receive(b"+B\r\n")
    assert client.writes == [b"+A\r\n", b"+B\r\n"]


def test_an_upstream_that_is_given_away_has_what_was_asked_of_it_before() -> None:
    rig = Rig()
    silent = Batch(b"silent\r\n", [], 0)
    rig.pool.submit(silent, cast("Sender", _Ignores()))
    assert rig.upstreams[0].writes == []
    assert rig.pool.hand_over(silent) is rig.upstreams[0]
    assert rig.upstreams[0].writes == [b"silent\r\n"]
    rig.end_turn()
    assert rig.upstreams[0].writes == [b"silent\r\n"]


# Both drivers


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def segments(peer: Peer) -> int:
    """How many writes have come: each small one that nothing delays is a segment of its own."""
    information = peer._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFORMATION)
    if len(information) < _INFORMATION:
        pytest.skip("this system does not count segments")
    count: int = struct.unpack_from("I", information, _DATA_SEGMENTS_IN)[0]
    return count


@in_reactor
async def test_one_chunk_of_replies_is_one_write_for_each_client(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="resp", mode="fifo")
    people = await clients(pool, 2)
    for request in (A, B, C):
        for client in people:
            await client.send(request)
            await settle()
    upstream = await target.accept()
    assert await upstream.receive(6 * len(A)) == A * 2 + B * 2 + C * 2
    await upstream.send(b"+A\r\n+a\r\n+B\r\n+b\r\n+C\r\n+c\r\n")
    assert await people[0].receive(12) == b"+A\r\n+B\r\n+C\r\n"
    assert await people[1].receive(12) == b"+a\r\n+b\r\n+c\r\n"
    assert [segments(client) for client in people] == [1, 1]


#: Not done twice.
WRITE = b"INCR a\r\n"


def test_what_follows_on_a_failure_goes_to_no_upstream_that_is_being_closed() -> None:
    rig = Rig()
    batches = [Batch(WRITE, [(None, 1)], 1) for _ in range(2)]
    followed: list[bool] = []

    class Goes(_Ignores):
        def failed(self, batch: Batch, outcome: object, reason: str) -> None:
            followed.append(rig.pool.follow(Batch(A, [(None, 1)], 1), batches[-1], cast("Sender", self)))

    for batch in batches:
        rig.pool.submit(batch, cast("Sender", Goes()))
    rig.end_turn()
    rig.upstreams[0].owner.lost(None)
    assert followed == [False, False]
