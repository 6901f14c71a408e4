from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from proxymux.core.decision import NEED_DATA, Forward, Reject, Reply
from proxymux.core.identity import Client
from proxymux.errors import DecisionFailed
from proxymux.interfaces import IDecider
from proxymux.router.loading import Router, from_object
from proxymux.router.router_decider import RouterDecider
from proxymux.router.shadow import ShadowDecider
from tests.router.conftest import Log, Watch

CLIENT = Client(("192.0.2.1", 50000), ("192.0.2.2", 5432))
LIMIT = 30.0

Function = Callable[..., Any]


class Pair:
    """Two routers, one in the shadow of the other."""

    def __init__(self, first: Any, second: Any) -> None:
        self.clock = Clock()
        self.log = Log()
        self.asked: list[tuple[str, bytes]] = []
        watch = Watch()

        def load(name: str, found: Any) -> RouterDecider:
            router: Router = from_object(found, name, __file__)
            return RouterDecider(router, watch, self.log.logger)

        self.shadow = ShadowDecider(load("first", first), load("second", second), self.clock, LIMIT, self.log.logger)

    def decide(self, data: bytes = b"data") -> Any:
        return self.shadow.decide(data, CLIENT)

    @property
    def counts(self) -> tuple[int, int]:
        return self.shadow.same, self.shadow.different


def returns(result: Any) -> Function:
    return lambda data: result


def raises(error: BaseException) -> Function:
    def proxy(data: bytes) -> None:
        raise error

    return proxy


def later(result: Any) -> Function:
    return lambda data: succeed(result)


A = {"remote": "a:1"}
B = {"remote": "b:1"}


# The first decides, whatever the second does

SECONDS: dict[str, Function] = {
    "the same": returns(A),
    "another": returns(B),
    "a rejection": returns({"close": True}),
    "nothing yet": returns(None),
    "nonsense": returns("nonsense"),
    "an error": raises(ValueError("no")),
    "SystemExit": raises(SystemExit(1)),
    "the same, later": later(A),
    "another, later": later(B),
    "nothing, ever": lambda data: Deferred(),
}


@pytest.mark.parametrize("name", SECONDS)
def test_the_second_has_no_effect_on_a_decision(name: str) -> None:
    pair = Pair(returns(A), SECONDS[name])
    assert pair.decide() == Forward("a:1")
    pair.clock.advance(LIMIT)
    assert pair.clock.getDelayedCalls() == []


@pytest.mark.parametrize("name", SECONDS)
def test_the_second_has_no_effect_on_a_decision_that_comes_later(name: str) -> None:
    pair = Pair(later(A), SECONDS[name])
    results: list[Any] = []
    pair.decide().addBoth(results.append)
    assert results == [Forward("a:1")]
    pair.clock.advance(LIMIT)
    assert pair.clock.getDelayedCalls() == []


@pytest.mark.parametrize("name", SECONDS)
def test_the_second_has_no_effect_on_an_error(name: str) -> None:
    pair = Pair(raises(ValueError("first")), SECONDS[name])
    with pytest.raises(DecisionFailed, match="ValueError: first"):
        pair.decide()
    pair.clock.advance(LIMIT)
    assert pair.clock.getDelayedCalls() == []


@pytest.mark.parametrize("name", SECONDS)
def test_the_second_has_no_effect_on_an_error_that_comes_later(name: str) -> None:
    async def proxy(data: bytes) -> None:
        raise ValueError("first")

    pair = Pair(proxy, SECONDS[name])
    results: list[Any] = []
    pair.decide().addBoth(results.append)
    [failure] = results
    assert isinstance(failure, Failure)
    assert failure.check(DecisionFailed)
    pair.clock.advance(LIMIT)
    assert pair.clock.getDelayedCalls() == []


def test_the_second_is_not_waited_for() -> None:
    pair = Pair(returns(A), lambda data: Deferred())
    assert pair.decide() == Forward("a:1")
    assert pair.counts == (0, 0)
    assert len(pair.clock.getDelayedCalls()) == 1


def test_callbacks_are_the_firsts() -> None:
    class First:
        def proxy(self, data: bytes) -> Any:
            return A

        def proxy_connect_error(self, remote: str) -> bytes:
            return b"first connect " + remote.encode()

        def proxy_inactivity_error(self, remote: str) -> bytes:
            return b"first inactivity " + remote.encode()

    class Second(First):
        def proxy_connect_error(self, remote: str) -> bytes:
            raise AssertionError("the second was called")

        proxy_inactivity_error = proxy_connect_error

    pair = Pair(First(), Second())
    assert pair.shadow.connect_error("db:1", CLIENT) == b"first connect db:1"
    assert pair.shadow.inactivity_error("db:1", CLIENT) == b"first inactivity db:1"
    assert pair.log.events == []


