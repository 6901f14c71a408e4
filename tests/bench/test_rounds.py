from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from twisted.internet.task import Clock

from bench.processes import BrokenRun, Unavailable
from bench.rounds import Tries, numbers, turned


def test_without_a_time_there_are_as_many_rounds_as_are_asked_for() -> None:
    assert list(numbers(3, None)) == [1, 2, 3]


def taken(minutes: float, seconds: float) -> int:
    """How many rounds of so many seconds there are in a time."""
    clock, count = Clock(), 0
    for _ in islice(numbers(1, minutes, clock.seconds), 1000):
        clock.advance(seconds)
        count += 1
    return count


@pytest.mark.parametrize(
    ("minutes", "seconds", "rounds"), [(1.0, 10.0, 6), (1.0, 11.0, 5), (1.0, 90.0, 1), (0.0, 1.0, 1)]
)
def test_rounds_go_on_while_another_one_ends_in_time(minutes: float, seconds: float, rounds: int) -> None:
    assert taken(minutes, seconds) == rounds


def orders(names: list[str]) -> Iterator[list[str]]:
    return (turned(names, number) for number in range(1, 4))


def test_each_round_begins_with_another_one() -> None:
    assert list(orders(["a", "b", "c"])) == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]
    assert list(orders([])) == [[], [], []]


def raising(error: Exception) -> dict[str, float]:
    raise error


def test_what_fails_costs_its_round_and_no_more() -> None:
    tries = Tries(["no compiler"])
    tries.take(1, "request", "haproxy", lambda: {"cpu": 1.0})
    tries.take(1, "request", "proxymux", lambda: raising(Unavailable("not here")))
    assert not tries.broken
    tries.take(2, "request", "haproxy", lambda: raising(BrokenRun("it ended")))
    assert tries.broken
    assert [(sample.round, sample.peer, sample.values) for sample in tries.samples] == [(1, "haproxy", {"cpu": 1.0})]
    assert tries.skipped == [
        "no compiler", "round 1, request proxymux: not here", "round 2, request haproxy: it ended"
    ]  # fmt: skip
