from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

import proxymux
from proxymux.core.codecs.view import RequestView
from proxymux.core.decision import NEED_DATA, Forward, Reject, Reply
from proxymux.core.identity import Client
from proxymux.errors import DecisionFailed, RouterError
from proxymux.testing import (
    CLIENT,
    Conversation,
    StillDeciding,
    converse,
    converse_later,
    decide,
    decide_later,
    every_split,
    forward_of,
    reject_of,
    reply_of,
)


@pytest.fixture(autouse=True)
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name in list(sys.modules):
        if name.startswith(("acme", "proxymux_router_")):
            del sys.modules[name]


def by_name(data: bytes) -> Any:
    """Decides by the name before a blank."""
    name, blank, rest = data.partition(b" ")
    if not blank:
        return None
    return {"remote": f"{name.decode()}:80", "data": rest, "reply": b"hello "}


def greets_and_negotiates() -> Any:
    def proxy(data: bytes) -> Any:
        if data.startswith(b"help"):
            return {"reply": b"no help. ", "consume": 4}
        return {"close": b"bye"} if data.startswith(b"quit") else None

    def proxy_accepted(client: Client) -> Any:
        return {"reply": b"welcome " + client.address[0].encode() + b". "}

    return types.SimpleNamespace(proxy=proxy, proxy_accepted=proxy_accepted)


# decide


def test_it_decides_as_the_proxy_would() -> None:
    assert decide(by_name, b"alice hello") == Forward("alice:80", data=b"hello", reply=b"hello ")
    assert decide(lambda data: {"close": data}, b"x") == Reject(b"x")


def test_chunks_are_what_arrives_one_after_the_other() -> None:
    asked: list[bytes] = []

    def proxy(data: bytes) -> None:
        asked.append(data)

    assert decide(proxy, b"a", b"bc", b"d") is NEED_DATA
    assert asked == [b"a", b"abc", b"abcd"]


def test_it_is_not_asked_again_once_it_has_decided() -> None:
    asked: list[bytes] = []

    def proxy(data: bytes) -> Any:
        asked.append(data)
        return {"remote": "db:1"} if len(data) >= 2 else None

    assert decide(proxy, b"a", b"b", b"c", b"d") == Forward("db:1")
    assert asked == [b"a", b"ab"]


@pytest.mark.parametrize("chunks", [(), (b"",), (b"", b"")])
def test_a_client_that_has_sent_nothing_is_undecided_and_nobody_is_asked(chunks: tuple[bytes, ...]) -> None:
    def proxy(data: bytes) -> None:
        raise AssertionError("it was asked")

    assert decide(proxy, *chunks) is NEED_DATA


