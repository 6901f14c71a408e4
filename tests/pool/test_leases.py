"""What stands between a leasing and whoever carries out its orders, while the slots that are wanted change."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger

from proxymux.core.holding import MOST_HOLDS
from proxymux.core.leasing import Leasing
from proxymux.core.pool_target import PoolTarget, parse_pool_target
from proxymux.core.slots import Dismiss, Slot, Work
from proxymux.core.target import Target
from proxymux.errors import NotHeld
from proxymux.net.timers import Timers
from proxymux.pool.following import SlotsWanted
from proxymux.pool.leases import LeasingRunner

BAD, GOOD, NEW = (parse_pool_target(f"{name}:1") for name in ("bad", "good", "new"))


class Pool:
    """Opens slots and closes them; connecting to what is bad fails at once, and then it is taken to be down."""

    def __init__(self, *, opens_all: bool = False) -> None:
        leasing = Leasing(
            (), pipelined=False, exclusive=False, queue_limit=9, queue_timeout=30, jitter=lambda: 1.0, is_whole=False
        )
        self.clock = Clock()
        self.runner = LeasingRunner(Timers(self.clock, Logger()), leasing, self)
        self.runner.opens_all = opens_all
        #: The targets of the slots that are being opened or are open.
        self.connections: dict[Slot, PoolTarget] = {}
        self.wanted: tuple[PoolTarget, ...] = ()
        self.attempts = 0
        self.dismissed = 0
        #: What is wanted when connecting to what is bad has failed.
        self.then: SlotsWanted | None = None

    def wants(self, *targets: PoolTarget, down: Iterable[Target] = ()) -> None:
        if targets != self.wanted:
            self.wanted = targets
        self.runner.follow(SlotsWanted(self.wanted, frozenset(down), True))

    def give(self, slot: Slot, work: Work) -> None:
        assert slot in self.connections

    def open(self, slot: Slot) -> None:
        assert not slot.bars, "it is not to be opened any more"
        assert slot not in self.connections
        self.connections[slot] = slot.pool_target
        if slot.pool_target == BAD:
            self.attempts += 1
            if self.then is not None:
                self.runner.follow(self.then)
            del self.connections[slot]
            self.runner.carry_out(self.runner.leasing.failed(slot, self.runner.now()))

    def abandon(self, slot: Slot) -> None:
        raise AssertionError

    def close(self, slot: Slot) -> None:
        if self.connections.pop(slot, None) is not None:
            self.runner.returned(slot)

    def dismiss(self, order: Dismiss) -> None:
        self.dismissed += 1

    @property
    def targets(self) -> list[PoolTarget]:
        return list(self.connections.values())


def test_what_is_wanted_while_slots_are_opened_is_done_when_they_are() -> None:
    pool = Pool(opens_all=True)
    pool.wants(BAD, BAD, GOOD)
    assert pool.targets == [], "it has not started"
    pool.then = SlotsWanted((BAD, BAD, NEW), frozenset({BAD.address}), True)
    pool.runner.start()
    assert (pool.targets, pool.attempts) == ([NEW], 2)
    assert {slot.pool_target for slot in pool.runner.leasing.present} == {BAD, NEW}
    pool.runner.stop()


def test_the_last_that_is_wanted_holds() -> None:
    pool = Pool(opens_all=True)
    pool.runner.start()
    pool.then = SlotsWanted((BAD, GOOD), frozenset({BAD.address}), True)
    pool.wants(BAD, GOOD)
    assert (pool.targets, pool.attempts) == ([GOOD], 1)
    pool.wants(BAD, GOOD, down={BAD.address, GOOD.address})
    assert pool.targets == []
    pool.wants(BAD, GOOD, down={BAD.address})
    assert (pool.targets, pool.attempts) == ([GOOD], 1)
    pool.runner.stop()


def test_each_work_waits_for_its_own_time_whoever_waits_before_it() -> None:
    pool = Pool()
    pool.runner.start()
    pool.wants(GOOD)
    pool.runner.submit(Work())
    [slot] = pool.connections
    pool.runner.carry_out(pool.runner.leasing.opened(slot, pool.runner.now()))
    for _ in range(2):
        pool.runner.submit(Work())
        pool.clock.advance(10)
    pool.clock.advance(11)
    assert pool.dismissed == 1
    pool.clock.advance(10)
    assert pool.dismissed == 2
    assert not pool.clock.getDelayedCalls()
    pool.runner.stop()


def test_work_that_waits_learns_when_all_are_down_and_when_there_are_none() -> None:
    pool = Pool()
    pool.runner.start()
    pool.runner.submit(Work())
    assert pool.dismissed == 0
    pool.wants(GOOD, down={GOOD.address})
    assert pool.dismissed == 1
    pool.wants()
    pool.runner.submit(Work())
    assert pool.dismissed == 2
    pool.wants(GOOD)
    pool.runner.submit(Work())
    assert (pool.targets, pool.dismissed) == ([GOOD], 2)
    pool.runner.stop()


def test_nothing_is_done_once_it_is_stopped() -> None:
    pool = Pool(opens_all=True)
    pool.runner.start()
    pool.wants(GOOD)
    pool.runner.stop()
    pool.wants(NEW)
    assert pool.targets == [GOOD]


def test_only_targets_that_are_wanted_can_be_held_and_not_too_many() -> None:
    pool = Pool()
    pool.runner.start()
    members = [parse_pool_target(f"h{number:04}:1") for number in range(MOST_HOLDS + 1)]
    pool.wants(*members)
    with pytest.raises(NotHeld) as caught:
        pool.runner.hold(GOOD.address)
    named = ", ".join(f"h000{number}:1" for number in range(10))
    assert str(caught.value) == f"good:1 is none of the pool's targets: {named} and {MOST_HOLDS - 9} more"
    for member in members[:-1]:
        assert pool.runner.hold(member.address)
    with pytest.raises(NotHeld, match="targets are held already"):
        pool.runner.hold(members[-1].address)
    pool.wants(GOOD)
    assert not pool.runner.hold(members[0].address), "it is held, though it is away"
    assert pool.runner.release(members[0].address)
    assert pool.runner.hold(GOOD.address)
    pool.runner.stop()
