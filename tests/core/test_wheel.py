"""The timer wheel."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.wheel import TICK, Timer, Wheel

#: Seconds that a time may be off by, on both sides of the wheel, for adding floats.
ROUNDING = 3e-5


def turn(wheel: Wheel, now: float) -> None:
    for timer in wheel.due(now):
        timer.call()


def test_a_timer_is_called_once_with_its_arguments() -> None:
    wheel = Wheel()
    called: list[Any] = []
    wheel.add(1.0, lambda *arguments: called.append(arguments), 1, "two")
    turn(wheel, 0.99)
    assert called == []
    turn(wheel, 1.0)
    turn(wheel, 2.0)
    assert called == [(1, "two")]
    assert (wheel.count, wheel.next_due) == (0, None)


@given(st.lists(st.floats(0, 1e6) | st.floats(0, 1e-4), min_size=1), st.data())
def test_none_is_early_and_none_later_than_a_tick(dues: list[float], data: Any) -> None:
    wheel = Wheel()
    called: list[float] = []
    timers = [wheel.add(due, called.append, due) for due in dues]
    cancelled = data.draw(st.sets(st.integers(0, len(dues) - 1)))
    for number in cancelled:
        timers[number].cancel()
        timers[number].cancel()
    kept = [due for number, due in enumerate(dues) if number not in cancelled]
    assert wheel.count == len(kept)
    now = data.draw(st.floats(0, 1.1e6) | st.floats(0, 1e-4) | st.sampled_from(dues))
    turn(wheel, now)
    assert all(due <= now + ROUNDING for due in called)
    assert all(due > now - TICK - ROUNDING for due in kept if due not in called)
    assert wheel.count == len(kept) - len(called)
    turn(wheel, 2e6)
    assert sorted(called) == sorted(kept)


def test_timers_are_called_in_the_order_of_their_ticks() -> None:
    wheel = Wheel()
    called: list[float] = []
    for due in (3.0, 1.0, 2.0):
        wheel.add(due, called.append, due)
    turn(wheel, 10)
    assert called == [1.0, 2.0, 3.0]


def test_a_timer_may_be_cancelled_by_one_that_is_due_with_it() -> None:
    wheel = Wheel()
    called: list[str] = []
    timers: dict[str, Timer] = {}

    def first(name: str, other: str) -> None:
        called.append(name)
        timers[other].cancel()

    timers["a"] = wheel.add(1.0, first, "a", "b")
    timers["b"] = wheel.add(1.0, first, "b", "a")
    turn(wheel, 1.0)
    assert len(called) == 1
    assert wheel.count == 0


@pytest.mark.parametrize("due", [0.1, 0.3, 0.7, 12.3, 1e5 + 0.1])
def test_what_floats_add_up_to_is_still_in_its_tick(due: float) -> None:
    wheel = Wheel()
    called: list[float] = []
    wheel.add(due, called.append, 1)
    turn(wheel, sum([TICK] * round(due / TICK)) if due < 100 else due)
    assert called == [1]


@pytest.mark.parametrize("ends", [Timer.cancel, Timer.call])
def test_a_timer_that_is_over_keeps_nothing(ends: Callable[[Timer], None]) -> None:
    class Keeper:
        timer: Timer

        def come_due(self) -> None:
            """Do nothing."""

    keeper = Keeper()
    keeper.timer = Wheel().add(1.0, keeper.come_due)
    kept = weakref.ref(keeper)
    gc.disable()
    try:
        ends(keeper.timer)
        del keeper
        assert kept() is None
    finally:
        gc.enable()
