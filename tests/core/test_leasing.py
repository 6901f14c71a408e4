"""Leasing: which upstream a client's work gets, who waits, and what is opened and given up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from proxymux.core.leasing import Leasing
from proxymux.core.outcome import Outcome
from proxymux.core.pool_target import PoolTarget, parse_pool_target
from proxymux.core.reach import PATIENCE
from proxymux.core.slots import (
    DEPTH,
    FIRST_BACKOFF,
    LAST_BACKOFF,
    Abandon,
    Close,
    Dismiss,
    Give,
    Open,
    Order,
    Slot,
    Work,
)

LIMIT = 3
TIMEOUT = 30.0


def make(
    slots: int = 2,
    *,
    pipelined: bool = False,
    exclusive: bool = False,
    limit: int = LIMIT,
    jitter: Callable[[], float] = lambda: 1.0,
) -> Leasing:
    return Leasing(
        [parse_pool_target(f"10.0.0.{number}:1") for number in range(1, slots + 1)],
        pipelined=pipelined,
        exclusive=exclusive,
        queue_limit=limit,
        queue_timeout=TIMEOUT,
        jitter=jitter,
    )


def given(orders: Iterable[Order]) -> list[tuple[int, Work]]:
    """What was given, by the numbers of the slots; nothing else may have been ordered."""
    orders = list(orders)
    assert all(isinstance(order, Give) for order in orders), orders
    return [(order.slot.number, order.work) for order in orders if isinstance(order, Give)]


def opens(orders: Iterable[Order]) -> list[Slot]:
    orders = list(orders)
    assert all(isinstance(order, Open) for order in orders), orders
    return [order.slot for order in orders if isinstance(order, Open)]


def dismissed(orders: Iterable[Order]) -> list[tuple[Work, Outcome]]:
    orders = list(orders)
    assert all(isinstance(order, Dismiss) for order in orders), orders
    return [(order.work, order.outcome) for order in orders if isinstance(order, Dismiss)]


def up(slots: int = 2, **arguments: Any) -> Leasing:
    """All slots are open and idle."""
    leasing = make(slots, **arguments)
    for slot in opens(leasing.start(0)):
        assert leasing.opened(slot, 0) == []
    return leasing


def filled(slots: int = 2, **arguments: Any) -> Leasing:
    """All slots are open and have one unit outstanding."""
    leasing = up(slots, **arguments)
    for _ in range(slots):
        given(leasing.submit(Work(), 0))
    return leasing


# Giving


def test_work_opens_a_slot_and_gets_it_when_it_is_there() -> None:
    leasing = make()
    work = Work()
    [slot] = opens(leasing.submit(work, 0))
    assert (slot.number, leasing.waiting) == (1, 1)
    assert given(leasing.opened(slot, 1)) == [(1, work)]
    assert (slot.outstanding, leasing.waiting) == (1, 0)


def test_no_more_slots_are_opened_than_work_waits() -> None:
    leasing = make(4)
    assert len(opens(leasing.submit(Work(), 0))) == 1
    assert len(opens(leasing.submit(Work(), 0))) == 1
    assert [slot.is_opening for slot in leasing.slots] == [True, True, False, False]


def test_no_more_slots_are_opened_than_there_are() -> None:
    leasing = make(2, limit=10)
    opened = [slot for _ in range(5) for slot in opens(leasing.submit(Work(), 0))]
    assert [slot.number for slot in opened] == [1, 2]


def test_the_slot_that_has_rested_longest_is_next() -> None:
    leasing = up(3)
    first = given(leasing.submit(Work(), 0))[0][0]
    assert leasing.release(leasing.slots[first - 1], 0) == []
    assert [given(leasing.submit(Work(), 0))[0][0] for _ in range(3)] == [2, 3, 1]


def test_work_is_given_in_the_order_in_which_it_came() -> None:
    leasing = filled()
    works = [Work() for _ in range(LIMIT)]
    for work in works:
        assert leasing.submit(work, 0) == []
    assert given(leasing.release(leasing.slots[1], 0)) == [(2, works[0])]
    assert given(leasing.release(leasing.slots[0], 0)) == [(1, works[1])]
    assert given(leasing.release(leasing.slots[1], 0)) == [(2, works[2])]


def test_work_that_came_before_what_waits_is_put_before_it_and_has_waited_as_long() -> None:
    leasing = filled(1)
    works = {sequence: Work(sequence=sequence) for sequence in (1, 2, 3)}
    for number, sequence in enumerate((1, 3, 2)):
        assert leasing.submit(works[sequence], number) == []
    assert works[2].queued_at == works[3].queued_at == 1
    for sequence in (1, 2, 3):
        assert given(leasing.release(leasing.slots[0], 5)) == [(1, works[sequence])]


def test_work_over_the_limit_is_dismissed_and_what_waits_is_served() -> None:
    leasing = filled(1)
    works = [Work() for _ in range(LIMIT)]
    for work in works:
        assert leasing.submit(work, 0) == []
    [order] = leasing.submit(Work(), 0)
    assert isinstance(order, Dismiss)
    assert order.outcome is Outcome.QUEUE_FULL
    for work in works:
        assert given(leasing.release(leasing.slots[0], 0)) == [(1, work)]
    assert leasing.release(leasing.slots[0], 0) == []
    assert leasing.grab(Work(), 0) is leasing.slots[0]


def test_a_slot_that_is_barred_is_not_passed_on() -> None:
    leasing = filled(1)
    waits = Work()
    leasing.submit(waits, 0)
    assert leasing.hold_target(leasing.slots[0].target, 0) == []
    assert leasing.release(leasing.slots[0], 0) == [Close(leasing.slots[0])]
    assert leasing.waiting == 1


def test_nobody_overtakes_who_waits() -> None:
    leasing = filled()
    waits, comes = Work(alone=True), Work()
    leasing.submit(waits, 0)
    leasing.submit(comes, 0)
    assert given(leasing.release(leasing.slots[0], 0)) == [(1, waits)]


# Pipelining


def test_pipelined_slots_are_all_opened_before_one_has_two() -> None:
    leasing = make(2, pipelined=True)
    [one] = opens(leasing.submit(Work(), 0))
    given(leasing.opened(one, 0))
    [two] = opens(leasing.submit(Work(), 0))
    assert given(leasing.opened(two, 0))[0][0] == 2


def test_pipelined_work_takes_the_least_busy() -> None:
    leasing = up(3, pipelined=True)
    for _ in range(7):
        given(leasing.submit(Work(), 0))
    assert sorted(slot.outstanding for slot in leasing.slots) == [2, 2, 3]
    for slot in leasing.slots[1:]:
        leasing.release(slot, 0)
    busy = {slot.number: slot.outstanding for slot in leasing.slots}
    [(number, _)] = given(leasing.submit(Work(), 0))
    assert busy[number] == min(busy.values())


def test_a_pipelined_slot_takes_no_more_than_the_depth() -> None:
    leasing = up(1, pipelined=True)
    for _ in range(DEPTH):
        given(leasing.submit(Work(), 0))
    work = Work()
    assert leasing.submit(work, 0) == []
    assert given(leasing.release(leasing.slots[0], 0)) == [(1, work)]


def test_more_of_a_client_follows_on_its_slot() -> None:
    leasing = filled(2, pipelined=True)
    assert leasing.follow(leasing.slots[1])
    assert [slot.outstanding for slot in leasing.slots] == [1, 2]


def test_nothing_follows_where_upstreams_are_not_pipelined() -> None:
    leasing = filled()
    assert not leasing.follow(leasing.slots[0])


def test_nothing_follows_before_who_waits() -> None:
    leasing = filled(1, pipelined=True)
    leasing.submit(Work(alone=True), 0)
    assert not leasing.follow(leasing.slots[0])


def test_nothing_follows_on_a_blocked_slot_and_others_use_the_others() -> None:
    leasing = filled(2, pipelined=True)
    blocked = leasing.slots[0]
    leasing.blocked(blocked)
    assert not leasing.follow(blocked)
    assert [given(leasing.submit(Work(), 0))[0][0] for _ in range(3)] == [2, 2, 2]
    assert leasing.unblocked(blocked, 0) == []
    assert given(leasing.submit(Work(), 0))[0][0] == 1


# Blocked slots


def test_a_blocked_slot_is_given_to_nobody_until_it_takes_more() -> None:
    leasing = up(1)
    [slot] = leasing.slots
    leasing.blocked(slot)
    work = Work()
    assert leasing.submit(work, 0) == []
    assert given(leasing.unblocked(slot, 0)) == [(1, work)]


def test_a_slot_that_was_not_blocked_is_not_idle_twice() -> None:
    leasing = up(1)
    leasing.unblocked(leasing.slots[0], 0)
    given(leasing.submit(Work(), 0))
    assert leasing.submit(Work(), 0) == []


# Slots for one alone


@pytest.mark.parametrize("pipelined", [False, True])
def test_work_alone_gets_an_idle_slot_that_nobody_else_gets(pipelined: bool) -> None:
    leasing = up(2, pipelined=pipelined)
    work = Work(alone=True)
    assert given(leasing.submit(work, 0)) == [(1, work)]
    assert leasing.slots[0].is_taken
    assert given(leasing.submit(Work(), 0))[0][0] == 2
    assert not leasing.follow(leasing.slots[0])


def test_pipelined_work_alone_waits_until_a_slot_has_nothing_outstanding() -> None:
    leasing = filled(2, pipelined=True)
    leasing.follow(leasing.slots[0])
    work = Work(alone=True)
    assert leasing.submit(work, 0) == []
    assert leasing.release(leasing.slots[0], 0) == []
    assert given(leasing.release(leasing.slots[0], 0)) == [(1, work)]


def test_one_slot_is_left_for_the_others() -> None:
    leasing = up(2)
    assert leasing.spare_alone()
    leasing.submit(Work(alone=True), 0)
    assert not leasing.spare_alone()
    leasing.closed(leasing.slots[0], 0)
    assert leasing.spare_alone()


def test_work_alone_that_waits_counts_as_well() -> None:
    leasing = make(2)
    work = Work(alone=True)
    leasing.submit(work, 0)
    assert not leasing.spare_alone()
    leasing.withdraw(work, 0)
    assert leasing.spare_alone()


def test_a_single_slot_is_never_spare() -> None:
    assert not up(1).spare_alone()


def test_a_slot_that_one_had_alone_comes_back_as_a_new_connection() -> None:
    leasing = up(1)
    leasing.submit(Work(alone=True), 0)
    work = Work()
    assert leasing.submit(work, 0) == []
    [slot] = opens(leasing.closed(leasing.slots[0], 0))
    assert (slot.is_taken, slot.outstanding) == (False, 0)
    assert given(leasing.opened(slot, 0)) == [(1, work)]


# Queue


def test_work_over_the_limit_is_dismissed() -> None:
    leasing = filled()
    for _ in range(LIMIT):
        leasing.submit(Work(), 0)
    work = Work()
    assert dismissed(leasing.submit(work, 0)) == [(work, Outcome.QUEUE_FULL)]
    assert leasing.waiting == LIMIT


def test_dismissed_work_that_is_withdrawn_leaves_the_count_as_it_is() -> None:
    leasing = filled()
    works = [Work() for _ in range(LIMIT + 2)]
    for work in works:
        leasing.submit(work, 0)
    leasing.go_on(TIMEOUT)
    for work in works:
        leasing.withdraw(work, 0)
    assert leasing.waiting == 0


def test_work_that_waits_too_long_is_dismissed() -> None:
    leasing = filled()
    early, late = Work(), Work()
    leasing.submit(early, 1)
    leasing.submit(late, 2)
    assert leasing.go_on(TIMEOUT) == []
    assert dismissed(leasing.go_on(TIMEOUT + 1)) == [(early, Outcome.QUEUE_TIMEOUT)]
    assert leasing.next_look(TIMEOUT + 1) == TIMEOUT + 2
    assert dismissed(leasing.go_on(TIMEOUT + 2)) == [(late, Outcome.QUEUE_TIMEOUT)]
    assert leasing.next_look(TIMEOUT + 2) is None


def test_what_is_withdrawn_is_never_given() -> None:
    leasing = filled()
    works = [Work() for _ in range(LIMIT)]
    for work in works:
        leasing.submit(work, 0)
    leasing.withdraw(works[1], 0)
    leasing.withdraw(works[1], 0)
    assert leasing.waiting == LIMIT - 1
    leasing.withdraw(works[0], 0)
    assert given(leasing.release(leasing.slots[0], 0)) == [(1, works[2])]
    assert leasing.waiting == 0


def test_what_waits_behind_work_that_wants_a_slot_alone_goes_on_when_that_is_withdrawn() -> None:
    leasing = make(1, pipelined=True)
    first, alone, behind = Work(), Work(alone=True), Work()
    (slot,) = opens(leasing.submit(first, 0))
    assert given(leasing.opened(slot, 0)) == [(1, first)]
    assert [leasing.submit(work, 0) for work in (alone, behind)] == [[], []]
    assert given(leasing.withdraw(alone, 0)) == [(1, behind)]


def test_what_was_withdrawn_does_not_pile_up() -> None:
    leasing = filled()
    leasing.submit(Work(), 0)
    for _ in range(100):
        work = Work()
        leasing.submit(work, 0)
        leasing.withdraw(work, 0)
    assert leasing.waiting == 1
    assert len(leasing.queue) <= 2 * LIMIT


def test_the_longest_wait_is_told() -> None:
    leasing = filled()
    assert leasing.max_wait(5) == 0
    leasing.submit(Work(), 3)
    leasing.submit(Work(), 4)
    assert leasing.max_wait(5) == 2


# Failures


def test_when_the_only_target_fails_all_that_wait_are_told_at_once() -> None:
    leasing = make(1)
    works = [Work() for _ in range(LIMIT)]
    [slot] = [slot for work in works for slot in opens(leasing.submit(work, 0))]
    assert dismissed(leasing.failed(slot, 0)) == [(work, Outcome.UNREACHABLE) for work in works]
    assert (leasing.waiting, leasing.next_look(0)) == (0, None)


def test_while_all_are_down_work_fails_fast() -> None:
    leasing = make(1)
    [slot] = opens(leasing.submit(Work(), 0))
    leasing.failed(slot, 0)
    work = Work()
    assert dismissed(leasing.submit(work, 0.01)) == [(work, Outcome.UNREACHABLE)]
    assert opens(leasing.submit(Work(), FIRST_BACKOFF)) == [slot]


def test_when_one_of_two_fails_the_other_is_opened() -> None:
    leasing = make(2)
    work = Work()
    [one] = opens(leasing.submit(work, 0))
    [two] = opens(leasing.failed(one, 0))
    assert two.number == 2
    assert given(leasing.opened(two, 0)) == [(2, work)]


def test_a_slot_that_failed_is_tried_again_later_and_later_up_to_a_limit() -> None:
    leasing = make(1)
    now, pauses = 0.0, []
    for _ in range(8):
        [slot] = opens(leasing.submit(Work(), now))
        leasing.failed(slot, now)
        pauses.append(slot.retry_at - now)
        now = slot.retry_at
    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.6, 0.6, 0.6, 0.6])
    assert pauses[-1] == pytest.approx(LAST_BACKOFF)


def test_success_forgets_the_failures() -> None:
    leasing = make(1)
    for now in (0, 1):
        [slot] = opens(leasing.submit(Work(), now))
        leasing.failed(slot, now)
    [slot] = opens(leasing.submit(Work(), 2))
    leasing.opened(slot, 2)
    leasing.closed(slot, 2)
    leasing.failed(slot, 3)
    assert slot.retry_at == pytest.approx(3 + FIRST_BACKOFF)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_backoff_has_jitter(factor: float) -> None:
    leasing = make(1, jitter=lambda: factor)
    [slot] = opens(leasing.submit(Work(), 0))
    leasing.failed(slot, 0)
    assert slot.retry_at == pytest.approx(FIRST_BACKOFF * factor)


def test_who_waits_is_looked_at_again_when_a_slot_may_be_tried_again() -> None:
    leasing = make(2)
    for _ in range(2):
        leasing.submit(Work(), 0)
    one, two = leasing.slots
    given(leasing.opened(one, 0))
    leasing.failed(two, 0)
    assert leasing.waiting == 1
    assert leasing.next_look(0) == two.retry_at
    assert leasing.go_on(0) == []
    assert opens(leasing.go_on(two.retry_at)) == [two]


def test_a_slot_that_nobody_needs_is_no_reason_to_look() -> None:
    leasing = up(2)
    leasing.closed(leasing.slots[1], 0)
    leasing.submit(Work(alone=True), 0)
    leasing.submit(Work(alone=True), 0)
    leasing.opened(leasing.slots[1], 0)
    leasing.closed(leasing.slots[0], 0)
    leasing.submit(Work(alone=True), 0)
    leasing.opened(leasing.slots[0], 0)
    leasing.submit(Work(), 0)
    assert leasing.next_look(0) == TIMEOUT


def test_a_slot_that_is_closed_may_be_opened_at_once() -> None:
    leasing = up(1)
    leasing.closed(leasing.slots[0], 5)
    assert len(opens(leasing.submit(Work(), 5))) == 1


def test_an_idle_slot_that_is_closed_is_given_to_nobody() -> None:
    leasing = up(2)
    leasing.closed(leasing.slots[0], 0)
    assert given(leasing.submit(Work(), 0))[0][0] == 2


def test_work_whose_slot_was_of_no_use_is_next_for_another() -> None:
    leasing = filled(2)
    waits, unlucky = Work(), Work()
    leasing.submit(waits, 0)
    leasing.again(unlucky, 1)
    assert leasing.waiting == 2
    [(_, first), *_] = given(leasing.release(leasing.slots[1], 1))
    assert first is unlucky


def test_it_is_not_taken_to_have_waited_for_ever() -> None:
    leasing = filled(1)
    leasing.again(Work(), 1000)
    assert leasing.go_on(1001) == []
    assert leasing.max_wait(1001) == 1


# Slow connects


def test_a_slow_connect_has_another_slot_opened_for_the_work() -> None:
    leasing = make(2)
    work = Work()
    [one] = opens(leasing.submit(work, 0))
    assert leasing.next_look(0) == PATIENCE
    assert leasing.go_on(PATIENCE - 0.01) == []
    [two] = opens(leasing.go_on(PATIENCE))
    assert given(leasing.opened(two, PATIENCE + 0.01)) == [(2, work)]
    assert one.is_opening


def test_once_all_connects_are_slow_there_is_nothing_to_look_for_but_the_queue() -> None:
    leasing = make(2)
    leasing.submit(Work(), 0)
    leasing.go_on(PATIENCE)
    assert leasing.go_on(2 * PATIENCE) == []
    assert leasing.next_look(2 * PATIENCE) == TIMEOUT


def test_a_single_slot_is_not_looked_at_for_its_slow_connect() -> None:
    leasing = make(1)
    leasing.submit(Work(), 0)
    assert leasing.next_look(0) == TIMEOUT


@pytest.mark.parametrize("ending", ["slow", "failed"])
def test_a_target_that_was_of_no_use_is_the_last_to_be_tried(ending: str) -> None:
    leasing = make(3)
    [one] = opens(leasing.submit(Work(), 0))
    if ending == "slow":
        [two] = opens(leasing.go_on(PATIENCE))
        leasing.opened(two, PATIENCE)
        leasing.opened(one, 3)
        leasing.closed(one, 4)
    else:
        [two] = opens(leasing.failed(one, 0))
        leasing.opened(two, 0)
    leasing.closed(two, 4)
    assert [opens(leasing.submit(Work(), 5))[0].number for _ in range(3)] == [2, 3, 1]


def test_a_target_that_was_quick_again_is_as_good_as_any() -> None:
    leasing = make(2)
    [one] = opens(leasing.submit(Work(), 0))
    [two] = opens(leasing.failed(one, 0))
    leasing.opened(two, 0)
    assert opens(leasing.submit(Work(), 1)) == [one]
    leasing.opened(one, 1.1)
    for slot in (one, two):
        leasing.closed(slot, 2)
    assert opens(leasing.submit(Work(), 2)) == [one]


def test_slots_of_a_slow_target_are_opened_after_those_of_others() -> None:
    black, good = parse_pool_target("10.0.0.1:1"), parse_pool_target("10.0.0.2:1")
    leasing = Leasing(
        [black, black, good],
        pipelined=False, exclusive=False, queue_limit=LIMIT, queue_timeout=TIMEOUT, jitter=lambda: 1.0,
    )  # fmt: skip
    leasing.submit(Work(), 0)
    assert [slot.target for slot in opens(leasing.go_on(PATIENCE))] == [good.address]


def test_pipelined_a_slow_connect_keeps_no_work_waiting_that_an_open_slot_could_do() -> None:
    leasing = make(2, pipelined=True)
    works = [Work() for _ in range(3)]
    for work in works:
        leasing.submit(work, 0)
    one, two = leasing.slots
    assert given(leasing.opened(one, 0.1)) == [(1, works[0])]
    assert leasing.next_look(0.1) == PATIENCE
    assert given(leasing.go_on(PATIENCE)) == [(1, works[1]), (1, works[2])]
    assert two.is_opening
    assert leasing.grab(Work(), PATIENCE) is one


def test_pipelined_a_doubtful_slot_is_tried_but_not_waited_for() -> None:
    leasing = up(2, pipelined=True)
    one, two = leasing.slots
    leasing.closed(two, 0)
    leasing.failed(two, 0)
    given(leasing.submit(Work(), 0))
    works = [Work() for _ in range(3)]
    assert leasing.grab(works[0], 0) is one, "it may not be tried yet"
    assert leasing.grab(works[1], 1) is None
    [give, again] = leasing.submit(works[1], 1)
    assert (give, again) == (Give(one, works[1]), Open(two))
    assert leasing.grab(works[2], 1) is one


def test_exclusive_a_client_whose_connect_is_slow_gets_another_target() -> None:
    leasing = make(2, exclusive=True)
    work = Work(alone=True)
    [(number, _)] = given(leasing.submit(work, 0))
    assert (number, leasing.next_look(0)) == (1, PATIENCE)
    [order] = leasing.go_on(PATIENCE)
    assert order == Abandon(leasing.slots[0])
    leasing.again(work, PATIENCE)
    assert given(leasing.failed(leasing.slots[0], PATIENCE)) == [(2, work)]
    leasing.connected(leasing.slots[1], PATIENCE)
    assert leasing.next_look(PATIENCE) is None
    assert given(leasing.closed(leasing.slots[1], 2)) == []
    assert given(leasing.submit(Work(alone=True), 3))[0][0] == 2, "the slow one is the last to be tried"


def test_exclusive_a_slow_connect_goes_on_where_no_other_is_better() -> None:
    target = parse_pool_target("10.0.0.1:1")
    leasing = Leasing(
        [target, target],
        pipelined=False, exclusive=True, queue_limit=LIMIT, queue_timeout=TIMEOUT, jitter=lambda: 1.0,
    )  # fmt: skip
    given(leasing.submit(Work(alone=True), 0))
    assert leasing.go_on(PATIENCE) == []
    assert leasing.next_look(PATIENCE) is None


# Spreading


def test_pipelined_work_that_waits_for_the_first_slots_is_spread_over_them() -> None:
    leasing = make(2, pipelined=True, limit=10)
    for _ in range(6):
        leasing.submit(Work(), 0)
    one, two = leasing.slots
    assert len(given(leasing.opened(one, 0))) == 1
    assert len(given(leasing.opened(two, 0))) == 5
    assert (one.outstanding, two.outstanding) == (3, 3)


def test_pipelined_work_is_not_refused_for_the_sake_of_a_slot_that_is_being_opened() -> None:
    leasing = make(2, pipelined=True, limit=LIMIT)
    leasing.submit(Work(), 0)
    leasing.opened(leasing.slots[0], 0)
    for _ in range(LIMIT):
        leasing.submit(Work(), 0)
    given(leasing.submit(Work(), 0))
    assert leasing.slots[1].is_opening


def test_equally_busy_slots_take_turns() -> None:
    leasing = filled(3, pipelined=True)
    got = []
    for _ in range(6):
        [(number, _)] = given(leasing.submit(Work(), 0))
        leasing.release(leasing.slots[number - 1], 0)
        got.append(number)
    assert got == [1, 2, 3, 1, 2, 3]


# Proxy mode


def test_exclusive_every_client_has_a_slot_and_the_next_waits_for_one() -> None:
    leasing = make(2, exclusive=True)
    works = [Work(alone=True) for _ in range(3)]
    assert given(leasing.submit(works[0], 0)) == [(1, works[0])]
    assert given(leasing.submit(works[1], 0)) == [(2, works[1])]
    assert leasing.submit(works[2], 0) == []
    leasing.connected(leasing.slots[0], 0)
    assert given(leasing.closed(leasing.slots[0], 1)) == [(1, works[2])]


def test_exclusive_slots_are_opened_for_their_clients_only() -> None:
    leasing = make(2, exclusive=True)
    [(number, _)] = given(leasing.submit(Work(alone=True), 0))
    slot = leasing.slots[number - 1]
    assert (slot.is_opening, slot.is_open) == (True, False)
    leasing.connected(slot, 0)
    assert (slot.is_opening, slot.is_open) == (False, True)


def test_exclusive_a_client_whose_target_is_down_gets_another() -> None:
    leasing = make(2, exclusive=True)
    work = Work(alone=True)
    [(number, _)] = given(leasing.submit(work, 0))
    leasing.again(work, 0)
    assert given(leasing.failed(leasing.slots[number - 1], 0)) == [(2, work)]


def test_exclusive_when_all_are_down_clients_fail_fast() -> None:
    leasing = make(2, exclusive=True)
    work = Work(alone=True)
    leasing.submit(work, 0)
    leasing.again(work, 0)
    leasing.failed(leasing.slots[0], 0)
    leasing.again(work, 0)
    assert dismissed(leasing.failed(leasing.slots[1], 0)) == [(work, Outcome.UNREACHABLE)]
    other = Work(alone=True)
    assert dismissed(leasing.submit(other, 0)) == [(other, Outcome.UNREACHABLE)]


def test_exclusive_who_waits_gets_a_target_that_has_come_back() -> None:
    leasing = make(2, exclusive=True)
    works = [Work(alone=True) for _ in range(2)]
    leasing.submit(works[0], 0)
    leasing.connected(leasing.slots[0], 0)
    leasing.submit(works[1], 0)
    leasing.again(works[1], 0)
    assert leasing.failed(leasing.slots[1], 0) == []
    look = leasing.next_look(0)
    assert look == leasing.slots[1].retry_at
    assert given(leasing.go_on(look)) == [(2, works[1])]


# Holds


def test_held_slots_get_no_work_and_are_not_opened_while_others_are() -> None:
    leasing = up(2)
    one, two = leasing.slots
    assert leasing.hold_target(one.target, 0) == [Close(one)]
    assert given(leasing.submit(Work(), 0))[0][0] == 2
    waiting = Work()
    assert leasing.submit(waiting, 0) == []
    assert leasing.closed(one, 0) == []
    assert given(leasing.release(two, 0)) == [(2, waiting)]


def test_work_for_held_slots_waits_within_the_limits_and_goes_on_when_they_are_released() -> None:
    leasing = make(1)
    [slot] = leasing.slots
    assert leasing.hold_target(slot.target, 0) == []
    works = [Work() for _ in range(LIMIT)]
    assert [leasing.submit(work, number) for number, work in enumerate(works)] == [[], [], []]
    extra = Work()
    assert dismissed(leasing.submit(extra, 5)) == [(extra, Outcome.QUEUE_FULL)]
    assert dismissed(leasing.go_on(TIMEOUT)) == [(works[0], Outcome.QUEUE_TIMEOUT)]
    assert opens(leasing.release_target(slot.target, TIMEOUT)) == [slot]
    assert given(leasing.opened(slot, TIMEOUT)) == [(1, works[1])]


def test_a_held_target_is_not_down_and_is_tried_at_once_when_it_is_released() -> None:
    leasing = make(1)
    [slot] = leasing.slots
    work = Work()
    assert opens(leasing.submit(work, 0)) == [slot]
    assert leasing.hold_target(slot.target, 0) == []
    assert leasing.failed(slot, 0) == []
    assert leasing.waiting == 1
    assert opens(leasing.release_target(slot.target, FIRST_BACKOFF / 10)) == [slot]


def test_a_held_slot_finishes_what_it_has_is_closed_and_opened_again_when_it_is_released() -> None:
    leasing = filled(1)
    [slot] = leasing.slots
    leasing.hold_target(slot.target, 0)
    assert not leasing.follow(slot)
    waiting = Work()
    assert leasing.submit(waiting, 0) == []
    assert leasing.release(slot, 0) == [Close(slot)]
    assert leasing.closed(slot, 0) == []
    assert opens(leasing.release_target(slot.target, 0)) == [slot]
    assert given(leasing.opened(slot, 0)) == [(1, waiting)]


def test_a_held_slot_that_is_being_opened_is_closed_when_it_is_there() -> None:
    leasing = make(1)
    [slot] = opens(leasing.submit(Work(), 0))
    assert leasing.hold_target(slot.target, 0) == []
    assert leasing.opened(slot, 0) == [Close(slot)]
    assert leasing.closed(slot, 0) == []
    assert leasing.waiting == 1


# Targets that come and go


def targets(*numbers: int) -> list[PoolTarget]:
    return [parse_pool_target(f"10.0.0.{number}:1") for number in numbers]


def numbers_of(slots: Iterable[Slot]) -> list[int]:
    return [slot.number for slot in slots]


def test_slots_of_targets_that_stay_are_kept_with_their_connections() -> None:
    leasing = up(2)
    one, two = leasing.slots
    assert leasing.set_targets(targets(2, 3, 1), 0) == []
    assert [str(slot.target) for slot in leasing.slots] == ["10.0.0.2:1", "10.0.0.3:1", "10.0.0.1:1"]
    assert (leasing.slots[0], leasing.slots[2]) == (two, one)
    assert numbers_of(leasing.slots) == [2, 3, 1]
    assert [given(leasing.submit(Work(), 0))[0][0] for _ in range(2)] == [1, 2]


def test_a_new_slot_is_opened_for_work_that_waits() -> None:
    leasing = filled(1)
    work = Work()
    assert leasing.submit(work, 0) == []
    [new] = opens(leasing.set_targets(targets(1, 1), 1))
    assert (new.number, new.target) == (2, leasing.slots[0].target)
    assert given(leasing.opened(new, 1)) == [(2, work)]


def test_idle_slots_that_are_wanted_no_more_are_closed_and_then_gone() -> None:
    leasing = up(2)
    one, two = leasing.slots
    assert leasing.set_targets(targets(1), 0) == [Close(two)]
    assert numbers_of(leasing.present) == [1, 2]
    assert leasing.closed(two, 0) == []
    assert leasing.present == (one,)


def test_a_busy_slot_that_is_wanted_no_more_is_closed_when_its_work_is_done() -> None:
    leasing = filled(2, pipelined=True)
    one, two = leasing.slots
    assert leasing.follow(two)
    assert leasing.set_targets(targets(1), 0) == []
    assert not leasing.follow(two)
    assert [given(leasing.submit(Work(), 0))[0][0] for _ in range(3)] == [1, 1, 1]
    assert leasing.release(two, 0) == []
    assert leasing.release(two, 0) == [Close(two)]
    leasing.closed(two, 0)
    assert leasing.present == (one,)


def test_a_slot_that_was_never_open_is_gone_at_once() -> None:
    leasing = make(3)
    assert leasing.set_targets(targets(2), 0) == []
    assert numbers_of(leasing.present) == [2]


def test_a_slot_that_is_being_opened_for_a_target_that_is_gone_is_given_up_and_another_is_opened() -> None:
    leasing = make(1)
    work = Work()
    [one] = opens(leasing.submit(work, 0))
    assert leasing.set_targets(targets(2), 0) == [Close(one)]
    [two] = opens(leasing.closed(one, 0))
    assert (two.number, leasing.present) == (2, (two,))
    assert given(leasing.opened(two, 0)) == [(2, work)]


def test_a_slot_that_one_has_alone_stays_until_he_leaves_though_it_is_wanted_no_more() -> None:
    leasing = up(2)
    given(leasing.submit(Work(alone=True), 0))
    one, two = leasing.slots
    assert leasing.set_targets(targets(2), 0) == []
    assert list(leasing.present) == [two, one]
    assert not leasing.spare_alone(), "the one that is left is for all"
    leasing.closed(one, 0)
    assert leasing.present == (two,)


def test_a_target_that_is_wanted_again_has_its_slot_back() -> None:
    leasing = filled(1)
    [slot] = leasing.slots
    leasing.set_targets([], 0)
    assert leasing.set_targets(targets(1), 0) == []
    assert leasing.slots == leasing.present == (slot,)
    assert leasing.release(slot, 0) == []
    assert given(leasing.submit(Work(), 0))[0][0] == 1


def test_of_several_slots_those_stay_that_are_of_most_use() -> None:
    leasing = make(1)
    leasing.set_targets(targets(1, 1, 1, 1), 0)
    taken, busy, opening, closed = leasing.slots
    for work in (Work(alone=True), Work(), Work()):
        leasing.submit(work, 0)
    leasing.opened(taken, 0)
    leasing.opened(busy, 0)
    assert (opening.is_opening, closed.is_opening) == (True, False)
    for stay in ((closed, busy, opening), (busy, opening), (busy,)):
        orders = leasing.set_targets(targets(*(1 for _ in stay)), 0)
        assert set(leasing.slots) == set(stay)
        if orders:
            assert orders == [Close(opening)]
            leasing.closed(opening, 0)
    assert leasing.present == (busy, taken)


def test_exclusive_of_several_slots_those_stay_that_clients_have() -> None:
    leasing = make(1, exclusive=True)
    leasing.set_targets(targets(1, 1, 1), 0)
    one, two, three = leasing.slots
    for slot in (one, two):
        leasing.submit(Work(alone=True), 0)
        leasing.connected(slot, 0)
    leasing.submit(Work(alone=True), 0)
    leasing.closed(one, 0)
    assert leasing.set_targets(targets(1, 1), 0) == []
    assert leasing.present == (two, three)
    waits = Work(alone=True)
    assert leasing.submit(waits, 0) == []
    assert leasing.set_targets(targets(1), 0) == [Close(three)]


def test_with_no_target_work_fails_fast_unless_targets_are_still_to_come() -> None:
    leasing = up(1)
    [slot] = leasing.slots
    assert leasing.set_targets([], 0) == [Close(slot)]
    assert leasing.closed(slot, 0) == []
    work = Work()
    assert leasing.submit(work, 0) == [Dismiss(work, Outcome.UNREACHABLE, "there is no target")]
    assert leasing.set_targets([], 0, is_whole=False) == []
    assert leasing.submit(work, 1) == []
    assert leasing.next_look(1) == 1 + TIMEOUT
    assert dismissed(leasing.go_on(1 + TIMEOUT)) == [(work, Outcome.QUEUE_TIMEOUT)]


@pytest.mark.parametrize("pipelined", [False, True])
def test_work_waits_for_the_first_targets_and_is_dismissed_if_there_are_none(pipelined: bool) -> None:
    for numbers in ((1,), ()):
        leasing = Leasing(
            [], pipelined=pipelined, exclusive=False, queue_limit=LIMIT, queue_timeout=TIMEOUT, jitter=lambda: 1.0,
            is_whole=False,
        )  # fmt: skip
        work = Work()
        assert leasing.grab(work, 0) is None
        assert leasing.submit(work, 0) == []
        orders = leasing.set_targets(targets(*numbers), 1)
        if numbers:
            [slot] = opens(orders)
            assert given(leasing.opened(slot, 1)) == [(1, work)]
        else:
            assert dismissed(orders) == [(work, Outcome.UNREACHABLE)]


def test_a_target_that_cannot_be_connected_to_is_not_all_as_long_as_more_are_to_come() -> None:
    leasing = make(1)
    leasing.set_targets(targets(1), 0, is_whole=False)
    work = Work()
    [one] = opens(leasing.submit(work, 0))
    assert leasing.failed(one, 0) == []
    [two] = opens(leasing.set_targets(targets(1, 2), 0))
    assert given(leasing.opened(two, 0)) == [(2, work)]


def test_exclusive_a_client_whose_target_goes_while_it_is_connected_gets_another() -> None:
    leasing = make(1, exclusive=True)
    work = Work(alone=True)
    given(leasing.submit(work, 0))
    [one] = leasing.slots
    assert leasing.set_targets(targets(2), 0) == [Close(one)]
    leasing.again(work, 0)
    assert given(leasing.closed(one, 0)) == [(2, work)]


# Targets that are down


def test_slots_of_a_target_that_is_down_get_no_work_and_nobody_waits_for_them() -> None:
    leasing = up(2)
    one, two = leasing.slots
    assert leasing.bar_target(one.target, True, 0) == [Close(one)]
    assert leasing.closed(one, 0) == []
    assert given(leasing.submit(Work(), 0)) != []
    waiting, later = Work(), Work()
    assert leasing.submit(waiting, 0) == [], "the other can be had soon"
    assert dismissed(leasing.bar_target(two.target, True, 0)) == [(waiting, Outcome.UNREACHABLE)]
    assert dismissed(leasing.submit(later, 0)) == [(later, Outcome.UNREACHABLE)]
    assert leasing.release(two, 0) == [Close(two)]
    leasing.closed(two, 0)
    again = Work()
    assert leasing.bar_target(one.target, False, 0) == []
    assert opens(leasing.submit(again, 0)) == [one]


def test_targets_may_be_down_as_they_come_and_up_again_later() -> None:
    leasing = make(1)
    leasing.set_targets(targets(1, 2), 0, down={target.address for target in targets(1)})
    [two] = opens(leasing.submit(Work(), 0))
    assert two.number == 2
    assert leasing.submit(Work(), 0) == []
    [one] = opens(leasing.set_targets(targets(1, 2), 0))
    assert one.number == 1


def test_a_bar_holds_for_the_slots_that_the_target_gets_later() -> None:
    leasing = make(1)
    [one] = targets(1)
    leasing.hold_target(one.address, 0)
    leasing.set_targets([one, one], 0)
    assert leasing.submit(Work(), 0) == []
    assert numbers_of(opens(leasing.release_target(one.address, 0))) == [1]


def test_a_target_that_is_held_and_down_needs_both_to_end() -> None:
    leasing = make(1)
    [slot] = leasing.slots
    work = Work()
    leasing.hold_target(slot.target, 0)
    assert leasing.submit(work, 0) == []
    assert dismissed(leasing.bar_target(slot.target, True, 0)) == [(work, Outcome.UNREACHABLE)]
    leasing.bar_target(slot.target, False, 0)
    assert leasing.submit(Work(), 0) == []
    assert opens(leasing.release_target(slot.target, 0)) == [slot]


def test_a_slot_that_is_down_is_not_spare() -> None:
    leasing = make(2)
    assert leasing.spare_alone()
    leasing.bar_target(leasing.slots[0].target, True, 0)
    assert not leasing.spare_alone()


def test_exclusive_clients_keep_what_they_have_when_their_target_goes_down() -> None:
    leasing = make(2, exclusive=True)
    one, two = leasing.slots
    given(leasing.submit(Work(alone=True), 0))
    leasing.connected(one, 0)
    connecting, comes = Work(alone=True), Work(alone=True)
    given(leasing.submit(connecting, 0))
    assert leasing.bar_target(one.target, True, 0) == []
    assert leasing.bar_target(two.target, True, 0) == [Close(two)]
    leasing.again(connecting, 0)
    assert dismissed(leasing.closed(two, 0)) == [(connecting, Outcome.UNREACHABLE)]
    assert dismissed(leasing.submit(comes, 0)) == [(comes, Outcome.UNREACHABLE)]
    assert (one.is_open, one.is_taken) == (True, True)
