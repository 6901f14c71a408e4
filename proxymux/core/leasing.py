"""Leasing: which slot a client's work gets, who waits for one, and what is opened and given up.

:meth:`Leasing._assign` decides, at every change; all else here takes note of what has changed.  It does nothing itself:
what it decides are orders to carry out, in their order.  There are never more connections than slots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from proxymux.core.outcome import Outcome
from proxymux.core.slots import DEPTH, Dismiss, Give, Open, Order, Slot, Work
from proxymux.core.target import Target
from proxymux.core.wheel import ROUNDING
from proxymux.core.work_queue import WorkQueue


class Leasing:
    """The slots of a service and the work that waits for them.  All times are in the clock's seconds.

    :param targets: one for each slot.
    :param pipelined: an upstream may have several batches outstanding.
    :param exclusive: every client has an upstream for itself, opened for it (Proxy mode).
    :param queue_limit: work that may wait.
    :param queue_timeout: seconds that it may wait.
    :param jitter: a number from 0.5 to 1.5 at random, so that not all come back at once.
    """

    def __init__(
        self,
        targets: Iterable[Target],
        *,
        pipelined: bool,
        exclusive: bool,
        queue_limit: int,
        queue_timeout: float,
        jitter: Callable[[], float],
    ) -> None:
        self.slots = tuple(Slot(number, target) for number, target in enumerate(targets, 1))
        self._only = self.slots[0] if len(self.slots) == 1 else None
        self._pipelined = pipelined
        self._exclusive = exclusive
        self._queue_limit = queue_limit
        self._queue_timeout = queue_timeout
        self._jitter = jitter
        #: Empty if no work waits; others only look.
        self.queue = WorkQueue(queue_limit)
        #: Slots that clients have for themselves.
        self._taken = 0
        #: Slots that are open, being opened or taken.
        self._up: set[Slot] = set()
        #: Open slots without anything outstanding; the one that has rested longest is first.
        self._idle: deque[Slot] = deque()

    # Deciding

    def _assign(self, now: float, newest: Work | None = None) -> list[Order]:
        """Decide what becomes of all that waits.

        :param newest: the work that has just come, for which there may be no room in the queue.
        """
        orders: list[Order] = []
        queue = self.queue
        # Each in its turn gets a slot, as long as there is one for the first.
        while queue and (slot := self._choose(queue[0], now)) is not None:
            work = queue.take()
            self._lend(slot, work)
            orders.append(Give(slot, work))
        # Nobody waits too long, nor for what is not to come, nor over the limit.
        while queue and queue[0].queued_at + self._queue_timeout <= now + ROUNDING:
            orders.append(
                Dismiss(queue.take(), Outcome.QUEUE_TIMEOUT, f"waited {self._queue_timeout:g} s (--queue-timeout)")
            )
        if not self._up and self._is_down(now):
            while queue:
                orders.append(Dismiss(queue.take(), Outcome.UNREACHABLE, "no target can be connected to"))
        if newest is not None and newest.is_queued and queue.waiting > self._queue_limit:
            queue.take_out(newest)
            orders.append(Dismiss(newest, Outcome.QUEUE_FULL, f"more than {self._queue_limit} wait (--queue-limit)"))
        # As many slots are opened as there is work left that none is being opened for.
        if len(self._up) < len(self.slots) and queue and not self._exclusive:
            wanted = queue.waiting - sum(slot.is_opening for slot in self.slots)
            closed = [slot for slot in self.slots if self._may_open(slot, now)]
            orders += [self._open(slot) for slot in closed[: max(0, wanted)]]
        return orders

    def _choose(self, work: Work, now: float) -> Slot | None:
        """The slot that ``work`` may have now, or None."""
        if self._idle:
            return self._idle[0]
        if self._exclusive:
            return next((slot for slot in self.slots if self._may_open(slot, now)), None)
        if work.alone or not self._pipelined:
            return None
        if len(self._up) < len(self.slots) and any(self._may_open(slot, now) for slot in self.slots):
            return None  # it is opened, before one has more than another
        slot = self._only or min(self.slots, key=Slot.busyness)
        return slot if slot.busyness() < DEPTH else None

    def _may_open(self, slot: Slot, now: float) -> bool:
        return slot not in self._up and slot.retry_at <= now + ROUNDING

    def _is_down(self, now: float) -> bool:
        """True if no slot is in use and none may be tried yet."""
        return not self._up and not any(slot.retry_at <= now + ROUNDING for slot in self.slots)

    # What may be asked

    @property
    def waiting(self) -> int:
        """How much work waits."""
        return self.queue.waiting

    def max_wait(self, now: float) -> float:
        """Seconds for which the work that has waited longest has waited."""
        return now - self.queue[0].queued_at if self.queue else 0.0

    def spare_alone(self) -> bool:
        """True if a client may have a slot for itself and one is left for the others."""
        return self._exclusive or len(self.slots) - self._taken - self.queue.alone > 1

    def next_look(self, now: float) -> float | None:
        """When time alone changes something, at the earliest; then call :meth:`go_on`."""
        if not self.queue:
            return None
        look = self.queue[0].queued_at + self._queue_timeout
        if len(self._up) < len(self.slots):
            # What may be tried already is not tried because nobody needs it.
            look = min([look, *(slot.retry_at for slot in self.slots if slot.retry_at > now + ROUNDING)])
        return look

    # What changes: work

    def grab(self, work: Work, now: float) -> Slot | None:
        """The slot that ``work`` gets at once, if nobody waits and it is open; or else :meth:`submit` it.

        A short cut for most work: what :meth:`_assign` decides where only one waits, without the orders.
        """
        if self.queue or self._exclusive:
            return None
        slot = self._choose(work, now)
        if slot is not None:
            self._lend(slot, work)
        return slot

    def submit(self, work: Work, now: float) -> list[Order]:
        """There is more work."""
        if not self.queue and (slot := self._choose(work, now)) is not None:
            self._lend(slot, work)
            return [Give(slot, work)]
        self.queue.add(work, now)
        return self._assign(now, work)

    def follow(self, slot: Slot) -> bool:
        """More of a client that has something outstanding on ``slot`` is to be sent there; False if it must wait."""
        if self.queue or not self._pipelined or slot.busyness() >= DEPTH:
            return False
        slot.outstanding += 1
        return True

    def withdraw(self, work: Work) -> None:
        """Work that waits is not wanted any more.  What does not wait is left as it is."""
        self.queue.withdraw(work)

    def again(self, work: Work, now: float) -> None:
        """The slot that ``work`` was given is about to be closed or to fail, unused: it is next for another."""
        self.queue.put_back(work, now)

    # What changes: slots and time

    def start(self, now: float) -> list[Order]:
        """Open all slots before there is work."""
        return [self._open(slot) for slot in self.slots if self._may_open(slot, now)]

    def release(self, slot: Slot, now: float) -> list[Order]:
        """A batch on ``slot`` was wholly answered."""
        slot.outstanding -= 1
        self._rest(slot)
        return self._assign(now) if self.queue else []

    def go_on(self, now: float) -> list[Order]:
        """Time has passed."""
        return self._assign(now)

    expire = go_on

    def opened(self, slot: Slot, now: float) -> list[Order]:
        """The connection of a slot is there."""
        slot.note_open()
        self._rest(slot)
        return self._assign(now)

    def connected(self, slot: Slot) -> None:
        """The connection of a slot that a client has for itself is there."""
        slot.note_open()

    def failed(self, slot: Slot, now: float) -> list[Order]:
        """A slot could not be opened."""
        slot.note_failure(now, self._jitter())
        return self.closed(slot, now)

    def closed(self, slot: Slot, now: float) -> list[Order]:
        """The connection of a slot is gone, and so is what was outstanding on it."""
        if slot in self._idle:
            self._idle.remove(slot)
        self._taken -= slot.is_taken
        self._up.discard(slot)
        slot.note_close()
        return self._assign(now)

    def blocked(self, slot: Slot) -> None:
        """A slot takes no more for now."""
        slot.is_blocked = True
        if slot in self._idle:
            self._idle.remove(slot)

    def unblocked(self, slot: Slot, now: float) -> list[Order]:
        """A slot that was blocked takes more; of one that was not, nothing changes."""
        if not slot.is_blocked:
            return []
        slot.is_blocked = False
        self._rest(slot)
        return self._assign(now)

    # Taking note

    def _lend(self, slot: Slot, work: Work) -> None:
        if self._idle and self._idle[0] is slot:
            self._idle.popleft()
        slot.outstanding += 1
        if work.alone:
            slot.is_taken = True
            self._up.add(slot)
            slot.is_opening = not slot.is_open
            self._taken += 1

    def _rest(self, slot: Slot) -> None:
        """The slot is idle, if it is."""
        if not (slot.outstanding or slot.is_taken or slot.is_blocked) and slot.is_open:
            self._idle.append(slot)

    def _open(self, slot: Slot) -> Open:
        slot.is_opening = True
        self._up.add(slot)
        return Open(slot)
