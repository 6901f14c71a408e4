from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.balancing import Allowed
from proxymux.core.cluster import MANY, MOST_DRAINED, MOST_MEMBERS, PAUSE, Cluster
from proxymux.core.cluster_spec import PLACING, parse_cluster
from proxymux.core.member import Entry, Member, parse_entry
from proxymux.core.target import Address, parse_target

A, B, C, D = ADDRESSES = tuple(parse_target(f"{name}:1") for name in "abcd")


class InOrder:
    """A balancer that chooses the first that it may."""

    def __init__(self) -> None:
        self.members: Sequence[Member] = ()
        self.used: Sequence[Member] = ()
        self.updates = 0

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        self.members, self.used = members, used
        self.updates += 1

    def choose(self, key: bytes, allowed: Allowed | None) -> Member | None:
        return next((member for member in self.used if allowed is None or allowed(member)), None)


class Scene:
    """A cluster, its balancer, and what it has reported."""

    def __init__(self, options: str = "", addresses: Sequence[Address] = ADDRESSES) -> None:
        self.lines: list[str] = []
        self.balancer = InOrder()
        self.cluster = Cluster(parse_cluster(f"users=x:1{options}"), self.balancer, self.lines.append)
        self.now = 100.0
        if addresses:
            self.update(*addresses)

    def update(self, *addresses: Address) -> bool:
        return self.cluster.update([Entry(address) for address in addresses], self.now)

    def chosen(self, tried: Sequence[Address] = ()) -> Address | None:
        member = self.cluster.choose(b"", self.now, {self.cluster.members[each] for each in tried})
        return None if member is None else member.address

    def fail(self, *addresses: Address, times: int = 3) -> None:
        for address in addresses:
            for _ in range(times):
                self.cluster.failed(self.cluster.members[address], "refused", self.now)

    def check(self, address: Address, problem: str | None, times: int = 1) -> bool:
        member = self.cluster.members[address]
        return [self.cluster.checked(member, problem, self.now) for _ in range(times)][-1]

    @property
    def used(self) -> list[Address]:
        return [member.address for member in self.cluster.used]


# Members


def test_what_is_noted_before_the_source_was_heard_counts_for_those_that_it_names() -> None:
    scene = Scene(";health=tcp;fall=2", addresses=())
    cluster = scene.cluster
    up, down, other = (cluster.expect(address) for address in (A, B, C))
    assert up is not None
    assert down is not None
    assert other is not None
    assert cluster.expect(A) is up
    up.connections += 3
    other.connections += 1
    results = [cluster.checked(down, "refused", scene.now) for _ in range(2)]
    assert results == [False, False]
    assert (scene.chosen(), cluster.members) == (None, {})
    assert scene.update(A, B, D)
    assert [cluster.expect(address) for address in (A, B, C)] == [up, down, None]
    assert [(each["connections"], each["up"]) for each in cluster.show()] == [(3, True), (0, False), (0, True)]
    assert scene.used == [A, D]


def test_no_more_are_expected_than_there_may_be_members() -> None:
    cluster = Scene(addresses=()).cluster
    expected = [cluster.expect(parse_target(f"10.0.{number >> 8}.{number & 255}:1")) for number in range(MOST_MEMBERS)]
    assert None not in expected
    assert cluster.expect(A) is None


def test_before_its_source_was_heard_it_has_no_members_and_says_so() -> None:
    scene = Scene(addresses=())
    assert scene.chosen() is None
    assert not scene.cluster.is_known
    assert scene.cluster.why_none == "its source has not been heard yet"
    scene.update()
    assert scene.cluster.is_known
    assert scene.cluster.why_none == "it has no targets"


def test_members_that_stay_keep_what_is_known_of_them() -> None:
    scene = Scene()
    member = scene.cluster.members[B]
    member.connections = 7
    scene.fail(B)
    assert scene.update(C, B)
    assert list(scene.cluster.members) == [C, B]
    assert scene.cluster.members[B] is member
    assert (member.connections, member.health.is_up) == (7, False)
    assert scene.used == [C]


def test_the_same_members_again_change_nothing() -> None:
    scene = Scene()
    scene.chosen()
    assert not scene.update(*ADDRESSES)
    scene.chosen()
    assert scene.balancer.updates == 1
    assert scene.cluster.update([Entry(A, 5), *map(Entry, ADDRESSES[1:])], scene.now)
    assert scene.cluster.members[A].weight == 5


def test_a_member_that_is_named_twice_is_one_and_the_first_counts() -> None:
    scene = Scene(addresses=())
    scene.cluster.update([parse_entry("a:1 weight=3"), parse_entry("a:1 weight=9")], 0)
    assert [(each.address, each.weight) for each in scene.cluster.members.values()] == [(A, 3)]