def counting(name: str) -> Function:
    """A router that counts its steps in the client's state and looks at nothing else there."""

    def proxy(data: bytes, client: Client) -> Any:
        assert set(client.state) <= {"step"}, f"somebody else wrote into the state of {name}"
        client.state["step"] = client.state.get("step", 0) + 1
        return {"reply": b"%d" % client.state["step"], "consume": 1}

    return proxy


def test_each_has_the_clients_state_for_itself() -> None:
    pair = Pair(counting("first"), counting("second"))
    client = Client(CLIENT.address, CLIENT.local)
    for step in (1, 2, 3):
        assert pair.shadow.decide(b"x", client) == Reply(b"%d" % step, 1)
    assert pair.counts == (3, 0)
    assert client.state == {"step": 3}


def test_two_clients_do_not_share_a_state_in_the_shadow() -> None:
    pair = Pair(counting("first"), counting("second"))
    for _ in range(2):
        client = Client(CLIENT.address, CLIENT.local)
        assert pair.shadow.decide(b"x", client) == Reply(b"1", 1)
    assert pair.counts == (2, 0)


# When and what the second is asked


def test_the_second_is_asked_once_about_the_bytes_that_the_first_decided_on() -> None:
    asked: list[bytes] = []

    def second(data: bytes) -> Any:
        asked.append(data)
        return A

    pair = Pair(lambda data: A if len(data) >= 3 else None, second)
    assert [pair.decide(b"a"), pair.decide(b"ab"), pair.decide(b"abc")] == [NEED_DATA, NEED_DATA, Forward("a:1")]
    assert asked == [b"abc"]
    assert pair.counts == (1, 0)


def test_every_step_of_a_negotiation_is_compared() -> None:
    pair = Pair(returns({"reply": b"x", "consume": 1}), returns({"reply": b"x", "consume": 1}))
    pair.decide(b"ab")
    pair.decide(b"b")
    assert pair.counts == (2, 0)


def test_the_second_gets_the_client_too() -> None:
    def second(data: bytes, client: Client) -> Any:
        clients.append(client)
        return A

    clients: list[Client] = []
    Pair(returns(A), second).decide()
    assert clients == [CLIENT]


# Comparing

SAME: dict[str, tuple[Function, Function]] = {
    "equal dicts": (returns(A), returns(dict(A))),
    "a dict and its object": (returns(A), returns(Forward("a:1"))),
    "two rejections": (returns({"close": True}), returns(Reject())),
    "two errors": (raises(ValueError("one")), raises(KeyError("other"))),
    "an error and a bad result": (raises(ValueError("one")), returns("nonsense")),
}
DIFFERENT: dict[str, tuple[Function, Function, str, str]] = {
    "targets": (returns(A), returns(B), "forwards to a:1", "forwards to b:1"),
    "data": (returns(A), returns({**A, "data": b"x"}), "forwards to a:1", "forwards to a:1"),
    "kinds": (returns(A), returns({"close": b"no"}), "forwards to a:1", "rejects with 2 bytes"),
    "waiting": (returns(A), returns(None), "forwards to a:1", "waits for more"),
    "an error": (returns(A), raises(ValueError("no")), "forwards to a:1", "raised ValueError: no"),
    "a bad result": (returns(A), returns("nonsense"), "forwards to a:1", "'nonsense'"),
    "an error of the first": (raises(ValueError("no")), returns(A), "raised ValueError: no", "forwards to a:1"),
}


def ask(pair: Pair) -> None:
    try:
        result = pair.decide()
    except DecisionFailed:
        return
    if isinstance(result, Deferred):
        result.addErrback(lambda failure: failure.trap(DecisionFailed))


@pytest.mark.parametrize("name", SAME)
def test_decisions_that_are_alike_are_counted_and_not_logged(name: str) -> None:
    pair = Pair(*SAME[name])
    ask(pair)
    assert pair.counts == (1, 0)
    assert pair.log.events == []


@pytest.mark.parametrize("name", DIFFERENT)
def test_decisions_that_differ_are_counted_and_logged_with_both(name: str) -> None:
    first, second, says_first, says_second = DIFFERENT[name]
    pair = Pair(first, second)
    ask(pair)
    assert pair.counts == (0, 1)
    [line] = pair.log.lines("warn")
    assert line.startswith("shadow: 192.0.2.1:50000: first ")
    before, _, after = line.partition(", second ")
    assert says_first in before
    assert says_second in after
    assert len(line.splitlines()) == 1
    assert line.endswith("(1 of 1 decisions differ)")


