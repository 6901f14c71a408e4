"""How the relay ends: half-closes, resets, and upstreams that end without a word."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.net.scenes import DAY, OFFERED, send_and_finish
from tests.services.fixtures import RELAYS, Callback, Join, Start
from tests.services.peers import MEGABYTE, Net, Peer, in_reactor, noise, settle, together


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Half-close


@in_reactor
async def test_5_mb_arrive_after_the_client_has_half_closed(join: Join) -> None:
    proxy, client, upstream = await join()
    client.finish()
    assert await upstream.read_all() == b""
    answer = noise(5 * MEGABYTE)
    _, received = await together(send_and_finish(upstream, answer), client.read_all())
    assert received == answer
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, len(answer))


@in_reactor
async def test_5_mb_arrive_after_the_upstream_has_half_closed(join: Join) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"enough")
    upstream.finish()
    assert await client.read_all() == b"enough"
    more = noise(5 * MEGABYTE)
    _, received = await together(send_and_finish(client, more), upstream.read_all())
    assert received == more
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + len(more), 6)


@in_reactor
async def test_5_mb_that_an_upstream_sends_before_it_leaves_arrive_whole(join: Join) -> None:
    proxy, client, upstream = await join()
    answer = noise(5 * MEGABYTE)

    async def answer_and_leave() -> None:
        await upstream.send(answer)
        upstream.close()

    _, received = await together(answer_and_leave(), client.read_all())
    assert received == answer
    client.close()
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_5_mb_that_a_client_sends_before_it_leaves_arrive_whole(join: Join) -> None:
    proxy, client, upstream = await join()
    question = noise(5 * MEGABYTE)

    async def ask_and_leave() -> None:
        await client.send(question)
        client.close()

    _, received = await together(ask_and_leave(), upstream.read_all())
    assert received == question
    upstream.close()
    assert (await proxy.record()).outcome == "completed"


@pytest.mark.parametrize("sleeper", ["client", "upstream"])
@in_reactor
async def test_a_fin_waits_its_turn_behind_data_that_nobody_reads(join: Join, sleeper: str) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    source, sink = (upstream, client) if sleeper == "client" else (client, upstream)
    data = noise(OFFERED)
    taken = await source.send_until_stalled(data)
    source.finish()
    await settle()
    proxy.clock.advance(DAY)
    assert await sink.read_all() == data[:taken]
    await sink.send(b"and now")
    sink.finish()
    assert await source.read_all() == b"and now"
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_client_that_goes_on_sending_when_the_upstream_has_left_still_gets_its_answer(join: Join) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    answer = noise(200_000)
    await upstream.send(answer)
    await upstream.sent()
    upstream.close()
    await client.send(noise(MEGABYTE))
    assert await client.read_all() == answer
    client.close()
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_client_that_has_nothing_to_say_hears_an_upstream_that_speaks_first(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: None, accepted=lambda client: {"remote": target.remote})
    client = await proxy.connect()
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b""
    await upstream.send(b"welcome")
    upstream.finish()
    assert await client.read_all() == b"welcome"
    assert (await proxy.record()).outcome == "completed"


@pytest.mark.parametrize("first", ["client", "upstream"])
@in_reactor
async def test_a_half_close_lasts_however_long(join: Join, first: str) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    one, other = (client, upstream) if first == "client" else (upstream, client)
    one.finish()
    assert await other.read_all() == b""
    for _ in range(3):
        proxy.clock.advance(DAY)
        await other.send(b"still here")
        assert await one.receive(10) == b"still here"
    other.finish()
    assert await one.read_all() == b""
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_fin_that_comes_while_connecting_goes_through_behind_the_data(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    unreachable = Callback()
    proxy = start(lambda data: {"remote": target.remote}, connect_error=unreachable)
    client = await proxy.connect()
    await client.send(b"hello")
    await proxy.has_failed(1)
    client.finish()
    await settle()
    target.listen()
    proxy.clock.advance(0.1)
    upstream = await target.accept()
    assert await upstream.read_all() == b"hello"
    await upstream.send(b"the reply")
    upstream.finish()
    assert await client.read_all() == b"the reply"
    assert (await proxy.record()).outcome == "completed"
    assert unreachable.remotes == []


@in_reactor
async def test_a_fin_in_the_same_segment_as_the_request_goes_through_behind_it(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    client = await proxy.connect()
    await client.send(b"x")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"x"
    await upstream.send(b"the reply")
    upstream.finish()
    assert await client.read_all() == b"the reply"
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_both_may_finish_at_the_same_time(join: Join) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    client.finish()
    upstream.finish()
    assert await together(client.read_all(), upstream.read_all()) == [b"", b""]
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_both_may_leave_at_the_same_time(join: Join) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    client.close()
    upstream.close()
    assert (await proxy.record()).outcome == "completed"


# Resets


@in_reactor
async def test_a_client_that_resets_before_the_first_byte_resets_the_upstream(join: Join) -> None:
    failed = Callback(b"sorry")
    proxy, client, upstream = await join(connect_error=failed, inactivity_error=failed)
    client.reset()
    assert await upstream.read_until_reset() == b""
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("client_aborted", 5, 0)
    assert failed.remotes == []


@in_reactor
async def test_a_client_that_resets_in_midstream_resets_the_upstream(join: Join) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"some")
    assert await client.receive(4) == b"some"
    client.reset()
    assert await upstream.read_until_reset() == b""
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_a_client_that_resets_while_it_does_not_read_resets_a_sending_upstream(join: Join) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    assert await upstream.send_until_stalled(noise(OFFERED)) < OFFERED
    client.reset()
    assert await upstream.read_until_reset() == b""
    assert (await proxy.record()).outcome == "client_aborted"


@pytest.mark.parametrize("sleeper", ["client", "upstream"])
@in_reactor
async def test_only_what_could_be_passed_on_counts(join: Join, sleeper: str) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    source, sink = (upstream, client) if sleeper == "client" else (client, upstream)
    assert await source.send_until_stalled(noise(OFFERED)) < OFFERED
    [session] = proxy.service.sessions
    exchange = session._exchange
    read = exchange._upstream.count if sleeper == "client" else exchange._client.count
    unsent = exchange.client.unsent if sleeper == "client" else exchange._upstream.connection.unsent
    assert 0 < unsent < read
    sink.reset()
    for _ in range(3):  # however it waits for a client to have read
        await settle()
        proxy.clock.advance(10)
    record = await proxy.record()
    count = record.bytes_out if sleeper == "client" else record.bytes_in - 5
    assert count == read - unsent


@in_reactor
async def test_a_client_that_resets_after_its_half_close_resets_a_sending_upstream(join: Join) -> None:
    proxy, client, upstream = await join()
    client.finish()
    assert await upstream.read_all() == b""
    await upstream.send(b"some")
    assert await client.receive(4) == b"some"
    client.reset()
    await upstream.send_until_broken()
    assert (await proxy.record()).outcome == "client_aborted"


@in_reactor
async def test_an_upstream_that_resets_before_its_first_byte_is_a_failed_connect(join: Join) -> None:
    failed = Callback(b"sorry")
    proxy, client, upstream = await join(connect_error=failed)
    remote = f"127.0.0.1:{upstream.address[1]}"
    upstream.reset()
    assert await client.read_all() == b"sorry"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.target, record.bytes_out) == ("upstream_aborted", remote, 5)
    assert failed.remotes == [remote]


@pytest.mark.parametrize("size", [10, 1_000_000])
@in_reactor
async def test_an_upstream_that_resets_after_data_resets_the_client_when_it_has_all_of_it(
    join: Join, size: int
) -> None:
    failed = Callback(b"sorry")
    proxy, client, upstream = await join(connect_error=failed)
    data = noise(size)

    async def answer_and_reset() -> None:
        await upstream.send(data)
        await upstream.sent()
        upstream.reset()

    _, received = await together(answer_and_reset(), client.read_until_reset())
    assert received == data
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("upstream_aborted", size)
    assert failed.remotes == []


@in_reactor
async def test_a_client_that_reads_late_still_gets_what_came_before_the_reset(join: Join) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    data = noise(200_000)
    await upstream.send(data)
    await upstream.sent()
    upstream.reset()
    await settle()
    assert await client.receive(len(data)) == data
    proxy.clock.advance(10)  # however it waits for the client to have read
    assert await client.read_until_reset() == b""
    assert (await proxy.record()).outcome == "upstream_aborted"


@in_reactor
async def test_an_upstream_that_resets_while_it_does_not_read_resets_a_sending_client(join: Join) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    assert await client.send_until_stalled(noise(OFFERED)) < OFFERED
    upstream.reset()
    assert await client.read_until_reset() == b""
    assert (await proxy.record()).outcome == "upstream_aborted"


@in_reactor
async def test_an_upstream_that_resets_on_a_half_closed_client_calls_nobody(join: Join) -> None:
    failed = Callback(b"sorry")
    proxy, client, upstream = await join(connect_error=failed)
    client.finish()
    assert await upstream.read_all() == b""
    upstream.reset()
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "upstream_aborted"
    assert failed.remotes == []


@in_reactor
async def test_an_upstream_that_resets_after_the_clients_half_close_resets_it_when_it_has_all(join: Join) -> None:
    proxy, client, upstream = await join()
    client.finish()
    assert await upstream.read_all() == b""
    await upstream.send(b"almost don")
    await upstream.sent()
    upstream.reset()
    assert await client.receive(10) == b"almost don"
    proxy.clock.advance(10)
    assert await client.read_until_reset() == b""
    assert (await proxy.record()).outcome == "upstream_aborted"


@in_reactor
async def test_a_client_that_resets_after_the_upstreams_half_close_resets_it(join: Join) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"!")
    upstream.finish()
    assert await client.read_all() == b"!"
    await client.send(b"some")
    assert await upstream.receive(4) == b"some"
    client.reset()
    assert await upstream.read_until_reset() == b""
    await proxy.record()  # the client has had everything, so that its outcome is a matter of opinion


@pytest.mark.parametrize("leaves", [Peer.close, Peer.reset])
@in_reactor
async def test_both_may_break_off_one_after_the_other(join: Join, leaves: Callable[[Peer], None]) -> None:
    proxy, client, upstream = await join(receive_buffer=4096)
    await upstream.send_until_stalled(noise(OFFERED))
    upstream.reset()
    await settle()
    leaves(client)
    for _ in range(3):  # however long it waits for a client to have read
        await settle()
        proxy.clock.advance(10)
    assert (await proxy.record()).outcome in ("client_aborted", "upstream_aborted")


# An upstream that ends without a word


@pytest.mark.parametrize("leaves", [Peer.finish, Peer.close])
@in_reactor
async def test_an_upstream_that_ends_before_its_first_byte_is_a_failed_connect(
    start: Start, net: Net, leaves: Callable[[Peer], None]
) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed)
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    leaves(upstream)
    assert await client.read_all() == b"sorry"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("upstream_aborted", 5, 5)
    assert failed.remotes == [target.remote]
    proxy.clock.advance(10)
    assert await target.is_left_alone()  # no retry once bytes were sent


#: The first is small, the last is spliced.
SINK_SIZES = [0, 1, 1_000_000, 16 * MEGABYTE]


@pytest.mark.parametrize("size", SINK_SIZES)
@pytest.mark.parametrize("reply_on_connect", [b"", b"ok"])
@in_reactor
async def test_a_sink_that_has_nothing_to_say_gets_all_that_the_client_sends(
    start: Start, net: Net, size: int, reply_on_connect: bytes
) -> None:
    target = net.upstream()
    decision = {"remote": target.remote, "reply_on_connect": reply_on_connect, "inactivity_timeout": 5}
    if reply_on_connect:
        decision["reply_on_failure"] = b"too late"
    silent = Callback(b"sorry")
    proxy = start(lambda data: decision, inactivity_error=silent)
    client = await proxy.connect()
    await client.send(b"hello")
    sink = await target.accept()
    sink.finish()  # at once, as `nc -lN` does
    assert await client.read_all() == reply_on_connect
    proxy.clock.advance(DAY)
    _, received = await together(send_and_finish(client, noise(size)), sink.read_all())
    assert received == b"hello" + noise(size)
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + size, len(reply_on_connect))
    assert silent.remotes == []


@in_reactor
async def test_an_upstream_that_ends_before_its_first_byte_has_failed_where_that_has_a_reply(
    start: Start, net: Net
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "reply_on_failure": b"failed"})
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    upstream.finish()
    assert await client.read_all() == b"failed"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("upstream_aborted", 6)


@in_reactor
async def test_a_sink_that_is_reset_after_its_fin_has_lost_what_the_client_sends(join: Join) -> None:
    proxy, client, sink = await join()
    sink.finish()
    assert await client.read_all() == b""
    sink.reset()
    await client.send_until_broken()
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("upstream_aborted", 0)


@in_reactor
async def test_an_upstream_that_ends_without_a_byte_for_a_half_closed_client_has_ended_well(join: Join) -> None:
    failed = Callback(b"sorry")
    proxy, client, upstream = await join(connect_error=failed)
    client.finish()
    assert await upstream.read_all() == b""
    upstream.finish()
    assert await client.read_all() == b""
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("completed", 0)
    assert failed.remotes == []


@in_reactor
async def test_a_reset_after_the_clients_fin_is_noticed_though_nothing_is_read(join: Join) -> None:
    proxy, client, upstream = await join()
    client.finish()
    assert await upstream.read_all() == b""
    client.reset()
    await settle()
    proxy.clock.advance(10)
    assert (await proxy.record()).outcome == "client_aborted"