def test_there_is_a_limit_of_members() -> None:
    scene = Scene(addresses=[parse_target(f"a:{port}") for port in range(1, MOST_MEMBERS + 2)])
    assert len(scene.cluster.members) == MOST_MEMBERS


def test_a_weight_of_none_is_that_of_the_cluster_and_one_of_zero_gets_nothing() -> None:
    scene = Scene(";weight=4", addresses=())
    scene.cluster.update([Entry(A), Entry(B, 0)], 0)
    assert [each["weight"] for each in scene.cluster.show()] == [4, 0]
    assert scene.used == [A]


# Choosing


def test_who_was_tried_is_not_chosen_again() -> None:
    scene = Scene()
    assert scene.chosen() == A
    assert scene.chosen([A]) == B
    assert scene.chosen([A, C, B]) == D
    assert scene.chosen(ADDRESSES) is None
    assert scene.cluster.why_none == "no target may be tried"


def test_a_member_with_as_many_connections_as_it_may_have_is_passed_over() -> None:
    scene = Scene(";connections=2")
    scene.cluster.members[A].connections = 2
    assert scene.chosen() == B
    scene.cluster.members[A].connections = 1
    assert scene.chosen() == A


def test_one_that_is_held_is_the_last_choice_and_a_new_member_of_a_held_address_is_held_too() -> None:
    scene = Scene(addresses=[A, B])
    scene.cluster.hold(A, True)
    scene.cluster.hold(C, True)
    assert scene.chosen() == B
    assert scene.chosen([B]) == A
    scene.update(C, B)
    assert scene.chosen() == B
    scene.cluster.hold(C, False)
    assert scene.chosen() == C


@pytest.mark.parametrize("policy", PLACING)
def test_where_keys_are_placed_a_held_member_keeps_its_own(policy: str) -> None:
    scene = Scene(f";policy={policy}", [A, B])
    scene.cluster.hold(A, True)
    assert scene.chosen() == A


def test_a_drained_member_gets_nothing_also_when_it_has_come_back() -> None:
    scene = Scene(addresses=[A, B])
    assert [scene.cluster.drain(A, True, 0), scene.cluster.drain(A, True, 0)] == [True, False]
    assert scene.used == [B]
    scene.update(B)
    scene.update(A, B)
    assert scene.used == [B]
    assert [scene.cluster.drain(A, False, 0), scene.cluster.drain(A, False, 0)] == [True, False]
    assert scene.used == [A, B]


# Health


def test_a_member_that_fails_as_often_as_it_may_is_not_used_and_is_again_after_its_checks() -> None:
    scene = Scene(";health=tcp;fall=2;rise=3;interval=1")
    scene.fail(A, times=1)
    assert scene.used == list(ADDRESSES)
    scene.fail(A, times=1)
    assert scene.used == [B, C, D]
    assert scene.lines == ["cluster users: a:1 is down: refused"]
    scene.now += 5
    assert not scene.check(A, None, times=2)
    assert scene.check(A, None)
    assert scene.used == list(ADDRESSES)
    assert scene.lines[1:] == ["cluster users: a:1 is up"]


def test_a_success_in_between_forgives_failures() -> None:
    scene = Scene()
    for _ in range(5):
        scene.fail(A, times=2)
        scene.cluster.succeeded(scene.cluster.members[A])
    assert scene.used == list(ADDRESSES)


def test_without_checks_it_is_tried_again_by_itself_and_its_next_failure_is_the_last() -> None:
    scene = Scene(";health=off;interval=2")
    scene.fail(A)
    assert scene.cluster.look_at == scene.now + 2
    scene.now += 2
    assert scene.chosen() == A
    scene.fail(A, times=1)
    assert scene.used == [B, C, D]
    assert scene.cluster.look_at == scene.now + 4


def test_too_many_are_not_ejected_on_mere_suspicion() -> None:
    scene = Scene(";max_ejected=50%")
    scene.fail(A, B)
    assert scene.used == [C, D]
    scene.now += 1
    scene.fail(C)
    assert scene.used == [A, D]  # the one that was ejected first is tried again
    scene.check(A, "refused")
    scene.check(B, "refused")
    assert scene.used == [D]  # what a check confirms is no suspicion


def test_where_all_are_down_none_is_used() -> None:
    scene = Scene(";max_ejected=0%")
    scene.fail(*ADDRESSES)
    assert scene.chosen() is None
    assert scene.cluster.why_none == "no target is up: refused"


def test_who_has_left_may_fail_or_pass_without_effect() -> None:
    scene = Scene(addresses=[A, B])
    gone = scene.cluster.members[A]
    scene.update(B)
    for _ in range(5):
        assert not scene.cluster.failed(gone, "refused", scene.now)
    assert not scene.cluster.checked(gone, None, scene.now + 100)
    assert scene.used == [B]


