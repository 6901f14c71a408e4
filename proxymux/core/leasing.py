"""Leasing: which upstream a client's work gets, who waits for one, and what is opened and given up.

It decides and does nothing: each method returns the orders to carry out, in that order.  A *slot* is one connection
that the operator has allowed, open or not; there are never more connections than slots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from proxymux.core.outcome import Outcome
from proxymux.core.target import Target
from proxymux.core.wheel import ROUNDING

#: Seconds until a slot that could not be opened is tried again, doubled each time up to the last.
FIRST_BACKOFF: Final = 0.05
LAST_BACKOFF: Final = 0.6
#: Batches that one upstream may have outstanding where they are pipelined.
DEPTH: Final = 1024


class Slot:
    """One connection to one target."""

    __slots__ = (
        "failures",
        "is_blocked",
        "is_open",
        "is_opening",
        "is_taken",
        "number",
        "outstanding",
        "retry_at",
        "target",
    )

    def __init__(self, number: int, target: Target) -> None:
        self.number = number
        self.target = target
        self.is_open = False
        self.is_opening = False
        #: One client has it for itself.
        self.is_taken = False
        #: Its connection takes no more for now.
        self.is_blocked = False
        #: Batches that were sent and are not wholly answered.
        self.outstanding = 0
        self.failures = 0
        #: When it may be opened again, after it failed.
        self.retry_at = 0.0

    def __repr__(self) -> str:
        state = "open" if self.is_open else "opening" if self.is_opening else "closed"
        return f"<Slot {self.number} {self.target} {state}, {self.outstanding} outstanding>"


class Work:
    """What waits for an upstream.

    :param alone: it wants one for itself.
    :param sequence: where several are to be given in the order of their sequences, its own.
    """

    __slots__ = ("alone", "is_gone", "is_queued", "queued_at", "sequence")

    def __init__(self, alone: bool = False, sequence: int = 0) -> None:
        self.alone = alone
        self.sequence = sequence
        self.is_gone = False
        self.is_queued = False
        self.queued_at = 0.0


@dataclass(slots=True)
class Give:
    """``work`` has the slot; if that is not open it is to be opened for it."""

    slot: Slot
    work: Any


@dataclass(slots=True)
class Open:
    """Connect the slot; nobody has it yet."""

    slot: Slot


@dataclass(slots=True)
class Dismiss:
    """``work`` gets no upstream."""

    work: Any
    outcome: Outcome
    reason: str


Order = Give | Open | Dismiss


class Leasing:
    """The slots of a service and the work that waits for them.

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
        self._queue: deque[Any] = deque()
        self._gone = 0
        self._taken = 0
        #: Work in the queue that wants a slot for itself.
        self._alone = 0
        #: Slots that are open, being opened or taken.
        self._up: set[Slot] = set()
        #: Open slots without anything outstanding; the one that has rested longest is first.
        self._idle: deque[Slot] = deque()

    @property
    def waiting(self) -> int:
        """How much work waits."""
        return len(self._queue) - self._gone

    def max_wait(self, now: float) -> float:
        """Seconds for which the work that has waited longest has waited."""
        return now - self._queue[0].queued_at if self._queue else 0.0

    # Work

    def grab(self, work: Any, now: float) -> Slot | None:
        """The slot that ``work`` gets at once, if nobody waits and it is open; or else :meth:`submit` it."""
        if self._queue or self._exclusive:
            return None
        slot = self._choose(work, now)
        if slot is not None:
            self._lend(slot, work)
        return slot

    def submit(self, work: Any, now: float) -> list[Order]:
        """There is more work: a :class:`Work`."""
        if not self._queue:
            slot = self._choose(work, now)
            if slot is not None:
                return [self._give(slot, work)]
        if self._is_down(now):
            return [self._unreachable(work)]
        if self.waiting >= self._queue_limit:
            return [Dismiss(work, Outcome.QUEUE_FULL, f"more than {self._queue_limit} wait (--queue-limit)")]
        work.queued_at, work.is_queued = now, True
        self._alone += work.alone
        self._enqueue(work)
        return self._openings(now)

    def _enqueue(self, work: Any) -> None:
        queue = self._queue
        if not queue or work.sequence >= queue[-1].sequence:
            queue.append(work)
        else:
            # It came before what waits now, but something else of its client was in the way: it has waited as long.
            place = next(place for place, other in enumerate(queue) if other.sequence > work.sequence)
            work.queued_at = queue[place].queued_at
            queue.insert(place, work)

    def _dequeue(self) -> Any:
        work = self._queue.popleft()
        work.is_queued = False
        self._alone -= work.alone and not work.is_gone
        return work

    def follow(self, slot: Slot) -> bool:
        """More of a client that has something outstanding on ``slot`` is to be sent there; False if it must wait."""
        if self._queue or not self._takes_more(slot):
            return False
        slot.outstanding += 1
        return True

    def withdraw(self, work: Any) -> None:
        """Work that waits is not wanted any more."""
        if work.is_queued and not work.is_gone:
            work.is_gone = True
            self._gone += 1
            self._alone -= work.alone
            self._drop_gone()
            if self._gone > self._queue_limit:
                self._queue = deque(each for each in self._queue if not each.is_gone)
                self._gone = 0

    def release(self, slot: Slot, now: float) -> list[Order]:
        """A batch on ``slot`` was wholly answered."""
        slot.outstanding -= 1
        self._rest(slot)
        return self.go_on(now) if self._queue else []

    def go_on(self, now: float) -> list[Order]:
        """Give what can be given: something has changed."""
        orders: list[Order] = []
        queue = self._queue
        while queue:
            if self._gone:
                self._drop_gone()
                if not queue:
                    break
            slot = self._choose(queue[0], now)
            if slot is None:
                orders += self._openings(now)
                break
            orders.append(self._give(slot, self._dequeue()))
        return orders

    def expire(self, now: float) -> list[Order]:
        """Dismiss what has waited too long."""
        orders: list[Order] = []
        self._drop_gone()
        while self._queue and self._queue[0].queued_at + self._queue_timeout <= now + ROUNDING:
            reason = f"waited {self._queue_timeout:g} s (--queue-timeout)"
            orders.append(Dismiss(self._dequeue(), Outcome.QUEUE_TIMEOUT, reason))
            self._drop_gone()
        return orders

    def next_look(self, now: float) -> float | None:
        """When time alone changes something, at the earliest; then call :meth:`expire` and :meth:`go_on`."""
        if not self._queue:
            return None
        # What may be tried already is not tried because nobody needs it.
        looks = [slot.retry_at for slot in self.slots if slot.retry_at > now + ROUNDING] if self._is_partly_down else []
        looks.append(self._queue[0].queued_at + self._queue_timeout)
        return min(looks)

    @property
    def _is_partly_down(self) -> bool:
        return len(self._up) < len(self.slots)

    # Slots

    def opened(self, slot: Slot, now: float) -> list[Order]:
        """The connection of a slot is there."""
        slot.is_open, slot.is_opening, slot.failures = True, False, 0
        self._rest(slot)
        return self.go_on(now)

    def connected(self, slot: Slot) -> None:
        """The connection of a slot that a client has for itself is there."""
        slot.is_open, slot.is_opening, slot.failures = True, False, 0

    def failed(self, slot: Slot, now: float) -> list[Order]:
        """A slot could not be opened."""
        backoff = min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(slot.failures, 10))
        slot.failures += 1
        slot.retry_at = now + backoff * self._jitter()
        return self.closed(slot, now)

    def closed(self, slot: Slot, now: float) -> list[Order]:
        """The connection of a slot is gone, and so is what was outstanding on it."""
        if slot in self._idle:
            self._idle.remove(slot)
        if slot.is_taken:
            self._taken -= 1
        self._up.discard(slot)
        slot.is_open = slot.is_opening = slot.is_taken = slot.is_blocked = False
        slot.outstanding = 0
        if not self._is_down(now):
            return self.go_on(now)
        works = [self._dequeue() for _ in range(len(self._queue))]
        self._gone = 0
        return [self._unreachable(work) for work in works if not work.is_gone]

    def blocked(self, slot: Slot) -> None:
        """A slot takes no more for now."""
        slot.is_blocked = True
        if slot in self._idle:
            self._idle.remove(slot)

    def unblocked(self, slot: Slot, now: float) -> list[Order]:
        """A slot that was blocked takes more."""
        if not slot.is_blocked:
            return []
        slot.is_blocked = False
        self._rest(slot)
        return self.go_on(now) if self._queue else []

    def start(self, now: float) -> list[Order]:
        """Open all slots before there is work."""
        return [self._open(slot) for slot in self.slots if self._may_open(slot, now)]

    def spare_alone(self) -> bool:
        """True if a client may have a slot for itself and one is left for the others."""
        return self._exclusive or len(self.slots) - self._taken - self._alone > 1

    def again(self, work: Any, now: float) -> None:
        """The slot that ``work`` was given is about to be closed or to fail, unused: it is next for another."""
        work.is_queued, work.queued_at = True, work.queued_at or now
        self._alone += work.alone
        self._queue.appendleft(work)

    # Choosing

    def _rest(self, slot: Slot) -> None:
        """The slot is idle, if it is."""
        if not (slot.outstanding or slot.is_taken or slot.is_blocked) and slot.is_open:
            self._idle.append(slot)

    def _choose(self, work: Any, now: float) -> Slot | None:
        if self._exclusive:
            return next((slot for slot in self.slots if self._may_open(slot, now)), None)
        if self._idle:
            return self._idle[0]
        if work.alone or not self._pipelined:
            return None
        if self._only is not None:
            return self._only if self._takes_more(self._only) else None
        if self._is_partly_down and any(self._may_open(slot, now) for slot in self.slots):
            return None
        slot = min(self.slots, key=_busyness)
        return slot if self._takes_more(slot) else None

    def _takes_more(self, slot: Slot) -> bool:
        return (
            self._pipelined and slot.is_open and not slot.is_taken and not slot.is_blocked and slot.outstanding < DEPTH
        )

    def _give(self, slot: Slot, work: Any) -> Give:
        self._lend(slot, work)
        return Give(slot, work)

    def _lend(self, slot: Slot, work: Any) -> None:
        if self._idle and self._idle[0] is slot:
            self._idle.popleft()
        slot.outstanding += 1
        if work.alone:
            slot.is_taken = True
            self._up.add(slot)
            slot.is_opening = not slot.is_open
            self._taken += 1

    def _may_open(self, slot: Slot, now: float) -> bool:
        return slot not in self._up and slot.retry_at <= now + ROUNDING

    def _open(self, slot: Slot) -> Open:
        slot.is_opening = True
        self._up.add(slot)
        return Open(slot)

    def _openings(self, now: float) -> list[Order]:
        """Open as many slots as there is work for."""
        if not self._is_partly_down or self._exclusive or not self._queue:
            return []
        wanted = self.waiting - sum(slot.is_opening for slot in self.slots)
        closed = [slot for slot in self.slots if self._may_open(slot, now)]
        return [self._open(slot) for slot in closed[: max(0, wanted)]]

    def _is_down(self, now: float) -> bool:
        """True if no slot is in use and none may be tried yet."""
        return not self._up and not any(slot.retry_at <= now + ROUNDING for slot in self.slots)

    def _unreachable(self, work: Any) -> Dismiss:
        return Dismiss(work, Outcome.UNREACHABLE, "no target can be connected to")

    def _drop_gone(self) -> None:
        while self._queue and self._queue[0].is_gone:
            self._dequeue()
            self._gone -= 1


def _busyness(slot: Slot) -> int:
    return slot.outstanding if slot.is_open and not (slot.is_taken or slot.is_blocked) else DEPTH
