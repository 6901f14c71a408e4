"""Requests that came together and went to several places, as one batch to each: their replies in order again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from proxymux.core.batch import Batch


class Woven:
    """The replies to some requests of one client, in the order of the requests.

    A reply is passed on when it is whole and those before it are.

    :param turns: the batch of each request.
    """

    __slots__ = ("_at", "_rests", "_turns", "_whole", "held")

    def __init__(self, turns: Sequence[Batch]) -> None:
        self._turns = turns
        #: How many replies have been taken.
        self._at = 0
        #: Of each batch the replies that are whole, and have not been taken.
        self._whole: dict[Batch, deque[bytes]] = {}
        for batch in turns:
            if batch not in self._whole:
                self._whole[batch] = deque()
        #: The beginning of the next one, of the batches that have such.
        self._rests: dict[Batch, bytes] = {}
        #: Bytes that are kept.
        self.held = 0

    @property
    def count(self) -> int:
        """How many requests there are."""
        return len(self._turns)

    @property
    def batches(self) -> Sequence[Batch]:
        """The batches, each once."""
        return list(self._whole)

    @property
    def is_over(self) -> bool:
        """True once all replies have been taken."""
        return self._at == len(self._turns)

    @property
    def has_next(self) -> bool:
        """True if a reply is there whose turn has come."""
        return bool(self._whole[self._turns[self._at]])

    def add(self, batch: Batch, data: bytes) -> None:
        """Take what has come of the replies to a batch; ``batch.ends`` says where replies end in it."""
        whole, start = self._whole[batch], 0
        for end in batch.ends:
            whole.append(data[start:end])
            start = end
        self.held += len(data)
        if self._rests and batch.ends and batch in self._rests:
            whole[-len(batch.ends)] = self._rests.pop(batch) + whole[-len(batch.ends)]
        if start < len(data):
            self._rests[batch] = self._rests.get(batch, b"") + data[start:]

    def fail(self, batch: Batch, reply: bytes) -> None:
        """Have ``reply`` stand for each reply of a batch that is not whole, and nothing else will come."""
        self.held += len(reply) * batch.replies - len(self._rests.pop(batch, b""))
        self._whole[batch].extend([reply] * batch.replies)

    def take(self) -> bytes:
        """Remove the replies whose turn has come."""
        out: list[bytes] = []
        turns, whole = self._turns, self._whole
        for at in range(self._at, len(turns)):
            replies = whole[turns[at]]
            if not replies:
                break
            out.append(replies.popleft())
        self._at += len(out)
        data = b"".join(out)
        self.held -= len(data)
        return data
