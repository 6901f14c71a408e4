from __future__ import annotations

import pytest

from proxymux.core.redis_cluster.looking import LONGEST_PAUSE, MOST_ASKED, Looking
from proxymux.core.target import InetTarget, parse_address


def node(number: int) -> InetTarget:
    return parse_address(f"10.0.0.{number}:6379")


ONE, TWO, THREE, FOUR = map(node, (1, 2, 3, 4))


@pytest.fixture
def looking() -> Looking:
    return Looking((ONE, TWO), 5.0)


def test_the_seeds_are_asked_in_their_order(looking: Looking) -> None:
    assert looking.begin(0) == [ONE, TWO]


def test_the_one_that_has_answered_is_asked_first_then_the_seeds_then_the_others(looking: Looking) -> None:
    looking.begin(0)
    assert looking.answered(THREE, (FOUR, THREE, TWO), 0.5) == 5.0
    assert looking.begin(5.5) == [THREE, ONE, TWO, FOUR]


def test_whom_a_redirect_has_named_is_asked_before_all_once(looking: Looking) -> None:
    looking.begin(0)
    looking.want(FOUR, 0.2)
    looking.want(None, 0.3)
    looking.answered(ONE, (ONE, TWO), 0.5)
    assert looking.begin(1.0) == [FOUR, ONE, TWO]
    assert looking.begin(2.0) == [ONE, TWO]


def test_the_nodes_that_are_asked_are_bounded(looking: Looking) -> None:
    looking.answered(ONE, tuple(map(node, range(1, 100))), 0)
    assert looking.begin(1.0) == list(map(node, range(1, MOST_ASKED + 1)))


def test_a_look_that_is_wanted_begins_at_once_but_a_second_after_the_last(looking: Looking) -> None:
    looking.begin(10.0)
    looking.answered(ONE, (), 10.1)
    assert looking.want(None, 10.25) == 0.75
    assert looking.want(None, 12.0) == 0.0


def test_what_is_wanted_during_a_look_is_another_one(looking: Looking) -> None:
    looking.begin(10.0)
    looking.want(None, 10.25)
    assert looking.answered(ONE, (), 10.5) == 0.5
    looking.begin(11.0)
    assert looking.answered(ONE, (), 11.0) == 5.0


def test_after_failures_the_pauses_grow_to_the_refresh_or_a_limit() -> None:
    looking = Looking((ONE,), 60.0)
    pauses = [looking.failed(1.0, 100.0) for _ in range(6)]
    assert pauses == [1, 2, 4, 8, LONGEST_PAUSE, LONGEST_PAUSE]
    looking.answered(ONE, (), 100.0)
    assert looking.failed(1.0, 100.0) == 1
    assert Looking((ONE,), 1.0).failed(1.5, 0) == 1.0
