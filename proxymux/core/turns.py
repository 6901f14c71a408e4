"""The order of one client's requests and replies: what waits for its turn, and what is outstanding."""

from __future__ import annotations

from collections import deque
from typing import Final

from proxymux.core.batch import Batch
from proxymux.core.pipeline_orders import Follow, Order, Withdraw
from proxymux.core.request_cutter import Answer

#: Bytes of whole requests that wait before no more are read of a client.
PLENTY: Final = 1 << 16


class Turns:
    """Items of one client in their order: batches, and answers of our own.

    A batch is outstanding from when it is submitted until all its replies have come, which come in the order of the
    batches.  The turn of an answer is when nothing is outstanding, and so is that of a batch where they are not
    pipelined, or that wants a slot alone.
    """

    __slots__ = ("_size", "claim", "outstanding", "waiting")

    def __init__(self) -> None:
        #: For others to look at only.
        self.waiting: deque[Batch | Answer] = deque()
        self.outstanding: deque[Batch] = deque()
        #: The batch that wants a slot alone, outstanding or not; all that its client sends is added to its data.
        self.claim: Batch | None = None
        #: Bytes that wait, without those of the claim.
        self._size = 0

    @property
    def is_over(self) -> bool:
        """True if the client is to get nothing any more."""
        return not self.outstanding and not self.waiting

    @property
    def is_full(self) -> bool:
        """True if more waits than should."""
        return self._size > PLENTY or (self.claim is not None and len(self.claim.data) > PLENTY)

    def add(self, item: Batch | Answer) -> None:
        """An item comes after all others."""
        self.waiting.append(item)
        if isinstance(item, Batch):
            if item.alone:
                self.claim = item
            else:
                self._size += len(item.data)

    def next(self, pipelined: bool) -> list[Order]:
        """The orders for the items whose turn has come, up to the first batch, which is outstanding then.

        :param pipelined: a batch may follow another that is outstanding.
        """
        orders: list[Order] = []
        waiting, outstanding = self.waiting, self.outstanding
        while waiting:
            first = waiting[0]
            if isinstance(first, Batch):
                if outstanding and (first.alone or not pipelined):
                    break
                waiting.popleft()
                orders.append(Follow(first, outstanding[-1]) if outstanding else first)
                outstanding.append(first)
                if not first.alone:
                    self._size -= len(first.data)
                break
            if outstanding:
                break
            waiting.popleft()
            if first.data:
                orders.append(first.data)
        return orders

    def put_back(self, batch: Batch) -> None:
        """An outstanding batch waits again, before all others that do."""
        self.outstanding.remove(batch)
        self.waiting.appendleft(batch)
        self._size += len(batch.data)

    def drop_from(self, batch: Batch) -> list[Order]:
        """Drop an outstanding batch, which has failed, and all that comes after it."""
        orders: list[Order] = []
        while (last := self.outstanding.pop()) is not batch:
            orders.append(Withdraw(last))
        self.drop_waiting()
        return orders

    def drop(self, failed: Batch | None = None) -> list[Order]:
        """Drop all.

        :param failed: outstanding, and nothing more is told of it anyhow.
        """
        orders: list[Order] = [Withdraw(batch) for batch in self.outstanding if batch is not failed]
        self.outstanding.clear()
        self.drop_waiting()
        return orders

    def drop_waiting(self) -> None:
        """Drop all that is not outstanding."""
        self.waiting.clear()
        self._size = 0
        self.claim = None
