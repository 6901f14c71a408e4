"""The order of one client's replies, wherever its requests were answered."""

from __future__ import annotations

from collections import deque
from typing import Final

from proxymux.core.batch import Batch
from proxymux.core.codecs.view import SplitRequest
from proxymux.core.request_cutter import Answer
from proxymux.core.woven import Woven

#: In the place of a number of bytes: the client has them.
SENT: Final = -1
#: What has a place among the replies: a batch, a request that was split, an answer of our own.
Entry = Batch | SplitRequest | Answer | Woven


class ReplyOrder:
    """What is due to one client, in the order of its requests.

    The replies to the first entry are passed on as they come, those to later ones are kept until their turn.
    """

    __slots__ = ("_begun", "_done", "_kept", "_parts", "due", "is_over", "kept_size", "under_way")

    def __init__(self) -> None:
        #: The entries whose replies the client has not completely.  Other classes only read it.
        self.due: deque[Entry] = deque()
        #: How many replies these are.
        self.under_way = 0
        #: The client has had the replies to a batch after which it gets no more.
        self.is_over = False
        #: Bytes that are kept.
        self.kept_size = 0
        #: Of batches that have been answered in part: how many replies are to come, and how many bytes of one that is
        #: not whole are kept.
        self._begun: dict[Batch, tuple[int, int]] = {}
        #: What has come of batches whose turn it is not, or that are parts.
        self._kept: dict[Batch, list[bytes]] = {}
        #: Those of them, without the parts, whose replies are whole.
        self._done: set[Batch] = set()
        #: Of which request each batch is which part.
        self._parts: dict[Batch, tuple[SplitRequest, int]] = {}

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        self.due.append(entry)
        self.under_way += count_of(entry)
        self.kept_size += _kept_in(entry)

    def add_woven(self, woven: Woven) -> None:
        """Append the replies to requests that went to several places."""
        self.add(woven)
        for batch in woven.batches:
            batch.woven = woven

    def add_part(self, batch: Batch, whole: SplitRequest, number: int) -> None:
        """Take note that ``batch`` is a part of ``whole``, which is an entry."""
        self._parts[batch] = whole, number

    def reply(self, batch: Batch, data: bytes) -> bytes:
        """Take a part of the replies to ``batch``.

        :returns: what the client is sent now.
        """
        batch.is_begun = True
        woven = batch.woven
        if woven is not None:
            return self._weave(woven, batch, data)
        is_first = self.due[0] is batch
        left, tail = self._begun.get(batch, (count_of(batch), 0))
        # What ends a reply comes without the beginning of the next.
        is_whole = batch.replies != left
        self._begun[batch] = batch.replies, 0 if is_whole else SENT if is_first else tail + len(data)
        if is_first:
            return data
        self._kept.setdefault(batch, []).append(data)
        self.kept_size += len(data)
        return b""

    def done(self, batch: Batch, data: bytes) -> None:
        """Take the last part of the replies to ``batch``; :meth:`deliver` has to be called next."""
        woven = batch.woven
        if woven is not None:
            batch.woven = None
            if data:
                self.kept_size += len(data)
                woven.add(batch, data)
            return
        self.end(batch)
        part = self._parts.pop(batch, None)
        if part is None:
            self._done.add(batch)
            if data:
                self._kept.setdefault(batch, []).append(data)
                self.kept_size += len(data)
            return
        before = self._kept.pop(batch, None)
        self.kept_size -= sum(map(len, before or ()))
        self.add_to(*part, data if before is None else b"".join([*before, data]))

    def weave(self, batch: Batch, data: bytes) -> list[bytes]:
        """As :meth:`done` and :meth:`deliver`, for a batch that is woven into others and not the last."""
        woven = batch.woven
        assert woven is not None
        batch.woven = None
        self.kept_size += len(data)
        woven.add(batch, data)
        return self.deliver() if self.due[0] is woven and woven.has_next else []

    def add_to(self, whole: SplitRequest, number: int, reply: bytes) -> None:
        """Take the whole reply to a part of a request."""
        before = whole.held
        whole.add(number, reply)
        self.kept_size += whole.held - before

    def entry_of(self, batch: Batch) -> Entry:
        """The request that a batch is a part of, or the batch itself."""
        part = self._parts.get(batch)
        return batch.woven or batch if part is None else part[0]

    def end(self, batch: Batch) -> None:
        """Take note that no more will come of the replies to a batch."""
        if batch.is_begun:
            self._begun.pop(batch, None)

    def cut(self, batch: Batch) -> bool:
        """Have what has come of the replies to ``batch`` end with the last that is whole.

        :returns: False if the client has been sent more.
        """
        if batch.woven is not None:
            return True  # which passes on nothing else
        _, tail = self._begun.get(batch, (0, 0))
        if tail == SENT:
            return False
        if tail:
            whole = b"".join(self._kept.pop(batch))[:-tail]
            self.kept_size -= tail
            if whole:
                self._kept[batch] = [whole]
        return True

    def fail(self, batch: Batch, reply: bytes) -> None:
        """Have ``reply`` stand for each reply to ``batch`` that is still to come, after :meth:`cut`."""
        woven, batch.woven = batch.woven, None
        if woven is None:
            self.done(batch, reply * batch.replies)
            return
        before = woven.held
        woven.fail(batch, reply)
        self.kept_size += woven.held - before

    def _weave(self, woven: Woven, batch: Batch, data: bytes) -> bytes:
        woven.add(batch, data)
        self.kept_size += len(data)
        return self._taken(woven) if self.due[0] is woven else b""

    def _taken(self, woven: Woven) -> bytes:
        before = woven.held
        data = woven.take()
        self.kept_size += woven.held - before
        return data

    def deliver(self) -> list[bytes]:
        """Remove the entries at the head whose replies are whole, and return what the client is sent now.

        A batch that is the last is the last of them, see :attr:`is_over`.
        """
        out: list[bytes] = []
        due = self.due
        while due:
            head = due[0]
            if isinstance(head, Batch):
                kept = self._kept.pop(head, None)
                if kept is not None:
                    out += kept
                    self.kept_size -= sum(map(len, kept))
                    left, tail = self._begun.get(head, (0, 0))
                    if tail:
                        self._begun[head] = left, SENT
                if head not in self._done:
                    break
                self._done.remove(head)
            elif isinstance(head, Woven):
                out.append(self._taken(head))
                if not head.is_over:
                    break
            elif isinstance(head, Answer):
                out.append(head.data)
                self.kept_size -= len(head.data)
            elif head.is_whole:
                self.kept_size -= head.held
                out.append(head.reply())
            else:
                break
            due.popleft()
            self.under_way -= count_of(head)
            if isinstance(head, Batch) and head.is_last:
                self.is_over = True
                break
        return [data for data in out if data]

    def drop_after(self, last: Entry | None) -> list[Batch]:
        """Remove the entries behind ``last``, or all if that is None, with what is kept for them.

        :returns: their batches, as far as their replies are not whole.
        """
        dropped: list[Entry] = []
        while self.due and self.due[-1] is not last:
            dropped.append(self.due.pop())
        split = {id(each) for each in dropped if isinstance(each, SplitRequest)}
        batches = [each for each in dropped if isinstance(each, Batch)]
        woven = [batch for each in dropped if isinstance(each, Woven) for batch in each.batches]
        batches += [batch for batch in woven if batch.woven is not None]
        batches += [batch for batch, (whole, _) in self._parts.items() if id(whole) in split]
        for batch in batches:
            self._kept.pop(batch, None)
            self._parts.pop(batch, None)
            self._begun.pop(batch, None)
            batch.woven = None
        unfinished = [batch for batch in batches if batch not in self._done]
        self._done.difference_update(batches)
        self.under_way = sum(map(count_of, self.due))
        self.kept_size = sum(map(_kept_in, self.due)) + sum(len(data) for kept in self._kept.values() for data in kept)
        return unfinished


def count_of(entry: Entry) -> int:
    """The number of replies of an entry."""
    if isinstance(entry, Woven):
        return entry.count
    return sum([count for _, count in entry.expected]) if isinstance(entry, Batch) else 1


def _kept_in(entry: Entry) -> int:
    """The bytes that an entry itself keeps."""
    if isinstance(entry, Batch):
        return 0
    return len(entry.data) if isinstance(entry, Answer) else entry.held
