"""What holds for every policy, whatever happens."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.balancing import make_balancer
from proxymux.core.cluster_spec import POLICIES, Policy, parse_cluster
from proxymux.core.member import Member
from tests.core.balancing.members import members

quick = settings(database=None, deadline=None, max_examples=300)
STEP = st.tuples(
    st.sampled_from(["choose", "choose", "choose", "end", "use", "weigh", "share", "leave"]),
    st.integers(0, 7),
    st.binary(max_size=4),
    st.sets(st.integers(0, 7)),
)


class Books:
    """A cluster of eight members of which each may be there or not, and be used or not."""

    def __init__(self, policy: Policy, weights: list[int]) -> None:
        spec = parse_cluster(f"c=127.0.0.1:1;policy={policy}")
        self.balancer = make_balancer(spec, random.Random(1).random)
        self.all = members(*weights)
        self.absent: set[Member] = set()
        self.is_changed = True

    def used(self) -> list[Member]:
        return [each for each in self.present() if each.is_used and each.share]

    def present(self) -> list[Member]:
        return [each for each in self.all if each not in self.absent]

    def change(self, what: str, each: Member, number: int) -> None:
        self.is_changed = True
        if what == "use":
            each.is_used = not each.is_used
        elif what == "weigh":
            each.weight = number
            each.share = float(number)
        elif what == "share":
            each.share = each.weight * (number + 1) / 8
        else:
            self.absent ^= {each}

    def choose(self, key: bytes, refusing: set[int]) -> None:
        if self.is_changed:
            self.balancer.update(self.present(), self.used())
            self.is_changed = False
        refused = {self.all[number] for number in refusing}
        able = set(self.used()) - refused
        chosen = self.balancer.choose(key, (lambda each: each not in refused) if refused else None)
        assert chosen in able if able else chosen is None
        if chosen is not None:
            chosen.connections += 1


@quick
@given(
    policy=st.sampled_from(POLICIES),
    weights=st.lists(st.integers(0, 9), min_size=8, max_size=8),
    steps=st.lists(STEP, max_size=80),
)
def test_one_that_may_be_chosen_is_and_no_other(
    policy: Policy, weights: list[int], steps: list[tuple[str, int, bytes, set[int]]]
) -> None:
    books = Books(policy, weights)
    for what, number, key, refusing in steps:
        if what == "choose":
            books.choose(key, refusing if number % 2 else set())
        elif what == "end":
            books.all[number].connections = max(0, books.all[number].connections - 1)
        else:
            books.change(what, books.all[number], number)


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_is_chosen_of_none(policy: Policy) -> None:
    books = Books(policy, [0] * 8)
    books.choose(b"key", set())
    books.choose(b"key", {1})
    books.balancer.update([], [])
    assert books.balancer.choose(b"key", None) is None


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("count", [2, 70, 300])
def test_the_only_one_that_is_allowed_is_found_and_everybody_is_asked_a_few_times_at_most(
    policy: Policy, count: int
) -> None:
    spec = parse_cluster(f"c=127.0.0.1:1;policy={policy}")
    balancer = make_balancer(spec, random.Random(1).random)
    some = members(*[1] * count)
    balancer.update(some, some)
    questions = 0

    def allowed(each: Member) -> bool:
        nonlocal questions
        questions += 1
        return each is only

    for only in some:
        assert balancer.choose(b"key", allowed) is only
    assert questions <= count * (2 * count + 64)
