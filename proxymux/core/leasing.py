"""Leasing: decides which slot work gets, which work waits, and which slots are opened.

The methods of :class:`Leasing` take note of a change, and :meth:`Leasing._assign` then decides on the work that waits.
The leasing does no I/O: it returns orders, which :class:`~proxymux.pool.leases.LeasingRunner` carries out in their
order.  There are never more connections than slots.
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
    """The slots of a service and the work that waits for them.

    Each ``now`` is the current time in the clock's seconds; each returned list is orders to carry out in their order.

    :param targets: one for each slot.
    :param pipelined: an upstream may have several batches outstanding.
    :param exclusive: each client takes a slot alone, and opens it itself (Proxy mode).
    :param queue_limit: the most items of work that may wait.
    :param queue_timeout: seconds that work may wait.
    :param jitter: returns a random factor from 0.5 to 1.5 for the backoff, so that slots do not retry all at once.
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
        self._single = self.slots[0] if len(self.slots) == 1 else None
        self._pipelined = pipelined
        self._exclusive = exclusive
        self._queue_limit = queue_limit
        self._queue_timeout = queue_timeout
        self._jitter = jitter
        #: The work that waits; empty if none does.  Other classes only read it.
        self.queue = WorkQueue(queue_limit)
        #: The number of slots that are taken by one client alone.
        self._taken_count = 0
        #: Slots that are open, being opened or taken: those that must not be opened now.
        self._in_use: set[Slot] = set()
        #: Open slots that can take work and have nothing outstanding; the one that has been idle longest is first.
        self._idle: deque[Slot] = deque()

    # Deciding

    def _assign(self, now: float, newest: Work | None = None) -> list[Order]:
        """Decide on the work that waits: give it slots, dismiss it, or open slots for it.

        :param newest: the work that was just queued; it is the one to be dismissed if the queue is over its limit.
        """
        orders: list[Order] = []
        queue = self.queue
        # Give slots to work from the head of the queue, until there is none for the first.
        while queue and (slot := self._choose(queue[0], now)) is not None:
            work = queue.take()
            self._give(slot, work)
            orders.append(Give(slot, work))
        # Dismiss work that has waited too long, all work if no target can be connected to, and work over the limit.
        while queue and queue[0].queued_at + self._queue_timeout <= now + ROUNDING:
            orders.append(
                Dismiss(queue.take(), Outcome.QUEUE_TIMEOUT, f"waited {self._queue_timeout:g} s (--queue-timeout)")
            )
        if not self._in_use and self._is_down(now):
            while queue:
                orders.append(Dismiss(queue.take(), Outcome.UNREACHABLE, "no target can be connected to"))
        if newest is not None and newest.is_queued and queue.waiting > self._queue_limit:
            queue.take_out(newest)
            orders.append(Dismiss(newest, Outcome.QUEUE_FULL, f"more than {self._queue_limit} wait (--queue-limit)"))
        # Open a slot for each item of work that is left, less the slots that are already being opened.
        if len(self._in_use) < len(self.slots) and queue and not self._exclusive:
            wanted = queue.waiting - sum(slot.is_opening for slot in self.slots)
            closed = [slot for slot in self.slots if self._may_open(slot, now)]
            orders += [self._open(slot) for slot in closed[: max(0, wanted)]]
        return orders

    def _choose(self, work: Work, now: float) -> Slot | None:
        """Return the slot that ``work`` gets now, or None if it has to wait."""
        if self._idle:
            return self._idle[0]
        if self._exclusive:
            return next((slot for slot in self.slots if self._may_open(slot, now)), None)
        if work.alone or not self._pipelined:
            return None
        if len(self._in_use) < len(self.slots) and any(self._may_open(slot, now) for slot in self.slots):
            return None  # wait for another slot to be opened, before several batches share one
        slot = self._single or min(self.slots, key=Slot.busyness)
        return slot if slot.busyness() < DEPTH else None

    def _may_open(self, slot: Slot, now: float) -> bool:
        return slot not in self._in_use and slot.retry_at <= now + ROUNDING

    def _is_down(self, now: float) -> bool:
        """True if no slot is open, opening or taken, and all are within their backoff."""
        return not self._in_use and not any(slot.retry_at <= now + ROUNDING for slot in self.slots)

    # Queries

    @property
    def waiting(self) -> int:
        """The number of items of work that wait."""
        return self.queue.waiting

    def max_wait(self, now: float) -> float:
        """Return the seconds that the first work in the queue has waited; 0 if none waits."""
        return now - self.queue[0].queued_at if self.queue else 0.0

    def spare_alone(self) -> bool:
        """True if one client may take a slot alone, as at least one other is left for the rest."""
        return self._exclusive or len(self.slots) - self._taken_count - self.queue.alone > 1

    def next_look(self, now: float) -> float | None:
        """Return the time at which :meth:`go_on` has to be called: when the next work times out or a backoff ends.

        :returns: in the clock's seconds; None if no work waits.
        """
        if not self.queue:
            return None
        look = self.queue[0].queued_at + self._queue_timeout
        if len(self._in_use) < len(self.slots):
            # Backoffs that have ended are left out: their slots stay closed only because no work needs them.
            look = min([look, *(slot.retry_at for slot in self.slots if slot.retry_at > now + ROUNDING)])
        return look

    # Changes: work

    def grab(self, work: Work, now: float) -> Slot | None:
        """Give ``work`` an open slot at once, without making orders.

        This is a short cut for the usual case; it decides as :meth:`submit` would.

        :returns: the slot; None if ``work`` has to be submitted.
        """
        if self.queue or self._exclusive:
            return None
        slot = self._choose(work, now)
        if slot is not None:
            self._give(slot, work)
        return slot

    def submit(self, work: Work, now: float) -> list[Order]:
        """Give ``work`` a slot, or put it in the queue."""
        if not self.queue and (slot := self._choose(work, now)) is not None:
            self._give(slot, work)
            return [Give(slot, work)]
        self.queue.add(work, now)
        return self._assign(now, work)

    def follow(self, slot: Slot) -> bool:
        """Count one more batch on ``slot``, from a client that already has one outstanding there.

        :returns: False if the batch has to wait: other work waits, or the slot takes no more.
        """
        if self.queue or not self._pipelined or slot.busyness() >= DEPTH:
            return False
        slot.outstanding += 1
        return True

    def withdraw(self, work: Work) -> None:
        """Remove ``work`` from the queue; nothing changes if it is not queued."""
        self.queue.withdraw(work)

    def again(self, work: Work, now: float) -> None:
        """Put ``work`` back at the head of the queue, as its slot is about to close or to fail before it was used."""
        self.queue.put_back(work, now)

    # Changes: slots and time

    def start(self, now: float) -> list[Order]:
        """Open all closed slots before there is work (``--warmup``)."""
        return [self._open(slot) for slot in self.slots if self._may_open(slot, now)]

    def release(self, slot: Slot, now: float) -> list[Order]:
        """Take note that a batch on ``slot`` was answered completely."""
        slot.outstanding -= 1
        self._note_idle(slot)
        return self._assign(now) if self.queue else []

    def go_on(self, now: float) -> list[Order]:
        """Take note that time has passed; see :meth:`next_look`."""
        return self._assign(now)

    def opened(self, slot: Slot, now: float) -> list[Order]:
        """Take note that ``slot`` is connected; see :class:`~proxymux.core.slots.Open`."""
        slot.note_open()
        self._note_idle(slot)
        return self._assign(now)

    def connected(self, slot: Slot) -> None:
        """Take note that ``slot``, which a client has taken alone, is connected."""
        slot.note_open()

    def failed(self, slot: Slot, now: float) -> list[Order]:
        """Take note that ``slot`` could not be connected; its backoff begins."""
        slot.note_failure(now, self._jitter())
        return self.closed(slot, now)

    def closed(self, slot: Slot, now: float) -> list[Order]:
        """Take note that the connection of ``slot`` is closed; its outstanding batches are no longer counted."""
        if slot in self._idle:
            self._idle.remove(slot)
        self._taken_count -= slot.is_taken
        self._in_use.discard(slot)
        slot.note_close()
        return self._assign(now)

    def blocked(self, slot: Slot) -> None:
        """Give no work to ``slot`` until :meth:`unblocked` or :meth:`closed`."""
        slot.is_blocked = True
        if slot in self._idle:
            self._idle.remove(slot)

    def unblocked(self, slot: Slot, now: float) -> list[Order]:
        """Give work to ``slot`` again; nothing changes if it is not blocked."""
        if not slot.is_blocked:
            return []
        slot.is_blocked = False
        self._note_idle(slot)
        return self._assign(now)

    # Bookkeeping

    def _give(self, slot: Slot, work: Work) -> None:
        """Count ``work`` on ``slot``, or mark the slot as taken if the work wants it alone."""
        if self._idle and self._idle[0] is slot:
            self._idle.popleft()
        slot.outstanding += 1
        if work.alone:
            slot.is_taken = True
            self._in_use.add(slot)
            slot.is_opening = not slot.is_open
            self._taken_count += 1

    def _note_idle(self, slot: Slot) -> None:
        """Add ``slot`` to the idle ones, if it is open and free."""
        if not (slot.outstanding or slot.is_taken or slot.is_blocked) and slot.is_open:
            self._idle.append(slot)

    def _open(self, slot: Slot) -> Open:
        slot.is_opening = True
        self._in_use.add(slot)
        return Open(slot)
