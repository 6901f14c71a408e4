"""Connecting: how often, how long, to whom, and that it ends with the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxymux import Forward
from tests.net.conftest import Callback, Running, Start
from tests.net.peers import Net, Peer, Upstream, in_reactor, noise, settle, together, until

RETRIES = 10
PAUSE = 0.1


async def asks(proxy: Running, data: bytes = b"hello") -> Peer:
    """A client that has sent ``data``."""
    client = await proxy.connect()
    await client.send(data)
    return client


async def is_served(client: Peer, target: Upstream, data: bytes = b"hello") -> None:
    """``client`` is through to ``target``, with ``data``, both ways and to the end."""
    upstream = await target.accept()
    assert await upstream.receive(len(data)) == data
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    client.finish()
    upstream.finish()
    assert await together(client.read_all(), upstream.read_all()) == [b"", b""]


# How often


@in_reactor
async def test_eleven_attempts_a_tenth_of_a_second_apart_and_one_call_back(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    failed, inactive = Callback(b"sorry"), Callback(b"never")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed, inactivity_error=inactive)
    client = await asks(proxy)
    for attempt in range(1, RETRIES + 1):
        await proxy.has_failed(attempt)
        proxy.clock.advance(PAUSE * 0.9)
        await proxy.has_failed(attempt)
        assert failed.remotes == []
        assert not client.has_something()
        proxy.clock.advance(PAUSE * 0.1 + 1e-9)
    await proxy.has_failed(RETRIES + 1)
    assert await client.read_all() == b"sorry"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.target, record.connect_seconds) == ("unreachable", target.remote, None)
    assert failed.remotes == [target.remote]
    assert inactive.remotes == []
    assert proxy.failed_attempts == [(target.remote, "connection refused")] * 11


@pytest.mark.parametrize("retries", [0, 1, 3])
@in_reactor
async def test_retries_says_how_often_it_is_tried_again(start: Start, net: Net, retries: int) -> None:
    target = net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "retries": retries}, connect_error=failed)
    client = await asks(proxy)
    for attempt in range(1, retries + 1):
        await proxy.has_failed(attempt)
        proxy.clock.advance(PAUSE)
    assert await client.read_all() == b"sorry"
    client.close()
    await proxy.record()
    await proxy.has_failed(retries + 1)
    assert failed.remotes == [target.remote]


@in_reactor
async def test_an_upstream_that_comes_up_between_retries_gets_the_buffer_and_what_came_meanwhile(
    start: Start, net: Net
) -> None:
    target = net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed)
    client = await asks(proxy, b"one ")
    await proxy.has_failed(1)
    await client.send(b"two ")
    proxy.clock.advance(PAUSE)
    await proxy.has_failed(2)
    await client.send(b"three")
    await settle()
    target.listen()
    proxy.clock.advance(PAUSE)
    await is_served(client, target, b"one two three")
    assert (await proxy.record()).outcome == "completed"
    assert failed.remotes == []


@in_reactor
async def test_the_function_is_not_asked_again_by_a_retry(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    asked: list[bytes] = []

    def proxy(data: bytes) -> Any:
        asked.append(data)
        return {"remote": target.remote}

    running = start(proxy)
    client = await asks(running)
    await running.has_failed(1)
    await client.send(b" more")
    await settle()
    running.clock.advance(PAUSE)
    await running.has_failed(2)
    assert asked == [b"hello"]


# How long


@in_reactor
async def test_connect_timeout_is_for_each_attempt(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "connect_timeout": 2}, connect_error=failed)
    client = await asks(proxy)
    for attempt in range(RETRIES + 1):
        await settle()
        proxy.clock.advance(1.9)
        await proxy.has_failed(attempt)
        proxy.clock.advance(0.1 + 1e-9)
        await proxy.has_failed(attempt + 1)
        proxy.clock.advance(PAUSE)
    assert await client.read_all() == b"sorry"
    client.close()
    record = await proxy.record()
    assert record.outcome == "connect_timeout"
    assert failed.remotes == [target.remote]
    assert {reason for _, reason in proxy.failed_attempts} == {"timed out after 2 s"}


@in_reactor
async def test_an_attempt_takes_twenty_seconds_at_most_where_nothing_is_said(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    proxy = start(lambda data: {"remote": target.remote, "retries": 0})
    client = await asks(proxy)
    await settle()
    proxy.clock.advance(19.9)
    await proxy.has_failed(0)
    proxy.clock.advance(0.1)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "connect_timeout"


@in_reactor
async def test_a_long_connect_timeout_is_not_cut_short(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    proxy = start(lambda data: {"remote": target.remote, "retries": 0, "connect_timeout": 1000})
    client = await asks(proxy)
    await settle()
    proxy.clock.advance(999)
    await proxy.has_failed(0)
    proxy.clock.advance(1)
    assert await client.read_all() == b""


@in_reactor
async def test_a_timeout_and_a_refusal_together_are_unreachable(start: Start, net: Net) -> None:
    busy, absent = net.upstream(), net.upstream(listens=False)
    busy.fill_queue()
    targets = [absent.remote, busy.remote]
    proxy = start(lambda data: {"remote": targets, "retries": 0, "connect_timeout": 2})
    client = await asks(proxy)
    await proxy.has_failed(1)
    proxy.clock.advance(2)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"


# To whom


@in_reactor
async def test_targets_are_tried_in_order(start: Start, net: Net) -> None:
    absent, present, spare = net.upstream(listens=False), net.upstream(), net.upstream()
    proxy = start(lambda data: {"remote": [absent.remote, present.remote, spare.remote]})
    client = await asks(proxy)
    await is_served(client, present)
    assert (await proxy.record()).target == present.remote
    assert [target for target, _ in proxy.failed_attempts] == [absent.remote]
    assert await spare.is_left_alone()


@in_reactor
async def test_all_targets_are_tried_again_in_every_round_and_the_last_is_named(start: Start, net: Net) -> None:
    one, two = net.upstream(listens=False), net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: Forward([one.remote, two.remote], retries=2), connect_error=failed)
    client = await asks(proxy)
    await proxy.has_failed(2)
    proxy.clock.advance(PAUSE)
    await proxy.has_failed(4)
    proxy.clock.advance(PAUSE)
    await proxy.has_failed(6)
    assert await client.read_all() == b"sorry"
    client.close()
    assert [target for target, _ in proxy.failed_attempts] == [one.remote, two.remote] * 3
    assert failed.remotes == [two.remote]
    assert (await proxy.record()).target == two.remote


@in_reactor
async def test_a_name_is_looked_up_at_every_attempt(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": f"db.example:{target.port}"})
    proxy.names.addresses["db.example"] = [["127.0.0.1"]]
    client = await asks(proxy)
    await proxy.has_failed(1)
    target.listen()
    proxy.clock.advance(PAUSE)
    await is_served(client, target)
    assert proxy.names.asked == 2
    assert (await proxy.record()).target == f"db.example:{target.port}"


@in_reactor
async def test_a_name_that_does_not_resolve_is_unreachable(start: Start) -> None:
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": "nowhere.example:80", "retries": 2}, connect_error=failed)
    client = await asks(proxy)
    for attempt in (1, 2):
        await proxy.has_failed(attempt)
        proxy.clock.advance(PAUSE)
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "unreachable"
    assert failed.remotes == ["nowhere.example:80"]
    assert proxy.failed_attempts == [("nowhere.example:80", "name does not resolve")] * 3


@in_reactor
async def test_the_second_address_of_a_name_is_tried_too(start: Start, net: Net) -> None:
    target = net.upstream("127.0.0.3")
    proxy = start(lambda data: {"remote": f"db.example:{target.port}"})
    proxy.names.addresses["db.example"] = [["127.0.0.2", "127.0.0.3"]]
    client = await asks(proxy)
    await settle()
    proxy.clock.advance(1)  # between the addresses of one name
    await is_served(client, target)
    assert proxy.failed_attempts == []


@in_reactor
async def test_an_ipv6_upstream(start: Start, net: Net) -> None:
    target = net.upstream("::1")
    assert target.remote.startswith("[::1]:")
    proxy = start(lambda data: {"remote": target.remote})
    await is_served(await asks(proxy), target)
    assert (await proxy.record()).target == target.remote


@in_reactor
async def test_a_unix_upstream(start: Start, net: Net, tmp_path: Path) -> None:
    target = net.upstream(str(tmp_path / "upstream"))
    proxy = start(lambda data: {"remote": target.remote})
    await is_served(await asks(proxy), target)
    record = await proxy.record()
    assert (record.outcome, record.target) == ("completed", f"unix:{tmp_path}/upstream")


@in_reactor
async def test_a_unix_upstream_that_is_not_there_is_unreachable(start: Start, tmp_path: Path) -> None:
    proxy = start(lambda data: {"remote": f"unix:{tmp_path}/upstream", "retries": 0})
    client = await asks(proxy)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"


@in_reactor
async def test_bind_is_the_address_that_the_upstream_sees(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "bind": "127.0.0.5"})
    client = await asks(proxy)
    upstream = await target.accept()
    assert upstream.peer_address[0] == "127.0.0.5"
    client.close()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Twisted leaves it to the garbage collector
@in_reactor
async def test_an_address_that_cannot_be_bound_is_a_failed_connect(start: Start, net: Net) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "bind": "203.0.113.1", "retries": 0}, connect_error=failed)
    client = await asks(proxy)
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "unreachable"
    assert failed.remotes == [target.remote]


# With the client's end it ends


@in_reactor
async def test_a_client_that_resets_in_the_pause_cancels_it(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed)
    client = await asks(proxy)
    await proxy.has_failed(1)
    target.listen()
    client.reset()
    assert (await proxy.record()).outcome == "client_aborted"
    proxy.clock.advance(PAUSE)
    assert await target.is_left_alone()
    assert failed.remotes == []


@in_reactor
async def test_a_client_that_resets_during_an_attempt_cancels_it(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed)
    client = await asks(proxy)
    await settle()
    client.reset()
    assert (await proxy.record()).outcome == "client_aborted"
    assert proxy.clock.getDelayedCalls() == []
    assert failed.remotes == []
    assert proxy.failed_attempts == []


@in_reactor
async def test_a_client_that_resets_with_a_full_buffer_cancels_it_too(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": target.remote}, max_buffer=1000)
    client = await asks(proxy)
    await proxy.has_failed(1)
    await client.send(noise(5000))
    await settle()
    target.listen()
    client.reset()
    await settle()
    proxy.clock.advance(PAUSE)
    assert (await proxy.record()).outcome == "client_aborted"
    assert await target.is_left_alone()


@in_reactor
async def test_a_client_that_only_half_closes_keeps_it_going_but_is_not_called_back_about(
    start: Start, net: Net
) -> None:
    target = net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "retries": 1}, connect_error=failed)
    client = await asks(proxy)
    await proxy.has_failed(1)
    client.finish()
    await settle()
    proxy.clock.advance(PAUSE)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"
    assert failed.remotes == []


@in_reactor
async def test_a_stop_ends_it(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "connect_timeout": 1000}, connect_error=failed)
    client = await asks(proxy)
    await settle()
    await proxy.stop()
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "drained"
    assert failed.remotes == []


@in_reactor
async def test_many_clients_connect_at_once(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    clients = [await asks(proxy, b"%3d" % number) for number in range(50)]
    upstreams = [await target.accept() for _ in clients]
    for upstream in upstreams:
        await upstream.send(b"you are " + await upstream.receive(3))
        upstream.finish()
    for number, client in enumerate(clients):
        assert await client.read_all() == b"you are %3d" % number
        client.close()
    await until(lambda: len(proxy.records) == 50, "all to end")
    assert {record.outcome for record in proxy.records} == {"completed"}
