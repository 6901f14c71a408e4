"""The relay: what it carries, and that nobody has to wait for somebody else."""

from __future__ import annotations

import hashlib
import random

import pytest
from twisted.internet.task import Clock

from tests.net.scenes import DAY, OFFERED, send_and_finish
from tests.services.fixtures import RELAYS, Callback, Join, Start
from tests.services.peers import MEGABYTE, Net, Peer, in_reactor, noise, settle, together, turns

#: More than the kernel takes for a peer that does not read.
TAKEN_AT_MOST = 48 * MEGABYTE


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# What it carries


@in_reactor
async def test_64_mib_both_ways_at_once(join: Join) -> None:
    proxy, client, upstream = await join()
    question, answer = noise(64 * MEGABYTE, "question"), noise(64 * MEGABYTE, "answer")
    _, _, received, answered = await together(
        send_and_finish(client, question), send_and_finish(upstream, answer), upstream.read_all(), client.read_all()
    )
    assert hashlib.sha256(received).digest() == hashlib.sha256(question).digest()
    assert hashlib.sha256(answered).digest() == hashlib.sha256(answer).digest()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + len(question), len(answer))


@in_reactor
async def test_bytes_are_counted_in_each_direction(join: Join) -> None:
    proxy, client, upstream = await join({"reply": b"wait", "reply_on_connect": b"there"})
    await client.send(b"12")
    assert await upstream.receive(2) == b"12"
    await upstream.send(b"1234")
    assert await client.receive(13) == b"waitthere1234"
    client.finish()
    upstream.finish()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + 2, 4 + 5 + 4)


