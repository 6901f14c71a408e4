from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest

from bench.shift import rounds_needed, shift


def test_the_estimate_is_the_median_of_all_differences() -> None:
    assert shift([1.0, 2.0, 4.0], [11.0, 12.0, 14.0]).by == 10.0


@pytest.mark.parametrize(("rounds", "chance"), [(3, 2 / 20), (5, 2 / 252), (7, 2 / 3432)])
def test_series_that_lie_apart_are_as_improbable_as_their_order(rounds: int, chance: float) -> None:
    series = [float(each) for each in range(rounds)]
    for found in (shift(series, [each + 100 for each in series]), shift(series, [each - 100 for each in series])):
        assert found.chance == pytest.approx(chance)


def test_the_chance_is_that_of_all_orders() -> None:
    """Beside the sum over every order there is, of 4 and 3 figures."""
    orders = [
        (set(chosen), [each for each in range(7) if each not in chosen])
        for chosen in itertools.combinations(range(7), 4)
    ]
    above = [sum(new > old for old in before for new in after) for before, after in orders]
    for (before, after), count in zip(orders, above, strict=True):
        extreme = min(count, 12 - count)
        expected = sum(min(each, 12 - each) <= extreme for each in above) / len(orders)
        assert shift([float(each) for each in before], [float(each) for each in after]).chance == pytest.approx(
            expected
        )


def test_equal_series_do_not_differ() -> None:
    found = shift([1.0] * 7, [1.0] * 7)
    assert (found.by, found.low, found.high, found.chance) == (0.0, 0.0, 0.0, 1.0)


def test_of_three_rounds_there_is_no_interval() -> None:
    found = shift([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_the_interval_misses_the_truth_as_rarely_as_it_says() -> None:
    chance = random.Random(1)
    missed = 0
    for _ in range(600):
        old, new = ([chance.gauss(at, 1.0) for _ in range(7)] for at in (0.0, 0.5))
        found = shift(old, new)
        missed += not found.low <= 0.5 <= found.high
    assert missed / 600 < 0.07  # 5 %, and three deviations of the count


def test_one_round_in_which_the_machine_did_something_else_moves_little() -> None:
    old = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98, 1.01]
    assert shift(old, [*old[:-1], 9.0]).by == pytest.approx(0.0, abs=0.011)


def test_so_many_rounds_as_it_says_find_a_change() -> None:
    chance = random.Random(2)
    pilot = [chance.gauss(0.0, 0.02) for _ in range(200)], [chance.gauss(0.0, 0.02) for _ in range(200)]
    needed = rounds_needed(*pilot, 0.03, 0.01)
    found = 0
    for _ in range(300):
        old, new = ([chance.gauss(at, 0.02) for _ in range(needed)] for at in (0.0, 0.03))
        found += shift(old, new).chance <= 0.01
    assert 0.7 < found / 300 < 0.95  # 80 % are meant


def test_more_noise_needs_more_rounds() -> None:
    needed = [rounds_needed([0.0, noise, -noise], [0.0, noise, -noise], 0.03, 0.01) for noise in (0.0, 0.01, 0.03, 0.1)]
    assert needed == sorted(needed)
    assert needed[0] == 5  # 2 orders of 252; of four each it were 2 of 70
    assert statistics.fmean(needed) > 50
