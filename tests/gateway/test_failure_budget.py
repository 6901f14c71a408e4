"""The failure budget."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.rate_limit import LocalTimes
from proxymux.gateway.failure_budget import FailureBudget

HOST = "192.0.2.7"
#: Seconds that adding floats may be off by.
ROUNDING = 1e-6


def fail(budget: FailureBudget, times: int, now: float = 0.0, host: str = HOST) -> None:
    for _ in range(times):
        budget.fail(host, now)


def test_nobody_waits_who_has_not_failed() -> None:
    budget = FailureBudget(1)
    assert budget.wait(HOST, 0) == 0
    fail(budget, 1, host="192.0.2.8")
    assert budget.wait(HOST, 0) == 0


@pytest.mark.parametrize("limit", [1, 2, 6, 60, 600])
def test_as_many_failures_as_the_limit_are_free_and_the_next_waits_for_its_share_of_a_minute(limit: int) -> None:
    budget = FailureBudget(limit)
    fail(budget, limit - 1)
    assert budget.wait(HOST, 0) < ROUNDING
    fail(budget, 1)
    assert budget.wait(HOST, 0) == pytest.approx(60 / limit)
    assert budget.wait(HOST, 60 / limit + ROUNDING) == 0


def test_while_it_waits_time_counts() -> None:
    budget = FailureBudget(6)
    fail(budget, 6)
    assert budget.wait(HOST, 4) == pytest.approx(6)
    assert budget.wait(HOST, 9) == pytest.approx(1)


def test_after_a_quiet_minute_all_is_forgiven() -> None:
    budget = FailureBudget(6)
    fail(budget, 6)
    fail(budget, 5, now=60)
    assert budget.wait(HOST, 60) < ROUNDING
    fail(budget, 1, now=60)
    assert budget.wait(HOST, 60) == pytest.approx(10)


def test_one_failure_each_share_of_a_minute_never_waits() -> None:
    budget = FailureBudget(6)
    for turn in range(100):
        assert budget.wait(HOST, turn * 10) < ROUNDING
        budget.fail(HOST, turn * 10)


def test_off_is_no_limit_and_remembers_nobody() -> None:
    times = LocalTimes(math.inf)
    budget = FailureBudget(None, times)
    fail(budget, 1000)
    assert budget.wait(HOST, 0) == 0
    assert len(times) == 0


@pytest.mark.parametrize(
    ("failed", "other", "is_same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
    ],
)
def test_addresses_of_one_customer_are_one(failed: str, other: str, is_same: bool) -> None:
    budget = FailureBudget(1)
    budget.fail(failed, 0)
    assert (budget.wait(other, 0) > 0) is is_same


def test_the_addresses_that_are_remembered_are_bounded() -> None:
    times = LocalTimes(math.inf, 3)
    budget = FailureBudget(1, times)
    for number in range(3):
        budget.fail(f"192.0.2.{number}", 0)
    budget.fail("192.0.2.0", 0)  # the one that has failed last now
    budget.fail("192.0.2.9", 0)
    assert len(times) == 3
    assert [budget.wait(f"192.0.2.{number}", 0) > 0 for number in (0, 1, 2, 9)] == [True, False, True, True]


@settings(database=None, deadline=None, max_examples=200)
@given(st.integers(1, 50), st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_who_obeys_fails_at_most_twice_the_limit_in_any_minute(limit: int, pauses: list[float]) -> None:
    """A bucket is full at most once in a minute that also lets as much run out."""
    budget, now = FailureBudget(limit), 0.0
    failures: list[float] = []
    for pause in pauses:
        now += pause
        now += budget.wait(HOST, now) + ROUNDING
        assert budget.wait(HOST, now) == 0
        budget.fail(HOST, now)
        failures.append(now)
    for first in failures:
        assert len([each for each in failures if first <= each < first + 60]) <= 2 * limit
