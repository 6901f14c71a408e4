"""Which slots may be opened now, which of them first, and which connects take long: a part of the leasing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxymux.core.slots import STEP, Slot
from proxymux.core.target import Target
from proxymux.core.wheel import ROUNDING

#: Seconds after which a connect is slow: work does not wait for it any longer if another slot can do the work.
PATIENCE: Final = 0.3


class Reach:
    """The connects of a pool's slots: those that may begin, those under way, and what became of the last ones.

    Only the slots that work may wait for count, see :meth:`set_slots`.

    A target is *doubtful* if its last connect failed or was slow.  Slots of other targets are opened before its own,
    and no work waits for it while an open slot could take the work.  One quick connect, and it is so no more.

    Each ``now`` is the current time in the clock's seconds.
    """

    __slots__ = ("_doubtful", "_in_use", "_slots", "_under_way", "unopened")

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        #: The slots that are being opened; the one that began first is first.
        self._under_way: dict[Slot, None] = {}
        self._doubtful: set[Target] = set()
        self.set_slots(slots)

    def set_slots(self, slots: tuple[Slot, ...]) -> None:
        """Take note of the slots that work may wait for from now on."""
        self._slots = slots
        #: Those of them that are open, being opened or taken, and so must not be opened now.
        self._in_use = {slot for slot in slots if slot.is_in_use}
        #: The number of those that are not open.
        self.unopened = sum(not slot.is_open for slot in slots)
        if self._doubtful:
            self._doubtful &= {slot.target for slot in slots}

    # Queries

    def may_open(self, slot: Slot, now: float) -> bool:
        """True if ``slot`` is closed, and neither a backoff nor a bar keeps it so."""
        return slot not in self._in_use and slot.retry_at <= now + ROUNDING and not slot.bars

    def closed_slots(self, now: float) -> list[Slot]:
        """Return the slots that may be opened, those of doubtful targets behind the others."""
        if len(self._in_use) == len(self._slots):
            return []
        closed = [slot for slot in self._slots if self.may_open(slot, now)]
        if self._doubtful:
            closed.sort(key=lambda slot: slot.target in self._doubtful)
        return closed

    def best(self, now: float) -> Slot | None:
        """Return the slot that is to be opened first; None if none may be opened."""
        if self._doubtful:
            return next(iter(self.closed_slots(now)), None)
        return next((slot for slot in self._slots if self.may_open(slot, now)), None)

    def is_near(self, now: float) -> bool:
        """True if a slot of a target without doubts may be opened, or is being opened and not slow."""
        return next(self._without_doubts(now), None) is not None or any(
            not (self._is_slow(slot, now) or slot.bars or slot.target in self._doubtful) for slot in self._under_way
        )

    def count_under_way(self, now: float) -> int:
        """Return the number of slots that are being opened, without the slow ones and those that are barred."""
        return sum(not (self._is_slow(slot, now) or slot.bars) for slot in self._under_way)

    def is_down(self, now: float) -> bool:
        """True if no slot is open, opening, taken or held, and all are within their backoff; or if there are none."""
        # A slot that work may wait for has no bar but a hold.
        return not self._in_use and not any(slot.retry_at <= now + ROUNDING or slot.bars for slot in self._slots)

    def hopeless(self, now: float) -> list[Slot]:
        """Return the slots whose connects are slow, as far as there are closed slots of targets without doubts."""
        if not self._under_way:
            return []
        self.note_slow(now)
        slow = [slot for slot in self._under_way if self._is_slow(slot, now) and slot.is_awaited]
        return [slot for slot, _ in zip(slow, self._without_doubts(now), strict=False)]

    def next_slow(self, now: float) -> float | None:
        """Return the time at which the next connect becomes slow; None if there is none, or no other slot."""
        if len(self._slots) <= 1:
            return None
        first = next((slot for slot in self._under_way if not self._is_slow(slot, now)), None)
        return None if first is None else first.opening_at + PATIENCE

    def next_retry(self, now: float) -> float | None:
        """Return the time at which the next backoff ends; None if there is none."""
        if len(self._in_use) == len(self._slots):
            return None
        return min((slot.retry_at for slot in self._slots if slot.retry_at > now + ROUNDING), default=None)

    # Changes

    def note_slow(self, now: float) -> None:
        """Take note of the targets whose connects have become slow."""
        for slot in self._under_way:
            if not self._is_slow(slot, now):
                break
            if slot.is_awaited:
                self._doubtful.add(slot.target)

    def begin(self, slot: Slot, now: float) -> None:
        """Take note that ``slot`` is being opened."""
        slot.is_opening, slot.opening_at = True, now
        self._in_use.add(slot)
        self._under_way[slot] = None

    def opened(self, slot: Slot, now: float) -> None:
        """Take note that ``slot`` is connected."""
        if not self._is_slow(slot, now):
            self._doubtful.discard(slot.target)
        elif slot.is_awaited:
            self._doubtful.add(slot.target)
        self._under_way.pop(slot, None)
        self.unopened -= slot.is_awaited
        slot.note_open(max((other.rank % STEP for other in self._slots), default=0))

    def failed(self, slot: Slot, now: float, jitter: float) -> None:
        """Take note that ``slot`` could not be connected, and begin its backoff; :meth:`closed` has to follow."""
        if slot.is_awaited:
            self._doubtful.add(slot.target)
        slot.note_failure(now, jitter)

    def closed(self, slot: Slot) -> None:
        """Take note that the connection of ``slot`` is closed, or was not made."""
        self.unopened += slot.is_open and slot.is_awaited
        self._in_use.discard(slot)
        self._under_way.pop(slot, None)
        slot.note_close()

    def _is_slow(self, slot: Slot, now: float) -> bool:
        return slot.opening_at + PATIENCE <= now + ROUNDING

    def _without_doubts(self, now: float) -> Iterator[Slot]:
        return (slot for slot in self._slots if slot.target not in self._doubtful and self.may_open(slot, now))
