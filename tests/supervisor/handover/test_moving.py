"""What becomes of live connections when another process goes on with them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest
from twisted.internet.defer import Deferred

from proxymux.admin.reports import Reports
from proxymux.core.member import Entry
from proxymux.supervisor.handover.packets import Kind
from tests.net.scenes import DAY
from tests.services.peers import MEGABYTE, Net, in_reactor, noise, settle, together, turns, until
from tests.supervisor.conftest import Joined
from tests.supervisor.handover.pair import Pair, answers

#: More than two kernels and a proxy take for a peer that does not read, and has a small buffer.
PLENTY: Final = 16 * MEGABYTE

SMALL: Final = 1 << 16

# The bytes


@in_reactor
async def test_a_session_goes_on_in_the_successor_and_has_one_record_of_its_whole_life(joined: Joined) -> None:
    pair, client, upstream = await joined({"note": {"who": "me"}})
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    pair.clock.advance(5)
    began = pair.old.service.sessions.oldest(1)[0].snapshot()
    await pair.hand_over(1)
    assert pair.owned == pair.present == (0, 1)
    pair.clock.advance(5)
    await answers(client, upstream)
    client.finish()
    assert await upstream.read_all() == b""
    upstream.finish()
    assert await client.read_all() == b""
    record = await pair.new.record()
    assert pair.old.records == []
    assert record == began._replace(
        outcome=record.outcome, bytes_in=13, bytes_out=13, seconds=10.0, worker=None, reason=None
    )
    assert (record.outcome, record.session, record.note) == ("completed", 1, {"who": "me"})
    assert pair.counted == (13, 13, 1)


@pytest.mark.parametrize("who", ["client", "upstream"])
@in_reactor
async def test_what_nobody_has_read_yet_arrives_once_and_in_order(joined: Joined, who: str) -> None:
    pair, client, upstream = await joined(receive_buffer=SMALL)
    source, sink = (client, upstream) if who == "client" else (upstream, client)
    await source.send(b"!")
    assert await sink.receive(1) == b"!"
    data = noise(PLENTY)
    taken = await source.send_until_stalled(data)  # the proxy holds a part of it in memory, or in a pipe
    await pair.hand_over(1)
    rest = data[taken : taken + MEGABYTE]
    _, received = await together(source.send(rest), sink.receive(taken + len(rest)))
    assert received == data[: taken + len(rest)]
    await answers(client, upstream)


@in_reactor
async def test_bulk_both_ways_is_handed_over_again_and_again(joined: Joined) -> None:
    pair, client, upstream = await joined()
    there, back = noise(16 * MEGABYTE, "there"), noise(16 * MEGABYTE, "back")

    async def move() -> None:
        for _ in range(6):
            await pair.hand_over(1)
            pair.old, pair.new = pair.new, pair.old

    _, _, to_upstream, to_client, _ = await together(
        client.send(there), upstream.send(back), upstream.receive(len(there)), client.receive(len(back)), move()
    )
    assert to_upstream == there
    assert to_client == back
    client.close()
    upstream.close()
    await until(lambda: pair.records, "the end")
    assert (pair.records[0].bytes_in, pair.records[0].bytes_out) == (5 + len(there), len(back))
    assert pair.counted == (5 + len(there), len(back), 6)


@pytest.mark.parametrize("seed", range(3))
@in_reactor
async def test_a_stream_is_whole_wherever_it_is_cut(joined: Joined, seed: int) -> None:
    pair, client, upstream = await joined()
    chance = random.Random(seed)
    data, sent, received = noise(1 * MEGABYTE), 0, b""
    while sent < len(data):
        size = int(10 ** chance.uniform(0, 5.5))
        await client.send(data[sent : sent + size])
        sent += size
        await turns(chance.randrange(3))
        received += await upstream.receive(chance.randint(0, min(sent, len(data)) - len(received)))
        await pair.hand_over(1)
        pair.old, pair.new = pair.new, pair.old
    assert received + await upstream.receive(len(data) - len(received)) == data
    client.close()
    upstream.close()
    await until(lambda: pair.records, "the end")
    assert pair.records[0].bytes_in == 5 + len(data)


# The ends


@pytest.mark.parametrize("who", ["client", "upstream"])
@in_reactor
async def test_who_has_half_closed_still_gets_its_answer(joined: Joined, who: str) -> None:
    pair, client, upstream = await joined()
    source, sink = (client, upstream) if who == "client" else (upstream, client)
    await source.send(b"enough")
    source.finish()
    assert await sink.read_all() == b"enough"
    await pair.hand_over(1)
    await settle()
    assert not sink.has_something() or await sink.read_all() == b""  # its end is not told twice by a reset
    await sink.send(b"answer")
    sink.finish()
    assert await source.read_all() == b"answer"
    assert (await pair.new.record()).outcome == "completed"


@pytest.mark.parametrize("ends_in", ["old", "new"])
@pytest.mark.parametrize("who", ["client", "upstream"])
@in_reactor
async def test_a_fin_waits_behind_what_nobody_has_read(joined: Joined, who: str, ends_in: str) -> None:
    pair, client, upstream = await joined(receive_buffer=SMALL)
    source, sink = (client, upstream) if who == "client" else (upstream, client)
    await source.send(b"!")
    assert await sink.receive(1) == b"!"
    data = noise(PLENTY)
    taken = await source.send_until_stalled(data)
    if ends_in == "old":
        source.finish()
        await settle()
    await pair.hand_over(1)
    if ends_in == "new":
        source.finish()
    assert await sink.read_all() == data[:taken]
    await sink.send(b"and now")
    sink.finish()
    assert await source.read_all() == b"and now"
    assert (await pair.new.record()).outcome == "completed"


@in_reactor
async def test_a_fin_that_was_read_before_the_handover_waits_behind_the_backlog(
    start_pair: Callable[..., Pair], net: Net
) -> None:
    target = net.upstream(receive_buffer=SMALL)
    decision: Deferred[object] = Deferred()
    pair = start_pair(lambda data: decision, max_buffer=7 * MEGABYTE)
    client = await pair.old.connect()
    data = noise(6 * MEGABYTE)
    await client.send(data)
    client.finish()
    await client.sent()
    await settle()
    decision.callback({"remote": target.remote})
    upstream = await target.accept()
    await settle()
    (session,) = pair.old.service.sessions
    assert session._upstream.unsent
    await pair.hand_over(1)
    assert await upstream.read_all() == data
    upstream.finish()
    assert await client.read_all() == b""
    record = await pair.new.record()
    assert (record.outcome, record.bytes_in) == ("completed", len(data))


@pytest.mark.parametrize("who", ["client", "upstream"])
@in_reactor
async def test_a_reset_during_the_handover_is_met_by_the_successor(joined: Joined, who: str) -> None:
    pair, client, upstream = await joined()
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    source, sink = (client, upstream) if who == "client" else (upstream, client)
    pair.meet()
    await until(lambda: pair.given, "the handover")
    source.reset()
    await sink.read_until_reset()
    sink.close()
    assert (await pair.new.record()).outcome == f"{who}_aborted"
    assert pair.old.records == []


@in_reactor
async def test_an_upstream_that_has_ended_before_its_first_byte_is_still_a_failure(
    start_pair: Callable[..., Pair], net: Net
) -> None:
    target = net.upstream()
    pair = start_pair(lambda data: {"remote": target.remote, "reply_on_failure": b"sorry"})
    client = await pair.old.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    await pair.hand_over(1)
    upstream.finish()
    assert await client.read_all() == b"sorry"
    client.close()
    upstream.close()
    assert (await pair.new.record()).outcome == "upstream_aborted"


# The limits


@in_reactor
async def test_the_first_byte_is_waited_for_from_the_join(joined: Joined) -> None:
    pair, client, upstream = await joined({"inactivity_timeout": 10})
    pair.clock.advance(6)
    await pair.hand_over(1)
    pair.clock.advance(3.5)
    await settle()
    assert pair.owned == (0, 1)
    pair.clock.advance(1)
    assert await client.read_all() == b""
    client.close()
    record = await pair.new.record()
    assert (record.outcome, record.reason) == ("inactive", "no byte from the upstream within 10 s")
    upstream.close()


@in_reactor
async def test_who_has_had_its_first_byte_is_not_waited_for_again(joined: Joined) -> None:
    pair, client, upstream = await joined({"inactivity_timeout": 10})
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    await pair.hand_over(1)
    pair.clock.advance(DAY)
    await answers(client, upstream)


@in_reactor
async def test_the_idle_limit_goes_on_from_the_last_byte(joined: Joined) -> None:
    pair, client, upstream = await joined(idle_timeout=10)
    pair.clock.advance(4)
    await answers(client, upstream)
    pair.clock.advance(6)
    await pair.hand_over(1)
    pair.clock.advance(3)
    await settle()
    assert pair.owned == (0, 1)
    pair.clock.advance(1.5)
    assert await client.read_all() == b""
    client.close()
    upstream.close()
    assert (await pair.new.record()).outcome == "idle"


@in_reactor
async def test_the_old_worker_measures_nothing_of_what_it_has_given(joined: Joined) -> None:
    pair, client, upstream = await joined({"inactivity_timeout": 10}, idle_timeout=10)
    await pair.hand_over(1)
    await answers(client, upstream)
    pair.clock.advance(9)
    await answers(client, upstream)
    pair.clock.advance(9)
    await answers(client, upstream)


# Clients that are not decided


@in_reactor
async def test_a_client_of_which_more_is_to_come_is_decided_by_the_successor(
    start_pair: Callable[..., Pair], net: Net
) -> None:
    target = net.upstream()
    asked: list[bytes] = []

    def proxy(data: bytes) -> object:
        asked.append(data)
        return {"remote": target.remote} if data.endswith(b".") else None

    pair = start_pair(proxy)
    client = await pair.old.connect()
    silent = await pair.old.connect()
    await client.send(b"hel")
    await until(lambda: asked == [b"hel"], "the first question")
    await pair.hand_over(2)
    await until(lambda: asked == [b"hel", b"hel"], "the successor's own look")
    await client.send(b"lo.")
    upstream = await target.accept()
    assert await upstream.receive(6) == b"hello."
    await answers(client, upstream)
    await silent.send(b"me.")
    assert await (await target.accept()).receive(3) == b"me."
    assert asked == [b"hel", b"hel", b"hello.", b"me."]


@in_reactor
async def test_a_router_may_decide_otherwise_on_what_was_kept(start_pair: Callable[..., Pair], net: Net) -> None:
    target = net.upstream()
    pair = start_pair(lambda data: None)
    pair.new.router.proxy = lambda data: {"remote": target.remote}
    pair.new.service.reload()
    client = await pair.old.connect()
    await client.send(b"hello")
    await settle()
    pair.meet()
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    await answers(client, upstream)


@in_reactor
async def test_the_time_to_decide_goes_on(start_pair: Callable[..., Pair]) -> None:
    pair = start_pair(lambda data: None, decide_timeout=10)
    client = await pair.old.connect()
    await client.send(b"h")
    await settle()
    pair.clock.advance(6)
    await pair.hand_over(1)
    pair.clock.advance(3.5)
    await settle()
    assert pair.owned == (0, 1)
    pair.clock.advance(1)
    assert await client.read_all() == b""
    record = await pair.new.record()
    assert (record.outcome, record.seconds, record.bytes_in) == ("undecided", 10.5, 1)


@in_reactor
async def test_a_client_that_has_finished_or_is_being_decided_stays(start_pair: Callable[..., Pair], net: Net) -> None:
    target = net.upstream()
    waiting: list[Deferred[object]] = []

    def proxy(data: bytes) -> object:
        waiting.append(Deferred())
        return waiting[0]

    pair = start_pair(proxy)
    client = await pair.old.connect()
    await client.send(b"hello")
    await until(lambda: waiting, "the question")
    await pair.hand_over(0)
    assert pair.owned == (1, 0)
    waiting[0].callback({"remote": target.remote})
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    await settle()
    pair.clock.advance(1)  # it is joined now, and follows
    await until(lambda: pair.owned == (0, 1), "the session to follow")
    await answers(client, upstream)


# What both count


@in_reactor
async def test_the_address_counts_where_the_session_is(joined: Joined) -> None:
    pair, client, upstream = await joined(max_per_client=1)
    await pair.hand_over(1)
    other = await pair.new.connect()
    assert await other.read_all() == b""  # one too many for the successor
    again = await pair.old.connect()
    await again.send(b"hello")
    await until(lambda: pair.owned == (1, 1), "the old one to have room")
    client.close()
    upstream.close()
    await until(lambda: pair.owned == (1, 0), "the end")
    assert pair.present == (1, 0)


@pytest.mark.parametrize("is_known", [True, False], ids=["source heard before", "source heard after"])
@in_reactor
async def test_the_connection_to_a_member_counts_where_the_session_is(
    start_pair: Callable[..., Pair], net: Net, is_known: bool
) -> None:
    target = net.upstream()
    pair = start_pair(lambda data: {"remote": "users"}, cluster=[f"users={target.remote}"])
    client = await pair.old.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    old, new = (running.service.clusters["users"] for running in (pair.old, pair.new))
    entries = tuple(Entry(address) for address in new.cluster.members)
    if not is_known:
        new.cluster.members, new.cluster.is_known = {}, False
    await pair.hand_over(1)
    new.changed(entries)
    assert [each.show()[0]["connections"] for each in (old, new)] == [0, 1]
    client.finish()
    upstream.finish()
    await pair.new.ended(1)
    assert new.show()[0]["connections"] == 0


@in_reactor
async def test_bytes_of_live_sessions_are_counted_once(joined: Joined) -> None:
    pair, client, upstream = await joined(receive_buffer=SMALL)
    await answers(client, upstream)
    taken = await client.send_until_stalled(noise(PLENTY))
    reports = [
        Reports(lambda each=each: [each.service], pair.clock.seconds, None)  # type: ignore[misc]
        for each in (pair.old, pair.new)
    ]
    reports[0].counters()
    before = pair.counted
    end, packets = await pair.freeze()
    reports[0].counters()
    assert pair.counted == before
    taker = pair.take()
    await taker.receive(Kind.HELLO)
    for packet in packets:
        taker.send(*packet)
    end.send((await taker.receive(Kind.ACK))[0])
    taker.send((await end.receive(Kind.COMMIT))[0])
    await until(lambda: pair.owned == (0, 1), "the handover")
    reports[0].counters()
    reports[1].counters()
    assert await upstream.receive(taken) == noise(PLENTY)[:taken]
    client.close()
    upstream.close()
    await until(lambda: pair.records, "the end")
    assert pair.counted == (13 + taken, 6, 1)