def test_a_check_that_confirms_what_is_known_changes_nothing() -> None:
    scene = Scene(";health=tcp")
    assert scene.check(A, "refused", times=3)
    assert not scene.check(A, "refused")
    assert not scene.check(B, None)
    assert not scene.check(B, "refused")


# Slow start


def test_a_new_member_grows_to_its_share_and_those_of_the_start_have_theirs() -> None:
    scene = Scene(";slow_start=10;weight=8", [A])
    assert scene.cluster.members[A].share == 8
    scene.update(A, B)
    shares = []
    while scene.cluster.look_at < math.inf:
        shares.append(scene.cluster.members[B].share)
        scene.now = scene.cluster.look_at
        scene.cluster.look(scene.now)
    assert shares[0] == pytest.approx(0.8)
    assert shares == sorted(shares)
    assert len(shares) == 20
    assert scene.cluster.members[B].share == 8
    assert scene.now == 110


def test_a_member_that_comes_back_grows_too() -> None:
    scene = Scene(";slow_start=10;health=off", [A, B])
    scene.fail(A)
    scene.now += 2
    assert scene.chosen() == A
    assert scene.cluster.members[A].share == pytest.approx(0.1)


# Properties

STEPS = st.lists(
    st.tuples(st.sampled_from(["fail", "pass", "refute", "drain", "enable", "update", "wait"]), st.integers(0, 3)),
    max_size=60,
)


@given(STEPS, st.sampled_from(["", ";health=off", ";health=tcp", ";max_ejected=0%", ";max_ejected=100%"]))
def test_who_is_chosen_is_used_and_who_is_up_and_wanted_is_used(steps: list[tuple[str, int]], options: str) -> None:
    scene = Scene(options)
    for step, index in steps:
        member = scene.cluster.members.get(ADDRESSES[index])
        if step == "wait":
            scene.now += index
        elif step == "update":
            scene.update(*ADDRESSES[index:], *ADDRESSES[: index // 2])
        elif step in ("drain", "enable"):
            scene.cluster.drain(ADDRESSES[index], step == "drain", scene.now)
        elif member is None:
            continue
        elif step == "fail":
            scene.cluster.failed(member, "refused", scene.now)
        else:
            scene.cluster.checked(member, None if step == "pass" else "refused", scene.now)
        chosen = scene.chosen()
        used = scene.used
        assert (chosen is None) == (not used)
        assert chosen is None or chosen in used
        for each in scene.cluster.members.values():
            if each.is_drained:
                assert each.address not in used
            elif each.health.is_up:
                assert each.address in used
            elif each.health.is_refuted:
                assert each.address not in used


def test_drains_of_members_that_have_left_are_kept_up_to_a_number() -> None:
    scene = Scene(addresses=[A])
    addresses = [parse_target(f"10.0.{number >> 8}.{number & 255}:1") for number in range(MOST_DRAINED + 5)]
    assert scene.cluster.drain(A, True, scene.now)
    for address in addresses:
        assert scene.cluster.drain(address, True, scene.now)
    known = [address for address in addresses if scene.cluster.knows(address)]
    assert known == addresses[6:]
    assert scene.cluster.members[A].is_drained
    scene.update(A, addresses[0], addresses[-1])
    assert [each["drained"] for each in scene.cluster.show()] == [True, False, True]


def many(count: int) -> list[Address]:
    return [parse_target(f"10.0.{number >> 8}.{number & 255}:1") for number in range(count)]


def test_where_very_many_go_down_together_they_are_looked_at_now_and_then_and_none_that_is_down_is_chosen() -> None:
    addresses = many(MANY + 1)
    scene = Scene(";max_ejected=100%;fall=1", addresses=addresses)
    scene.now += PAUSE
    for address in addresses[:5]:
        assert scene.chosen() == address
        scene.fail(address, times=1)
    assert scene.balancer.updates == 2  # at the start, and for the first
    assert scene.cluster.look_at == scene.now + PAUSE
    scene.now += PAUSE
    assert scene.chosen() == addresses[5]
    assert len(scene.balancer.used) == MANY + 1 - 5
    assert scene.cluster.look_at == math.inf


def test_one_of_very_many_that_comes_back_is_used_soon() -> None:
    addresses = many(MANY + 1)
    scene = Scene(";health=tcp;fall=1;rise=1;interval=1", addresses=addresses)
    scene.check(addresses[0], "refused")
    scene.now += 5
    scene.check(addresses[1], "refused")
    scene.check(addresses[0], None)
    assert scene.chosen() == addresses[2]
    scene.now += PAUSE
    assert scene.chosen() == addresses[0]
