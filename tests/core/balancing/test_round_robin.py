from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.balancing.policy import MOST_ASKED
from proxymux.core.balancing.round_robin import RoundRobin
from tests.core.balancing.members import choose, in_use, members, sequence, slow_starts, start_slowly

quick = settings(database=None, deadline=None, max_examples=200)


def balancer(*weights: int) -> RoundRobin:
    made = RoundRobin()
    in_use(made, members(*weights))
    return made


@pytest.mark.parametrize("weight", [1, 7, 65535])
def test_equal_ones_rotate_strictly_in_the_order_of_the_source(weight: int) -> None:
    assert sequence(balancer(weight, weight, weight), 3000) == "abc" * 1000


@pytest.mark.parametrize(
    ("weights", "turns"),
    [((5, 1, 1), "abaaaca"), ((2, 1), "aba"), ((1, 2), "bab"), ((3, 3, 1), "abacbab"), ((1,), "a")],
)
def test_unequal_ones_are_mixed(weights: tuple[int, ...], turns: str) -> None:
    assert sequence(balancer(*weights), len(turns) * 100) == turns * 100


@quick
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_in_each_period_everybody_gets_his_weight_and_no_two_are_far_apart_within_it(weights: list[int]) -> None:
    total = sum(weights)
    some = balancer(*weights)
    by_name = dict(zip("abcdefghijkl", weights, strict=False))
    for _ in range(3):
        counts = dict.fromkeys(by_name, 0)
        for name in sequence(some, total):
            counts[name] += 1
            rounds = [counts[each] / by_name[each] for each in by_name]
            # Nobody is more than one of his own turns before or behind another.
            slack = max(1 / by_name[each] for each in by_name)
            assert max(rounds) - min(rounds) <= 1 + slack
        assert counts == by_name


