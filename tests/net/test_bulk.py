"""Bulk, and what happens to it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, succeed

from proxymux import Forward
from tests.net.scenes import (
    BULK,
    DAY,
    DRAIN,
    OFFERED,
    Moment,
    Scene,
    Voice,
    both_are_sending,
    client_does_not_read,
    client_is_sending,
    digest,
    nobody_reads,
    upstream_does_not_read,
    upstream_is_sending,
)
from tests.services.fixtures import RELAYS, Callback, Join, Running, Start
from tests.services.peers import (
    MEGABYTE,
    Net,
    Peer,
    Upstream,
    as_time_passes,
    in_reactor,
    noise,
    settle,
    together,
    turns,
)

pytestmark = pytest.mark.slow  # all of it takes long, and each of it is tested in pieces, too


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sides(client: Peer, upstream: Peer, sleeper: str) -> tuple[Peer, Peer]:
    """Who sends, and who is to read it, which is the ``sleeper``."""
    return (upstream, client) if sleeper == "client" else (client, upstream)


async def hear_the_rest(peer: Peer) -> bytes:
    """Everything up to the end, of whatever kind."""
    parts: list[bytes] = []
    try:
        while part := await peer.read_some():
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


async def pair(proxy: Running, target: Upstream) -> tuple[Peer, Peer]:
    """One more client, and its upstream."""
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    return client, upstream


both_ways = pytest.mark.parametrize("sleeper", ["client", "upstream"])


@in_reactor
async def test_bulk_and_single_bytes_take_turns(join: Join) -> None:
    proxy, client, upstream = await join()
    question, answer = noise(BULK, "question"), noise(BULK, "answer")
    for _ in range(2):
        _, heard = await together(client.send(question), upstream.receive(BULK))
        assert digest(heard) == digest(question)
        for number in range(1000):
            byte = bytes([number % 256])
            await client.send(byte)
            assert await upstream.receive(1) == byte
            await upstream.send(byte)
            assert await client.receive(1) == byte
        _, heard = await together(upstream.send(answer), client.receive(BULK))
        assert digest(heard) == digest(answer)
    client.finish()
    answers = Voice(upstream)
    answers.say(answer)
    answers.finish()
    assert await upstream.read_all() == b""
    assert digest(await client.read_all()) == digest(answer)
    record = await proxy.record()
    assert record.outcome == "completed"
    assert (record.bytes_in, record.bytes_out) == (5 + 2 * (BULK + 1000), 2 * (BULK + 1000) + BULK)


@pytest.mark.parametrize("seed", range(10))
@in_reactor
async def test_messages_of_all_sizes_may_follow_each_other(join: Join, seed: int) -> None:
    chance = random.Random(seed)
    proxy, client, upstream = await join()
    counts = {client: 5, upstream: 0}
    for number in range(60):
        source, sink = chance.choice([(client, upstream), (upstream, client)])
        size = chance.choice((1, 100, 16_383, 16_384, 65_535, 65_536, 65_537, MEGABYTE - 1, MEGABYTE, MEGABYTE + 1))
        message = noise(size, str(number % 3))
        counts[source] += size
        _, heard = await together(source.send(message), sink.receive(size))
        assert digest(heard) == digest(message)
    client.finish()
    upstream.finish()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", counts[client], counts[upstream])


@both_ways
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, MEGABYTE - 1, MEGABYTE, MEGABYTE + 1, 4 * MEGABYTE])
@in_reactor
async def test_a_fin_at_once_behind_bulk_of_any_size_cuts_nothing_off(join: Join, size: int, sleeper: str) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    source, sink = sides(client, upstream, sleeper)
    voice = Voice(source)
    voice.say(noise(size))
    voice.finish()
    assert digest(await sink.read_all()) == digest(noise(size))
    await sink.send(b"and now")
    sink.finish()
    assert await source.read_all() == b"and now"
    record = await proxy.record()
    counts = {"upstream": (5 + size, 1 + 7), "client": (5 + 7, 1 + size)}
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", *counts[sleeper])


@both_ways
@in_reactor
async def test_bulk_both_ways_survives_that_one_reader_sleeps_until_the_other_has_all(join: Join, sleeper: str) -> None:
    proxy, client, upstream = await join()
    source, sink = sides(client, upstream, sleeper)
    for_sleeper, for_other = noise(OFFERED, "for the sleeper"), noise(OFFERED // 2, "for the other")
    slowed, other = Voice(source), Voice(sink)
    slowed.say(for_sleeper)
    slowed.finish()
    other.say(for_other)
    beginning, heard = await together(sink.receive(BULK), source.receive(len(for_other)))
    assert digest(heard) == digest(for_other)
    assert not slowed.done.called  # all between is full
    proxy.clock.advance(DAY)
    other.finish()
    rest = await sink.read_all()
    assert digest(beginning + rest) == digest(for_sleeper)
    assert await source.read_all() == b""
    record = await proxy.record()
    counts = {slowed: len(for_sleeper), other: len(for_other)}
    asks, answers = (other, slowed) if sleeper == "client" else (slowed, other)
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + counts[asks], counts[answers])


@both_ways
@in_reactor
async def test_a_sender_that_finishes_in_mid_bulk_is_heard_by_a_reader_that_wakes_up_late(
    start: Start, net: Net, sleeper: str
) -> None:
    scene = Scene(start, net)
    await (client_does_not_read if sleeper == "client" else upstream_does_not_read)(scene)
    source, sink = sides(scene.client, scene.upstream, sleeper)
    source.finish()
    for number in range(3):
        await settle()
        scene.proxy.clock.advance(DAY)
        message = noise(100, str(number))
        await sink.send(message)
        assert await source.receive(100) == message
    heard = await sink.read_all()
    assert digest(heard) == digest(scene.unheard["upstream" if sleeper == "client" else "client"])
    sink.finish()
    assert await source.read_all() == b""
    assert (await scene.end()).outcome == "completed"


NOT_READ: Final = [client_does_not_read, upstream_does_not_read, nobody_reads]


async def are_told(scene: Scene) -> None:
    """Neither goes on for ever, and neither has heard what was not said."""
    for who in ("client", "upstream"):
        heard = await as_time_passes(scene.proxy.clock, hear_the_rest(scene.other_than(who)))
        assert scene.unheard[who].startswith(heard)
    for who in ("client", "upstream"):
        await as_time_passes(scene.proxy.clock, scene.peer(who).send_until_broken())


@pytest.mark.parametrize("stalled", NOT_READ)
@in_reactor
async def test_bulk_that_is_not_read_becomes_idle(start: Start, net: Net, stalled: Moment) -> None:
    scene = Scene(start, net, idle_timeout=5)
    await stalled(scene)
    scene.proxy.clock.advance(4.8)
    await settle()
    assert scene.proxy.records == []
    scene.proxy.clock.advance(0.3)
    await are_told(scene)
    assert (await scene.end()).outcome == "idle"
    assert scene.failed.remotes == []


@pytest.mark.parametrize("leaves", [Peer.finish, Peer.close, Peer.reset])
@in_reactor
async def test_an_upstream_that_has_left_a_client_that_does_not_read_leaves_an_idle_exchange(
    start: Start, net: Net, leaves: Callable[[Peer], None]
) -> None:
    """The client may still have what was sent before, for as long as it may be idle."""
    scene = Scene(start, net, idle_timeout=5)
    await client_does_not_read(scene)
    leaves(scene.upstream)
    await settle()
    scene.proxy.clock.advance(4.8)
    await settle()
    assert scene.proxy.records == []
    scene.proxy.clock.advance(0.3)
    assert scene.unheard["upstream"].startswith(await as_time_passes(scene.proxy.clock, hear_the_rest(scene.client)))
    await as_time_passes(scene.proxy.clock, scene.client.send_until_broken())
    assert (await scene.end()).outcome == "idle"


@both_ways
@in_reactor
async def test_bulk_that_is_read_now_and_then_is_not_idle_and_its_neighbour_is(
    start: Start, net: Net, sleeper: str
) -> None:
    scene = Scene(start, net, idle_timeout=5)
    await scene.talk()
    neighbour, silent = await pair(scene.proxy, scene.target)
    source, sink = sides(scene.client, scene.upstream, sleeper)
    voice = Voice(source)
    voice.say(noise(OFFERED))
    voice.finish()
    heard = b""
    for _ in range(4):
        heard += await sink.receive(BULK)
        await settle()
        scene.proxy.clock.advance(4)
        await settle()
    assert await together(neighbour.read_all(), silent.read_all()) == [b"", b""]
    neighbour.close()
    silent.close()
    heard += await sink.read_all()
    assert digest(heard) == digest(voice.said)
    sink.finish()
    assert [record.outcome for record in await scene.proxy.ended(2)] == ["idle", "completed"]


@pytest.mark.parametrize("at", [*NOT_READ, client_is_sending, upstream_is_sending, both_are_sending])
@pytest.mark.parametrize("how", ["limit", "abort"])
@in_reactor
async def test_bulk_is_cut_by_the_end_of_a_drain(start: Start, net: Net, at: Moment, how: str) -> None:
    scene = Scene(start, net)
    await at(scene)
    scene.drain()
    if how == "abort":
        scene.proxy.service.abort()
    else:
        await turns(1)
        assert scene.proxy.records == []
        scene.proxy.clock.advance(DRAIN)
    await are_told(scene)
    assert (await scene.end()).outcome == "drained"
    assert scene.drained


@both_ways
@in_reactor
async def test_bulk_goes_on_while_a_drain_waits_for_it(start: Start, net: Net, sleeper: str) -> None:
    scene = Scene(start, net)
    await scene.talk()
    source, sink = sides(scene.client, scene.upstream, sleeper)
    voice = Voice(source)
    voice.say(noise(OFFERED))
    voice.finish()
    heard = await sink.receive(BULK)
    scene.drain()
    await settle()
    scene.proxy.clock.advance(DRAIN - 1)
    heard += await sink.read_all()
    assert digest(heard) == digest(voice.said)
    assert not scene.drained
    sink.finish()
    assert (await scene.end()).outcome == "completed"
    assert scene.drained


@in_reactor
async def test_bulk_from_the_client_does_not_put_off_the_first_byte_timeout(join: Join) -> None:
    inactive = Callback(b"sorry")
    proxy, client, upstream = await join({"inactivity_timeout": 2}, inactivity_error=inactive)
    voice = Voice(client)
    voice.say(noise(OFFERED))
    heard = await upstream.receive(BULK)
    proxy.clock.advance(1.9)
    heard += await upstream.receive(BULK)
    assert proxy.records == []
    assert not client.has_something()
    proxy.clock.advance(0.2)
    assert await client.receive(5) == b"sorry"
    assert noise(OFFERED).startswith(heard + await as_time_passes(proxy.clock, hear_the_rest(upstream)))
    await as_time_passes(proxy.clock, hear_the_rest(client))
    client.close()
    await voice.done
    record = await as_time_passes(proxy.clock, proxy.record())
    assert (record.outcome, record.bytes_out, record.first_byte_seconds) == ("inactive", 5, None)
    assert len(inactive.remotes) == 1


@in_reactor
async def test_a_first_byte_amid_bulk_from_the_client_is_in_time(join: Join) -> None:
    inactive = Callback(b"sorry")
    proxy, client, upstream = await join({"inactivity_timeout": 2}, inactivity_error=inactive)
    voice = Voice(client)
    voice.say(noise(OFFERED))
    voice.finish()
    heard = await upstream.receive(BULK)
    proxy.clock.advance(1.9)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    proxy.clock.advance(DAY)
    heard += await upstream.read_all()
    assert digest(heard) == digest(voice.said)
    upstream.finish()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + OFFERED, 1)
    assert record.first_byte_seconds == pytest.approx(1.9)
    assert inactive.remotes == []


@pytest.mark.slow
@in_reactor
async def test_what_broken_flows_have_left_is_never_heard_by_another(start: Start, net: Net) -> None:
    """Pipes and buffers go from one exchange to the next, but not what is in them."""
    target = net.upstream()
    forward = Forward(target.remote)
    proxy = start(lambda data: forward)

    async def is_whole(source: Peer, sink: Peer, seed: str) -> None:
        _, heard = await together(source.send(noise(BULK, seed)), sink.receive(BULK))
        assert digest(heard) == digest(noise(BULK, seed))

    for number in range(6):
        client, upstream = await pair(proxy, target)
        for peer in (client, upstream):
            await peer.send_until_stalled(noise(OFFERED))
        (client, upstream)[number % 2].reset()
        await settle()
        (upstream, client)[number % 2].close()
        await as_time_passes(proxy.clock, proxy.ended(2 * number + 1))
        client, upstream = await pair(proxy, target)
        await together(is_whole(client, upstream, "question"), is_whole(upstream, client, "answer"))
        client.close()
        upstream.close()
        await proxy.ended(2 * number + 2)
    counts = [(record.bytes_in, record.bytes_out) for record in proxy.records[1::2]]
    assert counts == [(5 + BULK, BULK)] * 6


class Torrent:
    """Bulk without an end: as much as is taken."""

    def __init__(self, source: Peer, sink: Peer) -> None:
        self.count = 0
        self._source, self._sink = source, sink
        self._sending: Deferred[None] = succeed(None)

    async def turn(self) -> None:
        if self._sending.called:
            self._sending = ensureDeferred(self._source.send(noise(MEGABYTE)))
        if self._sink.has_something():
            self.count += len(await self._sink.receive_at_most(MEGABYTE))

    async def end(self) -> None:
        self._source.close()
        self._sink.close()
        try:
            await self._sending
        except OSError:
            pass  # of course


@in_reactor
async def test_bulk_starves_nobody(start: Start, net: Net) -> None:
    """Time is counted in turns of the reactor, in each of which bulk has as much to send as the system takes."""
    target = net.upstream()
    forward = Forward(target.remote)
    proxy = start(lambda data: forward)
    chatty = [await pair(proxy, target) for _ in range(100)]
    torrents = []
    for _ in range(4):
        client, upstream = await pair(proxy, target)
        torrents += [Torrent(client, upstream), Torrent(upstream, client)]

    async def turn() -> None:
        for torrent in torrents:
            await torrent.turn()
        await turns(1)

    while min(torrent.count for torrent in torrents) < BULK:
        await turn()
    before = [torrent.count for torrent in torrents]
    for number in range(50):
        word = bytes([number])
        for source, sink in ((0, 1), (1, 0)):
            for each in chatty:
                await each[source].send(word)
            waiting, taken = [each[sink] for each in chatty], 0
            while waiting:
                await turn()
                taken += 1
                waiting = [peer for peer in waiting if not peer.has_something()]
                assert taken < 10, f"{len(waiting)} of {len(chatty)} are still not served"
            for each in chatty:
                assert await each[sink].receive(1) == word
    passed = [torrent.count - count for torrent, count in zip(torrents, before, strict=True)]
    assert min(passed) > 0
    assert max(passed) < 20 * min(passed)
    for torrent in torrents:
        await torrent.end()
