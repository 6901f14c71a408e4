"""Clients that are not decided yet: decisions that take their time, and the limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from proxymux import Forward, Reply
from tests.services.fixtures import Asked, Callback, Start
from tests.services.peers import MEGABYTE, Net, gets, in_reactor, noise, settle

#: More than the kernel takes for a proxy that does not read.
TAKEN_AT_MOST = 16 * MEGABYTE


# Decisions that take their time


@pytest.mark.parametrize("kind", ["async def", "Deferred", "Deferred that has fired"])
@in_reactor
async def test_a_decision_may_come_later(start: Start, net: Net, kind: str) -> None:
    target = net.upstream()
    waiting: Deferred[Any] = Deferred()

    async def decide_async(data: bytes) -> Any:
        await waiting
        return {"remote": target.remote}

    functions: dict[str, Callable[[bytes], Any]] = {
        "async def": decide_async,
        "Deferred": lambda data: waiting.addCallback(lambda _: {"remote": target.remote}),
        "Deferred that has fired": lambda data: succeed(Forward(target.remote)),
    }
    asked = Asked(functions[kind])
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"abc")
    await asked.times(1)
    client.finish()
    waiting.callback(None)
    await gets(target, b"abc")
    assert await client.read_all() == b"done"
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_bytes_that_come_during_a_decision_are_kept_and_asked_about_at_once_if_it_wants_more(
    start: Start, net: Net
) -> None:
    target = net.upstream()
    decisions: list[Deferred[Any]] = [Deferred(), Deferred(), Deferred()]
    asked = Asked(lambda data: decisions[len(asked.about) - 1])
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"a")
    await asked.times(1)
    await client.send_bytewise(b"bcd")
    await asked.times(1)
    decisions[0].callback(None)
    await asked.times(2)  # more had come: at once
    decisions[1].callback(None)
    await asked.times(2)  # nothing more has come
    await client.send(b"e")
    await asked.times(3)
    assert asked.about == [b"a", b"abcd", b"abcde"]
    decisions[2].callback(Forward(target.remote))
    client.finish()
    await gets(target, b"abcde")


@in_reactor
async def test_what_a_half_closed_client_has_sent_is_still_decided(start: Start, net: Net) -> None:
    target = net.upstream()
    decisions: list[Deferred[Any]] = [Deferred(), Deferred()]
    asked = Asked(lambda data: decisions[len(asked.about) - 1])
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"a")
    await asked.times(1)
    await client.send(b"b")
    client.finish()
    await settle()
    decisions[0].callback(None)
    await asked.times(2)
    decisions[1].callback(Forward(target.remote))
    await gets(target, b"ab")
    assert await client.read_all() == b"done"
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_client_that_resets_cancels_the_decision(start: Start, net: Net) -> None:
    target = net.upstream()
    cancelled: list[Any] = []
    decision: Deferred[Any] = Deferred(cancelled.append)
    asked = Asked(lambda data: decision)
    failed = Callback(b"sorry")
    proxy = start(asked, connect_error=failed, inactivity_error=failed)
    client = await proxy.connect()
    await client.send(b"abc")
    await asked.times(1)
    client.reset()
    assert (await proxy.record()).outcome == "undecided"
    assert cancelled == [decision]
    assert failed.remotes == []
    assert await target.is_left_alone()


@in_reactor
async def test_a_client_that_resets_with_a_full_buffer_is_not_forwarded(start: Start, net: Net) -> None:
    target = net.upstream()
    decision: Deferred[Any] = Deferred()
    asked = Asked(lambda data: decision)
    proxy = start(asked, max_buffer=1000)
    client = await proxy.connect()
    await client.send(b"abc")
    await asked.times(1)
    await client.send(noise(5000))
    await settle()
    client.reset()
    await settle()
    decision.callback(Forward(target.remote))
    assert (await proxy.record()).outcome in ("undecided", "client_aborted")
    assert await target.is_left_alone()


@in_reactor
async def test_a_decision_that_comes_too_late_has_no_effect(start: Start, net: Net) -> None:
    target = net.upstream()
    decision: Deferred[Any] = Deferred(lambda _: None)

    async def proxy(data: bytes) -> Any:
        try:
            await decision
        except BaseException:
            pass  # whatever is meant by that, it has an answer
        return Forward(target.remote)

    running = start(proxy)
    client = await running.connect()
    await client.send(b"abc")
    await settle()
    client.reset()
    assert (await running.record()).outcome == "undecided"
    assert await target.is_left_alone()
    assert running.errors == []


# Limits


@in_reactor
async def test_more_than_the_buffer_without_a_decision_closes_the_client(start: Start) -> None:
    asked = Asked(lambda data: None)
    proxy = start(asked, max_buffer=10)
    client = await proxy.connect()
    await client.send(b"0123456789")
    await asked.times(1)
    assert not client.has_something()
    await client.send(b"!")
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "undecided"
    assert all(len(data) <= 10 for data in asked.about)
    assert [level for level, line in proxy.lines if "--max-buffer" in line] == ["warn"]


@in_reactor
async def test_a_router_may_decide_on_a_full_buffer(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: Forward(target.remote) if len(data) == 10 else None, max_buffer=10)
    client = await proxy.connect()
    await client.send(b"0123456789 and more")
    client.finish()
    await gets(target, b"0123456789 and more")


@in_reactor
async def test_a_client_that_sends_much_during_a_decision_is_stopped_and_loses_nothing(start: Start, net: Net) -> None:
    target = net.upstream()
    decision: Deferred[Any] = Deferred()
    proxy = start(lambda data: decision)
    client = await proxy.connect()
    data = noise(32 * MEGABYTE)
    taken = await client.send_until_stalled(data)
    assert taken < TAKEN_AT_MOST
    decision.callback(Forward(target.remote))
    upstream = await target.accept()
    assert await upstream.receive(taken) == data[:taken]


@in_reactor
async def test_a_client_that_sends_much_while_connecting_is_stopped_and_loses_nothing(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: Forward(target.remote))
    client = await proxy.connect()
    data = noise(32 * MEGABYTE)
    taken = await client.send_until_stalled(data)
    assert taken < TAKEN_AT_MOST
    target.listen()
    proxy.clock.advance(0.1)
    upstream = await target.accept()
    assert await upstream.receive(taken) == data[:taken]


@pytest.mark.parametrize("sends", [b"", b"abc"])
@in_reactor
async def test_a_client_without_a_decision_is_closed_in_time(start: Start, sends: bytes) -> None:
    proxy = start(lambda data: None, decide_timeout=5)
    client = await proxy.connect()
    await client.send(sends)
    await settle()
    proxy.clock.advance(4.9)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(0.1)
    assert await client.read_all() == b""
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("undecided", len(sends), 0)


@in_reactor
async def test_a_byte_now_and_then_does_not_put_off_the_end(start: Start) -> None:
    proxy = start(lambda data: None, decide_timeout=5)
    client = await proxy.connect()
    for _ in range(5):
        await client.send(b".")
        await settle()
        assert not client.has_something()
        proxy.clock.advance(1)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "undecided"


@in_reactor
async def test_a_reply_does_not_put_off_the_end(start: Start) -> None:
    proxy = start(lambda data: Reply(b".", consume=1), decide_timeout=5)
    client = await proxy.connect()
    for _ in range(5):
        await client.send(b".")
        assert await client.receive(1) == b"."
        proxy.clock.advance(1)
    assert await client.read_all() == b""
    client.close()
    assert (await proxy.record()).outcome == "undecided"


@in_reactor
async def test_a_decision_that_takes_too_long_is_cancelled(start: Start) -> None:
    cancelled: list[Any] = []
    decision: Deferred[Any] = Deferred(cancelled.append)
    asked = Asked(lambda data: decision)
    proxy = start(asked, decide_timeout=5)
    client = await proxy.connect()
    await client.send(b"abc")
    await asked.times(1)
    proxy.clock.advance(5)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "undecided"
    assert cancelled == [decision]
    assert proxy.errors == []


@in_reactor
async def test_the_time_to_decide_is_no_limit_to_connecting(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    proxy = start(lambda data: Forward(target.remote, connect_timeout=1000), decide_timeout=5)
    client = await proxy.connect()
    await client.send(b"abc")
    await settle()
    proxy.clock.advance(999)
    await settle()
    assert not client.has_something()
    assert proxy.records == []