@quick
@given(st.lists(st.integers(1, 9), min_size=2, max_size=9))
def test_no_run_is_longer_than_it_has_to_be(weights: list[int]) -> None:
    """Between two turns of the others, one gets no more than his part of the period that they leave, twice."""
    names = sequence(balancer(*weights), 2 * sum(weights))
    heaviest = max(weights)
    others = sum(weights) - heaviest
    longest = max(len(run) for letter in set(names) for run in _runs(names, letter))
    assert longest <= 2 * -(-heaviest // others) + 1


def _runs(names: str, letter: str) -> list[str]:
    return ["", *("".join(each if each == letter else " " for each in names).split())]


def test_a_slow_start_gets_its_part() -> None:
    some = members(1, 1)
    some[1].share = 0.1
    made = RoundRobin()
    in_use(made, some)
    counts = Counter(sequence(made, 1100))
    assert counts == {"a": 1000, "b": 100}


def test_one_that_starts_slowly_does_not_wait_for_what_was_far_away_when_its_share_grows() -> None:
    some = members(1, 1)
    some[1].share = 0.001
    made = RoundRobin()
    in_use(made, some)
    assert sequence(made, 10) == "a" * 10
    some[1].share = 1.0
    in_use(made, some)
    assert Counter(sequence(made, 10)) == {"a": 5, "b": 5}


def test_shares_that_grow_all_the_time_do_not_disturb_the_others() -> None:
    some = members(1, 1, 1, 1)
    made = RoundRobin()
    counts: Counter[str] = Counter()
    for step in range(1, 1001):
        some[3].share = step / 1000
        in_use(made, some)
        counts.update(sequence(made, 7))
    slow = sum(step / 1000 / (3 + step / 1000) for step in range(1, 1001)) * 7
    assert counts["d"] == pytest.approx(slow, rel=0.03)
    assert [counts[name] for name in "abc"] == pytest.approx([(7000 - slow) / 3] * 3, rel=0.02)


@pytest.mark.parametrize("between", [1, 2, 5, 20, 200])
def test_in_a_slow_start_it_gets_its_growing_share_and_no_more_than_a_turn_or_two(between: int) -> None:
    for gets in slow_starts(RoundRobin, 50, between):
        assert sum(got for got, _ in gets) <= sum(fair for _, fair in gets) + 2


@pytest.mark.parametrize("between", [1, 2, 5, 20, 200])
def test_slow_starts_at_many_instances_get_what_is_their_share_together(between: int) -> None:
    starts = list(slow_starts(RoundRobin, 50, between))
    for steps in (slice(0, 10), slice(10, 20), slice(20, 25)):
        got = sum(got for gets in starts for got, _ in gets[steps])
        fair = sum(fair for gets in starts for _, fair in gets[steps])
        assert got == pytest.approx(fair, rel=0.15, abs=3)


@quick
@given(
    st.lists(st.integers(0, 12), min_size=40, max_size=40),
    st.lists(st.sampled_from([0.1, 0.3, 0.35, 0.5, 0.75, 0.9]), min_size=40, max_size=40),
)
def test_between_two_turns_the_shares_of_one_come_to_a_turn_however_they_change(
    betweens: list[int], shares: list[float]
) -> None:
    some = members(*[1] * 10)
    made = RoundRobin()
    passed = 0.0
    turns = []
    for between, share in zip(betweens, shares, strict=True):
        some[4].share = share
        in_use(made, some)
        for _ in range(between):
            passed += share / (9 + share)
            if choose(made) is some[4]:
                turns.append(passed)
    # Of the others there may be one more or one less between any two points.
    assert all(0.75 <= after - before <= 1.25 for before, after in pairwise(turns))


def test_after_a_slow_start_equal_ones_rotate_strictly_again() -> None:
    for number in range(5):
        some = members(*[1] * 5)
        made = RoundRobin()
        some[number].is_used = False
        in_use(made, some)
        sequence(made, number)
        start_slowly(made, some, number, 2)
        sequence(made, 5)
        names = sequence(made, 500)
        assert names == names[:5] * 100
        assert names[:5] in "abcdeabcd"


def test_an_update_that_changes_nothing_does_not_begin_anew() -> None:
    some = members(1, 1, 1)
    made = RoundRobin()
    names = ""
    for _ in range(30):
        in_use(made, some)
        names += sequence(made, 1)
    assert names == "abc" * 10


def test_one_that_comes_back_has_its_old_place() -> None:
    some = members(1, 1, 1)
    made = RoundRobin()
    in_use(made, some)
    assert sequence(made, 4) == "abca"
    some[1].is_used = False
    in_use(made, some)
    assert sequence(made, 4) == "caca"
    some[1].is_used = True
    in_use(made, some)
    assert sequence(made, 6) == "bcabca"


def test_a_new_one_gets_its_place_in_the_order() -> None:
    some = members(1, 1, 1, 1)
    made = RoundRobin()
    in_use(made, some[:3])
    assert sequence(made, 3) == "abc"
    in_use(made, some)
    sequence(made, 4)
    assert sequence(made, 8) in ("abcdabcd", "bcdabcda", "cdabcdab", "dabcdabc")


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_where_half_come_and_go_the_rest_share_evenly_and_they_get_no_more(every: int) -> None:
    some = members(*[1] * 10)
    made = RoundRobin()
    counts: Counter[str] = Counter()
    for step in range(7000):
        if step % every == 0:
            for number, each in enumerate(some[5:]):
                each.is_used = (step // every + number) % 3 != 0
            in_use(made, some)
        counts.update(sequence(made, 1))
    steady, others = [counts[name] for name in "abcde"], [counts[name] for name in "fghij"]
    assert max(steady) - min(steady) <= 0.02 * max(steady)
    assert max(others) <= min(steady)


def test_one_that_refuses_has_had_its_turn() -> None:
    made = balancer(1, 1, 1)
    assert choose(made, allowed=lambda each: each.label != "a").label == "b"
    assert sequence(made, 5) == "cabca"


def test_many_that_refuse_leave_the_others_even() -> None:
    some = members(*[1] * 500)
    made = RoundRobin()
    in_use(made, some)
    able = set(some[10:13])
    counts = Counter(choose(made, allowed=able.__contains__).label for _ in range(3000))
    assert len(able) * MOST_ASKED < len(some)
    assert max(counts.values()) - min(counts.values()) <= 100
    assert len(counts) == 3


def test_many_members_cost_few_questions() -> None:
    some = members(*[1] * 3000)
    made = RoundRobin()
    in_use(made, some)
    asked = []

    def allowed(each: object) -> bool:
        asked.append(each)
        return len(asked) > 1

    choose(made, allowed=allowed)
    assert len(asked) == 2
