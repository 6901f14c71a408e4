"""Bytes a second: what a rate lets pass, and that nothing is lost and no end comes early because of it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred

from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import RELAYS, Join, Running, Start, StartPool
from tests.services.peers import MEGABYTE, Net, Peer, as_time_passes, in_reactor, noise, settle, together, turns
from tests.services.tls import tls_client, tls_upstream


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Ear:
    """Hears what a peer is sent, while the test goes on."""

    def __init__(self, peer: Peer) -> None:
        self.count = 0
        self.end = ""
        self.done: Deferred[None] = ensureDeferred(self._hear(peer))

    async def _hear(self, peer: Peer) -> None:
        try:
            while part := await peer.read_some():
                self.count += len(part)
            self.end = "FIN"
        except OSError as error:  # a reset, or the end of the test
            self.end = "RST" if isinstance(error, ConnectionResetError) else "closed"


async def pass_time(proxy: Running, seconds: float) -> None:
    for _ in range(round(seconds / 0.05)):
        proxy.clock.advance(0.05)
        await turns(3)
    await settle()


def silently(sending: Any) -> None:
    """Send in the background, and do not mind an end."""
    ensureDeferred(sending).addErrback(lambda failure: failure.trap(OSError, AssertionError))


def is_within_5_percent(count: int, expected: int) -> bool:
    return abs(count - expected) <= 0.05 * expected


@pytest.mark.parametrize("rate", [2000, 800_000])
@in_reactor
async def test_each_direction_has_its_rate(join: Join, rate: int) -> None:
    proxy, client, upstream = await join({"rate": rate})
    ears = Ear(client), Ear(upstream)
    for peer in (client, upstream):
        silently(peer.send(noise(16 * MEGABYTE)))
    await settle()
    before = [ear.count for ear in ears]
    assert all(count <= rate for count in before)
    await pass_time(proxy, 10)
    assert all(is_within_5_percent(ear.count, 10 * rate) for ear in ears), [ear.count for ear in ears]


@in_reactor
async def test_what_came_before_the_decision_counts_too(join: Join, start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, rate=1000)
    client = await proxy.connect()
    await client.send(noise(30_000))
    client.finish()
    upstream = await target.accept()
    ear = Ear(upstream)
    await pass_time(proxy, 10)
    assert is_within_5_percent(ear.count, 10_000)
    assert not ear.end
    await pass_time(proxy, 20.5)
    assert (ear.count, ear.end) == (30_000, "FIN")
    await upstream.send(b"done")
    upstream.finish()
    assert await client.read_all() == b"done"
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 30_000, 4)


@in_reactor
async def test_an_upstream_that_has_left_is_heard_to_its_end(join: Join) -> None:
    proxy, client, upstream = await join({"rate": 1000})
    answer = noise(5000)
    await upstream.send(answer)
    upstream.close()
    await pass_time(proxy, 2)
    assert not proxy.records
    assert await as_time_passes(proxy.clock, client.read_all()) == answer
    client.close()
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_an_upstream_that_is_reset_is_heard_to_its_end(join: Join) -> None:
    proxy, client, upstream = await join({"rate": 1000})
    answer = noise(3000)
    await upstream.send(answer)
    await settle()
    upstream.reset()
    await pass_time(proxy, 1)
    assert not proxy.records
    ear = Ear(client)
    await pass_time(proxy, 12)
    assert (ear.count, ear.end) == (3000, "RST")
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("upstream_aborted", 3000)


@in_reactor
async def test_a_client_that_is_reset_ends_it_at_once_and_only_what_has_passed_is_counted(join: Join) -> None:
    proxy, client, upstream = await join({"rate": 1000})
    await client.send(noise(5000))
    ear = Ear(upstream)
    await pass_time(proxy, 1)
    client.reset()
    await pass_time(proxy, 10.5)  # by then a transport that is not read has noticed it
    record = await proxy.record()
    assert record.outcome == "client_aborted"
    assert record.bytes_in == ear.count + 5
    await ear.done
    assert ear.end == "RST"


@in_reactor
async def test_what_still_passes_is_not_idle(join: Join) -> None:
    proxy, client, upstream = await join({"rate": 1000}, idle_timeout=2)
    await upstream.send(noise(8000))
    ear = Ear(client)
    await pass_time(proxy, 8.5)
    assert ear.count == 8000
    assert not proxy.records
    await pass_time(proxy, 2)
    assert (await proxy.record()).outcome == "idle"
    await ear.done


@in_reactor
async def test_a_client_that_does_not_read_is_waited_for(join: Join) -> None:
    proxy, client, upstream = await join({"rate": 50 * MEGABYTE}, receive_buffer=4096)
    answer = noise(16 * MEGABYTE)
    silently(upstream.send(answer))
    await pass_time(proxy, 2)
    assert await as_time_passes(proxy.clock, client.receive(len(answer))) == answer


@pytest.mark.parametrize(("decided", "seconds"), [({}, 10), ({"rate": 200_000}, 5), ({"rate": 0}, 0)])
@in_reactor
async def test_a_decision_wins_over_the_option(join: Join, decided: dict[str, int], seconds: float) -> None:
    proxy, client, upstream = await join(decided, rate=100_000)
    silently(upstream.send(noise(MEGABYTE)))
    ear = Ear(client)
    await pass_time(proxy, seconds)
    assert is_within_5_percent(ear.count, MEGABYTE)


@in_reactor
@pytest.mark.usefixtures("trust")
async def test_with_tls_on_both_sides_plain_bytes_count(
    start: Start, net: Net, authority: Authority, own: Credentials, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "tls": True, "rate": 10_000}, listen=own.endpoint)
    client = await tls_client(net, proxy, authority)
    await client.send(noise(20_000))
    upstream = await tls_upstream(net, target, upstreams_own)
    ear = Ear(upstream)
    await pass_time(proxy, 1)
    assert 9_000 < ear.count < 13_000
    await pass_time(proxy, 1.5)
    assert ear.count == 20_000
    answer = noise(15_000)
    _, received = await together(upstream.send(answer), as_time_passes(proxy.clock, client.receive(15_000)))
    assert received == answer
    client.close()
    await as_time_passes(proxy.clock, ear.done)  # type: ignore[arg-type]


@in_reactor
async def test_in_a_pool_each_client_has_its_rate_and_listeners_hear_all(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, mode="proxy", rate=1000)
    heard: list[bytes] = []
    for listens in (False, True):
        if listens:
            pool.events.on("request", lambda logger, data, response: response.addCallback(heard.append))
        client = await pool.connect()
        await client.send(b"ask")
        upstream = await target.accept()
        assert await upstream.receive(3) == b"ask"
        await upstream.send(noise(4000))
        ear = Ear(client)
        await pass_time(pool, 2)
        assert 1900 < ear.count < 2300
        await pass_time(pool, 2.5)
        assert ear.count == 4000
        upstream.close()
        await ear.done
        client.close()
        await settle()
    assert heard == [noise(4000)]
