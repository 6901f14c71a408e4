"""The queue of a leasing: work in the order in which it came, and gaps where some of it was withdrawn."""

from __future__ import annotations

from collections import deque

from proxymux.core.slots import Work


class WorkQueue(deque[Work]):
    """Work that waits for a slot.

    What was withdrawn stays until it would be first, as to look for it takes time: so the first always waits, and the
    queue is empty if nobody does.  Of all else of a deque, only what changes nothing is for others to use.

    :param gaps: how much withdrawn work may be in it before it is swept out.
    """

    __slots__ = ("_gaps", "_gone", "alone")

    def __init__(self, gaps: int) -> None:
        super().__init__()
        self._gaps = gaps
        self._gone = 0
        #: How much of the work wants a slot for itself.
        self.alone = 0

    @property
    def waiting(self) -> int:
        """How much work waits."""
        return len(self) - self._gone

    def add(self, work: Work, now: float) -> None:
        """Work has come; its place is after all of lower sequences."""
        work.queued_at, work.is_queued = now, True
        self.alone += work.alone
        if not self or work.sequence >= self[-1].sequence:
            self.append(work)
        else:
            # It came before what waits now, but something else of its client was in the way: it has waited as long.
            place = next(place for place, other in enumerate(self) if other.sequence > work.sequence)
            work.queued_at = self[place].queued_at
            self.insert(place, work)

    def put_back(self, work: Work, now: float) -> None:
        """Work that was taken out is the first again, and has waited since it waited first, if it did."""
        work.queued_at, work.is_queued = work.queued_at or now, True
        self.alone += work.alone
        self.appendleft(work)

    def take(self) -> Work:
        """Take out the first; there must be one."""
        work = self.popleft()
        work.is_queued = False
        self.alone -= work.alone
        if self._gone:
            self._close_gap()
        return work

    def take_out(self, work: Work) -> None:
        """Take out one that is in the queue, most likely the last."""
        if self[-1] is work:
            self.pop()
        else:
            self.remove(work)
        work.is_queued = False
        self.alone -= work.alone

    def withdraw(self, work: Work) -> None:
        """Work is not wanted any more; what does not wait is left as it is."""
        if not work.is_queued or work.is_gone:
            return
        work.is_gone = True
        self._gone += 1
        self.alone -= work.alone
        self._close_gap()
        if self._gone > self._gaps:
            waits = [each for each in self if not each.is_gone]
            self.clear()
            self.extend(waits)
            self._gone = 0

    def _close_gap(self) -> None:
        """Let go of the withdrawn work that is first, if it is."""
        while self and self[0].is_gone:
            self.popleft().is_queued = False
            self._gone -= 1
