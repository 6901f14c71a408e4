"""Requests that came together and went to several places, as one batch to each: their replies in order again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from proxymux.core.batch import Batch
from proxymux.core.codecs import Codec, ReplyScanner


class Woven:
    """The replies to some requests of one client, in the order of the requests.

    A reply is passed on when it is whole and those before it are.

    :param turns: the batch of each request.
    """

    __slots__ = ("_parts", "_turns", "batches", "count", "held")

    def __init__(self, codec: Codec, batches: Sequence[Batch], turns: Sequence[Batch]) -> None:
        self.batches = batches
        self._turns = deque(turns)
        self._parts = {batch: _Part(codec.replies(), batch.replies) for batch in batches}
        #: How many requests there are.
        self.count = len(turns)
        #: Bytes that are kept.
        self.held = 0

    @property
    def is_over(self) -> bool:
        """True once all replies have been taken."""
        return not self._turns

    def add(self, batch: Batch, data: bytes) -> None:
        """Take what has come of the replies to a batch."""
        self._parts[batch].add(data)
        self.held += len(data)

    def fail(self, batch: Batch, reply: bytes) -> None:
        """Have ``reply`` stand for each reply of a batch that is not whole, and nothing else will come."""
        self.held += self._parts[batch].fail(reply, batch.replies)

    def take(self) -> list[bytes]:
        """Remove the replies whose turn has come."""
        out: list[bytes] = []
        turns, parts = self._turns, self._parts
        while turns and parts[turns[0]].whole:
            out.append(parts[turns.popleft()].whole.popleft())
        self.held -= sum(map(len, out))
        return out


class _Part:
    """The replies to one batch: those that are whole, and the beginning of the next."""

    __slots__ = ("_rest", "_scanner", "whole")

    def __init__(self, scanner: ReplyScanner, count: int) -> None:
        scanner.expect(None, count)
        self._scanner = scanner
        self._rest: list[bytes] = []
        self.whole: deque[bytes] = deque()

    def add(self, data: bytes) -> None:
        start = 0
        for end in self._scanner.feed(data):
            part = data[start:end]
            if self._rest:
                part = b"".join([*self._rest, part])
                self._rest = []
            self.whole.append(part)
            start = end
        if start < len(data):
            self._rest.append(data[start:])

    def fail(self, reply: bytes, count: int) -> int:
        """Append a reply ``count`` times in the place of the beginning; return by how many bytes that is more."""
        more = len(reply) * count - sum(map(len, self._rest))
        self._rest = []
        self.whole.extend([reply] * count)
        return more
