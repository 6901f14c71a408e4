"""Leasing, whatever happens in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxymux.core.leasing import Leasing
from proxymux.core.outcome import Outcome
from proxymux.core.pool_target import PoolTarget
from proxymux.core.reach import PATIENCE
from proxymux.core.slots import DEPTH, Abandon, Close, Dismiss, Give, Open, Order, Slot, Work
from proxymux.core.target import Target, parse_target
from proxymux.core.wheel import ROUNDING

TIMEOUT = 5.0


class Leases(RuleBasedStateMachine):
    """Carries orders out on connections that are only numbers, and keeps books of its own."""

    leasing: Leasing

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        #: Connections that are being opened or are open.
        self.opening: set[Slot] = set()
        self.open: dict[Slot, list[Work]] = {}
        #: Work that waits, in the order in which it is to be given.
        self.queue: list[Work] = []
        self.alone: dict[Slot, Work] = {}
        self.blocked: set[Slot] = set()
        self.held: set[Target] = set()
        self.down: set[Target] = set()
        #: The targets that are wanted, once for each slot.
        self.wanted: list[Target] = []
        #: More targets may come.
        self.is_whole = True
        self.over: set[Work] = set()
        #: When the leasing last had an occasion to decide after time had passed.
        self.last_look = 0.0

    @initialize(
        hosts=st.lists(st.integers(1, 3), max_size=4),
        pipelined=st.booleans(),
        exclusive=st.booleans(),
        limit=st.integers(1, 4),
        is_whole=st.booleans(),
    )
    def begin(self, hosts: list[int], pipelined: bool, exclusive: bool, limit: int, is_whole: bool) -> None:
        self.exclusive = exclusive
        self.pipelined = pipelined and not exclusive
        self.limit = limit
        self.is_whole = is_whole
        self.wanted = [target_of(host) for host in hosts]
        self.leasing = Leasing(
            [PoolTarget(target) for target in self.wanted],
            pipelined=self.pipelined,
            exclusive=exclusive,
            queue_limit=limit,
            queue_timeout=TIMEOUT,
            jitter=lambda: 1.0,
            is_whole=is_whole,
        )

    # What happens

    @rule(alone=st.booleans())
    def submit(self, alone: bool) -> None:
        work = Work(alone=alone or self.exclusive)
        orders = self.leasing.submit(work, self.now)
        if work.is_queued:
            self.queue.append(work)
        self.carry_out(orders, work)
        assert work in self.over or work in self.queue or self.holds(work)

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def withdraw(self, data: Any) -> None:
        work = data.draw(st.sampled_from(self.queue))
        self.queue.remove(work)
        self.over.add(work)
        self.carry_out(self.leasing.withdraw(work, self.now))

    @precondition(lambda self: self.opening)
    @rule(data=st.data(), well=st.booleans())
    def come_to(self, data: Any, well: bool) -> None:
        slot = data.draw(st.sampled_from(sorted(self.opening, key=lambda slot: slot.number)))
        self.opening.discard(slot)
        if not well:
            unlucky = self.alone.pop(slot, None)
            if unlucky is not None and data.draw(st.booleans()):
                self.leasing.again(unlucky, self.now)
                self.queue.insert(0, unlucky)
            elif unlucky is not None:
                self.over.add(unlucky)
            self.carry_out(self.leasing.failed(slot, self.now))
            return
        self.open[slot] = []
        if self.exclusive:
            self.leasing.connected(slot, self.now)
        else:
            self.carry_out(self.leasing.opened(slot, self.now))

    @precondition(lambda self: any(self.open.values()))
    @rule(data=st.data())
    def answer(self, data: Any) -> None:
        slot = data.draw(st.sampled_from([slot for slot, works in self.open.items() if works]))
        self.over.add(self.open[slot].pop(0))
        self.carry_out(self.leasing.release(slot, self.now))

    @precondition(lambda self: any(self.open.values()))
    @rule(data=st.data())
    def follow(self, data: Any) -> None:
        slot = data.draw(st.sampled_from([slot for slot, works in self.open.items() if works]))
        if self.leasing.follow(slot):
            assert self.pipelined
            assert not self.queue
            assert slot not in self.blocked
            assert not self.is_barred(slot)
            self.open[slot].append(Work())

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        slot = data.draw(st.sampled_from(list(self.open)))
        self.over.update(self.open.pop(slot))
        if slot in self.alone:
            self.over.add(self.alone.pop(slot))
        self.blocked.discard(slot)
        self.carry_out(self.leasing.closed(slot, self.now))

    @precondition(lambda self: self.open.keys() - self.alone.keys())
    @rule(data=st.data())
    def block(self, data: Any) -> None:
        slot = data.draw(st.sampled_from([slot for slot in self.open if slot not in self.alone]))
        self.blocked.add(slot)
        self.leasing.blocked(slot)

    @precondition(lambda self: self.open.keys() - self.alone.keys())
    @rule(data=st.data())
    def unblock(self, data: Any) -> None:
        slot = data.draw(st.sampled_from([slot for slot in self.open if slot not in self.alone]))
        self.blocked.discard(slot)
        self.carry_out(self.leasing.unblocked(slot, self.now))

    @rule(host=st.integers(1, 3))
    def hold(self, host: int) -> None:
        target = target_of(host)
        self.held.add(target)
        self.carry_out(self.leasing.hold_target(target, self.now))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        target = data.draw(st.sampled_from(sorted(self.held)))
        self.held.discard(target)
        self.carry_out(self.leasing.release_target(target, self.now))

    @rule(
        hosts=st.lists(st.integers(1, 3), max_size=5),
        down=st.sets(st.integers(1, 3), max_size=2),
        is_whole=st.booleans(),
    )
    def set_targets(self, hosts: list[int], down: set[int], is_whole: bool) -> None:
        self.wanted, self.down, self.is_whole = [*map(target_of, hosts)], {*map(target_of, down)}, is_whole
        targets = [PoolTarget(target) for target in self.wanted]
        self.carry_out(self.leasing.set_targets(targets, self.now, frozenset(self.down), is_whole))

    @rule(host=st.integers(1, 3), is_barred=st.booleans())
    def bar(self, host: int, is_barred: bool) -> None:
        target = target_of(host)
        (self.down.add if is_barred else self.down.discard)(target)
        self.carry_out(self.leasing.bar_target(target, is_barred, self.now))

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 6.0]))
    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(1000):
            look = self.leasing.next_look(self.now)
            if look is None or look > until:
                break
            self.now = max(self.now, look)
            self.carry_out(self.leasing.go_on(self.now))
            self.carry_out(self.leasing.go_on(self.now))
        else:
            raise AssertionError("it has to be looked at again and again")
        self.now = self.last_look = until

    @precondition(lambda self: not self.exclusive)
    @rule()
    def warm_up(self) -> None:
        self.carry_out(self.leasing.start(self.now))

    # Orders

    def carry_out(self, orders: list[Order], comes: Work | None = None) -> None:
        for order in orders:
            if isinstance(order, Open):
                self.opens(order.slot)
            elif isinstance(order, Give):
                self.gives(order.slot, order.work, comes)
            elif isinstance(order, Abandon):
                self.gives_up(order.slot)
            elif isinstance(order, Close):
                self.closes(order.slot)
            else:
                assert isinstance(order, Dismiss)
                self.dismisses(order, comes)

    def opens(self, slot: Slot) -> None:
        assert slot not in self.opening
        assert slot not in self.open
        assert not self.is_barred(slot)
        assert slot.retry_at <= self.now + ROUNDING
        self.opening.add(slot)

    def gives(self, slot: Slot, work: Work, comes: Work | None) -> None:
        assert work not in self.over
        assert not self.holds(work)
        if work is not comes or work in self.queue:
            assert self.queue.pop(0) is work, "not the first that waits"
        else:
            assert not self.queue, "one that came later is given first"
        assert slot not in self.alone
        assert slot not in self.blocked
        assert not self.is_barred(slot)
        if self.exclusive:
            self.opens(slot)
        else:
            assert len(self.open[slot]) < (DEPTH if self.pipelined and not work.alone else 1)
        if work.alone:
            self.alone[slot] = work
        else:
            self.open[slot].append(work)

    def gives_up(self, slot: Slot) -> None:
        assert self.exclusive
        if slot not in self.opening:
            return  # given up by an order that came before
        assert slot.opening_at + PATIENCE <= self.now + ROUNDING
        self.opening.discard(slot)
        unlucky = self.alone.pop(slot)
        self.leasing.again(unlucky, self.now)
        self.queue.insert(0, unlucky)
        self.carry_out(self.leasing.failed(slot, self.now))

    def closes(self, slot: Slot) -> None:
        assert self.is_barred(slot)
        if slot in self.open:
            assert not self.open.pop(slot), "it has work"
            assert slot not in self.alone
            self.blocked.discard(slot)
        else:
            self.opening.remove(slot)
            assert slot.target in self.down or slot not in self.leasing.slots, "it is only held"
        if slot in self.alone:
            unlucky = self.alone.pop(slot)
            self.leasing.again(unlucky, self.now)
            self.queue.insert(0, unlucky)
        self.carry_out(self.leasing.closed(slot, self.now))

    def dismisses(self, order: Dismiss, comes: Work | None) -> None:
        work = order.work
        assert work not in self.over
        assert not self.holds(work)
        self.over.add(work)
        if work in self.queue:
            self.queue.remove(work)
        if order.outcome is Outcome.QUEUE_FULL:
            assert work is comes
            assert len(self.queue) >= self.limit
        elif order.outcome is Outcome.QUEUE_TIMEOUT:
            assert work.queued_at + TIMEOUT <= self.now + ROUNDING
        else:
            assert order.outcome is Outcome.UNREACHABLE
            assert self.is_whole
            awaited = {slot for slot in self.leasing.slots if slot.target not in self.down}
            assert not awaited & (self.open.keys() | self.opening)
            assert not self.held & {slot.target for slot in awaited}
            assert all(slot.retry_at > self.now for slot in awaited)

    def is_barred(self, slot: Slot) -> bool:
        return slot.target in self.held | self.down or slot not in self.leasing.slots

    def holds(self, work: Work) -> bool:
        return work in self.alone.values() or any(work in works for works in self.open.values())

    # What is always so

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "leasing"):
            return
        leasing = self.leasing
        assert leasing.waiting == len(self.queue)
        assert {slot for slot in leasing.present if slot.is_opening} == self.opening
        assert {slot for slot in leasing.present if slot.is_open} == self.open.keys()
        assert {slot for slot in leasing.present if slot.is_taken} == self.alone.keys()
        for slot in leasing.present:
            assert slot.outstanding == len(self.open.get(slot, ())) + (slot in self.alone)
        waiting_alone = sum(work.alone for work in self.queue)
        awaited = [slot for slot in leasing.slots if slot.target not in self.down]
        spare = sum(slot not in self.alone for slot in awaited) - waiting_alone > 1
        assert leasing.spare_alone() == (self.exclusive or spare)

    @invariant()
    def the_slots_are_those_that_are_wanted(self) -> None:
        if not hasattr(self, "leasing"):
            return
        slots = self.leasing.slots
        assert [slot.target for slot in slots] == self.wanted
        numbers = [slot.number for slot in self.leasing.present]
        assert len(set(numbers)) == len(numbers)

    @invariant()
    def a_slot_that_gets_no_work_has_a_connection_only_for_what_it_has(self) -> None:
        """So there are never more connections than slots are wanted, and retired ones still needed."""
        for slot, works in self.open.items():
            assert works or slot in self.alone or not self.is_barred(slot)
        for slot in self.opening:
            assert slot in self.leasing.slots
            assert slot.target not in self.down

    @invariant()
    def nobody_waits_for_an_idle_slot(self) -> None:
        idle = [slot for slot, works in self.open.items() if not works and self.may_have_work(slot)]
        assert not (idle and self.queue)

    @invariant()
    def a_slot_has_several_batches_only_if_no_other_is_near(self) -> None:
        """Work waits for a slot that may be had soon; not for one whose connect is slow."""
        if not self.queue or not self.pipelined or self.queue[0].alone or len(self.queue) >= self.limit:
            return
        takes_more = [slot for slot in self.open if self.may_have_work(slot)]
        near = [slot for slot in self.opening if not self.is_barred(slot)]
        slow = [slot for slot in near if slot.opening_at + PATIENCE <= self.last_look]
        assert not takes_more or len(slow) < len(near)

    def may_have_work(self, slot: Slot) -> bool:
        return slot not in self.alone and slot not in self.blocked and not self.is_barred(slot)

    @invariant()
    def nobody_waits_while_nothing_happens(self) -> None:
        if self.queue:
            assert self.open or self.opening or self.leasing.next_look(self.now) is not None

    def teardown(self) -> None:
        if hasattr(self, "leasing"):
            self.pass_time(1000)
            assert self.leasing.waiting == 0
            assert not self.queue


def target_of(host: int) -> Target:
    return parse_target(f"10.0.0.{host}:1")


Leases.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLeases = Leases.TestCase
