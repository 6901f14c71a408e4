from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.balancing.least_connections import LeastConnections
from proxymux.core.balancing.policy import LOOKS, MOST_ASKED
from proxymux.core.member import Member
from tests.core.balancing.members import choose, connect, in_use, members, sequence, slow_starts

quick = settings(database=None, deadline=None, max_examples=100)


def balancer(some: list[Member]) -> LeastConnections:
    made = LeastConnections()
    in_use(made, some)
    return made


def test_connections_that_stay_are_spread_by_the_weights() -> None:
    assert connect(balancer(members(5, 1, 1)), 700) == {"a": 500, "b": 100, "c": 100}


def test_equal_ones_take_turns_by_their_weights_when_nothing_is_connected() -> None:
    assert sequence(balancer(members(1, 1, 1)), 9) == "abcabcabc"
    assert Counter(sequence(balancer(members(5, 1, 1)), 700)) == {"a": 500, "b": 100, "c": 100}


@quick
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=LOOKS),
    st.lists(st.tuples(st.integers(0, LOOKS - 1), st.integers(-3, 1)), max_size=200),
)
def test_of_few_members_it_is_always_the_one_with_the_least(weights: list[int], steps: list[tuple[int, int]]) -> None:
    some = members(*weights)
    made = balancer(some)
    for number, change in steps:
        other = some[number % len(some)]
        other.connections = max(0, other.connections + change)
        least = min(each.connections / each.share for each in some)
        chosen = choose(made)
        assert chosen.connections / chosen.share == pytest.approx(least)
        chosen.connections += 1


def test_of_many_members_one_whose_connections_have_ended_is_found_soon() -> None:
    some = members(*[1] * 500)
    made = balancer(some)
    connect(made, 5000)
    some[400].connections = 0
    chosen = [choose(made) for _ in range(500 // LOOKS + 1)]
    assert some[400] in chosen


def test_of_many_members_the_spread_stays_small_while_connections_come_and_go() -> None:
    draw = random.Random(1)
    some = members(*[1] * 300)
    made = balancer(some)
    live: list[Member] = []
    for step in range(30_000):
        chosen = choose(made)
        chosen.connections += 1
        live.append(chosen)
        if step >= 6000:
            number = draw.randrange(len(live))
            live[number], live[-1] = live[-1], live[number]
            live.pop().connections -= 1
    loads = [each.connections for each in some]
    # Chance alone, as with random choices, would make a standard deviation of √20.
    assert max(loads) <= 20 + 2
    assert sum((load - 20) ** 2 for load in loads) / len(loads) < 2


def test_who_was_busy_for_long_does_not_make_up_for_it() -> None:
    some = members(1, 1)
    made = balancer(some)
    some[0].connections = 5
    assert sequence(made, 100) == "b" * 100
    some[0].connections = 0
    assert Counter(sequence(made, 100)) == {"a": 51, "b": 49}


def test_an_update_keeps_the_turns() -> None:
    some = members(1, 1, 1)
    made = LeastConnections()
    names = ""
    for _ in range(30):
        in_use(made, some)
        names += sequence(made, 1)
    assert names == "abc" * 10


@pytest.mark.parametrize("between", [1, 2, 5, 20, 200])
def test_in_a_slow_start_it_gets_its_growing_share_and_no_more_than_a_turn_or_two(between: int) -> None:
    for gets in slow_starts(LeastConnections, 50, between):
        assert sum(got for got, _ in gets) <= sum(fair for _, fair in gets) + 2


@pytest.mark.parametrize("between", [1, 2, 5, 20, 200])
def test_slow_starts_at_many_instances_get_what_is_their_share_together(between: int) -> None:
    starts = list(slow_starts(LeastConnections, 50, between))
    for steps in (slice(0, 10), slice(10, 20), slice(20, 25)):
        got = sum(got for gets in starts for got, _ in gets[steps])
        fair = sum(fair for gets in starts for _, fair in gets[steps])
        assert got == pytest.approx(fair, rel=0.15, abs=3)


def test_those_that_refuse_are_asked_again_next_time() -> None:
    some = members(1, 1, 1)
    made = balancer(some)
    some[1].connections = 1
    some[2].connections = 2
    assert choose(made, allowed=lambda each: each.label == "c").label == "c"
    assert choose(made, allowed=lambda each: each.label != "a").label == "b"
    assert choose(made).label == "a"


def test_where_most_refuse_it_is_the_least_of_the_others() -> None:
    some = members(*[1] * (5 * MOST_ASKED))
    made = balancer(some)
    some[-1].connections = 3
    some[-2].connections = 2
    able = {some[-1], some[-2]}
    assert choose(made, allowed=able.__contains__) is some[-2]
    some[-2].connections = 9
    assert choose(made, allowed=able.__contains__) is some[-1]
    assert made.choose(b"", lambda each: False) is None


def test_what_it_keeps_does_not_grow() -> None:
    some = members(*[1] * 50)
    made = balancer(some)
    draw = random.Random(2)
    for _ in range(5000):
        draw.choice(some).connections = draw.randrange(1000)
        choose(made)
        assert len(made._heap) <= 2 * len(some) + 64 + LOOKS