def test_a_router_can_be_a_file_or_a_module_by_name(tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text("def proxy(data):\n    return {'close': b'file'}\n")
    (tmp_path / "acme_routes.py").write_text("def choose(data):\n    return {'close': b'module'}\n")
    assert decide("router.py", b"x") == Reject(b"file")
    assert decide(str(tmp_path / "router.py"), b"x") == Reject(b"file")
    assert decide("acme_routes:choose", b"x") == Reject(b"module")


def test_a_router_can_be_a_module_or_an_object_or_a_function() -> None:
    module = types.ModuleType("acme")
    module.proxy = by_name  # type: ignore[attr-defined]
    for router in (module, types.SimpleNamespace(proxy=by_name), by_name):
        assert decide(router, b"alice ") == Forward("alice:80", data=b"", reply=b"hello ")


def test_a_router_that_does_not_load_is_a_router_error() -> None:
    with pytest.raises(RouterError, match=r"missing\.py: No such file"):
        decide("missing.py", b"x")
    with pytest.raises(RouterError, match="defines no proxy"):
        decide(object(), b"x")


def test_a_router_is_given_a_client() -> None:
    def proxy(data: bytes, client: Client) -> Any:
        return {"close": client.address[0].encode()}

    assert decide(proxy, b"x") == Reject(CLIENT.address[0].encode())
    other = Client(("2001:db8::1", 1), ("2001:db8::2", 2))
    assert decide(proxy, b"x", client=other) == Reject(b"2001:db8::1")


def test_what_a_router_notes_of_a_client_lasts_for_one_conversation() -> None:
    def proxy(data: bytes, client: Client) -> Any:
        client.state["calls"] = client.state.get("calls", 0) + 1
        return {"close": str(client.state["calls"]).encode()} if data.endswith(b".") else None

    for _ in range(2):
        assert decide(proxy, b"a", b"b", b".") == Reject(b"3")
    assert CLIENT.state == {}


def test_an_error_is_the_one_line_that_the_proxy_would_log(tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text("def proxy(data):\n    raise ValueError('no')\n")
    with pytest.raises(DecisionFailed, match=r"^router\.py:2: proxy raised ValueError: no$"):
        decide("router.py", b"x")


def test_an_error_in_a_function_of_the_test_names_the_tests_line() -> None:
    def proxy(data: bytes) -> None:
        raise ValueError("no")

    line = proxy.__code__.co_firstlineno + 1
    with pytest.raises(DecisionFailed) as failed:
        decide(proxy, b"x")
    assert str(failed.value) == f"{__file__}:{line}: proxy raised ValueError: no"


def test_an_error_in_an_object_of_the_test_names_the_tests_line() -> None:
    class Routes:
        def proxy(self, data: bytes) -> None:
            raise ValueError("no")

    line = Routes.proxy.__code__.co_firstlineno + 1
    with pytest.raises(DecisionFailed) as failed:
        decide(Routes(), b"x")
    assert str(failed.value) == f"{__file__}:{line}: proxy raised ValueError: no"


@pytest.mark.parametrize("result", ["db:1", {"remote": "db:"}, {"close": "str"}, True])
def test_a_bad_result_is_an_error(result: Any) -> None:
    with pytest.raises(DecisionFailed, match=r"test_testing\.py:[0-9]+: proxy "):
        decide(lambda data: result, b"x")


def test_to_consume_too_much_is_an_error() -> None:
    with pytest.raises(DecisionFailed, match="consume: 2 of 1 bytes"):
        decide(lambda data: {"reply": b"", "consume": 2}, b"x")


def test_to_want_too_much_is_an_error() -> None:
    with pytest.raises(DecisionFailed, match="--max-buffer"):
        decide(lambda data: None, *[b"x" * 1000] * 66)


def test_an_async_router_that_need_not_wait_is_decided() -> None:
    async def proxy(data: bytes) -> Any:
        await succeed(None)
        return {"close": data}

    assert decide(proxy, b"x") == Reject(b"x")


def test_a_router_that_waits_is_said_to() -> None:
    with pytest.raises(StillDeciding, match="decide_later"):
        decide(lambda data: Deferred(), b"x")


def test_a_router_that_waits_is_decided_on_later() -> None:
    waiting: Deferred[Any] = Deferred()
    decisions: list[Any] = []
    decide_later(lambda data: waiting, b"x").addCallback(decisions.append)
    assert decisions == []
    waiting.callback({"close": b"later"})
    assert decisions == [Reject(b"later")]


# converse


def test_a_conversation_is_all_that_was_said() -> None:
    assert converse(by_name, b"al", b"ice he", b"llo") == Conversation(
        Forward("alice:80", data=b"he", reply=b"hello "), sent=b"hello ", upstream=b"hello"
    )


def test_what_comes_after_the_decision_reaches_the_upstream() -> None:
    def proxy(data: bytes) -> Any:
        return {"remote": "db:1"}

    assert converse(proxy, b"a", b"b", b"c").upstream == b"abc"


def test_steps_and_greetings_are_part_of_it() -> None:
    said = converse(greets_and_negotiates(), b"he", b"lphelpqu", b"it")
    assert said == Conversation(Reject(b"bye"), b"welcome 192.0.2.1. no help. no help. bye", b"")


def test_a_greeting_is_all_there_is_without_a_byte() -> None:
    assert converse(greets_and_negotiates()) == Conversation(NEED_DATA, b"welcome 192.0.2.1. ", b"")


def test_reply_on_connect_and_on_failure_come_after_the_decision() -> None:
    def proxy(data: bytes) -> Any:
        return {"remote": "db:1", "reply": b"wait", "reply_on_connect": b"go", "reply_on_failure": b"no"}

    assert converse(proxy, b"x").sent == b"wait"


def test_a_conversation_may_be_later() -> None:
    waiting: Deferred[Any] = Deferred()
    said: list[Any] = []
    converse_later(lambda data: waiting if data == b"a" else {"remote": "db:1"}, b"a", b"b").addCallback(said.append)
    waiting.callback(None)
    assert said == [Conversation(Forward("db:1"), b"", b"ab")]


def test_conversations_in_effect_are_equal_whether_data_or_the_buffer_is_sent() -> None:
    one = converse(lambda data: {"remote": "db:1", "data": data}, b"abc")
    other = converse(lambda data: {"remote": "db:1"}, b"abc")
    assert one != other
    assert one.in_effect() == other.in_effect()
    third = converse(lambda data: {"remote": "db:1", "data": b"abd"}, b"abc")
    assert one.in_effect() != third.in_effect()


# What was decided, by its kind

KINDS: list[tuple[Callable[[object], object], object, object]] = [
    (forward_of, {"remote": "db:1"}, Forward("db:1")),
    (reject_of, {"close": b"bye"}, Reject(b"bye")),
    (reply_of, {"reply": b"who?", "consume": 1}, Reply(b"who?", 1)),
]


@pytest.mark.parametrize(("of", "result", "decision"), KINDS)
def test_a_decision_is_of_its_kind_and_of_no_other(of: Any, result: object, decision: object) -> None:
    assert of(decision) is decision
    assert of(result) == decision
    for other, _, _ in KINDS:
        if other is not of:
            with pytest.raises(AssertionError, match=r"^not a \w+: the router (forwards|rejects|replies) .*: \w+\("):
                other(decision)


def test_a_conversation_is_taken_for_its_decision() -> None:
    assert forward_of(converse(by_name, b"alice ")).remote == "alice:80"
    assert reject_of(decide(lambda data: {"close": data}, b"x")).last_word == b"x"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Reject(b"bye"), "not a Forward: the router rejects with 3 bytes: Reject(close=b'bye', note=None)"),
        (
            Reply(b"who?"),
            "not a Forward: the router replies with 4 bytes and consumes 0: Reply(reply=b'who?', consume=0, note=None)",
        ),
        (NEED_DATA, "not a Forward: the router waits for more: NEED_DATA"),
        (None, "not a Forward: the router waits for more: NEED_DATA"),
        (
            5,
            "not a Forward: the router returned 5, which is not a decision: a dict, ",
        ),
        ({"remote": "db:"}, "not a Forward: the router remote: 'db:'"),
    ],
)
def test_another_decision_fails_the_test_and_says_which(found: object, message: str) -> None:
    with pytest.raises(AssertionError) as failed:
        forward_of(found)
    assert str(failed.value).startswith(message)


