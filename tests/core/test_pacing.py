from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.pacing import BURST, FIRST, LONGEST_PAUSE, SHORTEST_PAUSE, Pacer

quick = settings(database=None, deadline=None, max_examples=200)
PLENTY = 1 << 40


@pytest.mark.parametrize("rate", [1, 7, 1000, 65536, 1_000_000, 125_000_000])
def test_in_10_seconds_there_pass_10_times_the_rate_within_5_percent(rate: int) -> None:
    pacer, now, passed = Pacer(rate, 1e6), 1e6, 0
    while now <= 1e6 + 10:
        passed += pacer.take(PLENTY, now)
        now += pacer.pause * 1.4  # a timer is late
    assert abs(passed - 10 * rate) <= max(0.05 * 10 * rate, 1)


@quick
@given(st.integers(1, 10**9), st.lists(st.tuples(st.floats(0, 2), st.integers(0, 10**9)), min_size=1, max_size=50))
def test_no_time_has_more_than_its_share_and_a_burst(rate: int, steps: list[tuple[float, int]]) -> None:
    pacer, now = Pacer(rate, 0.0), 0.0
    passes: list[tuple[float, int]] = []
    for pause, wanted in steps:
        now += pause
        taken = pacer.take(wanted, now)
        assert 0 <= taken <= wanted
        passes.append((now, taken))
    for first in range(len(passes)):
        for last in range(first, len(passes)):
            passed = sum(taken for _, taken in passes[first : last + 1])
            elapsed = passes[last][0] - passes[first][0]
            assert passed <= rate * (elapsed + BURST) * (1 + 1e-9) + 1


@pytest.mark.parametrize("rate", [1, 100, 10**9])
def test_the_first_byte_passes_at_once(rate: int) -> None:
    pacer = Pacer(rate, 5.0)
    assert pacer.take(PLENTY, 5.0) == max(1, int(rate * FIRST))
    assert pacer.take(PLENTY, 5.0) == 0


def test_slow_flows_are_looked_at_seldom_and_fast_ones_often() -> None:
    assert Pacer(1000, 0.0).pause == LONGEST_PAUSE
    assert Pacer(1_000_000, 0.0).pause == pytest.approx(0.065536)
    assert Pacer(125_000_000, 0.0).pause == SHORTEST_PAUSE


def test_without_a_rate_all_passes() -> None:
    assert Pacer(None, 0.0).take(PLENTY, 0.0) == PLENTY
