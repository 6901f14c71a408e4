from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxymux.core.health import JITTER, LONGEST_BACKOFF, Health, HealthRules

RULES = HealthRules(rise=2, fall=3, interval=2.0)
UNCHECKED = RULES._replace(is_checked=False)


def ejected(rules: HealthRules = RULES, now: float = 100.0) -> Health:
    """One that has gone down at ``now`` by failed connects."""
    health = Health(rules)
    for _ in range(rules.fall):
        went_down = health.failed("refused", now)
    assert went_down
    return health


def test_a_member_is_up_at_first() -> None:
    health = Health(RULES)
    assert (health.is_up, health.reason, health.is_refuted) == (True, "", False)


def test_fall_failures_in_a_row_of_whichever_kind_eject_it() -> None:
    health = Health(RULES)
    assert not health.failed("refused", 100.0)
    assert not health.check_failed("timed out", 101.0)
    assert health.is_up
    assert health.failed("reset", 102.0)
    assert (health.is_up, health.reason, health.down_since) == (False, "reset", 102.0)
    assert not health.failed("reset", 103.0)  # it is down already


@pytest.mark.parametrize("good", ["connect", "check"])
def test_a_success_between_them_begins_the_count_again(good: str) -> None:
    health = Health(RULES)
    for now in range(20):
        assert not health.failed("refused", now)
        assert not health.check_failed("refused", now)
        if good == "connect":
            health.succeeded()
        else:
            assert not health.check_passed(now)
    assert health.is_up


def test_it_is_refuted_once_a_check_has_failed_too() -> None:
    health = ejected()
    assert not health.is_refuted
    health.check_failed("no answer", 101.0)
    assert (health.is_refuted, health.reason) == (True, "no answer")
    by_checks = Health(RULES)
    assert [by_checks.check_failed("no answer", now) for now in (1.0, 3.0, 5.0)] == [False, False, True]
    assert by_checks.is_refuted


@pytest.mark.parametrize("rise", [1, 2, 5])
@pytest.mark.parametrize("jitter", [-JITTER, 0.0, JITTER])
def test_it_is_back_within_rise_checks_that_come_a_little_early_or_late(rise: int, jitter: float) -> None:
    rules = RULES._replace(rise=rise)
    health = Health(rules)
    now = 100.0
    for _ in range(rules.fall):
        now += rules.interval * (1 + jitter)
        health.check_failed("no answer", now)
    for number in range(1, rise + 1):
        assert not health.is_up
        now += rules.interval * (1 + jitter)
        assert health.check_passed(now) == (number == rise)
    assert (health.is_up, health.is_refuted, health.reason) == (True, False, "")


def test_a_failure_between_the_checks_that_pass_begins_their_count_again() -> None:
    health = ejected()
    assert not health.check_passed(104.0)
    health.failed("refused", 105.0)
    assert not health.check_passed(106.0)
    health.check_failed("refused", 108.0)
    assert not health.check_passed(110.0)
    assert health.check_passed(112.0)


def test_no_check_brings_it_back_before_its_backoff_is_over() -> None:
    health = ejected(RULES._replace(rise=1))
    assert not health.check_passed(100.5)
    assert not health.check_passed(101.7)
    assert health.check_passed(102.0)


def test_the_next_check_of_one_that_is_down_is_never_before_its_backoff_is_over_and_comes_less_often() -> None:
    health = ejected()
    assert health.retry_at == 102.0
    health.check_failed("refused", 100.2)
    assert health.retry_at == 102.2
    times = [100.0]
    for _ in range(8):
        now = health.retry_at
        times.append(now)
        health.check_failed("refused", now)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_BACKOFF * RULES.interval
    now = health.retry_at
    assert not health.check_passed(now)
    assert health.retry_at == now + RULES.interval  # the next of those that must pass does not wait so long
    assert health.check_passed(health.retry_at)


