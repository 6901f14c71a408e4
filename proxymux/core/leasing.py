"""Leasing: decides which slot work gets, which work waits, and which slots are opened.

The methods of :class:`Leasing` take note of a change, and :meth:`Leasing._assign` then decides on the work that waits.
The leasing does no I/O: it returns orders, which :class:`~proxymux.pool.leases.LeasingRunner` carries out in their
order.  There are never more connections than slots, but for those of slots that are wanted no more and still have work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter
from typing import Final

from proxymux.core.outcome import Outcome
from proxymux.core.pool_target import PoolTarget
from proxymux.core.reach import Reach
from proxymux.core.slot_table import SlotTable
from proxymux.core.slots import BARRED, FULL, GIVEN, STEP, Abandon, Bar, Close, Dismiss, Give, Open, Order, Slot, Work
from proxymux.core.target import Target
from proxymux.core.wheel import ROUNDING
from proxymux.core.work_queue import WorkQueue

_rank: Final = attrgetter("rank")


class Leasing:
    """The slots of a service and the work that waits for them.

    Each ``now`` is the current time in the clock's seconds; each returned list is orders to carry out in their order.

    :param targets: one for each slot.
    :param pipelined: an upstream may have several batches outstanding.
    :param exclusive: each client takes a slot alone, and opens it itself (Proxy mode).
    :param queue_limit: the most items of work that may wait.
    :param queue_timeout: seconds that work may wait.
    :param jitter: returns a random factor from 0.5 to 1.5 for the backoff, so that slots do not retry all at once.
    :param is_whole: these are all targets; else more are to be told of by :meth:`set_targets`, and work waits for them.
    """

    def __init__(
        self,
        targets: Iterable[PoolTarget],
        *,
        pipelined: bool,
        exclusive: bool,
        queue_limit: int,
        queue_timeout: float,
        jitter: Callable[[], float],
        is_whole: bool = True,
    ) -> None:
        self._table = SlotTable(targets, exclusive)
        self._pipelined = pipelined
        self._exclusive = exclusive
        self._queue_limit = queue_limit
        self._queue_timeout = queue_timeout
        self._jitter = jitter
        #: The work that waits; empty if none does.  Other classes only read it.
        self.queue = WorkQueue(queue_limit)
        #: Which slots may be opened.
        self._reach = Reach(())
        #: Open slots that can take work and have nothing outstanding; the one that has been idle longest is first.
        self._idle: deque[Slot] = deque()
        self._is_whole = is_whole
        self._take_slots()

    # Deciding

    def _assign(self, now: float, newest: Work | None = None) -> list[Order]:
        """Decide on the work that waits: give it slots, dismiss it, or open slots for it.

        :param newest: the work that was just queued; it is the one to be dismissed if the queue is over its limit.
        """
        orders: list[Order] = []
        queue = self.queue
        is_piling_up = False
        # Give slots to work from the head of the queue, until there is none for the first.
        while queue and (slot := self._choose(queue[0], now)) is not None:
            work = queue.take()
            is_piling_up = is_piling_up or STEP <= slot.rank < FULL
            self._give(slot, work, now)
            orders.append(Give(slot, work))
        # Dismiss work that has waited too long, all work if no target can be connected to, and work over the limit.
        while queue and queue[0].queued_at + self._queue_timeout <= now + ROUNDING:
            orders.append(
                Dismiss(queue.take(), Outcome.QUEUE_TIMEOUT, f"waited {self._queue_timeout:g} s (--queue-timeout)")
            )
        if self._is_whole and self._reach.is_down(now):
            reason = "no target can be connected to" if self.slots else "there is no target"
            while queue:
                orders.append(Dismiss(queue.take(), Outcome.UNREACHABLE, reason))
        if newest is not None and newest.is_queued and queue.waiting > self._queue_limit:
            queue.take_out(newest)
            orders.append(Dismiss(newest, Outcome.QUEUE_FULL, f"more than {self._queue_limit} wait (--queue-limit)"))
        if self._exclusive:
            orders += [Abandon(slot) for slot in self._reach.hopeless(now)]
        elif self._reach.unopened and (queue or is_piling_up):
            orders += self._open_more(now, is_piling_up)
        return orders

    def _open_more(self, now: float, is_piling_up: bool) -> list[Order]:
        """Open a slot for each item of work that waits, less those that are being opened and not slow.

        :param is_piling_up: a batch was given to a slot that has others: open at least one.
        """
        self._reach.note_slow(now)
        wanted = max(self.queue.waiting - self._reach.count_under_way(now), is_piling_up)
        return [self._open(slot, now) for slot in self._reach.closed_slots(now)[: max(0, wanted)]]

    def _choose(self, work: Work, now: float) -> Slot | None:
        """Return the slot that ``work`` gets now, or None if it has to wait."""
        if self._idle:
            return self._idle[0]
        if self._exclusive:
            return self._reach.best(now)
        if work.alone or not self._is_shared:
            return None
        if self._reach.unopened and self.queue.waiting < self._queue_limit and self._reach.is_near(now):
            return None  # wait until another slot is open, before several batches share one
        slot = self._single or min(self.slots, key=_rank)
        return slot if slot.rank < FULL else None

    # Queries

    @property
    def _is_settled(self) -> bool:
        """True if no slot is to be opened for the work that waits, as all are open."""
        return not self._reach.unopened and not self._exclusive

    @property
    def present(self) -> tuple[Slot, ...]:
        """All slots: those that are wanted, and those that are not and still have a connection."""
        return self._table.present

    @property
    def waiting(self) -> int:
        """The number of items of work that wait."""
        return self.queue.waiting

    def max_wait(self, now: float) -> float:
        """Return the seconds that the first work in the queue has waited; 0 if none waits."""
        return now - self.queue[0].queued_at if self.queue else 0.0

    def spare_alone(self) -> bool:
        """True if one client may take a slot alone, as at least one other is left for the rest."""
        return self._exclusive or self._spare_count - self.queue.alone > 1

    def next_look(self, now: float) -> float | None:
        """Return when :meth:`go_on` has to be called: work times out, a backoff ends, or a connect becomes slow.

        :returns: in the clock's seconds; None if nothing is to be done as time passes.
        """
        looks: list[float | None] = []
        if self._is_settled:
            return self.queue[0].queued_at + self._queue_timeout if self.queue else None
        if self.queue:
            # Backoffs that have ended are left out: their slots stay closed only because no work needs them.
            looks += [self.queue[0].queued_at + self._queue_timeout, self._reach.next_retry(now)]
        if self.queue or self._exclusive:
            looks.append(self._reach.next_slow(now))
        return min((look for look in looks if look is not None), default=None)

    # Changes: work

    def grab(self, work: Work, now: float) -> Slot | None:
        """Give ``work`` an open slot at once, without making orders.

        This is a short cut for the usual case; it decides as :meth:`submit` would.

        :returns: the slot; None if ``work`` has to be submitted.
        """
        if self.queue or self._exclusive:
            return None
        slot = self._choose(work, now)
        if slot is None or (self._reach.unopened and slot.rank >= STEP and self._reach.best(now) is not None):
            return None  # the other slot is to be opened
        self._give(slot, work, now)
        return slot

    def submit(self, work: Work, now: float) -> list[Order]:
        """Give ``work`` a slot, or put it in the queue."""
        if not self.queue and (slot := self._choose(work, now)) is not None:
            is_piling_up = STEP <= slot.rank < FULL
            self._give(slot, work, now)
            more = self._open_more(now, True) if is_piling_up and self._reach.unopened else []
            return [Give(slot, work), *more]
        queue = self.queue
        was_waiting = bool(queue)
        queue.add(work, now)
        if was_waiting and self._is_settled and queue[0] is not work and queue.waiting <= self._queue_limit:
            return []  # the head of the queue waits as before: the usual case where there is a queue
        return self._assign(now, work)

    def follow(self, slot: Slot) -> bool:
        """Count one more batch on ``slot``, from a client that already has one outstanding there.

        :returns: False if the batch has to wait: other work waits, or the slot takes no more.
        """
        if self.queue or not self._pipelined or slot.rank >= FULL:
            return False
        slot.rank += GIVEN
        return True

    def withdraw(self, work: Work, now: float) -> list[Order]:
        """Remove ``work`` from the queue; nothing changes if it is not queued.

        What waited behind work that wanted a slot alone may have one that others use.
        """
        was_in_the_way = work.alone and bool(self.queue) and self.queue[0] is work
        self.queue.withdraw(work)
        return self._assign(now) if was_in_the_way and self.queue else []

    def again(self, work: Work, now: float) -> None:
        """Put ``work`` back at the head of the queue, as its slot is about to close or to fail before it was used."""
        self.queue.put_back(work, now)

    # Changes: slots and time

    def start(self, now: float) -> list[Order]:
        """Open all closed slots before there is work (``--warmup``)."""
        return [self._open(slot, now) for slot in self._reach.closed_slots(now)]

    def release(self, slot: Slot, now: float) -> list[Order]:
        """Take note that a batch on ``slot`` was answered completely."""
        rank = slot.rank = slot.rank - STEP
        if rank < STEP:
            queue = self.queue
            if queue and not (self._pipelined or self._idle or queue[0].alone) and self._is_settled:
                slot.rank += GIVEN
                return [Give(slot, queue.take())]  # as below, in a third of the time: the usual case with a queue
            self._idle.append(slot)
        elif rank >= BARRED and slot.is_to_be_closed:
            return [Close(slot)]
        return self._assign(now) if self.queue else []

    def go_on(self, now: float) -> list[Order]:
        """Take note that time has passed; see :meth:`next_look`."""
        return self._assign(now)

    def opened(self, slot: Slot, now: float) -> list[Order]:
        """Take note that ``slot`` is connected; see :class:`~proxymux.core.slots.Open`."""
        self._reach.opened(slot, now)
        self._note_idle(slot)
        return [Close(slot)] if slot.is_to_be_closed else self._assign(now)

    def connected(self, slot: Slot, now: float) -> None:
        """Take note that ``slot``, which a client has taken alone, is connected."""
        self._reach.opened(slot, now)

    def failed(self, slot: Slot, now: float) -> list[Order]:
        """Take note that ``slot`` could not be connected; its backoff begins."""
        self._reach.failed(slot, now, self._jitter())
        return self.closed(slot, now)

    def closed(self, slot: Slot, now: float) -> list[Order]:
        """Take note that the connection of ``slot`` is closed; its outstanding batches are no longer counted."""
        if slot in self._idle:
            self._idle.remove(slot)
        self._spare_count += slot.is_taken and slot.is_awaited
        self._reach.closed(slot)
        self._table.closed(slot)
        return self._assign(now)

    def blocked(self, slot: Slot) -> None:
        """Give no work to ``slot`` until :meth:`unblocked` or :meth:`closed`."""
        if not slot.is_blocked:
            slot.is_blocked = True
            slot.rank += BARRED
        if slot in self._idle:
            self._idle.remove(slot)

    def unblocked(self, slot: Slot, now: float) -> list[Order]:
        """Give work to ``slot`` again; nothing changes if it is not blocked."""
        if not slot.is_blocked:
            return []
        slot.is_blocked = False
        slot.rank -= BARRED
        self._note_idle(slot)
        return self._assign(now)

    # Changes: targets

    def set_targets(
        self, targets: Sequence[PoolTarget], now: float, down: Collection[Target] = (), is_whole: bool = True
    ) -> list[Order]:
        """Have one slot for each of ``targets``.

        Slots of targets that stay are kept.  Those that are wanted no more get no more work, and are closed as soon as
        what is under way on them has ended.

        :param down: the targets that are down, see :meth:`bar_target`; no others are.
        :param is_whole: these are all targets: without one that can be connected to work is dismissed at once.  Else
            more are to come, and it waits for them.
        """
        self._is_whole = is_whole
        self._table.replace(targets, down, now)
        return self._rearranged(now)

    def bar_target(self, target: Target, is_barred: bool, now: float) -> list[Order]:
        """Give no work to the slots of ``target``, and open none, as long as it is barred; work does not wait for it.

        What is under way on them ends there.  A target that is barred may have no slots yet.
        """
        if is_barred:
            self._table.bar(target, Bar.DOWN)
        else:
            self._table.lift(target, Bar.DOWN, now)
        return self._rearranged(now)

    def hold_target(self, target: Target, now: float) -> list[Order]:
        """Give no work to the slots of ``target``, and open none, until :meth:`release_target`; work waits for them."""
        self._table.bar(target, Bar.HELD)
        return self._rearranged(now)

    def release_target(self, target: Target, now: float) -> list[Order]:
        """Give work to the slots of ``target`` again."""
        self._table.lift(target, Bar.HELD, now)
        return self._rearranged(now)

    def _rearranged(self, now: float) -> list[Order]:
        """Decide anew after slots have come, gone, or been barred: now, or as those that are to be closed are."""
        self._take_slots()
        return [Close(slot) for slot in self.present if slot.is_to_be_closed] or self._assign(now)

    def _take_slots(self) -> None:
        """Make what is derived from the slots, and kept since it is wanted for every batch."""
        #: The slots that are wanted.  Other classes only read them.
        self.slots = self._table.slots
        self._single = self.slots[0] if len(self.slots) == 1 else None
        #: There are slots, and they may have several batches outstanding.
        self._is_shared = self._pipelined and bool(self.slots)
        self._idle = deque(slot for slot in self._idle if slot.rank < STEP)
        awaited = self._table.awaited
        self._reach.set_slots(awaited)
        #: The number of slots that work may wait for and that no client has taken alone.
        self._spare_count = sum(not slot.is_taken for slot in awaited)

    # Bookkeeping

    def _give(self, slot: Slot, work: Work, now: float) -> None:
        """Count ``work`` on ``slot``, or mark the slot as taken if the work wants it alone."""
        if self._idle and self._idle[0] is slot:
            self._idle.popleft()
        slot.rank += GIVEN
        if not work.alone:
            return
        slot.is_taken = True
        slot.rank += BARRED
        self._spare_count -= 1
        if not slot.is_open:
            self._reach.begin(slot, now)

    def _note_idle(self, slot: Slot) -> None:
        """Add ``slot`` to the idle ones, if it is open and free."""
        if slot.rank < STEP:
            self._idle.append(slot)

    def _open(self, slot: Slot, now: float) -> Open:
        self._reach.begin(slot, now)
        return Open(slot)
