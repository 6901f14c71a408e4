"""Keeps the requests and replies of one client in order: which items wait, and which batches are outstanding."""

from __future__ import annotations

from collections import deque
from typing import Final

from proxymux.core.batch import Batch
from proxymux.core.codecs import Codec
from proxymux.core.pipeline_orders import Follow, Order, Withdraw
from proxymux.core.request_cutter import Answer
from proxymux.core.setup import Change
from proxymux.core.window import Window, split, under_way

#: Bytes of waiting items above which reading from the client pauses.
PLENTY: Final = 1 << 16
#: What an answer that waits counts for beside its bytes: a client can have thousands of them by few bytes.
ANSWER: Final = 100


class Turns:
    """The items of one client in their order: batches, and answers of our own.

    A batch is outstanding from when it is submitted until all its replies have come; replies come in the order of the
    batches.  An answer is sent when nothing is outstanding.  A batch is submitted when nothing is outstanding, or at
    once where batches are pipelined, unless it wants a slot alone, or its setup depends on the reply to the one before.
    A batch that exceeds the client's window waits or is divided.

    :param codec: divides batches.
    :param limit: bytes of replies that the client may have under way.
    """

    __slots__ = ("_codec", "_latest", "_rest", "_waiting_bytes", "claim", "outstanding", "waiting", "window")

    def __init__(self, codec: Codec, limit: int) -> None:
        self._codec = codec
        self.window = Window(limit)
        #: The batch that was last counted in the window, and what was left of the batch that it was divided from.
        self._latest: Batch | None = None
        self._rest: Batch | None = None
        #: Items whose turn has not come.  Other classes only read it.
        self.waiting: deque[Batch | Answer] = deque()
        #: Batches that were submitted, in their order; the first is the one whose replies come next.
        self.outstanding: deque[Batch] = deque()
        #: The batch that wants a slot alone, outstanding or not; further bytes of the client are added to its data.
        self.claim: Batch | None = None
        #: Bytes of the waiting items, without those of the claim.
        self._waiting_bytes = 0

    @property
    def is_empty(self) -> bool:
        """True if no item waits and no batch is outstanding."""
        return not self.outstanding and not self.waiting

    @property
    def is_full(self) -> bool:
        """True if more than :data:`PLENTY` bytes wait, so that reading should pause."""
        return self._waiting_bytes > PLENTY or (self.claim is not None and len(self.claim.data) > PLENTY)

    @property
    def has_requests(self) -> bool:
        """True if batches wait."""
        return any(isinstance(item, Batch) for item in self.waiting)

    def add(self, item: Batch | Answer) -> None:
        """Append an item."""
        self.waiting.append(item)
        if isinstance(item, Answer):
            self._waiting_bytes += ANSWER + len(item.data)
        elif item.alone:
            self.claim = item
        else:
            self._waiting_bytes += len(item.data)

    def next(self, pipelined: bool) -> list[Order]:
        """Remove the items whose turn has come, up to the first batch, and return the orders for them.

        That batch is outstanding from then on.

        :param pipelined: a batch may be submitted while another is outstanding.
        """
        orders: list[Order] = []
        waiting, outstanding = self.waiting, self.outstanding
        while waiting:
            first = waiting[0]
            if isinstance(first, Batch):
                if outstanding and (first.alone or not pipelined or type(outstanding[-1].setup) is Change):
                    break
                if outstanding or first.replies > self.window.most or first is self._rest:
                    part = self._fit(first)
                    if part is None:
                        break
                    first = part
                if first is waiting[0]:
                    waiting.popleft()
                orders.append(Follow(first, outstanding[-1]) if outstanding else first)
                outstanding.append(first)
                if not first.alone:
                    self._waiting_bytes -= len(first.data)
                break
            if outstanding:
                break
            waiting.popleft()
            self._waiting_bytes -= ANSWER + len(first.data)
            if first.data:
                orders.append(first.data)
        return orders

    def take_waiting(self) -> bytes:
        """Remove all that waits, and return the bytes of the batches."""
        data = b"".join([item.data for item in self.waiting if isinstance(item, Batch)])
        self.drop_waiting()
        return data

    def _fit(self, batch: Batch) -> Batch | None:
        """Return as much of ``batch`` as the window has room for; None if it has none."""
        outstanding, window = self.outstanding, self.window
        now = under_way(outstanding)
        if (outstanding[-1] is not self._latest) if outstanding else (batch is not self._rest):
            window.begin(now)  # others have come and gone meanwhile, which were not counted
        room = window.room(now)
        part = batch
        if batch.replies > room:
            head = split(batch, self._codec, room) if room > 0 else None
            if head is None and outstanding:
                return None
            part = head or batch
        self._rest = batch if part is not batch else None
        window.ask(part.replies)
        self._latest = part
        return part

    def put_back(self, batch: Batch) -> None:
        """Make an outstanding batch the first that waits."""
        self.outstanding.remove(batch)
        self.waiting.appendleft(batch)
        self._waiting_bytes += len(batch.data)

    def drop_from(self, batch: Batch) -> list[Order]:
        """Drop ``batch``, which is outstanding and has failed, and all items after it."""
        orders: list[Order] = []
        while (last := self.outstanding.pop()) is not batch:
            orders.append(Withdraw(last))
        self.drop_waiting()
        return orders

    def drop(self, failed: Batch | None = None) -> list[Order]:
        """Drop all items, and return the orders to withdraw the outstanding batches.

        :param failed: an outstanding batch that needs no withdrawal, as it has failed.
        """
        orders: list[Order] = [Withdraw(batch) for batch in self.outstanding if batch is not failed]
        self.outstanding.clear()
        self.drop_waiting()
        return orders

    def drop_waiting(self) -> None:
        """Drop the items that wait."""
        self.waiting.clear()
        self._waiting_bytes = 0
        self.claim = None