def flaps(rules: HealthRules, rests: list[float]) -> list[float]:
    """How long it is down each time, if it fails after each of ``rests`` seconds of being up."""
    health, now, lengths = Health(rules), 100.0, []
    for rest in rests:
        now += rest
        while not health.failed("refused", now):
            pass
        went_down = now
        while not health.is_up:
            now += rules.interval
            health.check_passed(now)
        lengths.append(now - went_down)
    return lengths


def test_one_that_flaps_is_out_for_longer_each_time_up_to_ten_intervals() -> None:
    rules = RULES._replace(rise=1)
    assert flaps(rules, [1.0] * 7) == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0]
    long = LONGEST_BACKOFF * rules.interval
    assert flaps(rules, [1.0, 1.0, long, 1.0, long + 0.1, 1.0]) == [2.0, 4.0, 8.0, 16.0, 2.0, 4.0]


def test_without_checks_it_is_tried_again_after_its_backoff_and_its_next_failure_ejects_it_for_longer() -> None:
    health = ejected(UNCHECKED)
    assert not health.look(101.9)
    assert health.look(102.0)
    assert not health.look(102.0)  # it is up already
    assert health.failed("refused", 103.0)
    assert health.retry_at == 103.0 + 4.0
    assert health.look(107.0)
    health.succeeded()
    assert not health.failed("refused", 108.0)  # it has served: it takes as many failures as ever


def test_looking_brings_none_back_that_is_checked() -> None:
    health = ejected(RULES)
    assert not health.look(math.inf)


@settings(max_examples=200)
@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.lists(st.tuples(st.booleans(), st.floats(0.01, 30)), max_size=40),
)
def test_down_and_up_are_told_exactly_when_they_happen(rise: int, fall: int, course: list[tuple[bool, float]]) -> None:
    health, now = Health(HealthRules(rise, fall, 2.0)), 0.0
    for is_good, pause in course:
        before = health.is_up
        now += pause
        told = health.check_passed(now) if is_good else health.check_failed("no answer", now)
        assert told == (health.is_up != before)
        assert health.is_up or not before or not is_good
        assert bool(health.reason) == (not health.is_up)


class Flapping(RuleBasedStateMachine):
    """Any course of events, with books of its own."""

    @initialize(rise=st.integers(1, 3), fall=st.integers(1, 4))
    def begin(self, rise: int, fall: int) -> None:
        self.limits = HealthRules(rise, fall, 2.0)
        self.health = Health(self.limits)
        self.now = 1000.0
        self.bad = self.good = 0
        self.went_down = -math.inf
        self.was_up = True

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(is_check=st.booleans())
    def something_fails(self, is_check: bool) -> None:
        fail = self.health.check_failed if is_check else self.health.failed
        self.bad, self.good = self.bad + 1, 0
        went_down = fail("why", self.now)
        assert went_down == (self.was_up and self.bad >= self.limits.fall)
        if went_down:
            self.went_down = self.now

    @rule()
    def a_check_passes(self) -> None:
        self.bad, self.good = 0, self.good + 1
        if self.health.check_passed(self.now):
            assert self.good >= self.limits.rise
            assert self.now >= self.went_down + self.limits.interval * (1 - JITTER) - 0.01
        elif not self.health.is_up and self.good >= self.limits.rise:
            assert self.now < self.went_down + LONGEST_BACKOFF * self.limits.interval

    @precondition(lambda self: self.health.is_up)
    @rule()
    def a_connect_succeeds(self) -> None:
        self.bad = 0
        self.health.succeeded()

    @invariant()
    def it_comes_back_in_the_end(self) -> None:
        if self.health.is_up and not self.was_up:
            self.bad = self.good = 0
        self.was_up = self.health.is_up
        if not self.health.is_up:
            assert self.health.retry_at <= self.now + 2 * LONGEST_BACKOFF * self.limits.interval
            assert self.health.retry_at >= self.went_down + self.limits.interval


TestFlapping = Flapping.TestCase
TestFlapping.settings = settings(max_examples=100, stateful_step_count=40)
