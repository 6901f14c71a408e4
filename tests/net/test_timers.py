"""The timers of a service."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger

from proxymux.net.timers import Timers


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timers(clock: Clock) -> Timers:
    return Timers(clock, Logger())


def test_however_many_timers_there_are_the_clock_has_one_call(clock: Clock, timers: Timers) -> None:
    called: list[int] = []
    for number in range(1000):
        timers.after(number / 10, called.append, number)
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([0.1] * 1000)
    assert called == list(range(1000))
    assert clock.getDelayedCalls() == []


def test_one_that_is_due_sooner_is_not_kept_waiting(clock: Clock, timers: Timers) -> None:
    called: list[str] = []
    timers.after(60, called.append, "later")
    timers.after(0.3, called.append, "soon")
    clock.advance(0.3)
    assert called == ["soon"]
    clock.advance(59.7)
    assert called == ["soon", "later"]


def test_setting_and_cancelling_over_and_over_leaves_the_clock_alone(clock: Clock, timers: Timers) -> None:
    timers.after(5, print).cancel()
    (call,) = clock.getDelayedCalls()
    for _ in range(100):
        timers.after(5, print).cancel()
    assert clock.getDelayedCalls() == [call]


def test_after_a_stop_nothing_is_left_on_the_clock_but_what_is_waited_for(clock: Clock, timers: Timers) -> None:
    called: list[int] = []
    timers.after(5, print).cancel()
    timers.stop()
    assert clock.getDelayedCalls() == []
    timers.after(1, called.append, 1)
    timers.stop()
    clock.advance(1)
    assert called == [1]
    assert clock.getDelayedCalls() == []


def test_a_function_that_raises_harms_no_other(clock: Clock) -> None:
    called: list[int] = []
    events: list[Any] = []
    observer: Any = events.append
    timers = Timers(clock, Logger(observer=observer))
    for what in (lambda: 1 / 0, lambda: called.append(1)):
        timers.after(1, what)
    clock.advance(1)
    assert called == [1]
    assert len(events) == 1


def test_a_function_may_set_a_timer(clock: Clock, timers: Timers) -> None:
    called: list[float] = []

    def again() -> None:
        called.append(clock.seconds())
        if len(called) < 3:
            timers.after(1, again)

    again()
    clock.pump([1] * 5)
    assert called == pytest.approx([0, 1, 2])
