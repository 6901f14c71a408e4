"""When a worker that has ended is started again."""

from __future__ import annotations

from proxymux.core.restarts import AT_ONCE, LONGEST_DELAY, STEADY, Restarts


def test_at_once_and_then_ever_later() -> None:
    restarts = Restarts()
    assert [restarts.delay(0) for _ in range(9)] == [0, 1, 2, 4, 8, 16, LONGEST_DELAY, LONGEST_DELAY, LONGEST_DELAY]


def test_who_has_served_for_a_while_is_started_again_at_once() -> None:
    restarts = Restarts()
    assert [restarts.delay(served) for served in (0, 0, STEADY, 0, STEADY)] == [0, 1, 0, 1, 0]


def test_who_has_served_at_all_is_started_again_at_once_so_many_times() -> None:
    restarts = Restarts()
    assert [restarts.delay(0.1) for _ in range(AT_ONCE + 4)] == [0] * AT_ONCE + [0, 1, 2, 4]
    restarts.delay(STEADY)
    assert [restarts.delay(0.1) for _ in range(AT_ONCE)] == [0] * AT_ONCE


def test_no_number_of_failures_is_too_large() -> None:
    restarts = Restarts()
    assert {restarts.delay(0) for _ in range(2000)} == {0, 1, 2, 4, 8, 16, LONGEST_DELAY}
