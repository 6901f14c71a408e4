"""The slots of a pool while its targets come and go."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.pool_target import PoolTarget, parse_pool_target
from proxymux.core.slot_table import SlotTable
from proxymux.core.slots import Bar, Slot
from proxymux.core.upstream_tls import UpstreamTls

ONE, TWO = (parse_pool_target(f"10.0.0.{number}:1") for number in (1, 2))


def table(*targets: PoolTarget, exclusive: bool = False) -> SlotTable:
    return SlotTable(targets, exclusive)


def opened(slot: Slot) -> Slot:
    slot.note_open(0)
    return slot


def test_numbers_go_on_and_are_used_once() -> None:
    slots = table(ONE, TWO)
    slots.replace([TWO], (), 0)
    slots.replace([TWO, ONE, ONE], (), 0)
    assert [slot.number for slot in slots.slots] == [2, 3, 4]


def test_a_target_with_other_tls_is_another_target() -> None:
    slots = table(ONE)
    slots.replace([replace(ONE, tls=UpstreamTls("a.example"))], (), 0)
    assert [slot.number for slot in slots.slots] == [2]
    assert slots.slots[0].forward.upstream_tls == UpstreamTls("a.example")


def test_only_slots_in_use_are_kept_when_they_retire_and_only_until_they_are_closed() -> None:
    slots = table(ONE, TWO)
    used = opened(slots.slots[1])
    slots.replace([], (), 0)
    assert slots.present == (used,)
    assert used.bars == {Bar.RETIRED}
    slots.closed(used)
    assert len(slots.present) == 0


def test_bars_hold_for_slots_that_are_wanted_again() -> None:
    slots = table(ONE)
    slot = opened(slots.slots[0])
    slots.replace([], (), 0)
    slots.bar(ONE.address, Bar.HELD)
    slots.replace([ONE], [ONE.address], 0)
    assert slots.slots == slots.present == (slot,)
    assert slot.bars == {Bar.HELD, Bar.DOWN}
    slots.lift(ONE.address, Bar.HELD, 0)
    slots.replace([ONE], [TWO.address], 0)
    assert slot.bars == frozenset()
    assert slots.awaited == (slot,)


def test_a_slot_may_be_tried_at_once_when_its_bar_is_lifted() -> None:
    slots = table(ONE)
    [slot] = slots.slots
    slot.note_failure(0, 1.0)
    slots.bar(ONE.address, Bar.DOWN)
    slots.lift(ONE.address, Bar.DOWN, 0.01)
    assert slot.retry_at == 0.01


@given(
    lists=st.lists(st.lists(st.sampled_from([ONE, TWO]), max_size=5), min_size=1),
    used=st.sets(st.integers(1, 12)),
)
def test_there_is_one_slot_for_each_target_and_the_rest_is_in_use(
    lists: list[list[PoolTarget]], used: set[int]
) -> None:
    slots = table()
    for targets in lists:
        slots.replace(targets, (), 0)
        for slot in slots.slots:
            if slot.number in used and not slot.is_open:
                opened(slot)
        assert [slot.pool_target for slot in slots.slots] == targets
        assert all(slot.is_open for slot in slots.retired)
        assert len(set(slots.present)) == len(slots.slots) + len(slots.retired)
        for target in (ONE, TWO):
            retired = [slot for slot in slots.retired if slot.pool_target == target]
            assert not retired or all(slot.is_open for slot in slots.slots if slot.pool_target == target)
