"""Deciding: that no router can do harm, and what its other functions may do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from proxymux import NEED_DATA, Client, Forward, Reject, Reply
from tests.services.fixtures import Asked, Callback, Running, Start
from tests.services.peers import Net, in_reactor, settle, until

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


@in_reactor
async def test_a_reply_may_not_consume_more_than_there_is(start: Start) -> None:
    proxy = start(lambda data: Reply(b"x", consume=len(data) + 1))
    client = await proxy.connect()
    await client.send(b"abc")
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "router_error"
    [line] = proxy.errors
    assert re.search(r"test_deciding\.py:\d+: .*consume", line)


# Reloading


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
