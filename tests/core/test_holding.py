from __future__ import annotations

import pytest

from proxymux.core import holding
from proxymux.core.holding import Hold, Holds
from proxymux.core.target import parse_target
from proxymux.errors import NotHeld

A, B = parse_target("a:1"), parse_target("b:1")


def test_those_who_wait_are_released_in_their_order_each_for_its_target() -> None:
    holds: Holds[str] = Holds(10, 30.0)
    assert holds.hold(A, 5.0)
    assert not holds.hold(A, 6.0)
    assert holds.hold(B, 6.0)
    for number, waiter in enumerate(["first", "second", "third"]):
        assert holds.join(waiter, A, 7.0 + number)
    assert holds.join("other", B, 8.0)
    assert holds.show(10.0) == [Hold("a:1", 5.0, 3), Hold("b:1", 4.0, 1)]
    holds.leave("second")
    assert holds.release(A) == ["first", "third"]
    assert holds.release(A) == []
    assert holds.show(10.0) == [Hold("b:1", 4.0, 1)]


def test_one_over_the_limit_does_not_wait() -> None:
    holds: Holds[str] = Holds(2, 30.0)
    holds.hold(A, 0.0)
    assert [holds.join(waiter, A, 0.0) for waiter in "xyz"] == [True, True, False]
    holds.leave("x")
    assert holds.join("z", A, 0.0)


def test_who_has_waited_too_long_is_found_the_first_first() -> None:
    holds: Holds[str] = Holds(10, 30.0)
    holds.hold(A, 0.0)
    assert holds.next_due is None
    for now, waiter in enumerate("xyz"):
        holds.join(waiter, A, float(now))
    assert holds.next_due == 30.0
    assert holds.overdue(29.9) == []
    assert holds.overdue(31.0) == ["x", "y"]
    assert holds.next_due == 32.0
    assert holds.release(A) == ["z"]


def test_no_more_targets_are_held_than_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "MOST_HOLDS", 1)
    holds: Holds[str] = Holds(10, 30.0)
    assert holds.hold(A, 0.0)
    with pytest.raises(NotHeld, match="b:1: 1 targets are held already"):
        holds.hold(B, 0.0)
    assert not holds.hold(A, 0.0)