#: What a user may write, and what a type checker has to refuse.
USERS_TEST = """\
from proxymux import NEED_DATA, Forward, Reject
from proxymux.testing import converse, decide, every_split, forward_of, reject_of, reply_of


def test_it_routes() -> None:
    assert forward_of(decide("router.py", b"alice ")).remote == "10.0.0.1:80"
    assert forward_of(decide("router.py", b"alice ")).remote == ["10.0.0.1:80", "10.0.0.2:80"]
    assert forward_of(converse("router.py", b"alice ")).connect_timeout is None
    assert reject_of(decide("router.py", b"mallory ")).last_word == b"who?"
    assert reply_of({"reply": b"x", "consume": 1}).consume == 1
    assert decide("router.py", b"alice ") == Forward("10.0.0.1:80")
    assert decide("router.py", b"") is NEED_DATA
    assert decide("router.py", b"mallory ") != Reject()
    for chunks in every_split(b"alice "):
        assert converse("router.py", *chunks).upstream == b"alice "
    decision = decide("router.py", b"alice ")
    assert isinstance(decision, Forward)
    assert decision.targets
"""


@pytest.mark.slow
def test_a_users_test_is_well_typed_for_the_strictest_of_checks(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")

    def complaints(source: str) -> list[str]:
        (tmp_path / "test_router.py").write_text(source)
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports=silent",
            "--config-file=",
            "test_router.py",
        ]
        environment = {**os.environ, "MYPYPATH": str(Path(proxymux.__file__).parents[1])}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.stderr == ""
        return [line for line in done.stdout.splitlines() if ": error:" in line]

    assert complaints(USERS_TEST) == []
    wrong = USERS_TEST.replace("forward_of(decide(", "reject_of(decide(").replace(".last_word", ".remote")
    assert len(complaints(wrong)) == 3


# every_split


def test_up_to_ten_bytes_every_split_is_there() -> None:
    assert list(every_split(b"abc")) == [(b"abc",), (b"a", b"bc"), (b"ab", b"c"), (b"a", b"b", b"c")]
    assert len(set(every_split(b"0123456789"))) == 2**9


@pytest.mark.parametrize("data", [b"", b"a"])
def test_what_cannot_be_split_is_there_whole(data: bytes) -> None:
    assert list(every_split(data)) == [(data,)]


def test_beyond_that_whole_and_cut_everywhere_and_byte_by_byte() -> None:
    data = b"0123456789abcdef"
    splits = list(every_split(data))
    assert len(splits) == len(set(splits)) == 1 + 15 + 1
    assert splits[0] == (data,)
    assert tuple(bytes([each]) for each in data) in splits
    for place in range(1, 16):
        assert (data[:place], data[place:]) in splits


