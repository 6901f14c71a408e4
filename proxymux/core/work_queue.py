"""The queue of a leasing: work in its order, with withdrawn work removed lazily."""

from __future__ import annotations

from collections import deque

from proxymux.core.slots import Work


class WorkQueue(deque[Work]):
    """Work that waits for a slot.

    Withdrawn work is only marked, as finding it in the middle takes time, and is removed when it comes to the head.  So
    the head always waits, and the queue is empty if no work waits.  Callers may use the reading methods of the deque,
    and must change the queue by the methods below only.

    :param gone_limit: the most withdrawn items that may be in the queue; one more, and all of them are removed.
    """

    __slots__ = ("_gone_count", "_gone_limit", "alone")

    def __init__(self, gone_limit: int) -> None:
        super().__init__()
        self._gone_limit = gone_limit
        self._gone_count = 0
        #: The number of waiting items that want a slot alone.
        self.alone = 0

    @property
    def waiting(self) -> int:
        """The number of items that wait, without the withdrawn ones."""
        return len(self) - self._gone_count

    def add(self, work: Work, now: float) -> None:
        """Insert ``work`` behind all work whose sequence is not higher."""
        work.queued_at, work.is_queued = now, True
        self.alone += work.alone
        if not self or work.sequence >= self[-1].sequence:
            self.append(work)
        else:
            # The work came before those behind it, but was held back by its client's other batches: so it counts as
            # waiting for as long as they do.
            place = next(place for place, other in enumerate(self) if other.sequence > work.sequence)
            work.queued_at = self[place].queued_at
            self.insert(place, work)

    def put_back(self, work: Work, now: float) -> None:
        """Put ``work``, which was taken out, back at the head.  Its waiting time includes the time before."""
        work.queued_at, work.is_queued = work.queued_at or now, True
        self.alone += work.alone
        self.appendleft(work)

    def take(self) -> Work:
        """Remove and return the head.  The queue must not be empty."""
        work = self.popleft()
        work.is_queued = False
        self.alone -= work.alone
        if self._gone_count:
            self._drop_gone_head()
        return work

    def take_out(self, work: Work) -> None:
        """Remove ``work``, which must be in the queue and is most likely the last."""
        if self[-1] is work:
            self.pop()
        else:
            self.remove(work)
        work.is_queued = False
        self.alone -= work.alone

    def withdraw(self, work: Work) -> None:
        """Mark ``work`` as withdrawn; nothing changes if it is not queued."""
        if not work.is_queued or work.is_gone:
            return
        work.is_gone = True
        self._gone_count += 1
        self.alone -= work.alone
        self._drop_gone_head()
        if self._gone_count > self._gone_limit:
            waits = [each for each in self if not each.is_gone]
            self.clear()
            self.extend(waits)
            self._gone_count = 0

    def _drop_gone_head(self) -> None:
        """Remove withdrawn work from the head."""
        while self and self[0].is_gone:
            self.popleft().is_queued = False
            self._gone_count -= 1
