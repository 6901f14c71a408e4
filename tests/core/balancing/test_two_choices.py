from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import chain, repeat

import pytest

from proxymux.core.balancing.policy import MOST_ASKED
from proxymux.core.balancing.two_choices import TwoChoices
from tests.core.balancing.members import choose, connect, in_use, members

#: The greatest number that a source of random numbers from 0 to below 1 can return.
BELOW_ONE = math.nextafter(1.0, 0.0)


def balancer(*weights: int, draw: Callable[[], float] | None = None) -> TwoChoices:
    made = TwoChoices(draw or random.Random(7).random)
    in_use(made, members(*weights))
    return made


def test_both_are_drawn_by_their_shares_and_are_different() -> None:
    """With nothing connected the first of the two is taken, so that the shares show as they are."""
    made = balancer(5, 3, 2)
    counts = Counter(choose(made).label for _ in range(50_000))
    # Four standard deviations.
    for name, part in (("a", 0.5), ("b", 0.3), ("c", 0.2)):
        assert abs(counts[name] - 50_000 * part) < 4 * math.sqrt(50_000 * part * (1 - part))


def test_connections_that_stay_are_spread_far_better_than_by_chance() -> None:
    counts = connect(balancer(*[1] * 100), 10_000)
    loads = [counts[str(number)] for number in range(100)]
    # Of one choice the greatest of 100 would be about 100 + 2.5 √100; two choices leave ln ln 100 / ln 2, about 2.
    assert max(loads) <= 105
    assert sum((load - 100) ** 2 for load in loads) / 100 < 10


def test_weights_count_for_connections_that_stay() -> None:
    counts = connect(balancer(5, 1, 1, 1), 8000)
    assert counts["a"] == pytest.approx(5000, rel=0.02)


def test_of_two_members_it_is_always_the_one_with_less() -> None:
    made = balancer(1, 1)
    assert connect(made, 1000) == {"a": 500, "b": 500}


def test_one_member_is_chosen() -> None:
    assert connect(balancer(1), 3) == {"a": 3}


@pytest.mark.parametrize("first", [0.0, 0.3, 0.5, BELOW_ONE])
@pytest.mark.parametrize("second", [0.0, 0.3, 0.5, BELOW_ONE])
@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 1), (65535, 1), (1, 65535)])
def test_the_ends_of_the_line_belong_to_somebody(first: float, second: float, weights: tuple[int, ...]) -> None:
    made = balancer(*weights, draw=chain((first, second), repeat(0.0)).__next__)
    one, other = made._draw(made._used, made._sums)
    assert one is not other


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [(0.3, 0.4, "ba"), (0.3, 0.6, "bc"), (0.0, 0.6, "ab"), (0.0, 0.7, "ac"), (0.9, 0.3, "ca"), (0.9, 0.4, "cb")],
)
def test_the_second_is_drawn_from_what_the_first_leaves(first: float, second: float, names: str) -> None:
    made = balancer(1, 2, 1, draw=[second, first].pop)
    one, other = made._draw(made._used, made._sums)
    assert one.label + other.label == names


def test_it_is_the_one_of_the_two_that_is_allowed() -> None:
    made = balancer(1, 1)
    assert {choose(made, allowed=lambda each: each.label == "b").label for _ in range(20)} == {"b"}


def test_where_most_refuse_the_others_are_found_and_the_one_with_less_is_taken() -> None:
    some = members(*[1] * (20 * MOST_ASKED))
    made = TwoChoices(random.Random(3).random)
    in_use(made, some)
    able = {some[5], some[900]}
    some[5].connections = 1
    chosen = Counter(choose(made, allowed=able.__contains__) for _ in range(200))
    assert set(chosen) <= able
    assert chosen[some[900]] > 150  # the other only where it was drawn with one that refuses
    assert made.choose(b"", lambda each: False) is None
