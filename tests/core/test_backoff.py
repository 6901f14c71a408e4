"""How long to wait after failures."""

from __future__ import annotations

from proxymux.core.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.failed(1.0) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_after_a_success_the_pauses_are_short_again() -> None:
    backoff = Backoff(1.0, 8.0)
    assert not backoff.is_failing
    assert [backoff.failed(1.0) for _ in range(3)] == [1.0, 2.0, 4.0]
    assert backoff.is_failing
    backoff.succeeded()
    assert not backoff.is_failing
    assert [backoff.failed(1.0) for _ in range(2)] == [1.0, 2.0]


def test_jitter_is_of_each_pause_alone() -> None:
    backoff = Backoff(1.0, 30.0)
    assert [backoff.failed(jitter) for jitter in (0.5, 1.5, 1.0)] == [0.5, 3.0, 4.0]


def test_no_number_of_failures_is_too_large() -> None:
    backoff = Backoff(1.0, 30.0)
    assert {backoff.failed(1.0) for _ in range(5000)} == {1.0, 2.0, 4.0, 8.0, 16.0, 30.0}
