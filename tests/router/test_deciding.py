"""Deciding: what each result of a router does on the wire, and that no router can do harm."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from proxymux import NEED_DATA, Client, Forward, Reject, Reply
from tests.services.fixtures import Asked, Callback, Running, Start
from tests.services.peers import MEGABYTE, Net, Upstream, in_reactor, noise, settle, until

KILOBYTE = 1024
#: More than the kernel takes for a proxy that does not read.
TAKEN_AT_MOST = 16 * MEGABYTE


def forward_as_dict(remote: Any, **more: Any) -> dict[str, Any]:
    return {"remote": remote, **more}


def reply_as_dict(reply: bytes = b"", consume: int | None = None) -> dict[str, Any]:
    return {"reply": reply} if consume is None else {"reply": reply, "consume": consume}


def reply_as_object(reply: bytes = b"", consume: int | None = None) -> Reply:
    return Reply(reply) if consume is None else Reply(reply, consume=consume)


in_both_forms = pytest.mark.parametrize("forward", [forward_as_dict, Forward])
in_both_reply_forms = pytest.mark.parametrize("reply", [reply_as_dict, reply_as_object])


async def gets(target: Upstream, data: bytes) -> None:
    """``target`` is sent exactly ``data`` by a client that has finished, and answers ``done``."""
    upstream = await target.accept()
    assert await upstream.read_all() == data
    await upstream.send(b"done")
    upstream.finish()


# Forward


@in_both_forms
@in_reactor
async def test_forward_replays_the_buffer_and_joins(start: Start, net: Net, forward: Callable[..., Any]) -> None:
    target = net.upstream()
    proxy = start(lambda data: forward(target.remote) if data.endswith(b".") else None)
    client = await proxy.connect()
    await client.send_bytewise(b"abc.")
    await client.send(b"def")
    client.finish()
    await gets(target, b"abc.def")
    assert await client.read_all() == b"done"
    record = await proxy.record()
    assert (record.outcome, record.target) == ("completed", target.remote)


@in_both_forms
@pytest.mark.parametrize("data", [b"instead", b""])
@in_reactor
async def test_data_takes_the_place_of_the_buffer_and_later_bytes_follow(
    start: Start, net: Net, forward: Callable[..., Any], data: bytes
) -> None:
    target = net.upstream()
    proxy = start(lambda _: forward(target.remote, data=data))
    client = await proxy.connect()
    await client.send(b"abc")
    upstream = await target.accept()
    await client.send(b"def")
    client.finish()
    assert await upstream.read_all() == data + b"def"


@in_both_forms
@in_reactor
async def test_data_does_not_replace_what_came_while_the_decision_was_made(
    start: Start, net: Net, forward: Callable[..., Any]
) -> None:
    target = net.upstream()
    decision: Deferred[Any] = Deferred()
    asked = Asked(lambda data: decision)
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"abc")
    await asked.times(1)
    await client.send(b"def")
    client.finish()
    await settle()
    decision.callback(forward(target.remote, data=b"X"))
    await gets(target, b"Xdef")
    assert asked.about == [b"abc"]


@in_both_forms
@in_reactor
async def test_reply_is_sent_at_the_decision(start: Start, net: Net, forward: Callable[..., Any]) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: forward(target.remote, reply=b"wait: "))
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.receive(6) == b"wait: "
    await proxy.has_failed(1)
    target.listen()
    client.finish()
    proxy.clock.advance(0.1)
    await gets(target, b"abc")
    assert await client.read_all() == b"done"


@in_both_forms
@in_reactor
async def test_reply_on_connect_is_sent_when_the_upstream_is_there(
    start: Start, net: Net, forward: Callable[..., Any]
) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: forward(target.remote, reply=b"1", reply_on_connect=b"2", reply_on_failure=b"3"))
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.receive(1) == b"1"
    await proxy.has_failed(1)
    assert not client.has_something()
    target.listen()
    client.finish()
    proxy.clock.advance(0.1)
    await gets(target, b"abc")
    assert await client.read_all() == b"2done"


@in_both_forms
@in_reactor
async def test_reply_on_failure_is_sent_when_connecting_is_given_up_and_then_the_callbacks_answer(
    start: Start, net: Net, forward: Callable[..., Any]
) -> None:
    target = net.upstream(listens=False)
    proxy = start(
        lambda data: forward(target.remote, retries=0, reply=b"1", reply_on_connect=b"2", reply_on_failure=b"3"),
        connect_error=Callback(b"4"),
    )
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.read_all() == b"134"
    client.close()
    assert (await proxy.record()).outcome == "unreachable"


@in_reactor
async def test_the_function_is_told_who_the_client_is(start: Start, net: Net) -> None:
    clients: list[Client] = []

    def proxy(data: bytes, client: Client) -> Any:
        clients.append(client)
        return Reject()

    running = start(proxy)
    client = await running.connect(source="127.0.0.9")
    await client.send(b"x")
    assert await client.read_all() == b""
    assert [each.address for each in clients] == [client.address]
    assert clients[0].address[0] == "127.0.0.9"
    assert f"{clients[0].local[0]}:{clients[0].local[1]}" == running.address
    assert (clients[0].tls, clients[0].proxy_protocol) == (None, None)


# Reject


@pytest.mark.parametrize("result", [{"close": True}, Reject(), Reject(True), {"close": b""}, Reject(b"")])
@in_reactor
async def test_close_closes_without_a_word(start: Start, result: Any) -> None:
    asked = Asked(lambda data: result)
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.read_all() == b""
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out, record.target) == ("rejected", 3, 0, None)
    assert asked.about == [b"abc"]


@pytest.mark.parametrize("result", [{"close": b"go away"}, Reject(b"go away")])
@in_reactor
async def test_close_with_bytes_sends_them_and_closes(start: Start, result: Any) -> None:
    proxy = start(lambda data: result)
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.read_all() == b"go away"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("rejected", 3, 7)


@in_reactor
async def test_a_last_word_reaches_a_client_that_is_still_sending(start: Start) -> None:
    proxy = start(lambda data: Reject(b"go away"))
    client = await proxy.connect()
    await client.send(noise(2 * MEGABYTE))  # of which not all has been read at the decision
    assert await client.read_all() == b"go away"
    await client.send(noise(MEGABYTE))
    client.close()
    assert (await proxy.record()).outcome == "rejected"


@in_reactor
async def test_a_long_last_word_reaches_a_slow_reader_whole(start: Start) -> None:
    word = noise(5 * MEGABYTE)
    proxy = start(lambda data: Reject(word))
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"abc")
    await settle()
    assert await client.read_all() == word
    client.close()
    assert (await proxy.record()).bytes_out == len(word)


@in_reactor
async def test_a_rejected_client_that_does_not_leave_is_closed_and_then_reset(start: Start) -> None:
    proxy = start(lambda data: Reject(b"go away"))
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.read_all() == b"go away"
    await settle()
    assert proxy.records == []
    proxy.clock.advance(10)
    await settle()
    proxy.clock.advance(10)
    assert (await proxy.record()).outcome == "rejected"


# Waiting for more


@pytest.mark.parametrize("result", [{"noop": True}, None, NEED_DATA])
@in_reactor
async def test_waiting_for_more_asks_again_about_all_bytes(start: Start, result: Any) -> None:
    asked = Asked(lambda data: Reject(b"done") if data == b"abc" else result)
    proxy = start(asked)
    client = await proxy.connect()
    await client.send_bytewise(b"abc")
    assert await client.read_all() == b"done"
    assert asked.about == [b"a", b"ab", b"abc"]


@in_reactor
async def test_a_client_that_finishes_undecided_is_closed(start: Start) -> None:
    asked = Asked(lambda data: None)
    proxy = start(asked)
    assert await proxy.ask(b"abc") == b""
    record = await proxy.record()
    assert (record.outcome, record.bytes_in) == ("undecided", 3)
    assert asked.about == [b"abc"]


@in_reactor
async def test_a_client_that_leaves_without_a_byte_is_not_decided(start: Start) -> None:
    asked = Asked(lambda data: Reject())
    proxy = start(asked)
    client = await proxy.connect()
    client.close()
    assert (await proxy.record()).outcome == "undecided"
    assert asked.about == []


@in_reactor
async def test_a_client_that_resets_undecided_is_undecided(start: Start) -> None:
    asked = Asked(lambda data: None)
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"abc")
    await asked.times(1)
    client.reset()
    assert (await proxy.record()).outcome == "undecided"


# Replies: negotiations of several steps


@in_both_reply_forms
@in_reactor
async def test_reply_sends_and_consumes_and_waits_on(start: Start, net: Net, reply: Callable[..., Any]) -> None:
    target = net.upstream()

    def proxy(data: bytes) -> Any:
        if data.startswith(b"hi\n"):
            return reply(b"hi yourself\n", 3)
        if data.startswith(b"name\n"):
            return reply(b"call me proxy\n", 5)
        return Forward(target.remote) if data.startswith(b"go\n") else None

    running = start(proxy)
    client = await running.connect()
    await client.send_bytewise(b"hi\n")
    assert await client.receive(12) == b"hi yourself\n"
    await client.send_bytewise(b"name\n")
    assert await client.receive(14) == b"call me proxy\n"
    await client.send(b"go\nrest")
    client.finish()
    await gets(target, b"go\nrest")
    assert await client.read_all() == b"done"
    record = await running.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 15, 12 + 14 + 4)


@in_both_reply_forms
@in_reactor
async def test_all_steps_may_come_in_one_segment(start: Start, reply: Callable[..., Any]) -> None:
    asked = Asked(lambda data: reply(data[:1].upper(), 1) if data[:1] != b"." else Reject(b"!"))
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"abc.")
    assert await client.read_all() == b"ABC!"
    assert asked.about == [b"abc.", b"bc.", b"c.", b"."]


@in_both_reply_forms
@in_reactor
async def test_a_reply_that_consumes_nothing_waits_for_more(start: Start, reply: Callable[..., Any]) -> None:
    asked = Asked(lambda data: reply(b"and?") if data == b"a" else Reject(b"!"))
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"a")
    assert await client.receive(4) == b"and?"
    await asked.times(1)
    await client.send(b"b")
    assert await client.read_all() == b"!"
    assert asked.about == [b"a", b"ab"]


@in_reactor
async def test_consume_alone_drops_bytes(start: Start) -> None:
    asked = Asked(lambda data: {"consume": 2} if len(data) >= 4 else None)
    proxy = start(asked)
    client = await proxy.connect()
    await client.send(b"abcde")
    await asked.times(2)
    assert asked.about == [b"abcde", b"cde"]
    assert not client.has_something()


@in_reactor
async def test_a_reply_may_not_consume_more_than_there_is(start: Start) -> None:
    proxy = start(lambda data: Reply(b"x", consume=len(data) + 1))
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "router_error"
    [line] = proxy.errors
    assert re.search(r"test_deciding\.py:\d+: .*consume", line)


@in_reactor
async def test_a_flood_of_replies_to_a_client_that_does_not_read_is_bounded(start: Start) -> None:
    asked = Asked(lambda data: Reply(bytes(64 * KILOBYTE), consume=1) if data[:1] != b"." else Reject(b"end"))
    proxy = start(asked)
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"x" * 500 + b".")
    await until(lambda: asked.about, "the first question")
    await settle()
    stopped_after = len(asked.about)
    assert stopped_after * 64 * KILOBYTE < TAKEN_AT_MOST
    await settle()
    assert len(asked.about) == stopped_after
    assert await client.read_all() == bytes(500 * 64 * KILOBYTE) + b"end"
    assert len(asked.about) == 501


@in_reactor
async def test_a_client_that_resets_in_a_flood_of_replies_ends_it(start: Start) -> None:
    asked = Asked(lambda data: Reply(bytes(64 * KILOBYTE), consume=1))
    proxy = start(asked)
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"x" * 900)
    await until(lambda: asked.about, "the first question")
    await settle()
    client.reset()
    assert (await proxy.record()).outcome == "undecided"
    assert len(asked.about) < 900


@in_reactor
async def test_a_flood_of_replies_does_not_put_off_the_end(start: Start) -> None:
    asked = Asked(lambda data: Reply(bytes(64 * KILOBYTE), consume=1))
    proxy = start(asked, decide_timeout=5)
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"x" * 900)
    await until(lambda: asked.about, "the first question")
    for _ in range(3):  # the time to decide; then a close that takes too long, in two steps
        await settle()
        proxy.clock.advance(10)
    assert (await proxy.record()).outcome == "undecided"
    assert len(asked.about) < 900


@in_reactor
async def test_a_router_that_replies_for_ever_is_in_error(start: Start) -> None:
    proxy = start(lambda data: Reply(b".", consume=1))
    client = await proxy.connect()
    await client.send(b"x" * 5000)
    assert await client.read_all() == b"." * 1000
    client.close()
    assert (await proxy.record()).outcome == "router_error"
    assert len(proxy.errors) == 1


@in_reactor
async def test_a_negotiation_may_be_longer_than_the_buffer(start: Start) -> None:
    steps = 300
    proxy = start(lambda data: {"consume": 1000} if len(data) >= 1000 else Reject(b"end") if data == b"." else None)
    client = await proxy.connect()
    await client.send(noise(1000 * steps) + b".")
    assert await client.read_all() == b"end"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in) == ("rejected", 1000 * steps + 1)


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


@in_reactor
async def test_a_reload_is_for_those_who_come_after_it(start: Start) -> None:
    proxy = start(lambda data: Reject(b"old") if data.endswith(b".") else None)
    before = await proxy.connect()
    await before.send(b"x")
    await settle()
    proxy.router.proxy = lambda data: Reject(b"new") if data.endswith(b".") else None
    proxy.service.reload()
    after = await proxy.connect()
    for client in (before, after):
        await client.send(b".")
    assert await before.read_all() == b"old"
    assert await after.read_all() == b"new"


@in_reactor
async def test_a_router_that_does_not_load_again_is_reported_and_the_old_one_stays(start: Start) -> None:
    proxy = start(lambda data: Reject(b"old"))
    proxy.router.proxy = "not a function"
    proxy.service.reload()
    assert await proxy.ask(b"x") == b"old"
    assert len(proxy.errors) == 1


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


# Before any byte


@in_reactor
async def test_accepted_may_greet(start: Start) -> None:
    asked = Asked(lambda data: Reject(b"bye\r\n") if data.endswith(b"\r\n") else None)
    proxy = start(asked, accepted=lambda client: {"reply": b"220 welcome\r\n"})
    client = await proxy.connect()
    assert await client.receive(13) == b"220 welcome\r\n"
    assert asked.about == []
    await client.send(b"QUIT\r\n")
    assert await client.read_all() == b"bye\r\n"
    assert asked.about == [b"QUIT\r\n"]


@pytest.mark.parametrize(("result", "word"), [(Reject(b"no"), b"no"), ({"close": True}, b"")])
@in_reactor
async def test_accepted_may_refuse(start: Start, result: Any, word: bytes) -> None:
    proxy = start(Asked(lambda data: None), accepted=lambda client: result)
    client = await proxy.connect()
    assert await client.read_all() == word
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("rejected", 0, len(word))


@in_reactor
async def test_accepted_may_forward_to_an_upstream_that_speaks_first(start: Start, net: Net) -> None:
    target = net.upstream()
    asked = Asked(lambda data: None)
    proxy = start(asked, accepted=lambda client: {"remote": target.remote})
    client = await proxy.connect()
    upstream = await target.accept()
    await upstream.send(b"SSH-2.0\r\n")
    assert await client.receive(9) == b"SSH-2.0\r\n"
    await client.send(b"hello")
    assert await upstream.receive(5) == b"hello"
    assert asked.about == []


@pytest.mark.parametrize("result", [None, NEED_DATA, {"noop": True}])
@in_reactor
async def test_accepted_may_leave_it_to_proxy(start: Start, result: Any) -> None:
    clients: list[Client] = []

    def accepted(client: Client) -> Any:
        clients.append(client)
        return result

    proxy = start(lambda data: Reject(b"got " + data), accepted=accepted)
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.read_all() == b"got abc"
    assert [each.address for each in clients] == [client.address]


@in_reactor
async def test_accepted_may_take_its_time_and_what_comes_meanwhile_is_kept(start: Start) -> None:
    waiting: Deferred[Any] = Deferred()
    asked = Asked(lambda data: Reject(b"got " + data))

    async def accepted(client: Client) -> Any:
        await waiting
        return {"reply": b"hello "}

    proxy = start(asked, accepted=accepted)
    client = await proxy.connect()
    await client.send(b"abc")
    await asked.times(0)
    waiting.callback(None)
    assert await client.read_all() == b"hello got abc"


@in_reactor
async def test_an_error_in_accepted_costs_that_client(start: Start) -> None:
    def accepted(client: Client) -> Any:
        raise LookupError("no such thing")

    proxy = start(lambda data: None, accepted=accepted)
    client = await proxy.connect()
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "router_error"
    [line] = proxy.errors
    assert re.search(r"test_deciding\.py:\d+: proxy_accepted raised LookupError: no such thing", line)


# Routers that do wrong

WRONG: list[Any] = [
    pytest.param({}, id="empty dict"),
    pytest.param({"remote": "h:1", "close": True}, id="remote and close"),
    pytest.param({"remote": "h:1", "noop": True}, id="remote and noop"),
    pytest.param({"close": True, "noop": True}, id="close and noop"),
    pytest.param({"remote": "h:1", "colour": 1}, id="unknown key"),
    pytest.param({"Remote": "h:1"}, id="key in capitals"),
    pytest.param({b"remote": "h:1"}, id="key of bytes"),
    pytest.param({"remote": None}, id="remote None"),
    pytest.param({"remote": "h"}, id="no port"),
    pytest.param({"remote": "h:"}, id="empty port"),
    pytest.param({"remote": ":1"}, id="no host"),
    pytest.param({"remote": "h:0"}, id="port 0"),
    pytest.param({"remote": "h:65536"}, id="port too high"),
    pytest.param({"remote": "h:0x50"}, id="hexadecimal port"),
    pytest.param({"remote": "h:80\n"}, id="port with newline"),
    pytest.param({"remote": " h:80"}, id="host with blank"),
    pytest.param({"remote": "::1:80"}, id="v6 without brackets"),
    pytest.param({"remote": b"h:1"}, id="remote of bytes"),
    pytest.param({"remote": ("h", 1)}, id="host and port apart"),
    pytest.param({"remote": []}, id="no targets"),
    pytest.param({"remote": ["h:1", "h"]}, id="one bad target"),
    pytest.param({"remote": "unix:relative"}, id="relative path"),
    pytest.param({"remote": "h:1", "data": "str"}, id="data str"),
    pytest.param({"remote": "h:1", "reply": "str"}, id="reply str"),
    pytest.param({"remote": "h:1", "reply_on_connect": 5}, id="reply_on_connect int"),
    pytest.param({"remote": "h:1", "reply_on_failure": None}, id="reply_on_failure None"),
    pytest.param({"remote": "h:1", "connect_timeout": "5"}, id="timeout str"),
    pytest.param({"remote": "h:1", "connect_timeout": -1}, id="timeout negative"),
    pytest.param({"remote": "h:1", "inactivity_timeout": float("nan")}, id="timeout nan"),
    pytest.param({"remote": "h:1", "retries": -1}, id="retries negative"),
    pytest.param({"remote": "h:1", "retries": 1.5}, id="retries float"),
    pytest.param({"remote": "h:1", "send_proxy": "v3"}, id="send_proxy v3"),
    pytest.param({"remote": "h:1", "tls": 5}, id="tls int"),
    pytest.param({"remote": "h:1", "bind": "localhost"}, id="bind name"),
    pytest.param({"close": "str"}, id="close str"),
    pytest.param({"close": False}, id="close False"),
    pytest.param({"close": None}, id="close None"),
    pytest.param({"close": 5}, id="close int"),
    pytest.param({"noop": False}, id="noop False"),
    pytest.param({"reply": "str"}, id="step reply str"),
    pytest.param({"reply": b"x", "consume": -1}, id="consume negative"),
    pytest.param({"reply": b"x", "data": b"y"}, id="reply and data"),
    pytest.param({"data": b"x"}, id="data alone"),
    pytest.param("h:1", id="str"),
    pytest.param(b"h:1", id="bytes"),
    pytest.param(True, id="True"),
    pytest.param(False, id="False"),
    pytest.param(0, id="int"),
    pytest.param([], id="list"),
    pytest.param(object(), id="object"),
    pytest.param(Forward, id="class"),
    pytest.param(lambda: None, id="function"),
]


async def costs_only_that_client(proxy: Running, expected: str) -> None:
    """A client that sends ``bad`` is closed in error, with one line that matches; another is served."""
    client = await proxy.connect()
    await client.send(b"bad")
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "router_error"
    [line] = proxy.errors
    assert re.fullmatch(rf"\S*test_deciding\.py:\d+: {expected} \(127\.0\.0\.1:\d+\)", line), line
    assert await proxy.ask(b"good") == b"served"
    assert [record.outcome for record in await proxy.ended(2)] == ["router_error", "rejected"]


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("result", WRONG)
@in_reactor
async def test_a_wrong_result_costs_that_client_and_one_line(start: Start, result: Any, is_async: bool) -> None:
    def proxy(data: bytes) -> Any:
        return result if data == b"bad" else Reject(b"served")

    async def proxy_async(data: bytes) -> Any:
        return proxy(data)

    await costs_only_that_client(start(proxy_async if is_async else proxy), "proxy .*")


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("two\nlines"),
        NotImplementedError(),
        AssertionError(),
        MemoryError(),
        StopIteration(),
        StopAsyncIteration(),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        BaseException("of all"),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
@in_reactor
async def test_whatever_is_raised_costs_that_client_and_one_line(
    start: Start, error: BaseException, is_async: bool
) -> None:
    def proxy(data: bytes) -> Any:
        if data == b"bad":
            raise error
        return Reject(b"served")

    async def proxy_async(data: bytes) -> Any:
        await succeed(None)
        return proxy(data)

    await costs_only_that_client(start(proxy_async if is_async else proxy), "proxy raised .*")


@in_reactor
async def test_a_call_of_exit_costs_that_client_and_one_line(start: Start) -> None:
    def proxy(data: bytes) -> Any:
        return exit(1) if data == b"bad" else Reject(b"served")

    await costs_only_that_client(start(proxy), "proxy raised SystemExit: 1")


@in_reactor
async def test_a_recursion_without_end_costs_that_client_and_one_line(start: Start) -> None:
    def proxy(data: bytes) -> Any:
        return proxy(data) if data == b"bad" else Reject(b"served")

    await costs_only_that_client(start(proxy), "proxy raised RecursionError: .*")


@in_reactor
async def test_a_deferred_that_fails_costs_that_client_and_one_line(start: Start) -> None:
    def proxy(data: bytes) -> Any:
        return fail(ValueError("later")) if data == b"bad" else Reject(b"served")

    await costs_only_that_client(start(proxy), "proxy raised ValueError: later")


@in_reactor
async def test_the_line_of_an_error_is_where_it_was_raised(start: Start) -> None:
    def deep() -> Any:
        raise LookupError("here")  # this line

    def proxy(data: bytes) -> Any:
        return deep() if data == b"bad" else Reject(b"served")

    running = start(proxy)
    await costs_only_that_client(running, "proxy raised LookupError: here")
    assert f"test_deciding.py:{deep.__code__.co_firstlineno + 1}:" in running.errors[0]


# Error callbacks


async def is_given_up(
    start: Start, net: Net, answer: Callable[..., Any], *, leaves: bool = True
) -> tuple[Running, bytes]:
    """What a client is sent when its upstream refuses and ``answer`` is the callback."""
    target = net.upstream(listens=False)
    proxy = start(lambda data: Forward(target.remote, retries=0), connect_error=answer)
    client = await proxy.connect()
    await client.send(b"abc")
    received = await client.read_all()
    client.close()
    assert (await proxy.record()).outcome == "unreachable"
    return proxy, received


@pytest.mark.parametrize("answer", [b"sorry", bytearray(b"sorry"), memoryview(b"sorry")])
@in_reactor
async def test_what_a_callback_returns_is_the_last_word(start: Start, net: Net, answer: Any) -> None:
    proxy, received = await is_given_up(start, net, Callback(answer))
    assert received == b"sorry"
    assert proxy.errors == []


@in_reactor
async def test_a_callback_may_say_nothing(start: Start, net: Net) -> None:
    proxy, received = await is_given_up(start, net, Callback(None))
    assert received == b""
    assert proxy.errors == []


@in_reactor
async def test_a_callback_may_be_async_and_take_the_client(start: Start, net: Net) -> None:
    async def answer(remote: str, client: Client) -> bytes:
        await succeed(None)
        return f"{remote} is not there for {client.address[0]}".encode()

    proxy, received = await is_given_up(start, net, answer)
    assert re.fullmatch(rb"127\.0\.0\.1:\d+ is not there for 127\.0\.0\.1", received)
    assert proxy.errors == []


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(1), KeyboardInterrupt()])
@in_reactor
async def test_a_callback_that_raises_is_logged_and_nothing_else_changes(
    start: Start, net: Net, error: BaseException, is_async: bool
) -> None:
    def answer(remote: str) -> bytes:
        raise error

    async def answer_async(remote: str) -> bytes:
        await succeed(None)
        raise error

    proxy, received = await is_given_up(start, net, answer_async if is_async else answer)
    assert received == b""
    [line] = proxy.errors
    assert re.search(rf"test_deciding\.py:\d+: proxy_connect_error raised {type(error).__name__}", line)


@pytest.mark.parametrize("answer", ["sorry", 5, {"close": b"sorry"}])
@in_reactor
async def test_a_callback_that_returns_something_else_is_logged_and_nothing_else_changes(
    start: Start, net: Net, answer: Any
) -> None:
    proxy, received = await is_given_up(start, net, lambda remote: answer)
    assert received == b""
    [line] = proxy.errors
    assert re.search(r"test_deciding\.py:\d+: proxy_connect_error ", line)


@in_reactor
async def test_the_inactivity_callback_may_be_async_and_take_the_client(start: Start, net: Net) -> None:
    target = net.upstream()
    waiting: Deferred[None] = Deferred()

    async def answer(remote: str, client: Client) -> bytes:
        await waiting
        return f"{remote} says nothing to {client.address[0]}".encode()

    proxy = start(lambda data: Forward(target.remote, inactivity_timeout=2), inactivity_error=answer)
    client = await proxy.connect()
    await client.send(b"abc")
    upstream = await target.accept()
    assert await upstream.receive(3) == b"abc"
    proxy.clock.advance(2)
    assert await upstream.read_all() == b""
    assert not client.has_something()
    waiting.callback(None)
    assert await client.read_all() == f"{target.remote} says nothing to 127.0.0.1".encode()
    client.close()
    assert (await proxy.record()).outcome == "inactive"


@in_reactor
async def test_a_callback_that_never_answers_is_waited_for_no_longer_than_a_decision(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    cancelled: list[Any] = []
    asked = Callback(Deferred(cancelled.append))
    proxy = start(lambda data: Forward(target.remote, retries=0), connect_error=asked, decide_timeout=5)
    client = await proxy.connect()
    await client.send(b"abc")
    await until(lambda: asked.remotes, "the callback to be called")
    proxy.clock.advance(4.9)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(0.1)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"
    assert len(cancelled) == 1


@in_reactor
async def test_a_client_that_resets_while_a_callback_thinks_cancels_it(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    cancelled: list[Any] = []
    asked = Callback(Deferred(cancelled.append))
    proxy = start(lambda data: Forward(target.remote, retries=0), connect_error=asked)
    client = await proxy.connect()
    await client.send(b"abc")
    await until(lambda: asked.remotes, "the callback to be called")
    client.reset()
    assert (await proxy.record()).outcome == "unreachable"
    assert len(cancelled) == 1
    assert asked.remotes == [target.remote]
