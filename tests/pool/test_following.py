"""Which slots a pool is to have as its clusters are."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from zope.interface import implementer

from proxymux.core.pool_target import PoolTarget, parse_pool_target
from proxymux.core.target import ClusterName
from proxymux.pool.following import (
    MAX_SLOTS,
    WHOLE,
    Offer,
    SlotsWanted,
    TargetFollowing,
    WorkerShare,
    down_of,
    share_of_slots,
)

USERS, ORDERS = ClusterName("users"), ClusterName("orders")


def target(number: int) -> PoolTarget:
    return parse_pool_target(f"10.0.0.{number}:1")


def offer(number: int, connections: int = 1, is_usable: bool = True) -> Offer:
    return Offer(target(number), connections, is_usable)


@implementer(ILogObserver)
class Pool:
    """A pool that follows these targets, and notes what it is told and what is logged."""

    def __init__(self, *targets: str, share: WorkerShare = WHOLE) -> None:
        self.told: list[SlotsWanted] = []
        self.lines: list[str] = []
        log = Logger("proxymux", observer=self)
        self.following = TargetFollowing([parse_pool_target(each) for each in targets], self, share, log)
        self.following.start()

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))

    def follow(self, wanted: SlotsWanted) -> None:
        self.told.append(wanted)

    @property
    def targets(self) -> list[str]:
        return [str(each.address) for each in self.told[-1].targets]


def test_targets_that_are_no_clusters_are_there_from_the_beginning() -> None:
    pool = Pool("10.0.0.9:1", "users", "10.0.0.9:1")
    assert pool.following.clusters == (USERS,)
    assert pool.targets == ["10.0.0.9:1", "10.0.0.9:1"]
    assert not pool.told[-1].is_whole


def test_all_is_known_when_every_cluster_has_been_heard_of_even_an_empty_one() -> None:
    pool = Pool("users", "orders")
    pool.following.changed(USERS, [offer(1)])
    assert (pool.targets, pool.told[-1].is_whole) == (["10.0.0.1:1"], False)
    pool.following.changed(ORDERS, [])
    assert (pool.targets, pool.told[-1].is_whole) == (["10.0.0.1:1"], True)


def test_members_come_and_go() -> None:
    pool = Pool("users", "10.0.0.9:1")
    pool.following.changed(USERS, [offer(2), offer(1)])
    assert pool.targets == ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.9:1"]
    pool.following.changed(USERS, [offer(3), offer(2)])
    assert pool.targets == ["10.0.0.2:1", "10.0.0.3:1", "10.0.0.9:1"]
    pool.following.changed(USERS, [])
    assert pool.targets == ["10.0.0.9:1"]


def test_a_cluster_that_is_named_twice_counts_twice() -> None:
    pool = Pool("users", "users")
    pool.following.changed(USERS, [offer(1)])
    assert pool.targets == ["10.0.0.1:1", "10.0.0.1:1"]


def test_the_first_connection_of_each_is_before_the_second_of_any() -> None:
    pool = Pool("users")
    pool.following.changed(USERS, [offer(1, 3), offer(2), offer(3, 2), offer(4, 0)])
    assert pool.targets == [f"10.0.0.{number}:1" for number in (1, 2, 3, 1, 3, 1)]


def test_a_member_that_is_down_keeps_its_slots_and_the_list_is_the_same_object() -> None:
    """By which the pool sees at once that nothing but this has changed."""
    pool = Pool("users")
    pool.following.changed(USERS, [offer(1), offer(2)])
    before = pool.told[-1]
    pool.following.changed(USERS, [offer(1), offer(2, is_usable=False)])
    assert pool.told[-1] == SlotsWanted(before.targets, frozenset({target(2).address}), True)
    assert pool.told[-1].targets is before.targets


def test_what_one_cluster_has_down_another_may_have_up() -> None:
    offers = [offer(1, is_usable=False), offer(1), offer(2, is_usable=False), offer(2, is_usable=False)]
    assert down_of(offers) == {target(2).address}


def test_there_are_no_more_slots_than_there_may_be_and_it_is_told_once() -> None:
    pool = Pool("users")
    many = [offer(1, 3 * MAX_SLOTS), offer(2, 10)]
    for members in (many, [*many, offer(3)]):
        pool.following.changed(USERS, members)
        assert len(pool.targets) == MAX_SLOTS
    assert Counter(pool.targets)["10.0.0.2:1"] == 10
    assert pool.lines == [
        f"the targets may have {3 * MAX_SLOTS + 10} connections, and {MAX_SLOTS} are made; lower connections= of"
        " --cluster"
    ]


def test_workers_divide_the_slots_so_that_each_has_all_targets_that_have_enough() -> None:
    offers = [offer(2, 2), offer(1, 2), offer(3)]
    shares = [share_of_slots(offers, WorkerShare(worker, 2)) for worker in (1, 2)]
    assert shares == [(target(1), target(2), target(3)), (target(1), target(2))]


def test_a_worker_that_would_have_none_has_one_too() -> None:
    assert [share_of_slots([offer(1), offer(2)], WorkerShare(worker, 5)) for worker in (1, 2, 3, 4, 5)] == [
        (target(1),), (target(2),), (target(1),), (target(2),), (target(1),)
    ]  # fmt: skip
    assert share_of_slots([], WorkerShare(1, 2)) == ()


@given(
    offers=st.lists(st.builds(offer, st.integers(1, 9), st.integers(0, 4)), unique_by=lambda each: each.target),
    workers=st.integers(1, 6),
    data=st.data(),
)
def test_workers_have_all_slots_between_them_in_whatever_order_they_learn_of_the_targets(
    offers: list[Offer], workers: int, data: st.DataObject
) -> None:
    found: Counter[PoolTarget] = Counter()
    for worker in range(1, workers + 1):
        found.update(share_of_slots(data.draw(st.permutations(offers)), WorkerShare(worker, workers)))
    wanted = Counter({each.target: each.connections for each in offers if each.connections})
    assert found >= wanted
    assert found.total() == max(wanted.total(), workers if wanted else 0)
