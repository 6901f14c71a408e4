"""Turns."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.gateway.failure_budget import FailureBudget, Turns
from proxymux.net.timers import Timers

HOST, OTHER = "192.0.2.7", "192.0.2.8"


class Scene:
    """An address with six failures a minute that has had them all, so that a turn comes each ten seconds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock, Logger())
        self.budget = FailureBudget(6)
        self.turns = Turns(self.budget, self.timers)
        self.called: list[str] = []
        self.fail(6)

    def fail(self, times: int = 1, host: str = HOST) -> None:
        for _ in range(times):
            self.budget.fail(host, self.clock.seconds())

    def wait(self, name: str, host: str = HOST, good: bool = False) -> Deferred[None]:
        """A client that fails again when it is called, unless it is good."""

        def called(_: Any) -> None:
            self.called.append(name)
            if not good:
                self.fail(host=host)

        place = self.turns.wait(host)
        place.addCallback(called)
        return place

    def leave(self, place: Deferred[None]) -> None:
        failures: list[Failure] = []
        place.addErrback(failures.append)
        place.cancel()
        assert [failure.type for failure in failures] == [CancelledError]

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def is_clean(self) -> bool:
        self.timers.stop()
        return not self.clock.getDelayedCalls() and len(self.turns) == 0


def test_who_has_not_failed_too_often_need_not_wait() -> None:
    scene = Scene()
    assert scene.turns.must_wait(HOST)
    assert not scene.turns.must_wait(OTHER)
    scene.fail(5, host=OTHER)
    assert not scene.turns.must_wait(OTHER)


def test_one_after_another_is_called_in_the_order_of_their_coming() -> None:
    scene = Scene()
    for name in "abc":
        scene.wait(name)
    scene.pass_time(9.8)
    assert scene.called == []
    for expected in ("a", "ab", "abc"):
        scene.pass_time(10)
        assert scene.called == list(expected)
    assert scene.is_clean()


def test_good_ones_do_not_hold_up_the_next() -> None:
    scene = Scene()
    for name in "abcd":
        scene.wait(name, good=name in "ab")
    scene.pass_time(10.2)
    assert scene.called == ["a", "b", "c"]
    scene.pass_time(10.2)
    assert scene.called == ["a", "b", "c", "d"]
    assert scene.is_clean()


def test_who_comes_while_others_wait_waits_too() -> None:
    scene = Scene()
    scene.wait("a")
    scene.clock.advance(60)  # in one step, so that the budget would let it
    assert scene.called == ["a"]
    scene.fail(6)
    scene.wait("b")
    assert scene.turns.must_wait(HOST)


def test_who_leaves_gives_its_place_to_the_next() -> None:
    scene = Scene()
    places = [scene.wait(name) for name in "abc"]
    scene.leave(places[0])
    scene.leave(places[1])
    scene.pass_time(10.2)
    assert scene.called == ["c"]
    assert scene.is_clean()


def test_when_all_have_left_nothing_is_left() -> None:
    scene = Scene()
    places = [scene.wait(name) for name in "abc"]
    for place in places[::-1]:
        scene.leave(place)
    assert scene.is_clean()
    assert scene.called == []


def test_who_has_left_does_not_come_back() -> None:
    scene = Scene()
    scene.leave(scene.wait("a"))
    scene.wait("b")
    scene.pass_time(30)
    assert scene.called == ["b"]
    assert scene.is_clean()


def test_addresses_do_not_wait_for_each_other() -> None:
    scene = Scene()
    scene.fail(7, host=OTHER)
    for name in "abc":
        scene.wait(name)
    scene.wait("x", host=OTHER)
    scene.pass_time(20.2)
    assert scene.called == ["a", "x", "b"] or scene.called == ["a", "b", "x"]
    scene.pass_time(10)
    assert scene.is_clean()


def test_those_of_one_ipv6_network_share_a_queue() -> None:
    scene = Scene()
    scene.fail(6, host="2001:db8::1")
    scene.wait("a", host="2001:db8::1")
    scene.wait("b", host="2001:db8::2")
    scene.pass_time(10.2)
    assert scene.called == ["a"]
    scene.pass_time(10)
    assert scene.called == ["a", "b"]
    assert scene.is_clean()


def test_a_budget_that_is_used_up_by_others_lets_all_wait_longer() -> None:
    scene = Scene()
    scene.wait("a")
    scene.pass_time(5)
    scene.fail()
    scene.pass_time(5.2)
    assert scene.called == []
    scene.pass_time(10)
    assert scene.called == ["a"]
    assert scene.is_clean()


def test_thousands_that_wait_are_one_timer() -> None:
    scene = Scene()
    for number in range(5000):
        scene.wait(str(number))
    assert scene.timers._wheel.count == 1
    scene.pass_time(10.2)
    assert scene.called == ["0"]
    assert scene.timers._wheel.count == 1