@settings(database=None, deadline=None)
@given(st.binary(max_size=60))
def test_every_split_is_the_data_in_pieces_and_sees_every_prefix(data: bytes) -> None:
    prefixes = set()
    for chunks in every_split(data):
        assert b"".join(chunks) == data
        assert all(chunks) or chunks == (b"",)
        prefixes |= {b"".join(chunks[:count]) for count in range(1, len(chunks) + 1)}
    assert prefixes == {data[:length] for length in range(1, len(data) + 1)} or data == b""


def test_a_router_that_waits_for_what_it_needs_acts_alike_for_every_split() -> None:
    expected = converse(by_name, b"alice hi").in_effect()
    for chunks in every_split(b"alice hi"):
        assert converse(by_name, *chunks).in_effect() == expected


# asyncio


async def sleeps(data: bytes) -> Any:
    await asyncio.sleep(0.001)
    return {"close": b"after a sleep"} if len(data) == 3 else None


def test_a_router_that_uses_asyncio_is_decided_on_at_once() -> None:
    for chunks in every_split(b"abc"):
        assert decide(sleeps, *chunks) == Reject(b"after a sleep")


def test_all_calls_of_a_conversation_are_in_one_loop() -> None:
    loops: list[object] = []

    async def proxy(data: bytes) -> Any:
        loops.append(asyncio.get_running_loop())
        return {"close": b""} if len(data) == 2 else None

    decide(proxy, b"a", b"b")
    assert len(loops) == 2
    assert loops[0] is loops[1]


def test_a_router_may_await_threads_and_deferreds_of_asyncio() -> None:
    async def proxy(data: bytes) -> Any:
        upper = await asyncio.to_thread(data.upper)
        loop = asyncio.get_running_loop()
        lower = await Deferred.fromFuture(loop.run_in_executor(None, data.lower))
        return {"close": upper + lower}

    assert decide(proxy, b"aB") == Reject(b"ABab")


def test_a_deferred_that_nobody_fires_is_not_waited_for() -> None:
    async def proxy(data: bytes) -> Any:
        await asyncio.sleep(0)
        await Deferred()

    with pytest.raises(StillDeciding, match="decide_later"):
        decide(proxy, b"x", timeout=1e6)


def test_what_takes_too_long_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def proxy(data: bytes) -> Any:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)
            cancelled.append(True)

    with pytest.raises(StillDeciding, match=r"takes more than 0\.01 s"):
        decide(proxy, b"x", timeout=0.01)
    assert cancelled == [True]


def test_in_a_loop_of_asyncios_it_is_decided_on_later() -> None:
    async def test() -> None:
        with pytest.raises(StillDeciding):
            decide(sleeps, b"abc")
        assert await decide_later(sleeps, b"abc").asFuture(asyncio.get_running_loop()) == Reject(b"after a sleep")

    asyncio.run(test())


def test_what_it_raises_is_raised() -> None:
    async def proxy(data: bytes) -> Any:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(DecisionFailed, match="proxy raised ValueError: no"):
        decide(proxy, b"x")


# Routers of requests


def route(request: RequestView) -> str | None:
    return None if request.key is None else f"10.0.0.1:{int(request.key[-1:]) + 1}"


def test_a_text_about_a_request_is_a_forward_however_it_comes() -> None:
    for chunks in every_split(b"*2\r\n$3\r\nGET\r\n$2\r\nk4\r\n"):
        assert decide(route, *chunks, codec="resp") == Forward("10.0.0.1:5")


def test_nothing_said_about_a_request_is_none() -> None:
    assert decide(route, b"PING\r\n", codec="resp") is None
    assert decide(route, b"PIN", codec="resp") is NEED_DATA


def test_keys_that_go_to_different_places_are_a_tuple() -> None:
    found = decide(route, b"get a1 a2\r\n", codec="memcache")
    assert found == (Forward("10.0.0.1:2"), Forward("10.0.0.1:3"))
    assert decide(route, b"get a1 b1\r\n", codec="memcache") == Forward("10.0.0.1:2")


def test_the_last_request_is_told_of() -> None:
    assert decide(route, b"get a1\r\nget a7\r\n", codec="memcache") == Forward("10.0.0.1:8")


def test_an_async_route_is_run() -> None:
    async def later(request: RequestView) -> Reply:
        await asyncio.sleep(0)
        return Reply(b"END\r\n")

    assert decide(later, b"get a\r\n", codec="memcache") == Reply(b"END\r\n")


def test_an_error_of_a_route_is_raised() -> None:
    with pytest.raises(DecisionFailed, match="route raised ValueError"):
        decide(route, b"get a\r\n", codec="memcache")
    with pytest.raises(DecisionFailed, match="is not one whole reply of resp"):
        decide(lambda request: Reply(b"$5\r\nhal"), b"PING\r\n", codec="resp")
