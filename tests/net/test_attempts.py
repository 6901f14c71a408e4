from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.decision import RETRIES
from proxymux.core.target import Target, parse_target
from proxymux.net.attempts import PAUSE, Attempts

A, B, C = (parse_target(f"{name}:1") for name in "abc")


def plan(*targets: Target, retries: int) -> list[tuple[float, Target]]:
    return list(Attempts(targets, retries))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail what would go on for longer, even if it never comes back."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_retry_tries_once_at_once() -> None:
    assert plan(A, retries=0) == [(0, A)]


def test_one_target_is_tried_again_after_each_pause() -> None:
    assert plan(A, retries=3) == [(0, A), (PAUSE, A), (PAUSE, A), (PAUSE, A)]


def test_by_default_there_are_eleven_attempts_over_one_second_as_the_ancestor_made() -> None:
    attempts = plan(A, retries=RETRIES)
    assert len(attempts) == 11
    assert round(sum(pause for pause, _ in attempts), 6) == 1.0


def test_several_targets_are_tried_in_order_and_the_pause_is_between_rounds() -> None:
    assert plan(A, B, retries=2) == [(0, A), (0, B), (PAUSE, A), (0, B), (PAUSE, A), (0, B)]


def test_a_dropped_target_is_tried_no_more() -> None:
    attempts = Attempts((A, B, C), 1)
    turns = iter(attempts)
    assert next(turns) == (0, A)
    attempts.drop(B)
    assert list(turns) == [(0, C), (PAUSE, A), (0, C)]


def test_the_pause_stays_when_the_first_target_is_dropped() -> None:
    attempts = Attempts((A, B), 1)
    turns = iter(attempts)
    assert list(islice(turns, 2)) == [(0, A), (0, B)]
    attempts.drop(A)
    assert list(turns) == [(PAUSE, B)]


def test_when_every_target_is_dropped_it_is_over() -> None:
    attempts = Attempts((A, B), 5)
    turns = iter(attempts)
    assert next(turns) == (0, A)
    attempts.drop(A)
    attempts.drop(B)
    assert list(turns) == []


def test_when_every_target_is_dropped_it_is_over_at_once_even_with_retries_without_end() -> None:
    attempts = Attempts((A,), 10**12)
    turns = iter(attempts)
    assert next(turns) == (0, A)
    attempts.drop(A)
    with within(1):
        assert list(turns) == []


def test_dropping_a_target_that_is_not_there_changes_nothing() -> None:
    attempts = Attempts((A,), 1)
    attempts.drop(B)
    assert list(attempts) == [(0, A), (PAUSE, A)]


def test_a_target_that_is_named_twice_is_tried_twice_a_round() -> None:
    assert plan(A, A, retries=1) == [(0, A), (0, A), (PAUSE, A), (0, A)]


@settings(database=None, deadline=None)
@given(st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=6), st.integers(0, 12))
def test_every_round_tries_every_target_in_order_after_one_pause(targets: list[Target], retries: int) -> None:
    attempts = plan(*targets, retries=retries)
    assert [target for _, target in attempts] == targets * (retries + 1)
    pauses = [pause for pause, _ in attempts]
    first = [0.0] * len(targets)
    later = [PAUSE, *first[1:]]
    assert pauses == first + later * retries


# Without a pause, as the gateway has it


def test_without_a_pause_every_round_follows_at_once() -> None:
    assert list(Attempts((A, B), 2, 0.0)) == [(0, A), (0, B)] * 3


def test_a_pause_of_ones_own_is_between_rounds() -> None:
    assert list(Attempts((A, B), 1, 2.5)) == [(0, A), (0, B), (2.5, A), (0, B)]


def test_only_what_was_not_dropped_is_tried_again() -> None:
    attempts = Attempts((A, B, C), 2, 0.0)
    tried = []
    for _, target in attempts:
        tried.append(target)
        if target is not B:
            attempts.drop(target)
    assert tried == [A, B, C, B, B]