@in_reactor
async def test_the_journal_tells_when_things_happened(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": target.remote} if data == b"ab" else None)
    client = await proxy.connect()
    await client.send(b"a")
    await settle()
    proxy.clock.advance(2)
    await client.send(b"b")
    await proxy.has_failed(1)
    target.listen()
    proxy.clock.advance(0.1)
    upstream = await target.accept()
    assert await upstream.receive(2) == b"ab"
    proxy.clock.advance(3)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    proxy.clock.advance(4)
    client.finish()
    upstream.finish()
    record = await proxy.record()
    assert record.decide_seconds == pytest.approx(2)
    assert record.connect_seconds == pytest.approx(0.1)
    assert record.first_byte_seconds == pytest.approx(3)
    assert record.seconds == pytest.approx(9.1)


@in_reactor
async def test_what_the_upstream_says_first_arrives(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    assert await upstream.receive(5) == b"hello"


@in_reactor
async def test_an_upstream_that_answers_unasked_and_ends_before_it_was_joined_is_heard(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    await upstream.send(noise(MEGABYTE // 4))
    upstream.finish()
    assert await client.read_all() == noise(MEGABYTE // 4)
    client.finish()
    assert await upstream.read_all() == b"hello"
    assert (await proxy.record()).outcome == "completed"


@pytest.mark.parametrize("reader", ["client", "upstream"])
@in_reactor
async def test_a_peer_that_reads_one_byte_at_a_time_gets_them_all(join: Join, reader: str) -> None:
    _, client, upstream = await join(receive_buffer=4096)
    source, sink = (upstream, client) if reader == "client" else (client, upstream)
    data = noise(20_000)
    _, received = await together(source.send(data), sink.receive(len(data), at_once=1))
    assert received == data


@in_reactor
async def test_one_byte_at_a_time_arrives_as_it_comes(join: Join) -> None:
    _, client, upstream = await join()
    for byte in (b"a", b"b", b"c"):
        await client.send(byte)
        assert await upstream.receive(1) == byte
        await upstream.send(byte.upper())
        assert await client.receive(1) == byte.upper()


# Back-pressure


@pytest.mark.parametrize("sleeper", ["client", "upstream"])
@in_reactor
async def test_a_peer_that_does_not_read_stops_its_sender_and_then_gets_everything(join: Join, sleeper: str) -> None:
    _, client, upstream = await join(receive_buffer=65536)
    source, sink = (upstream, client) if sleeper == "client" else (client, upstream)
    data = noise(OFFERED)
    taken = await source.send_until_stalled(data)
    assert taken < TAKEN_AT_MOST
    _, received = await together(source.send(data[taken:]), sink.receive(OFFERED))
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("sleeper", ["client", "upstream"])
@in_reactor
async def test_a_peer_that_does_not_read_can_still_send(join: Join, sleeper: str) -> None:
    _, client, upstream = await join(receive_buffer=65536)
    source, sink = (upstream, client) if sleeper == "client" else (client, upstream)
    await source.send_until_stalled(noise(OFFERED))
    data = noise(MEGABYTE, "the other way")
    _, received = await together(sink.send(data), source.receive(len(data)))
    assert received == data


@in_reactor
async def test_an_echo_of_a_client_that_writes_all_it_can_before_it_reads_completes(join: Join) -> None:
    proxy, client, upstream = await join(receive_buffer=65536)  # or the system may take all there is
    data = noise(OFFERED)
    echoing = upstream.echo()

    async def fill_then_read() -> bytes:
        taken = await client.send_until_stalled(data)
        assert taken < OFFERED  # the client, the upstream and the proxy between them are full, in both directions
        _, received = await together(send_and_finish(client, data[taken:]), client.read_all())
        return bytes(received)

    _, received = await together(echoing, fill_then_read())
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_stalled_pair_hinders_no_other(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    stalled = await proxy.connect(receive_buffer=4096)
    await stalled.send(b"hello")
    sending = await target.accept()
    await sending.send_until_stalled(noise(OFFERED))
    client = await proxy.connect()
    await client.send(b"ping")
    upstream = await target.accept()
    assert await upstream.receive(4) == b"ping"
    await upstream.send(b"pong")
    assert await client.receive(4) == b"pong"


# Timeouts


@in_reactor
async def test_an_exchange_without_a_byte_either_way_is_closed_as_idle(join: Join) -> None:
    failed = Callback(b"sorry")
    proxy, client, upstream = await join(idle_timeout=5, connect_error=failed, inactivity_error=failed)
    proxy.clock.advance(4)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    proxy.clock.advance(4)
    await client.send(b"?")
    assert await upstream.receive(1) == b"?"
    proxy.clock.advance(4.9)
    await settle()
    assert not client.has_something()
    assert not upstream.has_something()
    proxy.clock.advance(0.2)
    assert await together(client.read_all(), upstream.read_all()) == [b"", b""]
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("idle", 6, 1)
    assert failed.remotes == []


@in_reactor
async def test_an_idle_exchange_ends_even_if_nobody_reads(join: Join) -> None:
    proxy, client, upstream = await join(idle_timeout=5, receive_buffer=4096)
    await upstream.send_until_stalled(noise(OFFERED))
    await client.send_until_stalled(noise(OFFERED))
    for _ in range(3):  # idle; then a close that takes too long, in two steps
        proxy.clock.advance(10)
        await settle()
    assert (await proxy.record()).outcome == "idle"
    await together(client.send_until_broken(), upstream.send_until_broken())


@in_reactor
async def test_no_idle_timeout_is_no_limit(join: Join) -> None:
    proxy, client, upstream = await join(idle_timeout=0)
    proxy.clock.advance(DAY)
    await client.send(b"still here")
    assert await upstream.receive(10) == b"still here"


@in_reactor
async def test_a_first_byte_that_does_not_come_in_time_calls_the_callback_once_and_closes_both(join: Join) -> None:
    failed, inactive = Callback(b"failed"), Callback(b"sorry")
    proxy, client, upstream = await join({"inactivity_timeout": 2}, connect_error=failed, inactivity_error=inactive)
    remote = f"127.0.0.1:{upstream.address[1]}"
    proxy.clock.advance(1.9)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(0.2)
    assert await together(client.read_all(), upstream.read_all()) == [b"sorry", b""]
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out, record.first_byte_seconds) == ("inactive", 5, None)
    assert inactive.remotes == [remote]
    assert failed.remotes == []


@in_reactor
async def test_an_inactive_upstream_that_does_not_read_either_is_cut_off(join: Join) -> None:
    proxy, client, upstream = await join({"inactivity_timeout": 2}, receive_buffer=4096)
    taken = await client.send_until_stalled(noise(OFFERED))
    proxy.clock.advance(2)
    assert await client.read_all() == b""
    client.close()
    assert (await proxy.record()).outcome == "inactive"
    proxy.clock.advance(10)
    received = await upstream.read_until_reset()
    assert noise(taken).startswith(received)


@in_reactor
async def test_what_the_client_sends_does_not_put_off_the_first_byte_timeout(join: Join) -> None:
    proxy, client, upstream = await join({"inactivity_timeout": 2})
    proxy.clock.advance(1.5)
    await client.send(b"?")
    assert await upstream.receive(1) == b"?"
    proxy.clock.advance(0.6)
    assert await client.read_all() == b""
    client.close()
    assert (await proxy.record()).outcome == "inactive"


@in_reactor
async def test_the_first_byte_timeout_is_over_with_the_first_byte(join: Join) -> None:
    inactive = Callback(b"sorry")
    proxy, client, upstream = await join({"inactivity_timeout": 2}, inactivity_error=inactive)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    proxy.clock.advance(DAY)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    assert inactive.remotes == []


@in_reactor
async def test_the_first_byte_timeout_runs_from_the_connect(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": target.remote, "inactivity_timeout": 0.25})
    client = await proxy.connect()
    await client.send(b"hello")
    for attempt in range(1, 4):
        await proxy.has_failed(attempt)
        if attempt == 3:
            target.listen()
        proxy.clock.advance(0.1)
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    proxy.clock.advance(0.2)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"


# Whatever happens


class Party:
    """One side of an exchange that takes a random course."""

    def __init__(self, peer: Peer, name: str) -> None:
        self.peer = peer
        self.said = b""
        self.heard = b""
        self.may_speak = True
        self.is_there = True
        self._name = name

    async def speak(self, chance: random.Random) -> None:
        if self.may_speak:
            data = noise(chance.choice((1, 1000, 300_000)), f"{self._name} {len(self.said)}")
            try:
                taken = await self.peer.send_until_stalled(data)
            except (ConnectionResetError, BrokenPipeError):
                self.may_speak = False  # the other has left, and we were told
            else:
                self.said += data[:taken]

    async def listen(self, chance: random.Random) -> None:
        if self.peer.has_something():
            try:
                self.heard += await self.peer.receive_at_most(chance.choice((1, 1000, 300_000)))
            except ConnectionResetError:
                self.may_speak = False

    async def finish(self, _: random.Random) -> None:
        if self.may_speak:
            self.may_speak = False
            try:
                self.peer.finish()
            except OSError:
                pass  # the other has left, and we were told

    async def leave(self, _: random.Random) -> None:
        self.is_there = self.may_speak = False
        self.peer.close()

    async def reset(self, _: random.Random) -> None:
        self.is_there = self.may_speak = False
        self.peer.reset()

    async def hear_the_rest(self, clock: Clock) -> None:
        while self.is_there:
            for _ in range(30):
                if not self.peer.has_something():
                    await turns(1)
            if not self.peer.has_something():
                clock.advance(0.05)  # a reset may wait until what comes before it has been read
                continue
            try:
                part = await self.peer.read_some()
            except ConnectionResetError:
                return
            if not part:
                return
            self.heard += part


@pytest.mark.parametrize("manners", ["polite", "rude"])
@pytest.mark.parametrize("seed", range(40))
@in_reactor
async def test_a_random_course_ends_well(join: Join, seed: int, manners: str) -> None:
    chance = random.Random(f"{seed} {manners}")
    proxy, client, upstream = await join(receive_buffer=chance.choice((4096, 65536)))
    parties = Party(client, "client"), Party(upstream, "upstream")
    steps = [Party.speak] * 4 + [Party.listen] * 4 + [Party.finish]
    if manners == "rude":
        steps += [Party.leave, Party.reset]
    await parties[1].speak(chance)  # or else its end would be a failed connect
    for _ in range(chance.randrange(2, 20)):
        party = chance.choice(parties)
        if party.is_there:
            await chance.choice(steps)(party, chance)
        await turns(chance.choice((0, 1, 5)))
    for party in parties:
        if party.is_there:
            await party.finish(chance)
    await together(*(party.hear_the_rest(proxy.clock) for party in parties))
    for party, other in (parties, parties[::-1]):
        assert other.said.startswith(party.heard)
        if manners == "polite":
            assert len(party.heard) == len(other.said)
    client.close()
    upstream.close()
    for _ in range(3):  # however long it waits for a peer to have read
        await settle()
        proxy.clock.advance(10)
    record = await proxy.record()
    assert record.outcome in ("completed", "client_aborted", "upstream_aborted")
    assert record.bytes_in <= 5 + len(parties[0].said)
    assert record.bytes_out <= len(parties[1].said)
    if manners == "polite":
        assert (record.outcome, record.bytes_in, record.bytes_out) == (
            "completed", 5 + len(parties[0].said), len(parties[1].said)
        )  # fmt: skip
