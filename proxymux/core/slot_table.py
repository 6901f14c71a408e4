"""The slots of a pool while its targets come and go: which stay, which retire, which are barred with their target."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from proxymux.core.pool_target import PoolTarget
from proxymux.core.slots import Bar, Slot
from proxymux.core.target import Target


class SlotTable:
    """All slots of a pool, and the targets that are barred.

    A slot that is wanted no more *retires*: it is kept until its connection is closed.  If its target is wanted again
    before that, the slot is, too, so that flapping targets do not get more connections than they may have.

    Each ``now`` is the current time in the clock's seconds.

    :param targets: one for each slot.
    :param exclusive: each slot is for one client alone (Proxy mode).
    """

    __slots__ = ("_barred", "_exclusive", "_last_number", "retired", "slots")

    def __init__(self, targets: Iterable[PoolTarget], exclusive: bool) -> None:
        #: The slots that are wanted, in the order of their targets.  Other classes only read it.
        self.slots: tuple[Slot, ...] = ()
        #: Those that are wanted no more, but still in use; the first that retired is first.  Others only read it.
        self.retired: dict[Slot, None] = {}
        self._barred: dict[Bar, set[Target]] = {Bar.HELD: set(), Bar.DOWN: set()}
        self._exclusive = exclusive
        self._last_number = 0
        self.replace(tuple(targets), (), 0.0)

    @property
    def present(self) -> tuple[Slot, ...]:
        """The slots that are wanted, and the retired ones."""
        return (*self.slots, *self.retired)

    @property
    def awaited(self) -> tuple[Slot, ...]:
        """The slots that work may wait for."""
        return tuple(slot for slot in self.slots if slot.is_awaited)

    def replace(self, targets: Sequence[PoolTarget], down: Collection[Target], now: float) -> None:
        """Have one slot for each of ``targets``; those of others retire.

        Of several slots to one target those stay that are of most use: the open ones, and of equal ones the oldest.
        One that a client has alone, where others share theirs, is of no use to them, and retires first.

        :param down: the targets that are down; no others are.
        """
        found: dict[PoolTarget, list[Slot]] = {}
        for slot in sorted(self.present, key=self._use):
            found.setdefault(slot.pool_target, []).append(slot)
        self.slots = tuple(found[each].pop() if found.get(each) else self._make(each) for each in targets)
        left = [slot for slots in found.values() for slot in slots]
        for slot in left:
            slot.bar(Bar.RETIRED)
        self.retired = dict.fromkeys(slot for slot in left if slot.is_in_use)
        self._barred[Bar.DOWN] = set(down)
        for slot in self.slots:
            slot.lift(Bar.RETIRED, now)
            if slot.target in self._barred[Bar.DOWN]:
                slot.bar(Bar.DOWN)
            else:
                slot.lift(Bar.DOWN, now)

    def bar(self, target: Target, reason: Bar) -> None:
        """Bar all slots of ``target``, also those that it gets later."""
        self._barred[reason].add(target)
        for slot in self.present:
            if slot.target == target:
                slot.bar(reason)

    def lift(self, target: Target, reason: Bar, now: float) -> None:
        """End what :meth:`bar` has begun for this reason."""
        self._barred[reason].discard(target)
        for slot in self.present:
            if slot.target == target:
                slot.lift(reason, now)

    def closed(self, slot: Slot) -> None:
        """Take note that ``slot`` is no longer in use: if it has retired it is gone."""
        self.retired.pop(slot, None)

    def _make(self, target: PoolTarget) -> Slot:
        self._last_number += 1
        slot = Slot(self._last_number, target)
        for reason, targets in self._barred.items():
            if slot.target in targets:
                slot.bar(reason)
        return slot

    def _use(self, slot: Slot) -> tuple[bool, bool, bool, int]:
        """The key by which the slots of most use come last."""
        return self._exclusive or not slot.is_taken, slot.is_open, slot.is_opening, -slot.number