def test_the_log_never_shows_the_bytes() -> None:
    pair = Pair(returns({**A, "data": b"secret"}), returns({"close": b"secret"}))
    pair.decide(b"secret")
    assert "secret" not in pair.log.lines()[0]


def test_counts_add_up() -> None:
    pair = Pair(returns(A), lambda data: B if data == b"b" else A)
    for data in (b"a", b"b", b"a", b"b", b"b"):
        pair.decide(data)
    assert pair.counts == (2, 3)
    assert pair.log.lines()[-1].endswith("(3 of 5 decisions differ)")


@pytest.mark.parametrize(("result", "counts"), [(A, (1, 0)), (B, (0, 1))])
def test_a_second_that_takes_its_time_is_compared_when_it_is_ready(
    result: dict[str, str], counts: tuple[int, int]
) -> None:
    waiting: Deferred[Any] = Deferred()
    pair = Pair(returns(A), returns(waiting))
    pair.decide()
    pair.clock.advance(LIMIT - 1)
    assert pair.counts == (0, 0)
    waiting.callback(result)
    assert pair.counts == counts
    assert pair.clock.getDelayedCalls() == []


def test_a_second_that_fails_later_differs() -> None:
    waiting: Deferred[Any] = Deferred()
    pair = Pair(returns(A), returns(waiting))
    pair.decide()
    waiting.errback(ValueError("no"))
    assert pair.counts == (0, 1)
    assert "raised ValueError: no" in pair.log.lines()[0]


def test_a_second_that_never_answers_is_cancelled_at_the_limit_and_differs() -> None:
    cancelled: list[Any] = []
    pair = Pair(returns(A), lambda data: Deferred(cancelled.append))
    pair.decide()
    pair.clock.advance(LIMIT - 0.001)
    assert cancelled == []
    pair.clock.advance(0.001)
    assert len(cancelled) == 1
    assert pair.counts == (0, 1)
    assert pair.clock.getDelayedCalls() == []


def test_both_may_take_their_time() -> None:
    first: Deferred[Any] = Deferred()
    second: Deferred[Any] = Deferred()
    pair = Pair(returns(first), returns(second))
    results: list[Any] = []
    pair.decide().addBoth(results.append)
    assert pair.clock.getDelayedCalls() == []
    first.callback(A)
    assert results == [Forward("a:1")]
    second.callback(B)
    assert pair.counts == (0, 1)


def test_a_client_that_leaves_before_the_first_has_decided_is_no_difference() -> None:
    pair = Pair(lambda data: Deferred(), returns(A))
    waiting = pair.decide()
    waiting.addErrback(lambda failure: failure.trap(DecisionFailed))
    waiting.cancel()
    assert pair.counts == (0, 0)
    assert pair.log.events == []
    assert pair.clock.getDelayedCalls() == []


# Greeting


class Greets:
    def __init__(self, greeting: Any) -> None:
        self.greeting = greeting

    def proxy(self, data: bytes) -> Any:
        return A

    def proxy_accepted(self, client: Client) -> Any:
        return self.greeting


class Silent:
    def proxy(self, data: bytes) -> Any:
        return A


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        (Greets({"reply": b"hello"}), Greets({"reply": b"hello"}), (1, 0)),
        (Greets({"reply": b"hello"}), Greets({"reply": b"hallo"}), (0, 1)),
        (Greets({"reply": b"hello"}), Silent(), (0, 1)),
        (Greets(None), Greets(A), (0, 0)),
        (Greets(None), Silent(), (0, 0)),
    ],
)
def test_greetings_are_compared(first: Any, second: Any, counts: tuple[int, int]) -> None:
    pair = Pair(first, second)
    assert pair.shadow.greets
    expected = pair.shadow._first.accepted(CLIENT)
    assert pair.shadow.accepted(CLIENT) == expected
    assert pair.counts == counts


def test_it_greets_only_if_the_first_does() -> None:
    assert not Pair(Silent(), Greets({"reply": b"hello"})).shadow.greets


def test_it_goes_by_the_firsts_name_and_is_what_the_interface_wants() -> None:
    pair = Pair(returns(A), returns(B))
    assert pair.shadow.name == "first"
    assert pair.shadow.place == pair.shadow._first.place
    verifyObject(IDecider, pair.shadow)
