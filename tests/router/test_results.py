"""What each result of a router does on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from proxymux import NEED_DATA, Client, Forward, Reject, Reply
from tests.services.fixtures import Asked, Callback, Start
from tests.services.peers import MEGABYTE, Net, gets, in_reactor, noise, settle, until

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


# Notes


@in_reactor
async def test_what_decisions_note_is_in_the_record(start: Start) -> None:
    decisions = {
        b"hello": Reply(b"who?", consume=5, note={"step": "1", "tenant": "?"}),
        b"blue": Reject(b"no", note={"tenant": "blue"}),
    }
    proxy = start(decisions.get)
    client = await proxy.connect()
    await client.send(b"hello")
    assert await client.receive(4) == b"who?"
    await client.send(b"blue")
    assert await client.read_all() == b"no"
    record = await proxy.record()
    assert record.note == {"step": "1", "tenant": "blue"}
    assert record["note"] == record.note


@in_reactor
async def test_a_forwards_note_is_of_that_client_alone(start: Start, net: Net) -> None:
    target = net.upstream()
    decisions = {b"blue": {"remote": target.remote, "note": {"tenant": "blue"}}, b"none": {"remote": target.remote}}
    proxy = start(decisions.get)
    for said in (b"blue", b"none"):
        client = await proxy.connect()
        await client.send(said)
        client.finish()
        await gets(target, said)
        assert await client.read_all() == b"done"
    assert [record.note for record in await proxy.ended(2)] == [{"tenant": "blue"}, None]


@in_reactor
async def test_of_many_notes_the_last_are_kept(start: Start) -> None:
    proxy = start(
        lambda data: Reply(b"", consume=1, note={str(data[0]): "x"}) if data[0] < 20 else Reject(note={"0": "last"})
    )
    client = await proxy.connect()
    await client.send(bytes(range(21)))
    assert await client.read_all() == b""
    note = (await proxy.record()).note
    assert note is not None
    assert list(note) == [*map(str, range(5, 20)), "0"]


@in_reactor
async def test_a_bad_note_is_an_error_of_the_router(start: Start) -> None:
    proxy = start(lambda data: {"close": b"no", "note": {"tenant": 7}})
    client = await proxy.connect()
    await client.send(b"x")
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "router_error"
    assert "note: the value 7 is int, not str" in proxy.errors[0]
